"""Streamed answers of a class: it grows while the answer arrives, and is validated at its end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, field_validator
from support.clients import MESSAGES, Connect
from support.servers import (
    DONE,
    OPENING,
    RESET,
    SILENCE,
    STREAM_HEAD,
    Serve,
    begun,
    chunk,
    ending,
    event,
    http_chunk,
    said,
    streamed,
)

from deepseek_async import (
    AsyncDeepSeek,
    DeepSeekError,
    ParsedChatCompletionStream,
    StreamInterruptedError,
    StructuredOutput,
    StructuredOutputError,
)

WEATHER = '{"place": "Oslo", "degrees": 21.5, "days": ["Mon", "Tue"]}'


class Weather(msgspec.Struct):
    place: str
    degrees: float
    days: list[str] = []


class Strict(BaseModel):
    place: str
    degrees: float
    days: list[str] = []

    @field_validator("place")
    @classmethod
    def known(cls, place: str) -> str:
        if place != "Oslo":
            raise ValueError("unknown place")
        return place


async def opened(client: AsyncDeepSeek, shape: Any, **more: Any) -> ParsedChatCompletionStream[Any]:
    return await client.chat.completions.create(
        model="deepseek-flash", messages=MESSAGES, response_format=shape, stream=True, **more
    )


def pieces(text: str, size: int = 3) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("shape", [Weather, Strict, StructuredOutput(Weather)])
async def test_the_object_grows_and_the_last_one_is_validated(serve: Serve, connect: Connect, shape: Any):
    server = await serve(streamed(*pieces(WEATHER)))
    stream = await opened(connect(server), shape)
    seen = [partial async for partial in stream.partials()]

    assert [partial.place for partial in seen][:3] == [None, "O", "Oslo"]
    assert {partial.degrees for partial in seen} == {None, 21.5}
    assert stream.parsed is seen[-1]
    assert (stream.parsed.place, stream.parsed.days) == ("Oslo", ["Mon", "Tue"])
    assert stream.completion.choices[0].message.parsed is stream.parsed
    assert stream.completion.usage is not None
    asked = server.requests[0].json()
    assert asked["response_format"] == {"type": "json_object"}
    assert "degrees" in asked["messages"][0]["content"]
    assert type(seen[-1]) is (shape if isinstance(shape, type) else Weather)


async def test_the_pieces_of_a_block_are_shown_one_by_one(serve: Serve, connect: Connect):
    text = json.dumps({"place": "a long place " * 20, "degrees": 1})
    stream = await opened(connect(await serve(streamed(*pieces(text)))), Weather)
    seen = [len(partial.place or "") async for partial in stream.partials()]
    assert seen == sorted(seen)
    assert len(set(seen)) > 0.6 * len(text) / 3


async def test_an_answer_that_does_not_fit_is_an_error_that_keeps_it(serve: Serve, connect: Connect):
    server = await serve(streamed(*pieces('{"place": "Rome", "degrees": 3}')))
    stream = await opened(connect(server), Strict)
    seen = []

    async def read() -> None:
        async for partial in stream.partials():
            seen.append(partial.place)  # noqa: PERF401  those before the error are wanted

    with pytest.raises(StructuredOutputError, match="unknown place") as caught:
        await read()
    assert seen[-1] == "Rome"
    assert caught.value.partial is not None
    assert caught.value.partial.choices[0].message.content == '{"place": "Rome", "degrees": 3}'
    assert caught.value.billed_attempts
    assert len(server.requests) == 1
    assert stream.unparsed.usage is not None
    with pytest.raises(StructuredOutputError):
        _ = stream.completion


async def test_the_arguments_of_a_strict_tool_grow(serve: Serve, connect: Connect):
    def fragment(arguments: str, **more: Any) -> bytes:
        call = {"index": 0, "function": {"arguments": arguments, **more.pop("function", {})}, **more}
        return event(chunk({"tool_calls": [call]}))

    first = fragment("", id="call_0", type="function", function={"name": "Weather"})
    events = OPENING + first + b"".join(map(fragment, pieces(WEATHER))) + ending("tool_calls") + DONE
    server = await serve([STREAM_HEAD + http_chunk(events) + b"0\r\n\r\n"])
    stream = await opened(connect(server), StructuredOutput(Weather, method="strict_tool"))
    places = [partial.place async for partial in stream.partials()]
    assert {*places} == {None, "O", "Oslo"}
    assert stream.parsed == Weather("Oslo", 21.5, ["Mon", "Tue"])
    assert stream.completion.choices[0].finish_reason == "stop"


async def test_an_answer_cut_off_by_its_limit_is_an_error(serve: Serve, connect: Connect):
    events = OPENING + said('{"place": "Os') + ending("length") + DONE
    stream = await opened(connect(await serve([STREAM_HEAD + http_chunk(events) + b"0\r\n\r\n"])), Weather)
    with pytest.raises(StructuredOutputError, match="max_tokens"):
        _ = [partial async for partial in stream.partials()]


async def test_a_stream_that_breaks_keeps_what_arrived(serve: Serve, connect: Connect):
    stream = await opened(connect(await serve([begun(said('{"place": "Os')), RESET])), Weather)
    with pytest.raises(StreamInterruptedError) as caught:
        _ = [partial async for partial in stream.partials()]
    assert caught.value.text == '{"place": "Os'


async def test_before_its_end_there_is_no_object_and_leaving_gives_the_connection_back(serve: Serve, connect: Connect):
    client = connect(await serve([begun(said('{"place": "Os')), SILENCE]))
    stream = await opened(client, Weather)
    async with stream:
        growing = stream.partials()
        assert (await anext(growing)).place == "Os"
        with pytest.raises(DeepSeekError, match="has not ended"):
            _ = stream.parsed
        waiting = asyncio.ensure_future(anext(growing))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert client._runtime.caller().account_limiter.in_flight == 0


async def test_chunks_may_be_read_instead(serve: Serve, connect: Connect):
    client = connect(await serve(streamed(*pieces(WEATHER))))
    async with client.chat.completions.stream(
        model="deepseek-flash", messages=MESSAGES, response_format=Weather
    ) as stream:
        text = "".join([piece async for piece in stream.text_deltas()])
    assert text == WEATHER
    assert stream.parsed is not None
