"""After an answer no public name of openai-python's objects is missing: it is there, or says what to write instead."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx2
import openai
import pytest
from table import HELLO, MODEL, WEATHER

import deepseek_async
from deepseek_async.simulator import Simulator, SimulatorSettings

ASKED: dict[str, Any] = {"model": MODEL, "messages": HELLO}
OF_CLASSES = frozenset(
    {
        "from_orm",
        "model_computed_fields",
        "model_config",
        "model_parametrized_name",
        "model_post_init",
        "model_rebuild",
        "model_validate_strings",
        "parse_file",
        "schema",
        "schema_json",
        "update_forward_refs",
        "validate",
    }
)
"""Pydantic's names for who writes a model, not for who has an answer."""
NO_SENTENCE = re.compile("object has no attribute|the server sent:|^type object")


async def objects_of(client: Any, library: Any) -> AsyncIterator[tuple[str, Any]]:
    """Yield an object of every kind that a program holds after a call, by what it is."""
    chat = client.chat.completions
    done = await chat.create(**ASKED, logprobs=True, top_logprobs=1)
    choice = done.choices[0]
    yield "answer", done
    yield "choice", choice
    yield "message", choice.message
    yield "usage", done.usage
    yield "details", done.usage.prompt_tokens_details
    yield "more details", done.usage.completion_tokens_details
    yield "logprobs", choice.logprobs
    yield "logprob", choice.logprobs.content[0]
    called = await chat.create(model=MODEL, messages=[{"role": "user", "content": "The weather?"}], tools=[WEATHER])
    yield "call", called.choices[0].message.tool_calls[0]
    yield "function", called.choices[0].message.tool_calls[0].function
    stream = await chat.create(**ASKED, stream=True)
    yield "stream", stream
    yield "response of a stream", stream.response
    chunks = [chunk async for chunk in stream]
    yield "chunk", chunks[-1]
    yield "choice of a chunk", chunks[-1].choices[0]
    yield "delta", chunks[-1].choices[0].delta
    async with chat.stream(**ASKED) as events:
        yield "stream of events", events
        for event in [event async for event in events]:
            yield event.type, event
    raw = await chat.with_raw_response.create(**ASKED)
    yield "raw response", raw
    yield "its HTTP response", raw.http_response
    async with chat.with_streaming_response.create(**ASKED) as streamed:
        yield "streaming response", streamed
        await streamed.parse()
    page = await client.models.list()
    yield "page", page
    yield "model", page.data[0]
    text = await client.completions.create(model=MODEL, prompt="Hello")
    yield "text completion", text
    yield "its choice", text.choices[0]
    asked = {"model": MODEL, "input": "Hello"}
    response = await client.responses.create(**asked)
    yield "response", response
    yield "its item", response.output[-1]
    yield "its content", response.output[-1].content[0]
    yield "its usage", response.usage
    async with client.responses.stream(**asked) as events:
        yield "stream of a response", events
        for event in [event async for event in events]:
            yield event.type, event
    yield "file", await client.files.create(file=("rows.jsonl", b"{}\n"), purpose="batch")
    yield "files", await client.files.list()
    with suppress(library.BadRequestError):
        await chat.create(model="nothing", messages=HELLO)
    for name in ("chat", "chat.completions", "models", "completions", "responses", "embeddings", "files"):
        resource = client
        for part in name.split("."):
            resource = getattr(resource, part)
        yield name, resource
    try:
        await chat.create(model="nothing", messages=HELLO)
    except library.BadRequestError as error:
        yield "error", error
        yield "its response", error.response


def is_there(thing: Any, name: str) -> bool:
    try:
        getattr(thing, name)
    except Exception:  # noqa: BLE001  properties that need more than is there
        return False
    return True


def says_what_to_write(thing: Any, name: str) -> bool:
    try:
        getattr(thing, name)
    except AttributeError as error:
        return NO_SENTENCE.search(str(error)) is None
    except Exception:  # noqa: BLE001
        return True
    return True


async def test_no_name_of_openais_objects_is_missing_without_a_sentence():
    async with Simulator(SimulatorSettings(seed=7)) as simulator:
        simulator.answer(when="weather", tool_calls=["weather"], times=2)
        theirs = openai.AsyncOpenAI(
            api_key="sk-test-1234", base_url=f"{simulator.base_url}/v1", http_client=httpx2.AsyncClient(verify=False)
        )
        ours = deepseek_async.AsyncDeepSeek(api_key="sk-test-1234", base_url=simulator.base_url)
        async with theirs, ours:
            expected = {name: thing async for name, thing in objects_of(theirs, openai)}
            found = {name: thing async for name, thing in objects_of(ours, deepseek_async)}
    assert found.keys() == expected.keys()
    missing = {
        f"{kind}: {name}"
        for kind, thing in expected.items()
        for name in dir(thing)
        if not name.startswith("_") and name not in OF_CLASSES and is_there(thing, name)
        if not says_what_to_write(found[kind], name)
    }
    assert missing == set()


@pytest.mark.parametrize("name", ["AsyncOpenAI", "OpenAIError", "omit", "Timeout", "AsyncStream", "BaseModel", "chat"])
def test_a_name_of_openais_package_says_what_to_write(name: str):
    assert hasattr(openai, name)
    with pytest.raises(AttributeError, match=f"no attribute '{name}': \\w+"):
        getattr(deepseek_async, name)
