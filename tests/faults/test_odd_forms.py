"""Answers in a form that the API does not describe, over real sockets: bought once, and kept if they can be read."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from support import odd_json
from support.clients import Connect, ask, failure_of, open_stream, said_by
from support.odd_json import ENDS, SAID, changed
from support.servers import (
    ANSWER,
    DONE,
    LAST_CHUNK,
    OPENING,
    STREAM_HEAD,
    USAGE,
    Script,
    Serve,
    answer,
    chunk,
    ending,
    event,
    http_chunk,
    response,
    said,
)

from deepseek_async import (
    AnswerEnd,
    APIResponseValidationError,
    AsyncDeepSeek,
    Cache,
    ContentFilter,
    NotFoundError,
    ReasoningDelta,
    StreamInterruptedError,
)
from deepseek_async.batch.review.output_reader import line_from

KEEPS = {"temperature": 0, "thinking": {"type": "disabled"}}
"""What makes an answer one that the cache keeps."""


def streaming(*events: bytes) -> Script:
    return [STREAM_HEAD + http_chunk(b"".join(events)) + LAST_CHUNK]


async def said_in_stream(client: AsyncDeepSeek, **parameters: Any) -> Any:
    async with await open_stream(client, **parameters) as stream:
        async for _ in stream:
            pass
    return stream.completion


async def test_odd_answers_are_bought_once(serve: Serve, connect: Connect):
    rounds = odd_rounds(odd_json.chat(), 60)
    server = await serve(*[[response(json.dumps(body).encode())] for body in rounds])
    client = connect(server)
    for sent, body in enumerate(rounds, 1):
        done = await ask(client)
        assert done.choices[0].message.content == "Hello", body
        assert len(server.requests) == sent, body


async def test_odd_streams_are_bought_once(serve: Serve, connect: Connect):
    rounds = odd_rounds(odd_json.chunks(), 60)
    server = await serve(*[streaming(*map(odd_event, chunks), DONE) for chunks in rounds])
    client = connect(server)
    for sent, chunks in enumerate(rounds, 1):
        done = await said_in_stream(client)
        assert done.choices[0].message.content == "Hello", chunks
        assert len(server.requests) == sent, chunks


def odd_event(value: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps(value).encode()


def odd_rounds(body: Any, count: int) -> list[Any]:
    """``body`` with one to three fields in another form, in each round others."""
    chance = random.Random(20)
    places = [path for path in odd_json.paths(body, SAID | ENDS) if path[-1] != "index"]
    values: list[Any] = [None, True, 0, -1, 1.5, 10**30, "", "n/a", [], {}, ["a"], {"a": 1}, [{"type": "text"}]]
    return [
        changed(body, {path: chance.choice(values) for path in chance.sample(places, chance.randint(1, 3))})
        for _ in range(count)
    ]


BEATS = {
    "no data": b"data:\n\n",
    "a blank": b"data: \n\n",
    "a ping without data": b"event: ping\ndata:\n\n",
    "a ping with JSON": b'event: ping\ndata: {"type": "ping"}\n\n',
    "null": b"data: null\n\n",
    "an id alone": b"id: 7\n\n",
    "a time to come back": b"retry: 3000\n\n",
    "a comment": b": ping\n\n",
    "blank lines": b"\n\n\n",
}


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("beat", BEATS)
async def test_a_heartbeat_of_any_kind_spoils_no_stream(serve: Serve, connect: Connect, beat: str, place: int):
    events = [OPENING + said("Hel"), said("lo"), ending(), DONE]
    events.insert(place, BEATS[beat])
    server = await serve(streaming(*events))
    assert await said_by(connect(server), stream=True) == "Hello"
    assert len(server.requests) == 1


LINES = {
    "CR": lambda wire: wire.replace(b"\n", b"\r"),
    "CRLF": lambda wire: wire.replace(b"\n", b"\r\n"),
    "a byte order mark": lambda wire: b"\xef\xbb\xbf" + wire,
    "no blank after the colon": lambda wire: wire.replace(b"data: ", b"data:"),
    "fields around the data": lambda wire: wire.replace(b"data: ", b"id: 1\nevent: message\ndata: "),
    "events after the end": lambda wire: wire + said("more") + b"data: {\n\n",
    "no blank line after the end": lambda wire: wire[:-1],
}


@pytest.mark.parametrize("form", LINES)
async def test_a_stream_is_read_however_its_lines_are_written(serve: Serve, connect: Connect, form: str):
    server = await serve(streaming(LINES[form](OPENING + said("Hel") + said("lo") + ending() + DONE)))
    assert await said_by(connect(server), stream=True) == "Hello"
    assert len(server.requests) == 1


@pytest.mark.parametrize("size", [5, 300_000])
async def test_a_whole_answer_in_the_place_of_a_stream_is_kept(serve: Serve, connect: Connect, size: int):
    body = answer("x" * size)
    server = await serve([response(b"\n" + json.dumps(body, indent=1 if size > 5 else None).encode())])
    done = await said_in_stream(connect(server))
    assert done.choices[0].message.content == "x" * size
    assert done.usage.prompt_tokens == 10
    assert len(server.requests) == 1


async def test_a_whole_odd_answer_in_the_place_of_a_stream_keeps_all_that_it_says(serve: Serve, connect: Connect):
    server = await serve([response({**odd_json.chat(), "created": 0.5, "object": 5})])
    message = (await said_in_stream(connect(server))).choices[0].message
    assert (message.content, message.reasoning_content) == ("Hello", "hm")
    assert [call.function.name for call in message.tool_calls] == ["read"]


async def test_a_whole_answer_that_was_cut_off_is_no_whole_stream(serve: Serve, connect: Connect):
    server = await serve([response(answer("half", finish_reason=None))])
    error = await failure_of(connect(server), stream=True)
    assert isinstance(error, StreamInterruptedError)
    assert error.text == "half"


async def test_text_and_responses_in_one_piece_are_kept_as_streams(serve: Serve, connect: Connect):
    server = await serve([response(odd_json.text())], [response(odd_json.reply())])
    client = connect(server)
    async with await client.completions.create(model="deepseek-flash", prompt="Hi", stream=True) as texts:
        async for _ in texts:
            pass
    async with await client.responses.create(model="deepseek-flash", input="Hi", stream=True) as reply:
        async for _ in reply:
            pass
    assert texts.completion.choices[0].text == "Hello"
    assert reply.response.output_text == "Hello"
    assert len(server.requests) == 2


async def test_a_stream_that_nobody_asked_for_is_kept(serve: Serve, connect: Connect):
    server = await serve(streaming(b": keep-alive\n\n", OPENING, said("Hel"), said("lo"), ending("eos"), DONE))
    done = await ask(connect(server))
    assert (done.choices[0].message.content, done.choices[0].finish_reason) == ("Hello", "stop")
    assert done.usage is not None
    assert len(server.requests) == 1


async def test_an_error_in_a_stream_that_nobody_asked_for_is_told(serve: Serve, connect: Connect):
    server = await serve(streaming(event({"error": {"message": "no", "code": 400}})))
    assert (await failure_of(connect(server), stream=False)).message.startswith("400: no")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_is_an_answer(serve: Serve, connect: Connect, stream: bool):
    body = answer(None)
    body["choices"][0]["message"]["refusal"] = "I will not"
    events = [chunk({"role": "assistant", "refusal": "I will"}), chunk({"refusal": " not"}), chunk({}, "stop")]
    server = await serve(streaming(*map(event, events), DONE) if stream else [response(body)])
    client = connect(server)
    done = await said_in_stream(client) if stream else await ask(client)
    assert done.choices[0].message.refusal == "I will not"
    assert len(server.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_in_the_older_form_is_an_answer(serve: Serve, connect: Connect, stream: bool):
    body = answer(None, finish_reason="function_call")
    body["choices"][0]["message"]["function_call"] = {"name": "read", "arguments": '{"a": 1}'}
    pieces = [{"name": "read", "arguments": '{"a"'}, {"arguments": ": 1}"}]
    events = [chunk({"function_call": piece}) for piece in pieces]
    server = await serve(
        streaming(*map(event, events), event(chunk({}, "function_call")), DONE) if stream else [response(body)]
    )
    client = connect(server)
    done = await said_in_stream(client) if stream else await ask(client)
    called = done.choices[0].message.function_call
    assert (called.name, called.arguments) == ("read", '{"a": 1}')
    assert len(server.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_an_odd_answer_is_kept_in_the_cache_and_given_again(serve: Serve, connect: Connect, stream: bool):
    body = answer(finish_reason="eos", created=0.5)
    body["choices"][0]["message"]["content"] = [{"type": "text", "text": "Hello"}]
    server = await serve([response(body)])
    client = connect(server, cache=Cache(), lint="off")
    for streamed in (False, stream):
        done = await said_in_stream(client, **KEEPS) if streamed else await ask(client, **KEEPS)
        assert (done.choices[0].message.content, done.choices[0].finish_reason) == ("Hello", "stop")
    assert len(server.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_secret_that_comes_in_parts_is_filtered_as_the_whole_that_it_is(
    serve: Serve, connect: Connect, stream: bool
):
    parts = [{"type": "text", "text": "write to ada@exam"}, {"type": "text", "text": "ple.org please"}]
    body = answer()
    body["choices"][0]["message"]["content"] = parts
    server = await serve(streaming(event(chunk({"content": parts})), ending(), DONE) if stream else [response(body)])
    client = connect(server, content_filter=ContentFilter(personal="redact"))
    done = await said_in_stream(client) if stream else await ask(client)
    assert "ada@example.org" not in str(done.to_dict())
    assert "please" in done.choices[0].message.content


async def test_rows_with_odd_answers_are_answered_and_kept(serve: Serve, connect: Connect, tmp_path: Path):
    rounds = odd_rounds(odd_json.chat(), 20)
    server = await serve(*[[response(json.dumps(body).encode())] for body in rounds])
    asked, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    row = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "Hello?"}]}
    asked.write_text("".join(json.dumps({"custom_id": str(at), **row}) + "\n" for at in range(20)))
    report = await connect(server, max_concurrency=1).batch.run(asked, out)
    assert report.progress.ok == 20
    assert len(server.requests) == 20
    lines = [line_from(line) for line in out.read_bytes().splitlines(keepends=True)]
    assert [line.body.text for line in lines if line is not None] == ["Hello"] * 20


@pytest.mark.parametrize("error", [{}, "", [], False, 0], ids=str)
async def test_an_error_that_is_none_is_no_error(serve: Serve, connect: Connect, error: Any):
    events = [event({"error": error}), OPENING, said("Hello"), ending(), DONE]
    server = await serve([response({**odd_json.vectors(), "error": error})], streaming(*events))
    client = connect(server)
    assert len(list(await client.embeddings.create(model="bge", input=["a", "b"]))) == 2
    assert await said_by(client, stream=True) == "Hello"
    assert len(server.requests) == 2


@pytest.mark.parametrize("listed", [{"id": "a", "owned_by": "x"}, [{"id": "a", "created": "?"}, 5, None]], ids=str)
async def test_a_list_has_the_members_that_can_be_read(serve: Serve, connect: Connect, listed: Any):
    server = await serve([response({"object": "list", "data": listed})])
    client = connect(server)
    assert [model.id for model in (await client.models.list()).data] == ["a"]
    assert [file.id for file in (await client.files.list()).data] == ["a"]


@pytest.mark.parametrize("choices", [7, "much", [7], {"0": 5}])
async def test_what_cannot_be_read_is_bought_once_and_told(serve: Serve, connect: Connect, choices: Any):
    server = await serve([response({**answer(), "choices": choices})], [ANSWER])
    error = await failure_of(connect(server), stream=False)
    assert isinstance(error, APIResponseValidationError | StreamInterruptedError)
    assert len(server.requests) == 1


@pytest.mark.parametrize("reason", [5, True, {"type": "stop"}, ["stop"], "paused"], ids=str)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_ending_that_nobody_knows_is_bought_once_and_has_the_text(
    serve: Serve, connect: Connect, reason: Any, stream: bool
):
    end = event(chunk({"content": ""}, reason))
    server = await serve(
        streaming(OPENING, said("half"), end, DONE) if stream else [response(answer("half", finish_reason=reason))]
    )
    error = await failure_of(connect(server), stream=stream)
    assert (error.text, error.retryable, len(server.requests)) == ("half", False, 1)


OFF = {"code": 502, "message": "the provider went away"}


@pytest.mark.parametrize("inside", [False, True], ids=["beside the choices", "in one"])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_beside_choices_is_told_and_may_be_tried_again(
    serve: Serve, connect: Connect, inside: bool, stream: bool
):
    body = chunk({"content": ""}, "error") if stream else answer("", finish_reason="error")
    (body["choices"][0] if inside else body)["error"] = OFF
    again = streaming(OPENING, said("Hello"), ending(), DONE) if stream else [ANSWER]
    server = await serve(streaming(OPENING, event(body), DONE) if stream else [response(body)], again)
    assert await said_by(connect(server), stream=stream) == "Hello"
    assert len(server.requests) == 2


async def test_an_error_beside_choices_after_content_names_what_broke_and_keeps_the_text(
    serve: Serve, connect: Connect
):
    server = await serve(streaming(OPENING, said("half"), event({**chunk({}, "error"), "error": OFF}), DONE))
    error = await failure_of(connect(server), stream=True)
    assert (error.text, error.status_code, len(server.requests)) == ("half", 502, 1)
    assert OFF["message"] in str(error)


@pytest.mark.parametrize(
    "body",
    [
        {"object": "error", "message": "no such model", "type": "NotFoundError", "param": None, "code": 404},
        {"code": 404, "msg": "no such model", "success": False},
    ],
    ids=["vLLM", "Zhipu"],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_that_is_not_wrapped_is_what_it_says(
    serve: Serve, connect: Connect, body: dict[str, Any], stream: bool
):
    server = await serve(streaming(event(body), DONE) if stream else [response(body)])
    error = await failure_of(connect(server), stream=stream)
    assert isinstance(error, NotFoundError)
    assert "no such model" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize("blank", ["", " ", "null", "None"])
async def test_chunks_that_say_in_another_word_that_the_answer_goes_on_end_nothing(
    serve: Serve, connect: Connect, blank: str
):
    pieces = [event(chunk({"content": piece}, blank)) for piece in ("Hel", "lo", "")]
    server = await serve(streaming(*pieces, event(chunk({}, "stop")), event(chunk({}, blank, usage=USAGE)), DONE))
    async with await open_stream(connect(server)) as stream:
        ends = [found async for found in stream.events() if isinstance(found, AnswerEnd)]
    assert [end.finish_reason for end in ends] == ["stop"]
    assert stream.completion.choices[0].message.content == "Hello"


async def test_a_stream_of_which_no_chunk_ended_it_is_cut_off(serve: Serve, connect: Connect):
    server = await serve(streaming(event(chunk({"content": "half"}, "")), DONE))
    error = await failure_of(connect(server), stream=True)
    assert isinstance(error, StreamInterruptedError)
    assert error.text == "half"


async def test_a_blank_ending_lets_nothing_out_that_a_filter_holds_back(serve: Serve, connect: Connect):
    pieces = [event(chunk({"content": piece}, "")) for piece in ("write to jane@exam", "ple.com today")]
    server = await serve(streaming(OPENING, *pieces, ending(), DONE))
    client = connect(server, content_filter=ContentFilter(personal="redact"))
    async with await open_stream(client) as stream:
        shown = "".join([text async for text in stream.text_deltas()])
    assert shown == stream.completion.choices[0].message.content == "write to [email] today"


@pytest.mark.parametrize("both", [False, True], ids=["instead", "beside"])
@pytest.mark.parametrize("stream", [False, True])
async def test_reasoning_is_told_under_one_name_whatever_a_server_calls_it(
    serve: Serve, connect: Connect, both: bool, stream: bool
):
    """vLLM, OpenRouter and Groq call it ``reasoning``; litellm sends it under both names."""
    thought = {"reasoning": "Let me think"} | ({"reasoning_content": "Let me think"} if both else {})
    body = answer()
    body["choices"][0]["message"] |= thought
    pieces = (event(chunk({"content": "", **thought})), event(chunk({"reasoning": ".", "content": "Hel"})), said("lo"))
    server = await serve(streaming(OPENING, *pieces, ending(), DONE) if stream else [response(body)])
    client = connect(server)
    if not stream:
        message = (await ask(client)).choices[0].message
        assert (message.reasoning_content, message.reasoning) == ("Let me think", "Let me think")
        return
    async with await open_stream(client) as streamed:
        told = [found async for found in streamed.events()]
    assert "".join(piece.text for piece in told if isinstance(piece, ReasoningDelta)) == "Let me think."
    message = streamed.completion.choices[0].message
    assert (message.content, message.reasoning_content) == ("Hello", "Let me think.")


async def test_reasoning_under_another_name_is_filtered_too(serve: Serve, connect: Connect):
    pieces = [event(chunk({"reasoning": piece})) for piece in ("ask jane@exam", "ple.com first")]
    server = await serve(streaming(OPENING, *pieces, said("Hello"), ending(), DONE))
    async with await open_stream(connect(server, content_filter=ContentFilter(personal="redact"))) as streamed:
        deltas = [choice.delta async for chunk in streamed for choice in chunk.choices]
    assert "".join(delta.reasoning_content or "" for delta in deltas) == "ask [email] first"
    assert {delta.reasoning for delta in deltas} == {None}
