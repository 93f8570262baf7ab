"""Whatever stands in the place of a usage, the answer that was paid for is given; its counters are integers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clients import Connect, ask
from support.servers import STREAM_HEAD, Serve, answer, chunk, event, http_chunk, response

from deepseek_async.batch.review.output_reader import line_from
from deepseek_async.codec.answer_decoder import AnswerDecoder
from deepseek_async.codec.chat_body import decode_completion
from deepseek_async.codec.chunks import ChunkReader
from deepseek_async.codec.responses import ResponseReader
from deepseek_async.codec.sse import SSEDecoder
from deepseek_async.codec.text_completion import TextReader
from deepseek_async.types import (
    Answer,
    Completion,
    CompletionUsage,
    CreateEmbeddingResponse,
    ImagesResponse,
    Response,
)
from deepseek_async.types.usage import added

_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
) | st.sampled_from(["12", "1e999", 10**400, 12.0, "Infinity"])
_DETAILS = _ANYTHING | st.dictionaries(st.sampled_from(["cached_tokens", "reasoning_tokens", "other"]), _ANYTHING)
_COUNTERS = ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_cache_hit_tokens", "searches"]
_COUNTERS += ["prompt_cache_miss_tokens", "input_tokens", "output_tokens"]
_INNER = ["prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details"]
_USAGES = _ANYTHING | st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(_COUNTERS, _ANYTHING), **dict.fromkeys(_INNER, _DETAILS)}
)

_REPLY: dict[str, Any] = {
    "id": "r1",
    "object": "response",
    "status": "completed",
    "model": "deepseek-flash",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}],
}
_TEXT: dict[str, Any] = {"id": "t1", "choices": [{"index": 0, "text": "Hello", "finish_reason": "stop"}]}


def _plain(usage: Any) -> Answer:
    return decode_completion(json.dumps({**answer(), "usage": usage}).encode())


def _streamed(usage: Any) -> Answer:
    reader = ChunkReader(SSEDecoder(1 << 20))
    reader.feed(event(chunk({"content": "Hello"})) + event(chunk({}, "stop", usage=usage)) + event("[DONE]"))
    assert reader.failure is None
    assert reader.done
    return reader.answer()


def _text(usage: Any) -> Answer:
    return AnswerDecoder(Completion).decode(json.dumps({**_TEXT, "usage": usage}).encode())


def _streamed_text(usage: Any) -> Answer:
    reader = TextReader(SSEDecoder(1 << 20))
    reader.feed(event({**_TEXT, "usage": usage}) + event("[DONE]"))
    assert reader.failure is None
    return reader.answer()


def _reply(usage: Any) -> Answer:
    return AnswerDecoder(Response).decode(json.dumps({**_REPLY, "usage": usage}).encode())


def _streamed_reply(usage: Any) -> Answer:
    reader = ResponseReader(SSEDecoder(1 << 20))
    reader.feed(event({"type": "response.completed", "response": {**_REPLY, "usage": usage}}))
    assert reader.failure is None
    assert reader.done
    return reader.answer()


def _embeddings(usage: Any) -> Answer:
    body = {"data": [{"index": 0, "embedding": [0.5]}], "usage": usage}
    return AnswerDecoder(CreateEmbeddingResponse).decode(json.dumps(body).encode())


def _pictures(usage: Any) -> Answer:
    return AnswerDecoder(ImagesResponse).decode(json.dumps({"data": [{"url": "http://x"}], "usage": usage}).encode())


_KINDS = [_plain, _streamed, _text, _streamed_text, _reply, _streamed_reply, _embeddings, _pictures]


def _assert_counted(usage: CompletionUsage) -> None:
    declared = (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, usage.reasoning_tokens)
    assert {type(counter) for counter in (*declared, usage.cached_tokens)} == {int}


@pytest.mark.parametrize("decoded", _KINDS)
@given(usage=_USAGES)
def test_no_usage_costs_the_answer_and_its_counters_are_whole_numbers(decoded: Callable[[Any], Answer], usage: Any):
    used = decoded(usage).tokens_used()
    if used is None:
        return
    _assert_counted(used)
    _assert_counted(used.detached())
    _assert_counted(added([used, used]))
    assert added([used, used]).prompt_tokens == max(-(2**62), min(2 * used.prompt_tokens, 2**62))


@pytest.mark.parametrize(
    "odd", ["true", '"many"', "1.5", "[]", "{}", "NaN", pytest.param("1" * 5000, id="5000 digits")]
)
def test_a_counter_that_is_none_leaves_the_others_as_they_are(odd: str):
    sent = f'{{"prompt_tokens": 7, "total_tokens": {odd}, "searches": 2, "of": {{"queries": {odd}}}}}'
    body = json.dumps({**answer(), "usage": "HERE"}).replace('"HERE"', sent)
    used = decode_completion(body.encode()).usage
    assert used is not None
    assert (used.prompt_tokens, used.searches) == (7, 2)


def test_a_number_beyond_64_bits_counts_as_the_most_there_is():
    used = CompletionUsage.counting({"prompt_tokens": float("inf"), "completion_tokens": -(10**30)})
    assert (used.prompt_tokens, used.completion_tokens) == (2**62, -(2**62))


@pytest.mark.parametrize("usage", [7, "much", [], {"prompt_tokens": [1]}, {"completion_tokens": True}], ids=str)
async def test_an_answer_with_an_odd_usage_is_bought_once(serve: Serve, connect: Connect, usage: Any):
    server = await serve([response({**answer(), "usage": usage})])
    done = await ask(connect(server))
    assert done.choices[0].message.content == "Hello"
    assert len(server.requests) == 1


async def test_a_stream_with_an_odd_usage_comes_to_its_end(serve: Serve, connect: Connect):
    end = (
        http_chunk(event(chunk({}, "stop", usage={"prompt_tokens": {}})))
        + http_chunk(event("[DONE]"))
        + http_chunk(b"")
    )
    server = await serve([STREAM_HEAD + http_chunk(event(chunk({"content": "Hello"}))) + end])
    stream = await ask(connect(server), stream=True)
    async with stream:
        texts = [each.choices[0].delta.content or "" async for each in stream]
    assert "".join(texts) == "Hello"
    assert len(server.requests) == 1


@pytest.mark.parametrize("usage", [7, {"prompt_tokens": [1]}, {"completion_tokens_details": True}], ids=str)
async def test_a_row_with_an_odd_usage_is_in_the_account_of_its_job(
    serve: Serve, connect: Connect, tmp_path: Path, usage: Any
):
    server = await serve([response({**answer(), "usage": usage})])
    asked, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    row = {"custom_id": "a", "model": "deepseek-flash", "messages": [{"role": "user", "content": "Hello?"}]}
    asked.write_text(json.dumps(row) + "\n")
    await connect(server).batch.run(asked, out)
    lines = [each for each in (line_from(text) for text in out.read_bytes().splitlines(keepends=True)) if each]
    assert [line.body.text for line in lines] == ["Hello"]
