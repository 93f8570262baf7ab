"""Frameworks that ask for an openai client, over the engine; run by test_openai_frameworks.py in their environments.

    python openai_frameworks.py NAME …

Prints a JSON line for each case: its name, and how it failed or null. No network but a simulator on loopback.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

os.environ |= {
    "ANONYMIZED_TELEMETRY": "false",
    "DO_NOT_TRACK": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
}

from pydantic import BaseModel

from deepseek_async import AsyncDeepSeek
from deepseek_async.blocking import DeepSeek
from deepseek_async.integrations.openai import as_openai, blocking_http_client, http_client
from deepseek_async.simulator import Simulator

KEY = "sk-canary0123456789abcdefTAIL"
MODEL = "deepseek-flash"
WEATHER = {"name": "weather", "arguments": {"city": "Oslo"}}
SUNNY = "It is sunny."
NO_THINKING = {"thinking": {"type": "disabled"}}
"""DeepSeek refuses a tool_choice that forces a tool while it thinks."""


class City(BaseModel):
    """A city."""

    name: str
    country: str


def weather(city: str) -> str:
    """Say the weather of a city."""
    return f"sunny in {city}"


def scripted_loop(simulator: Simulator) -> None:
    """A tool is called, then the answer comes."""
    simulator.answer(tool_calls=[WEATHER])
    simulator.answer(content=SUNNY)


async def pydantic_ai(simulator: Simulator, client: AsyncDeepSeek) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=as_openai(client)))
    simulator.answer(content=SUNNY)
    assert (await Agent(model).run("Hi")).output == SUNNY
    scripted_loop(simulator)
    assert (await Agent(model, tools=[weather]).run("Hi")).output == SUNNY
    simulator.answer(content=SUNNY)
    async with Agent(model).run_stream("Hi") as stream:
        assert "".join([text async for text in stream.stream_text(delta=True)]) == SUNNY
    simulator.answer(tool_calls=[{"name": "final_result", "arguments": {"name": "Oslo", "country": "Norway"}}])
    agent = Agent(model, output_type=City, model_settings={"extra_body": NO_THINKING})
    assert (await agent.run("Hi")).output == City(name="Oslo", country="Norway")


async def openai_agents(simulator: Simulator, client: AsyncDeepSeek) -> None:
    from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool

    api = as_openai(client)
    for kind in (OpenAIChatCompletionsModel, OpenAIResponsesModel):
        agent = Agent(name="a", model=kind(model=MODEL, openai_client=api), tools=[function_tool(weather)])
        scripted_loop(simulator)
        assert (await Runner.run(agent, "Hi")).final_output == SUNNY
        scripted_loop(simulator)
        running = Runner.run_streamed(agent, "Hi")
        kinds = [event.type async for event in running.stream_events()]
        assert running.final_output == SUNNY
        assert "raw_response_event" in kinds


async def langchain(simulator: Simulator, client: AsyncDeepSeek) -> None:
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(
        model=MODEL, api_key="unused", base_url=simulator.base_url, http_async_client=http_client(client)
    )
    simulator.answer(content=SUNNY)
    assert (await model.ainvoke("Hi")).content == SUNNY
    simulator.answer(content=SUNNY)
    assert "".join([str(chunk.content) async for chunk in model.astream("Hi")]) == SUNNY
    simulator.answer(tool_calls=[WEATHER])
    called = await model.bind_tools([tool(weather)]).ainvoke("Hi")
    assert called.tool_calls[0]["args"] == {"city": "Oslo"}


async def langchain_sync(simulator: Simulator, client: AsyncDeepSeek) -> None:
    from langchain_openai import ChatOpenAI

    def ask() -> None:
        with DeepSeek(api_key=KEY, base_url=simulator.base_url) as blocking:
            model = ChatOpenAI(
                model=MODEL, api_key="unused", base_url=simulator.base_url, http_client=blocking_http_client(blocking)
            )
            assert model.invoke("Hi").content == SUNNY
            assert "".join(str(chunk.content) for chunk in model.stream("Hi")) == SUNNY

    simulator.answer(content=SUNNY)
    simulator.answer(content=SUNNY)
    await asyncio.to_thread(ask)


async def litellm(simulator: Simulator, client: AsyncDeepSeek) -> None:
    import litellm as library

    library.telemetry = False
    asked: dict[str, Any] = {
        "model": f"openai/{MODEL}",
        "messages": [{"role": "user", "content": "Hi"}],
        "client": as_openai(client),
        "api_key": "unused",
    }
    simulator.answer(content=SUNNY)
    assert (await library.acompletion(**asked)).choices[0].message.content == SUNNY
    simulator.answer(content=SUNNY)
    stream = await library.acompletion(**asked, stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == SUNNY
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    simulator.answer(tool_calls=[WEATHER])
    called = (await library.acompletion(**asked, tools=tools)).choices[0].message.tool_calls
    assert json.loads(called[0].function.arguments) == {"city": "Oslo"}


async def instructor(simulator: Simulator, client: AsyncDeepSeek) -> None:
    import instructor as library

    api = library.from_openai(as_openai(client), mode=library.Mode.TOOLS)
    asked: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hi"}],
        "response_model": City,
        "extra_body": NO_THINKING,
    }
    for _ in range(2):
        simulator.answer(tool_calls=[{"name": "City", "arguments": {"name": "Oslo", "country": "Norway"}}])
    made = await api.chat.completions.create(**asked)  # of a class made from ours
    assert (made.name, made.country) == ("Oslo", "Norway")
    *_, last = [partial async for partial in api.chat.completions.create_partial(**asked)]
    assert (last.name, last.country) == ("Oslo", "Norway")


async def llama_index(simulator: Simulator, client: AsyncDeepSeek) -> None:
    from llama_index.core.llms import ChatMessage
    from llama_index.core.tools import FunctionTool
    from llama_index.llms.openai_like import OpenAILike

    model = OpenAILike(
        model=MODEL,
        api_base=simulator.base_url,
        api_key="unused",
        is_chat_model=True,
        is_function_calling_model=True,
        async_http_client=http_client(client),
    )
    asked = [ChatMessage(role="user", content="Hi")]
    simulator.answer(content=SUNNY)
    assert (await model.achat(asked)).message.content == SUNNY
    simulator.answer(content=SUNNY)
    pieces = [piece.delta async for piece in await model.astream_chat(asked)]
    assert "".join(piece or "" for piece in pieces) == SUNNY
    simulator.answer(tool_calls=[WEATHER])
    called = await model.achat_with_tools([FunctionTool.from_defaults(weather)], chat_history=asked)
    assert model.get_tool_calls_from_response(called)[0].tool_kwargs == {"city": "Oslo"}


async def errors(simulator: Simulator, client: AsyncDeepSeek) -> None:
    """An error of the service is openai's, whichever HTTP library it is written on, and is not retried again."""
    import openai

    before = len(simulator.requests)
    simulator.answer(status=402)
    api = as_openai(client).with_options(max_retries=3)
    try:
        await api.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}])
    except openai.APIStatusError as error:
        assert error.status_code == 402  # noqa: PT017  no pytest there
    else:
        raise AssertionError("no error")
    assert len(simulator.requests) == before + 1


CASES: dict[str, Callable[[Simulator, AsyncDeepSeek], Awaitable[None]]] = {
    case.__name__: case
    for case in (
        pydantic_ai,
        openai_agents,
        langchain,
        langchain_sync,
        litellm,
        instructor,
        llama_index,
        errors,
    )
}


async def passes(case: Callable[[Simulator, AsyncDeepSeek], Awaitable[None]]) -> str | None:
    """How ``case`` failed, or None. Every request must have gone through the engine."""
    try:
        async with Simulator() as simulator, AsyncDeepSeek(api_key=KEY, base_url=simulator.base_url) as client:
            await case(simulator, client)
            if simulator.answers.unused:
                return f"{simulator.answers.unused} answers were not asked for"
            if any(model.in_flight for model in client.statistics().models):
                return "a place is held"
    except Exception:  # noqa: BLE001  of any framework
        return traceback.format_exc()
    return None


async def main(names: list[str]) -> None:
    for name in names:
        print(json.dumps([name, await passes(CASES[name])]), flush=True)  # noqa: T201  its output


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
