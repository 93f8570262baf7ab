"""Clients of others against a gateway, as their users write them; run by test_gateway_clients.py where they live.

    python gateway_clients.py URL KEY CLIENT …

Prints a JSON line for each call: client, call, and how it failed or null. Nothing of this project is imported.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

os.environ |= {"ANONYMIZED_TELEMETRY": "false", "DO_NOT_TRACK": "1", "LANGSMITH_TRACING": "false"}

from pydantic import BaseModel

URL, KEY = sys.argv[1:3]
MODEL = "deepseek-flash"
HELLO = [{"role": "user", "content": "Say hello"}]
WEATHER = [{"role": "user", "content": "The weather in Oslo?"}]
CITY = [{"role": "user", "content": "A city as JSON"}]
NO_THINKING = {"thinking": {"type": "disabled"}}
"""DeepSeek refuses a tool_choice that forces a tool while it thinks."""

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "description": "Weather", "parameters": PARAMETERS}}
ROW = {
    "custom_id": "row-1",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": MODEL, "messages": HELLO},
}
INPUT = ("in.jsonl", json.dumps(ROW).encode() + b"\n")


class City(BaseModel):
    """A city."""

    name: str
    country: str


OSLO = City(name="Oslo", country="Norway")


def weather(city: str) -> str:
    """Say the weather of a city."""
    return f"sunny in {city}"


class OpenAISync:
    """openai-python's blocking client."""

    def __init__(self) -> None:
        import openai

        self.api = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)

    def chat(self) -> None:
        assert self.api.chat.completions.create(model=MODEL, messages=HELLO).choices[0].message.content == "Hello"

    def stream(self) -> None:
        made = self.api.chat.completions.create(
            model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(made)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello"
        assert any(chunk.usage and chunk.usage.total_tokens for chunk in chunks)

    def tools(self) -> None:
        made = self.api.chat.completions.create(model=MODEL, messages=WEATHER, tools=[TOOL])
        assert json.loads(made.choices[0].message.tool_calls[0].function.arguments) == {"city": "Oslo"}

    def parse(self) -> None:
        made = self.api.chat.completions.parse(model=MODEL, messages=CITY, response_format=City)
        assert made.choices[0].message.parsed == OSLO

    def completions(self) -> None:
        assert self.api.completions.create(model=MODEL, prompt="Say hello", max_tokens=5).choices[0].text

    def responses(self) -> None:
        assert self.api.responses.create(model=MODEL, input="Say hello").output_text == "Hello"

    def responses_stream(self) -> None:
        kinds = [event.type for event in self.api.responses.create(model=MODEL, input="Say hello", stream=True)]
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"

    def files(self) -> None:
        made = self.api.files.create(file=INPUT, purpose="batch")
        assert self.api.files.retrieve(made.id).filename == "in.jsonl"
        assert made.id in [each.id for each in self.api.files.list()]
        assert self.api.files.content(made.id).content == INPUT[1]
        assert self.api.files.delete(made.id).deleted

    def batches(self) -> None:
        given = self.api.files.create(file=INPUT, purpose="batch")
        batch = self.api.batches.create(input_file_id=given.id, endpoint=ROW["url"], completion_window="24h")
        assert batch.id in [each.id for each in self.api.batches.list()]
        while batch.status not in {"completed", "failed"}:
            time.sleep(0.05)
            batch = self.api.batches.retrieve(batch.id)
        row = json.loads(self.api.files.content(batch.output_file_id).text)
        assert row["response"]["body"]["choices"][0]["message"]["content"] == "Hello"

    def embeddings(self) -> None:
        assert self.api.embeddings.create(model="text-embedding", input="Hello").data[0].embedding

    def models(self) -> None:
        assert MODEL in [model.id for model in self.api.models.list()]
        assert self.api.models.retrieve(MODEL).id == MODEL

    def errors(self) -> None:
        import openai

        try:
            self.api.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "No money"}])
        except openai.APIStatusError as error:
            assert error.status_code == 402  # noqa: PT017  no pytest there
        else:
            raise AssertionError("no error")


class OpenAIAsync:
    """openai-python's asynchronous client."""

    def __init__(self) -> None:
        import openai

        self.api = openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)

    async def chat(self) -> None:
        made = await self.api.chat.completions.create(model=MODEL, messages=HELLO)
        assert made.choices[0].message.content == "Hello"

    async def stream(self) -> None:
        chunks = [
            chunk async for chunk in await self.api.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        ]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello"

    async def stream_helper(self) -> None:
        async with self.api.chat.completions.stream(model=MODEL, messages=CITY, response_format=City) as stream:
            async for _ in stream:
                pass
            assert (await stream.get_final_completion()).choices[0].message.parsed == OSLO

    async def tools(self) -> None:
        made = await self.api.chat.completions.create(model=MODEL, messages=WEATHER, tools=[TOOL])
        assert json.loads(made.choices[0].message.tool_calls[0].function.arguments) == {"city": "Oslo"}

    async def parse(self) -> None:
        made = await self.api.chat.completions.parse(model=MODEL, messages=CITY, response_format=City)
        assert made.choices[0].message.parsed == OSLO

    async def responses(self) -> None:
        assert (await self.api.responses.create(model=MODEL, input="Say hello")).output_text == "Hello"

    async def files(self) -> None:
        made = await self.api.files.create(file=INPUT, purpose="batch")
        assert made.id in [each.id async for each in self.api.files.list()]
        assert (await self.api.files.content(made.id)).content == INPUT[1]
        assert (await self.api.files.delete(made.id)).deleted

    async def batches(self) -> None:
        given = await self.api.files.create(file=INPUT, purpose="batch")
        batch = await self.api.batches.create(input_file_id=given.id, endpoint=ROW["url"], completion_window="24h")
        while batch.status not in {"completed", "failed"}:
            await asyncio.sleep(0.05)
            batch = await self.api.batches.retrieve(batch.id)
        assert (batch.status, batch.request_counts.completed) == ("completed", 1)

    async def embeddings(self) -> None:
        made = await self.api.embeddings.create(model="text-embedding", input="Hello")
        assert made.data[0].embedding

    async def models(self) -> None:
        assert MODEL in [model.id async for model in self.api.models.list()]


class Anthropic:
    """anthropic-python, blocking and asynchronous."""

    def __init__(self) -> None:
        import anthropic

        given: dict[str, Any] = {"base_url": f"{URL}/anthropic", "api_key": KEY, "max_retries": 0}
        self.api, self.asynchronous = anthropic.Anthropic(**given), anthropic.AsyncAnthropic(**given)
        self.asked: dict[str, Any] = {"model": MODEL, "max_tokens": 200, "messages": HELLO}

    def messages(self) -> None:
        assert self.api.messages.create(**self.asked).content[-1].text == "Hello"

    async def messages_async(self) -> None:
        assert (await self.asynchronous.messages.create(**self.asked)).content[-1].text == "Hello"

    def stream(self) -> None:
        with self.api.messages.stream(**self.asked) as stream:
            assert "".join(stream.text_stream) == "Hello"
            assert stream.get_final_message().stop_reason == "end_turn"

    async def stream_async(self) -> None:
        async with self.asynchronous.messages.stream(**self.asked) as stream:
            assert (await stream.get_final_message()).content[-1].text == "Hello"

    def tools(self) -> None:
        tool = {"name": "weather", "description": "Weather", "input_schema": PARAMETERS}
        made = self.api.messages.create(**{**self.asked, "messages": WEATHER}, tools=[tool])
        assert made.content[-1].input == {"city": "Oslo"}

    def errors(self) -> None:
        import anthropic

        try:
            self.api.messages.create(**{**self.asked, "model": "unknown"})
        except anthropic.APIStatusError as error:
            assert error.body["type"] == "error"  # noqa: PT017  no pytest there
        else:
            raise AssertionError("no error")


class LangchainDeepSeek:
    """langchain-deepseek."""

    def __init__(self) -> None:
        from langchain_deepseek import ChatDeepSeek

        self.model = ChatDeepSeek(model=MODEL, api_key=KEY, api_base=f"{URL}/v1", max_retries=0)

    def invoke(self) -> None:
        assert self.model.invoke("Say hello").content == "Hello"

    async def ainvoke(self) -> None:
        assert (await self.model.ainvoke("Say hello")).content == "Hello"

    async def astream(self) -> None:
        assert "".join([str(chunk.content) async for chunk in self.model.astream("Say hello")]) == "Hello"

    def tools(self) -> None:
        from langchain_core.tools import tool

        called = self.model.bind_tools([tool(weather)]).invoke(WEATHER)
        assert called.tool_calls[0]["args"] == {"city": "Oslo"}

    def structured(self) -> None:
        made = self.model.with_structured_output(City, method="json_mode").invoke(CITY)
        assert made == OSLO


class PydanticAI:
    """pydantic-ai with its DeepSeek provider's client."""

    def __init__(self) -> None:
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        self.model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY))

    async def run(self) -> None:
        from pydantic_ai import Agent

        assert (await Agent(self.model).run("Say hello")).output == "Hello"

    async def run_stream(self) -> None:
        from pydantic_ai import Agent

        async with Agent(self.model).run_stream("Say hello") as stream:
            assert "".join([text async for text in stream.stream_text(delta=True)]) == "Hello"

    async def tools(self) -> None:
        from pydantic_ai import Agent

        assert (await Agent(self.model, tools=[weather]).run("The weather in Oslo?")).output == "It is sunny."

    async def structured(self) -> None:
        from pydantic_ai import Agent, NativeOutput

        assert (await Agent(self.model, output_type=NativeOutput(City)).run("A city as JSON")).output == OSLO


class Instructor:
    """instructor over openai-python 2."""

    def __init__(self) -> None:
        import instructor
        import openai

        self.api = instructor.from_openai(
            openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0), mode=instructor.Mode.JSON
        )
        self.asked: dict[str, Any] = {"model": MODEL, "messages": CITY, "response_model": City}

    async def create(self) -> None:
        made = await self.api.chat.completions.create(**self.asked)
        assert (made.name, made.country) == ("Oslo", "Norway")

    async def create_partial(self) -> None:
        *_, last = [partial async for partial in self.api.chat.completions.create_partial(**self.asked)]
        assert (last.name, last.country) == ("Oslo", "Norway")


CLIENTS: dict[str, type[Any]] = {
    "openai": OpenAISync,
    "openai-async": OpenAIAsync,
    "anthropic": Anthropic,
    "langchain-deepseek": LangchainDeepSeek,
    "pydantic-ai": PydanticAI,
    "instructor": Instructor,
}


async def passes(call: Callable[[], Any]) -> str | None:
    """How ``call`` failed, or None."""
    try:
        made = call()
        if inspect.isawaitable(made):
            await made
    except Exception:  # noqa: BLE001  of any client
        return traceback.format_exc()
    return None


async def main(names: list[str]) -> None:
    for name in names:
        client = CLIENTS[name]()
        for call, function in vars(CLIENTS[name]).items():
            if not call.startswith("_"):
                print(json.dumps([name, call, await passes(function.__get__(client))]), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[3:]))
