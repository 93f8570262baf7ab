"""The stream of the chat endpoint: order, shapes, placement of usage, fragments."""

from __future__ import annotations

import json

import aiohttp
import pytest
from simulator_caller import CLOCK, WEATHER, Caller, Start

CHUNK_KEYS = ["id", "object", "created", "model", "system_fingerprint", "choices"]


def deltas(chunks: list[dict]) -> list[dict]:
    return [chunk["choices"][0]["delta"] for chunk in chunks]


async def test_a_thinking_stream_opens_with_the_role_then_reasons_then_answers(caller: Caller):
    chunks = (await caller.chat(thinking=..., stream=True)).chunks
    first, *middle, last = deltas(chunks)

    assert first == {"role": "assistant", "content": None, "reasoning_content": ""}
    assert last == {"content": "", "reasoning_content": None}
    kinds = ["reasoning" if delta["content"] is None else "content" for delta in middle]
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"reasoning", "content"}
    for delta in middle:
        assert set(delta) == {"content", "reasoning_content"}
        assert (delta["content"] is None) != (delta["reasoning_content"] is None)


async def test_without_thinking_no_chunk_has_a_reasoning_key(caller: Caller):
    first, *middle, last = deltas((await caller.chat(stream=True)).chunks)

    assert first == {"role": "assistant", "content": ""}
    assert last == {"content": ""}
    assert all(set(delta) == {"content"} and delta["content"] for delta in middle)


async def test_the_stream_is_chunked_and_typed_as_events(caller: Caller):
    reply = await caller.chat(stream=True)

    assert reply.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["Cache-Control"] == "no-cache"
    assert reply.headers["Transfer-Encoding"] == "chunked"
    assert reply.body.endswith(b"data: [DONE]\n\n")


async def test_usage_sits_on_the_chunk_with_the_finish_reason(caller: Caller):
    chunks = (await caller.chat(stream=True)).chunks

    assert all(list(chunk) == CHUNK_KEYS for chunk in chunks[:-1])
    assert list(chunks[-1]) == [*CHUNK_KEYS, "usage"]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks].count(None) == len(chunks) - 1
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] == len(chunks) - 2


async def test_asking_for_usage_adds_a_null_to_the_other_chunks(caller: Caller):
    chunks = (await caller.chat(stream=True, stream_options={"include_usage": True})).chunks

    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-1]["usage"]["prompt_tokens"] > 0


async def test_all_chunks_share_identity(caller: Caller):
    chunks = (await caller.chat(stream=True)).chunks

    for key in ("id", "created", "model", "system_fingerprint", "object"):
        assert len({chunk[key] for chunk in chunks}) == 1


async def test_tool_calls_open_with_a_name_and_continue_in_fragments(caller: Caller):
    chunks = (await caller.chat("clock and weather", stream=True, tools=[CLOCK, WEATHER])).chunks
    first, *middle, last = deltas(chunks)

    assert first == {"role": "assistant", "content": ""}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert last == {"content": ""}
    assert all(set(delta) == {"tool_calls"} for delta in middle)
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    for delta in middle:
        (call,) = delta["tool_calls"]
        if call["index"] not in names:
            assert list(call) == ["index", "id", "type", "function"]
            assert call["function"]["arguments"] == ""
            names[call["index"]] = call["function"]["name"]
            arguments[call["index"]] = ""
        else:
            assert list(call) == ["index", "function"]
            assert list(call["function"]) == ["arguments"]
            arguments[call["index"]] += call["function"]["arguments"]
    assert names == {0: "clock", 1: "weather"}
    assert json.loads(arguments[0]) == {}
    assert "city" in json.loads(arguments[1])
    assert len(middle) > 8


async def test_a_stream_cut_by_max_tokens_leaves_arguments_unfinished(caller: Caller):
    chunks = (await caller.chat("weather", stream=True, tools=[WEATHER], max_tokens=7)).chunks

    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    fragments = [d["tool_calls"][0]["function"]["arguments"] for d in deltas(chunks) if "tool_calls" in d]
    with pytest.raises(json.JSONDecodeError):
        json.loads("".join(fragments))


async def test_logprobs_travel_with_each_delta(caller: Caller):
    chunks = (await caller.chat(thinking=..., stream=True, logprobs=True, top_logprobs=1)).chunks

    for chunk in chunks[1:-1]:
        choice = chunk["choices"][0]
        key = "content" if choice["delta"]["content"] is not None else "reasoning_content"
        assert list(choice["logprobs"]) == [key]
        assert choice["logprobs"][key][0]["token"] == choice["delta"][key]
    assert chunks[0]["choices"][0]["logprobs"] is None
    assert chunks[-1]["choices"][0]["logprobs"] is None


async def test_a_fast_stream_is_written_in_few_pieces_and_a_paced_one_in_many(start: Start):
    fast = await start(answer_tokens=200)
    paced = await start(answer_tokens=200, tokens_per_second=20_000)

    async def pieces(caller: Caller) -> int:
        async with caller.request("POST", "/chat/completions", json=stream_body()) as response:
            return len([None async for _ in response.content.iter_any()])

    def stream_body() -> dict:
        return {"model": "deepseek-flash", "messages": [{"role": "user", "content": "x"}], "stream": True}

    assert 2 * await pieces(fast) < await pieces(paced)


async def test_a_queued_stream_sends_comments_after_its_headers(start: Start):
    caller = await start(queue_seconds=0.03, keep_alive_interval=0.01)
    reply = await caller.chat(stream=True)

    assert reply.body.startswith(b": keep-alive\n\n: keep-alive\n\n: keep-alive\n\ndata: ")
    assert reply.chunks


async def test_a_queued_plain_answer_sends_blank_lines(start: Start):
    caller = await start(queue_seconds=0.03, keep_alive_interval=0.01)
    reply = await caller.chat()

    assert reply.body.startswith(b"\n\n\n{")
    assert reply.json["choices"]


@pytest.mark.parametrize("wait", ["", "queue; seconds=0.02"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_that_speaks_http_1_0_gets_what_others_get_up_to_the_end_of_the_connection(
    caller: Caller, stream: bool, wait: str
):
    others = await caller.chat(stream=stream)
    async with aiohttp.ClientSession(version=aiohttp.HttpVersion10) as session:
        old = Caller(caller.simulator, session)
        reply = await old.chat(stream=stream, headers={"x-simulate-fault": wait} if wait else {})
    assert reply.status == 200
    assert "Transfer-Encoding" not in reply.headers
    if stream:
        assert len(reply.chunks) == len(others.chunks)
    else:
        assert reply.json["choices"][0]["message"] == others.json["choices"][0]["message"]
