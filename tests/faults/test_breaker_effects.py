"""What the rows of the fault matrix mean to the circuit breaker: five in a row open it, or never do."""

from __future__ import annotations

import json
import socket

import pytest
from support.clients import Connect, failure_of, said_by
from support.servers import (
    ANSWER,
    CLOSE,
    DONE,
    HALF_CLOSE,
    LAST_CHUNK,
    OPENING,
    RESET,
    SILENCE,
    STREAM_HEAD,
    Drip,
    Script,
    Serve,
    answer,
    begun,
    ending,
    event,
    head,
    http_chunk,
    response,
    said,
    streamed,
)

from deepseek_async import BreakerPolicy, CircuitOpenError, Timeouts

FIVE = BreakerPolicy(failure_threshold=5)
BODY = json.dumps(answer()).encode()
KEEP_ALIVE = http_chunk(b": keep-alive\n\n")

COUNTED: dict[str, tuple[bool, Script]] = {
    "N3 reset before the head": (False, [RESET]),
    "N5 reset inside a chunk": (False, [head(transfer_encoding="chunked") + b"40\r\n{", RESET]),
    "N6 body shorter than its length": (False, [ANSWER[:-9], CLOSE]),
    "N7 length shorter than the body": (False, [head(content_length="9") + BODY]),
    "N8 body cut without a length": (False, [head(connection="close") + BODY[:-9], CLOSE]),
    "N9 half close": (False, [ANSWER[:-9], HALF_CLOSE, SILENCE]),
    "N10 head that trickles": (False, [Drip(b"\r\n")]),
    "N11 body that trickles": (True, [begun(OPENING), Drip(http_chunk(b":"))]),
    "N12 no HTTP": (False, [b"rubbish\r\n\r\n", CLOSE]),
    "S1 keep-alives for ever": (True, [begun(OPENING), Drip(KEEP_ALIVE)]),
    "S3 content and keep-alives": (True, [begun(OPENING, said("Hel")), Drip(KEEP_ALIVE)]),
    "S4 content and silence": (True, [begun(OPENING, said("Hel")), SILENCE]),
    "S5 no finish reason": (True, [begun(OPENING, said("Hel"), DONE) + LAST_CHUNK]),
    "S7 not UTF-8": (True, [begun(OPENING, b"data: \xff\n\n") + LAST_CHUNK]),
    "S9 event that cannot be read": (True, [begun(OPENING, b"data: {\n\n") + LAST_CHUNK]),
    "S12 error object": (False, [response({"error": {"message": "engine died"}})]),
    "S12 error event": (True, [begun(OPENING, event({"error": {"message": "engine died"}})) + LAST_CHUNK]),
    "S13 HTML": (False, [response(b"<html>busy</html>")]),
    "S13 empty": (False, [response(b"")]),
    "S13 truncated JSON": (False, [response(b'{"choices": [{')]),
    "S13 empty stream": (True, [STREAM_HEAD + LAST_CHUNK]),
    "S15 gave up": (False, [response(answer("half", finish_reason="insufficient_system_resource"))]),
    "S15 gave up in mid-stream": (True, [begun(OPENING, said("Hel"), ending("aborted"), DONE) + LAST_CHUNK]),
}

NOT_COUNTED: dict[str, tuple[bool, Script]] = {
    "N14 redirect": (False, [response(b"", 307, location="https://elsewhere.invalid/")]),
    "S12 error object of ours": (False, [response({"error": {"message": "no", "code": 400}})]),
    "S14 unknown finish reason": (False, [response(answer("half", finish_reason="gone_fishing"))]),
    "S15 stop that says nothing": (False, [response(answer(""))]),
    "S15 stream that says nothing": (True, [begun(OPENING, ending(), DONE) + LAST_CHUNK]),
    "S15 length that says nothing": (False, [response(answer("", finish_reason="length"))]),
}

SHORT = Timeouts(headers=0.3, idle=0.05, first_content=0.05, stall=0.05)


@pytest.mark.parametrize("fault", COUNTED)
async def test_five_in_a_row_open_the_breaker(serve: Serve, connect: Connect, fault: str):
    stream, script = COUNTED[fault]
    server = await serve(script)
    client = connect(server, breaker=FIVE, retry=1)
    for _ in range(5):
        assert not isinstance(await failure_of(client, stream=stream, timeout=SHORT), CircuitOpenError)
    error = await failure_of(client, stream=stream)
    assert isinstance(error, CircuitOpenError)
    assert error.retry_after is not None
    assert len(server.requests) <= 5  # a timer may run out before a request has arrived


@pytest.mark.parametrize("fault", NOT_COUNTED)
async def test_any_number_leaves_the_breaker_closed(serve: Serve, connect: Connect, fault: str):
    stream, script = NOT_COUNTED[fault]
    server = await serve(*[script] * 7, streamed("Hello") if stream else [ANSWER])
    client = connect(server, breaker=FIVE, retry=1)
    for _ in range(7):
        assert not isinstance(await failure_of(client, stream=stream), CircuitOpenError)
    assert await said_by(client, stream=stream) == "Hello"


async def test_n1_five_refused_connections_open_the_breaker_of_the_origin(connect: Connect):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = connect(f"http://127.0.0.1:{unused.getsockname()[1]}", breaker=FIVE, retry=1)
        for _ in range(5):
            assert not isinstance(await failure_of(client, stream=False), CircuitOpenError)
        for model in ("deepseek-flash", "deepseek-v4-pro"):
            error = await failure_of(client, stream=False, model=model)
            assert isinstance(error, CircuitOpenError)
            assert error.origin_down
