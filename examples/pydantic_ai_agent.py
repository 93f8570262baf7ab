"""An agent of pydantic-ai over this library's client. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL.

Needs the extra ``pydantic-ai``.
"""

from pydantic_ai import Agent

from deepseek_async.integrations.pydantic_ai import DeepSeekModel

agent = Agent(DeepSeekModel("deepseek-flash"), instructions="Answer in one sentence.")


@agent.tool_plain
def temperature(place: str) -> str:
    """Tell the temperature of a place right now."""
    return f"-1.5 degrees in {place}"


ran = agent.run_sync("What is the temperature in Oslo? Use the tool.")
print(f"{ran.usage.requests} requests: {ran.output}")
