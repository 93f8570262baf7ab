"""pydantic-ai integration: ``DeepSeekModel``, a model whose requests go through this library's client.

    from pydantic_ai import Agent
    from deepseek_async.integrations.pydantic_ai import DeepSeekModel

    agent = Agent(DeepSeekModel("deepseek-flash"))
    print(agent.run_sync("Hello").output)

Requires the extra ``pydantic-ai``: ``pip install "deepseek-async[pydantic-ai]"``.
"""

from deepseek_async.integrations.requirement import require

require("pydantic-ai-slim", "pydantic-ai", oldest=(2, 60), before=(3,))

from deepseek_async.integrations.pydantic_ai.model import DeepSeekModel  # noqa: E402  its import needs the framework
from deepseek_async.integrations.pydantic_ai.settings import DeepSeekModelSettings  # noqa: E402

__all__ = ["DeepSeekModel", "DeepSeekModelSettings"]
