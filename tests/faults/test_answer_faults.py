"""Rows S1 to S15 of the fault matrix, but for memory: what a server can make of an answer."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clients import AT_ONCE, MANY, Connect, ask, failure_of, open_stream, said_by, texts
from support.servers import (
    ANSWER,
    CLOSE,
    DONE,
    LAST_CHUNK,
    OPENING,
    RESET,
    SILENCE,
    STREAM_HEAD,
    USAGE,
    Drip,
    Script,
    ScriptedServer,
    Serve,
    Sliced,
    answer,
    begun,
    chunk,
    ending,
    event,
    head,
    http_chunk,
    response,
    said,
    streamed,
)
from support.thoroughness import often
from support.waiting import until

from deepseek_async import (
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AsyncDeepSeek,
    AuthenticationError,
    BadRequestError,
    InsufficientBalanceError,
    InternalServerError,
    RateLimitError,
    ReasoningBudgetExhaustedError,
    ServerOverloadedError,
    StreamInterruptedError,
    Timeouts,
)

CHUNKED = head(content_type="application/json", transfer_encoding="chunked")
KEEP_ALIVE = http_chunk(b": keep-alive\n\n")

both_ways = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


def good(stream: bool) -> Script:
    """A script that answers "Hello"."""
    return streamed("Hello") if stream else [ANSWER]


def whole(*events: bytes) -> bytes:
    """A streamed response of these events, in one chunk."""
    return begun(*events) + LAST_CHUNK


# S1 to S4: signs of life are no progress.


async def test_s1_keep_alives_for_ever_meet_the_first_content_timer_and_are_tried_again(
    serve: Serve,
    connect: Connect,
):
    server = await serve([begun(OPENING), Drip(KEEP_ALIVE)], streamed("Hello"))
    client = connect(server, timeout=Timeouts(first_content=0.08, idle=5))
    async with await open_stream(client) as stream:
        assert await texts(stream) == ["opening", "Hello", "stop"]
    assert stream.attempts == len(server.requests) == 2
    server.scripts = [[begun(OPENING), Drip(KEEP_ALIVE)]]
    error = await failure_of(client, stream=True)
    assert isinstance(error, APITimeoutError)
    assert (error.phase, error.attempts, error.connected) == ("first_content", AT_ONCE.max_attempts, True)


async def test_s2_blank_lines_for_longer_than_every_read_timer_and_then_an_answer(serve: Serve, connect: Connect):
    body = http_chunk(b"\r\n " + json.dumps(answer()).encode() + b"\n") + LAST_CHUNK
    server = await serve([CHUNKED, Drip(http_chunk(b"\n"), pause=0.01, times=30), body])
    client = connect(server, timeout=Timeouts(idle=0.15, headers=0.15, stall=0.15, first_content=0.15))
    assert await said_by(client, stream=False) == "Hello"
    assert len(server.requests) == 1


async def test_s3_content_and_then_only_keep_alives_meets_the_stall_timer(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING, said("Hel")), Drip(KEEP_ALIVE)])
    error = await failure_of(connect(server, timeout=Timeouts(stall=0.1, idle=0.08)), stream=True)
    assert isinstance(error, StreamInterruptedError)
    assert isinstance(error.__cause__, APITimeoutError)
    assert (error.__cause__.phase, error.text, error.attempts) == ("stall", "Hel", 1)


@pytest.mark.parametrize("phase", ["stall", "idle"])
async def test_s4_content_and_then_silence_meets_the_shorter_of_stall_and_idle_timer(
    serve: Serve,
    connect: Connect,
    phase: str,
):
    server = await serve([begun(OPENING, said("Hel")), SILENCE])
    error = await failure_of(connect(server, timeout=Timeouts(**{phase: 0.05})), stream=True)
    assert isinstance(error, StreamInterruptedError)
    assert isinstance(error.__cause__, APITimeoutError)
    assert (error.__cause__.phase, error.text) == (phase, "Hel")


# S5, S6: where an answer ends.


@pytest.mark.parametrize(
    "last",
    [
        pytest.param([LAST_CHUNK], id="end of the body"),
        pytest.param([CLOSE], id="close"),
        pytest.param([RESET], id="reset"),
        pytest.param([b"zz\r\n", SILENCE], id="rubbish"),
    ],
)
async def test_s5_an_answer_without_done_is_whole_after_its_finish_reason(
    serve: Serve,
    connect: Connect,
    last: Script,
):
    read = asyncio.Event()
    server = await serve([begun(OPENING, said("Hello"), ending()), read, *last])
    async with asyncio.timeout(120), await open_stream(connect(server)) as stream:
        async for piece in stream:
            if piece.choices[0].finish_reason:
                read.set()
    assert stream.completion.choices[0].message.content == "Hello"


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(LAST_CHUNK, id="end of the body"),
        pytest.param(http_chunk(DONE) + LAST_CHUNK, id="done"),
        pytest.param(http_chunk(event("")) + LAST_CHUNK, id="empty event"),
        pytest.param(http_chunk(event({**chunk(), "choices": [], "usage": USAGE}) + DONE) + LAST_CHUNK, id="usage"),
    ],
)
async def test_s5_an_answer_without_a_finish_reason_is_interrupted_however_it_ends(
    serve: Serve,
    connect: Connect,
    last: bytes,
):
    server = await serve([begun(OPENING, said("Hel")) + last])
    error = await failure_of(connect(server), stream=True)
    assert isinstance(error, StreamInterruptedError | APIResponseValidationError)
    assert (error.text, len(server.requests)) == ("Hel", 1)


async def test_s5_one_of_several_choices_without_a_finish_reason_is_interrupted(serve: Serve, connect: Connect):
    second = {**chunk({"content": "x"}), "choices": [{"index": 1, "delta": {"content": "x"}, "finish_reason": None}]}
    server = await serve([whole(OPENING, said("Hello"), event(second), ending(), DONE)])
    assert isinstance(await failure_of(connect(server), stream=True), StreamInterruptedError)


@pytest.mark.parametrize("after", [DONE, said("more"), b"garbage", b"data: {gar\n\n", b"\xff" * 9])
@pytest.mark.parametrize("apart", [False, True])
async def test_s6_what_follows_done_is_ignored(serve: Serve, connect: Connect, after: bytes, apart: bool):
    events = begun(OPENING, said("Hello"), ending(), DONE)
    rest = http_chunk(after) + LAST_CHUNK
    server = await serve([events, rest] if apart else [events + rest])
    async with await open_stream(connect(server)) as stream:
        assert await texts(stream) == ["opening", "Hello", "stop"]
    assert stream.completion.choices[0].message.content == "Hello"


@pytest.mark.parametrize("more", [KEEP_ALIVE, http_chunk(said("more")), http_chunk(b"x" * 100_000)])
async def test_s6_a_body_that_goes_on_after_done_costs_its_connection_and_nothing_else(
    serve: Serve,
    connect: Connect,
    more: bytes,
):
    server = await serve([begun(OPENING, said("Hello"), ending(), DONE), Drip(more)], [ANSWER])
    client = connect(server)
    assert await said_by(client, stream=True) == "Hello"
    assert client._context.caller().account_limiter.in_flight == 0
    await ask(client)
    assert [request.connection for request in server.requests] == [1, 2]
    # The second connection is kept, and the first is given up about a second later.
    async with asyncio.timeout(120):
        await until(lambda: len(server.tasks) == 1)


# S7, S8: how the bytes are cut and coded.

TEXT = "Grüße \u2028 \u0085 😀 \u05d0 \ufeff"


@both_ways
async def test_s7_an_answer_that_comes_byte_by_byte_is_the_same(serve: Serve, connect: Connect, stream: bool):
    plain = json.dumps(answer(TEXT), ensure_ascii=False).encode()
    answered = whole(OPENING, said(TEXT), ending(), DONE) if stream else response(plain)
    server = await serve([Sliced(answered)])
    assert await said_by(connect(server), stream=stream) == TEXT


@both_ways
async def test_s7_an_answer_whose_every_byte_is_a_chunk_is_the_same(serve: Serve, connect: Connect, stream: bool):
    body = json.dumps(answer(TEXT), ensure_ascii=False).encode()
    if stream:
        body = OPENING + said(TEXT) + ending() + DONE
    chunks = b"".join(http_chunk(body[i : i + 1]) for i in range(len(body)))
    server = await serve([(STREAM_HEAD if stream else CHUNKED) + chunks + LAST_CHUNK])
    assert await said_by(connect(server), stream=stream) == TEXT


NOT_UTF_8 = [b"\xff\xfe", b"\xc3", b"\xe2\x80", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf"]


@both_ways
@pytest.mark.parametrize("wrong", NOT_UTF_8, ids=bytes.hex)
async def test_s7_what_is_not_utf_8_is_tried_again_twice_and_then_an_error(
    serve: Serve,
    connect: Connect,
    wrong: bytes,
    stream: bool,
):
    body = json.dumps(answer("@")).encode().replace(b"@", wrong)
    broken = whole(OPENING, said("@").replace(b"@", wrong), ending(), DONE) if stream else response(body)
    server = await serve([broken])
    error = await failure_of(connect(server, retry=MANY), stream=stream)
    assert isinstance(error, APIResponseValidationError)
    assert error.attempts == len(server.requests) == 3


@pytest.mark.parametrize("wrong", NOT_UTF_8, ids=bytes.hex)
async def test_s7_what_is_not_utf_8_after_content_is_told_with_the_content(
    serve: Serve,
    connect: Connect,
    wrong: bytes,
):
    server = await serve([whole(OPENING, said("Hel"), said("@").replace(b"@", wrong), ending(), DONE)])
    error = await failure_of(connect(server), stream=True)
    assert isinstance(error, StreamInterruptedError)
    assert (error.text, len(server.requests)) == ("Hel", 1)


LINE_ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
NOISE = st.sampled_from(
    [b": comment", b":", b"event: chunk", b"id: 7", b"retry: 5", b"odd: field", b"no field", b"data"]
)


@st.composite
def written_events(draw: st.DrawFn) -> tuple[list[str], bytes]:
    """Texts, and a stream that says them, written in any way in which the standard allows to write it."""
    said_texts = draw(st.lists(st.text(max_size=6), max_size=5))
    wire = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    for data in [chunk({"content": text}) for text in said_texts] + [chunk({"content": "."}), chunk({}, "stop")]:
        fields = json.dumps(data, ensure_ascii=draw(st.booleans()))
        # A line break inside JSON is white space between its tokens.
        lines = fields.replace(", ", ", \n", draw(st.integers(0, 3))).split("\n")
        colon = draw(st.sampled_from([b"data:", b"data: "]))
        for line in lines:
            for noise in draw(st.lists(NOISE, max_size=2)):
                wire += noise + draw(LINE_ENDS)
            wire += colon + line.encode() + draw(LINE_ENDS)
        # LF behind CR would be the same line end, and no empty line.
        wire += draw(LINE_ENDS if wire.endswith(b"\n") else st.sampled_from([b"\r", b"\r\n"]))
    return said_texts, wire + draw(st.sampled_from([b"", b"data: [DONE]\r\r", b"data: cut"]))


def test_s8_a_stream_written_in_any_way_and_cut_anywhere_says_the_same():
    with asyncio.Runner() as runner:
        server = ScriptedServer([[]])
        runner.run(server.__aenter__())
        client = AsyncDeepSeek(api_key="sk-any", base_url=server.url, retry=1)

        @settings(max_examples=often(120), deadline=None, suppress_health_check=list(HealthCheck))
        @given(written_events(), st.lists(st.integers(0, 3_000), max_size=8))
        def says_the_same(written: tuple[list[str], bytes], places: list[int]) -> None:
            said_texts, wire = written
            edges = sorted({0, len(wire), *(place % len(wire) for place in places)})
            server.scripts = [[STREAM_HEAD, *(http_chunk(wire[a:b]) for a, b in pairwise(edges)), LAST_CHUNK]]
            assert runner.run(said_by(client, stream=True)) == "".join(said_texts) + "."

        says_the_same()
        runner.run(client.aclose())
        runner.run(server.stop())


# S9: an event that is none.

UNREADABLE = {
    "cut JSON": b'{"choices": [{"delta": {"con',
    "words": b"the server is tired " + b"!" * 900,
    "escapes": b"\x1b[31mred\x1b]0;title\x07\x9b2J",
    "number": b"7",
    "list": b"[1, 2]",
    "deep": b"[" * 100_000,
    "wrong kinds": b'{"choices": 5}',
    "wrong deeper down": b'{"choices": [5]}',
}
WHOLE_JSON = {"number", "list", "wrong kinds", "wrong deeper down"}
"""What is no torn or spoilt answer: the server would send it again, and bill it again."""


@pytest.mark.parametrize("unreadable", UNREADABLE)
async def test_s9_an_event_that_cannot_be_read_interrupts_and_is_quoted_shortly(
    serve: Serve,
    connect: Connect,
    unreadable: str,
):
    wrong = b"data: " + UNREADABLE[unreadable] + b"\n\n"
    server = await serve([begun(OPENING, said("Hel"), wrong, ending(), DONE), SILENCE])
    error = await failure_of(connect(server), stream=True)
    assert isinstance(error, StreamInterruptedError)
    assert error.text == "Hel"
    assert str(error).isprintable()
    assert len(str(error)) < 600
    assert len(server.requests) == 1


@both_ways
@pytest.mark.parametrize("unreadable", UNREADABLE)
async def test_s9_an_answer_that_cannot_be_read_is_tried_again_twice_at_most_and_not_if_it_would_come_again(
    serve: Serve,
    connect: Connect,
    unreadable: str,
    stream: bool,
):
    wrong = UNREADABLE[unreadable]
    server = await serve([whole(OPENING, b"data: " + wrong + b"\n\n") if stream else response(wrong)])
    error = await failure_of(connect(server, retry=MANY), stream=stream)
    assert isinstance(error, APIResponseValidationError)
    assert error.attempts == len(server.requests) == (1 if unreadable in WHOLE_JSON else 3)
    assert error.retryable is (unreadable not in WHOLE_JSON)
    assert str(error).isprintable()
    assert len(str(error)) < 600


# S12: an error inside a 200.

ERRORS: dict[str, tuple[Any, type[APIError], bool]] = {
    "status of its own": ({"message": "busy", "code": 503}, ServerOverloadedError, True),
    "bad request": ({"message": "no", "type": "invalid_request_error", "code": 400}, BadRequestError, False),
    "by its type": ({"message": "slow", "type": "rate_limit_error"}, RateLimitError, True),
    "key": ({"message": "key", "type": "authentication_error", "code": "x"}, AuthenticationError, False),
    "money": ({"message": "Insufficient Balance", "code": 402}, InsufficientBalanceError, False),
    "without a code": ({"message": "odd"}, InternalServerError, True),
    "text": ("odd", InternalServerError, True),
    "list": (["odd"], InternalServerError, True),
    "escapes": ({"message": "\x1b[31mred\x9b2J", "type": "\x1b[0m"}, InternalServerError, True),
}


@both_ways
@pytest.mark.parametrize("kind", ERRORS)
async def test_s12_an_error_object_in_the_place_of_an_answer_is_classified_by_its_code(
    serve: Serve,
    connect: Connect,
    kind: str,
    stream: bool,
):
    error_object, error_type, passes = ERRORS[kind]
    body = {"error": error_object}
    server = await serve([whole(event(body)) if stream else response(body)], good(stream))
    client = connect(server, retry=1)
    error = await failure_of(client, stream=stream)
    assert type(error) is error_type
    assert isinstance(error, APIStatusError)
    assert error.retryable is passes
    assert "\x1b" not in f"{error} {error.type} {error.code} {error.param} {error.body}"
    assert "\x9b" not in f"{error} {error.type} {error.code} {error.param} {error.body}"
    client.reset()  # a refused key is not sent again until somebody says that it may be
    assert await said_by(client, stream=stream) == "Hello"


@pytest.mark.parametrize("kind", ERRORS)
async def test_s12_an_error_object_after_content_is_raised_with_the_content(
    serve: Serve,
    connect: Connect,
    kind: str,
):
    error_object, error_type, _ = ERRORS[kind]
    server = await serve([begun(OPENING, said("Hel"), event({"error": error_object})), SILENCE])
    error = await failure_of(connect(server), stream=True)
    assert type(error) is error_type
    assert isinstance(error, APIError)
    assert (error.text, len(server.requests)) == ("Hel", 1)


async def test_s12_an_error_object_without_events_answers_a_streamed_request(serve: Serve, connect: Connect):
    server = await serve([response({"error": {"message": "Insufficient Balance", "code": 402}})])
    error = await failure_of(connect(server), stream=True)
    assert isinstance(error, InsufficientBalanceError)
    assert error.attempts == len(server.requests) == 1


# S13, S14: a 200 that is no answer, and one that is an odd answer.

NO_ANSWER = {
    "HTML": (response(b"<html><body>busy</body></html>", content_type="text/html"), 3),
    "HTML in chunks": (CHUNKED + http_chunk(b"<html>") + http_chunk(b"busy</html>") + LAST_CHUNK, 3),
    "truncated JSON": (response(b'{"choices": [{"mess'), 3),
    "JSON of another kind": (response(b'{"object": "list", "data": []}'), 3),
    "null": (response(b"null"), 3),
    "empty": (response(b""), 10),
    "empty, in chunks": (CHUNKED + LAST_CHUNK, 10),
    "white space": (response(b" \n\r\n\t "), 10),
}


@pytest.mark.parametrize("kind", NO_ANSWER)
async def test_s13_a_200_that_is_no_answer_is_tried_again_and_never_a_result(
    serve: Serve,
    connect: Connect,
    kind: str,
):
    wire, tries = NO_ANSWER[kind]
    server = await serve([wire], [ANSWER])
    client = connect(server, retry=MANY)
    assert await said_by(client, stream=False) == "Hello"
    server.scripts = [[wire]]
    server.requests.clear()
    error = await failure_of(client, stream=False)
    assert isinstance(error, APIResponseValidationError)
    assert error.attempts == len(server.requests) == tries
    assert error.retryable


@pytest.mark.parametrize("kind", NO_ANSWER)
async def test_s13_a_200_that_is_no_stream_is_tried_again_and_never_a_result(
    serve: Serve,
    connect: Connect,
    kind: str,
):
    wire, tries = NO_ANSWER[kind]
    server = await serve([wire], streamed("Hello"))
    assert await said_by(connect(server), stream=True) == "Hello"
    server.scripts = [[wire]]
    server.requests.clear()
    error = await failure_of(connect(server, retry=MANY), stream=True)
    assert isinstance(error, APIResponseValidationError)
    assert error.attempts == len(server.requests) == tries
    assert error.retryable


ODD = {
    "usage of null": {"usage": None},
    "extra fields": {"mood": "fine", "service_tier": None, "nested": {"a": [1, {}]}},
    "created of null": {"created": None},
    "no id": {"id": None},
    "text for a number": {"created": "1795450000"},
}


@both_ways
@pytest.mark.parametrize("odd", ODD)
async def test_s14_an_odd_answer_is_an_answer(serve: Serve, connect: Connect, odd: str, stream: bool):
    fields = ODD[odd]
    events = [{**chunk(delta, reason), **fields} for delta, reason in (({"content": "Hello"}, None), ({}, "stop"))]
    answered = whole(*map(event, events), DONE) if stream else response({**answer(), **fields})
    server = await serve([answered])
    assert await said_by(connect(server), stream=stream) == "Hello"


ODD_CHUNKS = {
    "no choices": {"id": "1"},
    "choices of null": {"choices": None},
    "choices of nothing": {"choices": []},
    "delta of null": {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
    "no delta": {"choices": [{"index": 0}]},
    "choice of null": {"choices": [None]},
    "content of null": {"choices": [{"index": 0, "delta": {"content": None, "role": None}}]},
    "nothing": {},
}


@pytest.mark.parametrize("odd", ODD_CHUNKS)
async def test_s14_an_odd_chunk_says_nothing_and_spoils_nothing(serve: Serve, connect: Connect, odd: str):
    server = await serve(
        [whole(OPENING, event(ODD_CHUNKS[odd]), said("Hello"), event(ODD_CHUNKS[odd]), ending(), DONE)]
    )
    assert await said_by(connect(server), stream=True) == "Hello"


@pytest.mark.parametrize(
    "empty", [{"id": "1"}, {"choices": None}, {"choices": []}, {"choices": [None]}, {"choices": [{"index": 0}]}]
)
async def test_s14_a_plain_answer_without_choices_is_none(serve: Serve, connect: Connect, empty: dict):
    server = await serve([response(empty)], [ANSWER])
    assert await said_by(connect(server), stream=False) == "Hello"
    assert len(server.requests) == 2


@both_ways
@pytest.mark.parametrize("reason", ["gone_fishing", "stopped?", "\x1b[31mstop"])
async def test_s14_an_unknown_finish_reason_is_an_error_with_the_answer_and_never_stop(
    serve: Serve,
    connect: Connect,
    reason: str,
    stream: bool,
):
    answered = whole(OPENING, said("half"), ending(reason), DONE)
    server = await serve([answered if stream else response(answer("half", finish_reason=reason))])
    error = await failure_of(connect(server), stream=stream)
    assert isinstance(error, StreamInterruptedError)
    assert (error.text, error.retryable, error.attempts) == ("half", False, 1)
    assert str(error).isprintable()


# S15: the model gave up, or said nothing.


@both_ways
@pytest.mark.parametrize("reason", ["insufficient_system_resource", "aborted"])
async def test_s15_an_answer_that_the_server_gave_up_is_asked_for_again_if_nothing_was_shown(
    serve: Serve,
    connect: Connect,
    reason: str,
    stream: bool,
):
    gave_up = whole(OPENING, ending(reason), DONE) if stream else response(answer("half", finish_reason=reason))
    server = await serve([gave_up], good(stream))
    client = connect(server)
    assert await said_by(client, stream=stream) == "Hello"
    assert len(server.requests) == 2
    server.scripts = [[gave_up]]
    error = await failure_of(client, stream=stream)
    assert isinstance(error, StreamInterruptedError)
    assert (error.attempts, error.retryable) == (AT_ONCE.max_attempts, True)
    assert stream or error.text == "half"


@pytest.mark.parametrize("reason", ["insufficient_system_resource", "aborted"])
async def test_s15_a_stream_that_the_server_gave_up_is_told_with_its_content(
    serve: Serve,
    connect: Connect,
    reason: str,
):
    server = await serve([whole(OPENING, said("Hel"), ending(reason), DONE)])
    error = await failure_of(connect(server), stream=True)
    assert isinstance(error, StreamInterruptedError)
    assert (error.text, len(server.requests)) == ("Hel", 1)


@both_ways
@pytest.mark.parametrize("content", ["", None])
async def test_s15_a_stop_that_says_nothing_is_tried_again_twice_at_most(
    serve: Serve,
    connect: Connect,
    content: str | None,
    stream: bool,
):
    nothing = whole(OPENING, event(chunk({"content": content}, "stop")), DONE) if stream else response(answer(content))
    server = await serve([nothing], good(stream))
    client = connect(server, retry=MANY)
    assert await said_by(client, stream=stream) == "Hello"
    server.scripts = [[nothing]]
    server.requests.clear()
    error = await failure_of(client, stream=stream)
    assert isinstance(error, APIResponseValidationError)
    assert error.attempts == len(server.requests) == 3


@both_ways
@pytest.mark.parametrize("reasoning", [None, "Let me think"])
async def test_s15_a_length_that_says_nothing_is_an_error_of_its_own_and_not_tried_again(
    serve: Serve,
    connect: Connect,
    reasoning: str | None,
    stream: bool,
):
    thinking = {"role": "assistant", "content": "", "reasoning_content": reasoning}
    body = answer("", finish_reason="length")
    body["choices"][0]["message"] = thinking
    server = await serve([whole(event(chunk(thinking)), ending("length"), DONE) if stream else response(body)])
    error = await failure_of(connect(server, retry=MANY), stream=stream)
    assert isinstance(error, ReasoningBudgetExhaustedError)
    assert (error.attempts, error.retryable) == (1, False)
    assert len(server.requests) == 1


async def test_s15_a_stream_that_stops_after_its_reasoning_is_no_answer(serve: Serve, connect: Connect):
    thought = event(chunk({"content": None, "reasoning_content": "Let me think"}))
    server = await serve([whole(OPENING, thought, ending(), DONE)])
    error = await failure_of(connect(server), stream=True)
    assert isinstance(error, StreamInterruptedError)
    assert isinstance(error.__cause__, APIResponseValidationError)
    assert error.__cause__.reason == "empty"
    assert len(server.requests) == 1
