"""What a content filter lets out of answers and into requests, wherever in them a text may stand."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clients import Connect, open_stream, texts
from support.servers import (
    DONE,
    LAST_CHUNK,
    OPENING,
    RESET,
    STREAM_HEAD,
    Serve,
    answer,
    begun,
    chunk,
    ending,
    event,
    http_chunk,
    response,
    said,
)

from deepseek_async import APIError, ContentBlockedError, NotFoundError, StreamInterruptedError
from deepseek_async.cache import replay
from deepseek_async.call.filtered_texts import PASSINGS
from deepseek_async.call.response_texts import ResponseTexts
from deepseek_async.call.stream import AnswerStream
from deepseek_async.codec.responses import ResponseReader
from deepseek_async.content import Block, ContentFilter, Replace, Verdict
from deepseek_async.types import Response

KEY = "sk-" + "a1B2" * 8
MESSAGES = [{"role": "user", "content": "Hi"}]
ASKED: dict[str, Any] = {"model": "deepseek-flash", "messages": MESSAGES}


# Requests.


async def test_every_string_of_a_request_is_looked_at_whatever_its_field_is_called():
    body = {
        "model": "m",
        "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": f"k={KEY}"}}]}],
        "tools": [{"function": {"description": KEY, "parameters": {"properties": {"q": {"enum": [KEY]}}}}}],
        "response_format": {"schema": {"description": KEY}},
        "stop": [KEY],
        "field_of_tomorrow": {"deep": [[{KEY: 1}]]},
        "user": KEY,
    }
    sent = json.dumps(await ContentFilter().request(body, Verdict()))
    assert KEY not in sent
    assert sent.count("[api_key]") == 7


async def test_pictures_are_no_texts_and_words_of_the_api_none_of_a_programs_business():
    seen: list[str] = []
    picture = "data:image/png;base64," + KEY
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": picture}}]}],
    }
    sent = await ContentFilter(input_checks=[seen.append]).request(body, Verdict())
    assert (sent, seen) == (body, [])


async def test_ids_are_looked_at_for_secrets_alone():
    body = {"id": "13812345678", "messages": [{"role": "tool", "tool_call_id": KEY, "content": "x"}]}
    sent = await ContentFilter(personal="redact").request(body, Verdict())
    assert (sent["id"], sent["messages"][0]["tool_call_id"]) == ("13812345678", "[api_key]")


async def test_a_secret_in_the_place_of_a_name_does_not_leave_in_the_path(serve: Serve, connect: Connect):
    server = await serve([response({"error": {"message": "no such model"}}, 404)])
    client = connect(server, content_filter=True)
    with pytest.raises(NotFoundError):
        await client.models.retrieve(KEY)
    assert server.requests[0].path == "/models/%5Bapi_key%5D"


async def test_a_file_of_bytes_is_uploaded_as_it_is(serve: Serve, connect: Connect):
    server = await serve([response({"id": "f", "object": "file"})])
    client = connect(server, content_filter=True)
    await client.files.create(file=("a.png", b"\x89PNG\xff" + KEY.encode()), purpose="user_data")
    assert b"\x89PNG\xff" + KEY.encode() in server.requests[0].body


async def test_what_a_resumed_stream_sends_was_looked_over_too(serve: Serve, connect: Connect):
    text = f"The quick brown fox jumps over the lazy dog and says {KEY} as it lands, "
    server = await serve(
        [begun(OPENING, said(text)), RESET],
        [begun(OPENING, said("and runs."), ending(), DONE) + LAST_CHUNK],
    )
    client = connect(server, content_filter=True)
    asked = {**ASKED, "messages": [{"role": "user", "content": f"I have {KEY}"}], "thinking": False}
    async with client.chat.completions.stream(resume="prefix", **asked) as stream:
        shown = "".join([piece async for piece in stream.text_deltas()])
    assert len(server.requests) == 2
    assert not [request for request in server.requests if KEY.encode() in request.body]
    assert shown == stream.completion.choices[0].message.content == f"{text}and runs.".replace(KEY, "[api_key]")


async def test_a_blocked_request_is_told_without_its_texts(serve: Serve, connect: Connect):
    told: list[Any] = []
    server = await serve([response(answer())])
    checks = ContentFilter(input_checks=[lambda text: Block("no") if "forbidden" in text else None])
    client = connect(server, content_filter=checks, listeners=[told.append])
    with pytest.raises(Exception, match="no"):
        await client.chat.completions.create(
            model="deepseek-flash",
            messages=[{"role": "user", "content": "forbidden"}],
            temperature=0.5,
        )
    assert json.loads(told[0].request) == {
        "model": "deepseek-flash",
        "messages": [{"role": "user", "content": "[blocked]"}],
        "temperature": 0.5,
    }


# Answers.


async def test_a_text_in_a_field_that_nobody_declared_is_looked_at(serve: Serve, connect: Connect):
    body = answer("fine")
    body["choices"][0]["message"]["thoughts_of_tomorrow"] = f"I saw {KEY}"
    server = await serve([response(body)])
    done = await connect(server, content_filter=True).chat.completions.create(**ASKED)
    assert done.choices[0].message.thoughts_of_tomorrow == "I saw [api_key]"
    assert KEY not in done.encoded().decode()


async def test_a_streamed_field_that_nobody_declared_is_looked_at_too(serve: Serve, connect: Connect):
    pieces = [{"thoughts": "I saw "}, {"thoughts": KEY[:9]}, {"thoughts": KEY[9:]}, {"notes": [{"text": f"key {KEY}"}]}]
    events = b"".join([OPENING, said("fine"), *(event(chunk(piece)) for piece in pieces), ending(), DONE])
    client = connect(await serve([STREAM_HEAD + http_chunk(events) + LAST_CHUNK]), content_filter=True)
    async with await open_stream(client) as streaming:
        shown = [part async for part in streaming]
    message = streaming.completion.choices[0].message
    assert (message.content, message.thoughts, message.notes) == (
        "fine",
        "I saw [api_key]",
        [{"text": "key [api_key]"}],
    )
    assert KEY not in streaming.completion.encoded().decode()
    assert all(KEY not in str(part.undeclared) for part in shown)


@pytest.mark.parametrize("stream", [False, True])
async def test_log_probabilities_do_not_tell_what_was_taken_out(serve: Serve, connect: Connect, stream: bool):
    pieces = ["The key ", KEY[:9], KEY[9:]]
    tokens = [{"token": piece, "logprob": -0.1, "top_logprobs": []} for piece in pieces]
    if stream:
        chunks = [chunk({"content": piece}) for piece in pieces]
        for one, token in zip(chunks, tokens, strict=True):
            one["choices"][0]["logprobs"] = {"content": [token]}
        script = [STREAM_HEAD + http_chunk(b"".join([OPENING, *map(event, chunks), ending(), DONE])) + LAST_CHUNK]
    else:
        body = answer("".join(pieces))
        body["choices"][0]["logprobs"] = {"content": tokens}
        script = [response(body)]
    client = connect(await serve(script), content_filter=True)
    if stream:
        async with await open_stream(client, logprobs=True) as streaming:
            shown = [part async for part in streaming]
        assert all(part.choices[0].logprobs is None for part in shown if part.choices)
        done = streaming.completion
    else:
        done = await client.chat.completions.create(logprobs=True, **ASKED)
    assert done.choices[0].message.content == "The key [api_key]"
    assert done.choices[0].logprobs is None


async def test_log_probabilities_of_a_harmless_answer_stay(serve: Serve, connect: Connect):
    body = answer("fine")
    body["choices"][0]["logprobs"] = {"content": [{"token": "fine", "logprob": -0.1, "top_logprobs": []}]}
    done = await connect(await serve([response(body)]), content_filter=True).chat.completions.create(**ASKED)
    assert done.choices[0].logprobs.content[0].token == "fine"


@pytest.mark.parametrize("action", ["redact", "block"])
async def test_what_had_come_of_a_broken_stream_is_told_as_it_was_let_out(serve: Serve, connect: Connect, action: Any):
    told: list[Any] = []
    text = f"It is {KEY}, and more " + "x" * 1000
    server = await serve([begun(OPENING, said(text)), RESET])
    client = connect(server, content_filter=ContentFilter(secrets=action), listeners=[told.append])
    stream = await open_stream(client)
    with pytest.raises((StreamInterruptedError, ContentBlockedError)) as caught:
        await texts(stream)
    shown: Any = caught.value
    assert type(shown) is (StreamInterruptedError if action == "redact" else ContentBlockedError)
    while shown is not None:
        if isinstance(shown, APIError):
            assert shown.text.startswith("It is [api_key], and more")
            assert KEY not in f"{shown!r} {shown.partial!r} {shown.received_text}"
        shown = shown.__cause__
    assert KEY not in f"{stream.partial!r} {told[-1].answer}"


async def test_an_error_tells_of_a_plain_answer_what_may_be_handed_out(serve: Serve, connect: Connect):
    body = answer(f"cut off at {KEY}", finish_reason="insufficient_system_resource")
    server = await serve([response(body)])
    with pytest.raises(APIError) as caught:
        await connect(server, content_filter=True, retry=1).chat.completions.create(**ASKED)
    assert caught.value.text == "cut off at [api_key]"
    assert KEY not in str(caught.value)


async def test_reasoning_that_goes_on_after_a_piece_of_the_answer_is_not_lost(serve: Serve, connect: Connect):
    events = [
        OPENING,
        *(event(chunk({name: text})) for name, text in (("reasoning_content", "one "), ("content", "a "))),
        *(event(chunk({name: text})) for name, text in (("reasoning_content", "two"), ("content", "b"))),
        ending(),
        DONE,
    ]
    server = await serve([STREAM_HEAD + http_chunk(b"".join(events)) + LAST_CHUNK])
    async with await open_stream(connect(server, content_filter=True)) as stream:
        parts = [part async for part in stream]
    deltas = [choice.delta for part in parts for choice in part.choices]
    assert "".join(delta.reasoning_content or "" for delta in deltas) == "one two"
    assert "".join(delta.content or "" for delta in deltas) == "a b"


# Responses.


def test_no_kind_of_stream_is_without_a_filter():
    assert set(AnswerStream.__subclasses__()) == set(PASSINGS)


def whole_response(pieces: list[str], arguments: str) -> dict[str, Any]:
    parts = [{"type": "output_text", "text": text, "annotations": []} for text in pieces]
    thought = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": pieces[0]}], "content": []}
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": parts}
    called = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": arguments}
    output = [thought, message, called]
    return {"id": "r", "object": "response", "status": "completed", "model": "m", "output": output, "usage": None}


TEXTS = st.lists(st.sampled_from([KEY, "mail jane@example.com", "a b c ", "x" * 300, " and ", "sk-"]), max_size=6).map(
    "".join,
)


def in_pieces(events: bytes, size: int) -> list[dict[str, Any]]:
    """The events of a stream, with every text in pieces of ``size`` characters."""
    cut = []
    for line in events.split(b"\n"):
        if line.startswith(b"data: "):
            body = json.loads(line[6:])
            text = body.get("delta")
            if text is None:
                cut.append(body)
            else:
                cut += [{**body, "delta": text[at : at + size]} for at in range(0, len(text), size)]
    return [{**body, "sequence_number": number} for number, body in enumerate(cut)]


@given(st.lists(TEXTS, min_size=1, max_size=3), TEXTS, st.integers(1, 700))
def test_a_streamed_response_tells_everywhere_what_the_whole_one_tells(said_in: list[str], arguments: str, size: int):
    content = ContentFilter(personal="redact")
    body = whole_response(said_in, arguments)
    plain = asyncio.run(content.answer(body, Verdict()))
    reader, passing = ResponseReader(), ResponseTexts(content, Verdict())
    chunks = reader.feed(b"".join(map(event, in_pieces(replay(json.dumps(body).encode()), size))))
    asyncio.run(passing.pass_on(chunks))

    assert passing.rewrite(reader.answer()).to_dict() == plain
    assert [chunk.sequence_number for chunk in chunks] == list(range(len(chunks)))
    for index, kind in ((1, "output_text"), (2, "function_call_arguments"), (0, "reasoning_summary_text")):
        deltas = [each for each in chunks if each.type == f"response.{kind}.delta" and each.output_index == index]
        item = plain["output"][index]
        parts = item.get("content") or item.get("summary") or ()
        said = item.get("arguments") or "".join(part["text"] for part in parts)
        assert "".join(each.delta for each in deltas) == said
    shown = json.dumps([chunk.to_dict() for chunk in chunks])
    for found in (KEY, "jane@"):
        assert (found in shown) == (found in json.dumps(plain))


async def test_own_checks_see_each_text_of_a_streamed_response_once_and_change_it_everywhere(
    serve: Serve,
    connect: Connect,
):
    seen: list[str] = []

    def shout(text: str) -> Replace:
        seen.append(text)
        return Replace(text.upper(), "shouting")

    body = whole_response(["hello there"], "")
    body["output"] = body["output"][1:2]
    server = await serve([STREAM_HEAD + http_chunk(replay(json.dumps(body).encode())) + LAST_CHUNK])
    client = connect(server, content_filter=ContentFilter(output_checks=[shout]))
    stream = await client.responses.create(model="deepseek-flash", input="Hi", stream=True)
    async with stream:
        events = [each async for each in stream]
    assert seen == ["hello there"]
    assert stream.response.output_text == "HELLO THERE"
    assert "hello" not in json.dumps([each.to_dict() for each in events])


async def test_a_stored_response_is_streamed_as_it_was_answered(serve: Serve, connect: Connect):
    body = whole_response(["Hello ", "there"], '{"q": 1}')
    server = await serve([response(body)])
    client = connect(server, cache=True)
    asked: dict[str, Any] = {
        "model": "deepseek-flash",
        "input": "Hi",
        "temperature": 0,
        "reasoning": {"effort": "none"},
    }
    plain = await client.responses.create(**asked)
    async with await client.responses.create(stream=True, **asked) as stream:
        events = [each async for each in stream]
    again: Response = stream.response
    assert (plain.cached, again.cached, len(server.requests)) == (None, "memory", 1)
    assert again.to_dict() == plain.to_dict()
    assert "".join(each.delta for each in events if each.type == "response.output_text.delta") == plain.output_text
