"""Text completions: what goes out, what comes back, plain and streamed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulating import Simulate
from support.clients import Connect
from support.servers import DONE, LAST_CHUNK, RESET, SILENCE, STREAM_HEAD, USAGE, Serve, event, http_chunk, response

from deepseek_async import (
    APIResponseValidationError,
    AsyncDeepSeek,
    BadRequestError,
    CompletionStream,
    InvalidRequestError,
    StreamInterruptedError,
)
from deepseek_async.codec.text_completion import TextReader


def completion(text: str = "return a", finish_reason: str | None = "stop", **fields: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "text_completion",
        "created": 1,
        "model": "deepseek-flash",
        "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason, "mood": "fine"}],
        **fields,
    }


def piece(text: str, finish_reason: str | None = None, **fields: Any) -> bytes:
    return event(completion(text, finish_reason, **fields))


def streamed(*texts: str) -> list[bytes]:
    events = b"".join(map(piece, texts)) + piece("", "stop", usage=USAGE) + DONE
    return [STREAM_HEAD + http_chunk(events) + LAST_CHUNK]


async def ask(client: AsyncDeepSeek, **parameters: Any) -> Any:
    return await client.completions.create(**{"model": "deepseek-v4-pro", "prompt": "def f(a):", **parameters})


async def test_a_gap_is_filled_with_the_text_and_its_usage(serve: Serve, connect: Connect):
    server = await serve([response(completion(usage=USAGE, novelty=1))])
    done = await ask(connect(server), suffix="\n", max_tokens=9, echo=False, stop=None)
    assert (done.choices[0].text, done.choices[0].finish_reason) == ("return a", "stop")
    assert (done.usage.cached_tokens, done.novelty, done.choices[0].mood) == (4, 1, "fine")
    assert server.requests[0].json() == {
        "model": "deepseek-v4-pro",
        "prompt": "def f(a):",
        "suffix": "\n",
        "max_tokens": 9,
        "echo": False,
    }


@pytest.mark.parametrize("base", ["", "/v1", "/beta"])
async def test_it_goes_to_the_beta_base_whatever_the_base_url_ends_with(serve: Serve, connect: Connect, base: str):
    server = await serve([response(completion())])
    await ask(connect(server.url + base))
    assert server.requests[0].path == "/beta/completions"


async def test_another_server_has_it_under_its_own_base(serve: Serve, connect: Connect):
    server, other = await serve([response(b"", 404)]), await serve([response(completion())])
    await ask(connect(server, endpoints={"completions": f"{other.url}/v1/"}))
    assert [request.path for request in other.requests] == ["/v1/completions"]
    assert server.requests == []


async def test_extra_fields_go_out_as_they_are(serve: Serve, connect: Connect):
    server = await serve([response(completion())])
    await ask(connect(server), extra_body={"seed": 1}, best_of=1, extra_headers={"X-Mine": "1"})
    assert (server.requests[0].json()["seed"], server.requests[0].json()["best_of"]) == (1, 1)
    assert server.requests[0].header("x-mine") == "1"


@pytest.mark.parametrize("wrong", [{"model": ""}, {"prompt": ["a", "b"]}, {"prompt": None}, {"prompt": "\ud83d"}])
async def test_what_cannot_be_sent_is_refused_before_anything_is(serve: Serve, connect: Connect, wrong: dict):
    server = await serve([response(completion())])
    with pytest.raises(InvalidRequestError):
        await ask(connect(server), **wrong)
    assert server.requests == []


async def test_a_stream_gives_every_piece_and_the_whole(serve: Serve, connect: Connect):
    server = await serve(streamed("ret", "urn ", "a"))
    async with await ask(connect(server), stream=True) as stream:
        assert isinstance(stream, CompletionStream)
        texts = [chunk.choices[0].text async for chunk in stream]
    assert texts == ["ret", "urn ", "a", ""]
    whole = stream.completion
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("return a", "stop")
    assert (whole.id, whole.usage.total_tokens) == ("c1", 15)
    assert server.requests[0].json()["stream"] is True


async def test_the_context_manager_streams_too(serve: Serve, connect: Connect):
    server = await serve(streamed("a"))
    async with connect(server).completions.stream(model="deepseek-flash", prompt="x") as stream:
        assert "".join([chunk.choices[0].text async for chunk in stream]) == "a"


async def test_leaving_early_frees_the_place_at_once(serve: Serve, connect: Connect):
    server = await serve([STREAM_HEAD + http_chunk(piece("ret")), SILENCE], [response(completion())])
    client = connect(server, max_concurrency=1)
    async with await ask(client, stream=True) as stream:
        async for _ in stream:
            break
    assert stream.partial.choices[0].text == "ret"
    assert (await ask(client)).choices[0].text == "return a"


async def test_a_gap_filled_with_nothing_is_an_answer(serve: Serve, connect: Connect):
    server = await serve(streamed(), [response(completion(""))])
    client = connect(server)
    async with await ask(client, stream=True) as stream:
        assert [chunk.choices[0].finish_reason async for chunk in stream] == ["stop"]
    assert stream.completion.choices[0].text == ""
    assert (await ask(client)).choices[0].text == ""


async def test_a_break_before_the_first_text_is_retried_unseen(serve: Serve, connect: Connect):
    server = await serve([STREAM_HEAD, RESET], streamed("a"))
    async with await ask(connect(server), stream=True) as stream:
        assert "".join([chunk.choices[0].text async for chunk in stream]) == "a"
    assert stream.attempts == 2


async def test_a_break_in_the_text_tells_what_had_come(serve: Serve, connect: Connect):
    server = await serve([STREAM_HEAD + http_chunk(piece("ret") + piece("urn")), RESET])
    stream = await ask(connect(server), stream=True)
    with pytest.raises(StreamInterruptedError, match="after 6 characters") as caught:
        _ = [chunk async for chunk in stream]
    assert (caught.value.text, caught.value.partial) == ("return", None)
    assert stream.partial.choices[0].text == "return"
    assert len(server.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("reason", [None, "aborted"])
async def test_half_a_text_is_not_passed_as_whole(serve: Serve, connect: Connect, stream: bool, reason: str | None):
    half = [STREAM_HEAD + http_chunk(piece("ret", reason) + DONE) + LAST_CHUNK]
    server = await serve(half if stream else [response(completion("ret", reason))])
    with pytest.raises(StreamInterruptedError) as caught:
        _ = [chunk async for chunk in await ask(connect(server), stream=stream)]
    assert caught.value.text == "ret"


async def test_another_answer_is_no_completion(serve: Serve, connect: Connect):
    server = await serve([response({"choices": []})])
    with pytest.raises(APIResponseValidationError, match="no choices"):
        await ask(connect(server))


async def test_the_refusal_of_the_wrong_base_is_passed_on(serve: Serve, connect: Connect):
    error = {"message": "completions api is only available when using beta api", "type": "invalid_request_error"}
    server = await serve([response({"error": error}, 400)])
    with pytest.raises(BadRequestError, match="beta api"):
        await ask(connect(server))
    assert len(server.requests) == 1


TOKEN = st.tuples(st.text(min_size=1, max_size=3), st.floats(-9, 0))


@given(st.lists(TOKEN, min_size=1, max_size=5), st.integers(1, 7))
def test_text_and_probabilities_join_however_the_bytes_are_cut(tokens: list, size: int):
    offset = 0
    stream = b""
    for token, logprob in tokens:
        block = {"tokens": [token], "token_logprobs": [logprob], "top_logprobs": [{}], "text_offset": [offset]}
        offset += len(token)
        choice = {"index": 0, "text": token, "logprobs": block, "finish_reason": None}
        stream += event({**completion(), "choices": [choice]})
    reader = TextReader()
    stream += piece("", "stop") + DONE
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
    assert reader.done
    assert reader.fault(progressed=True) is None
    choice = reader.answer().choices[0]
    assert choice.text == "".join(token for token, _ in tokens)
    assert choice.logprobs.tokens == [token for token, _ in tokens]
    assert choice.logprobs.token_logprobs == [logprob for _, logprob in tokens]
    assert len(choice.logprobs.top_logprobs) == len(choice.logprobs.text_offset) == len(tokens)


async def test_a_limit_of_tokens_counts_completions_and_responses_too(simulate: Simulate, connect: Connect):
    client = connect((await simulate()).base_url, tokens_per_minute=1e9)
    await ask(client, max_tokens=100)
    await client.responses.create(model="deepseek-flash", input="Hi", max_output_tokens=100)
    await client.embeddings.create(model="deepseek-embedding", input="Hi")
    assert client._context.caller().account_limiter.counts_tokens
