"""Rows N1 to N16 of the fault matrix: what the network and a broken peer can do to a call."""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from certificate import HOUR, Authority
from support.clients import AT_ONCE, MANY, Connect, ask, failure_of, open_stream, said_by
from support.servers import (
    ANSWER,
    CANARY,
    CLOSE,
    DONE,
    HALF_CLOSE,
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
    head,
    http_chunk,
    response,
    said,
    streamed,
)

from deepseek_async import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncDeepSeek,
    BreakerPolicy,
    RetryPolicy,
    StreamInterruptedError,
    Timeouts,
)
from deepseek_async.configuration.settings import Settings

BODY = json.dumps(answer()).encode()
CHUNKED = head(content_type="application/json", transfer_encoding="chunked")
EVENTS = OPENING + said("Hello") + ending() + DONE

pytestmark = pytest.mark.usefixtures("each_transport")

both_ways = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


def good(stream: bool) -> Script:
    """A script that answers "Hello"."""
    return streamed("Hello") if stream else [ANSWER]


# N1, N2: no connection.


@both_ways
async def test_n1_a_refused_connection_is_tried_again_and_then_named(connect: Connect, stream: bool):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        error = await failure_of(connect(f"http://127.0.0.1:{port}"), stream=stream)
    assert isinstance(error, APIConnectionError)
    assert f"127.0.0.1:{port}" in str(error)
    assert (error.reason, error.connected) == ("unreachable", False)
    assert (error.retryable, error.attempts) == (True, AT_ONCE.max_attempts)


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The system's resolver knows no name, and says so only once this event is set."""
    told = threading.Event()

    def look_up(host: str, *_: object, **__: object) -> list[object]:
        told.wait(120)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield told
    told.set()


@both_ways
async def test_n2_a_name_that_does_not_exist_is_tried_again_and_then_named(
    connect: Connect,
    name_server: threading.Event,
    stream: bool,
):
    name_server.set()
    error = await failure_of(connect("https://api.invalid"), stream=stream)
    assert isinstance(error, APIConnectionError)
    assert "api.invalid" in str(error)
    assert (error.reason, error.connected) == ("unreachable", False)
    assert (error.retryable, error.attempts) == (True, AT_ONCE.max_attempts)


@pytest.mark.real_time  # a thread looks the name up
@both_ways
async def test_n2_a_slow_name_server_meets_the_connect_timer(
    connect: Connect,
    name_server: threading.Event,
    stream: bool,
):
    client = connect("https://api.invalid", timeout=Timeouts(connect=0.05, headers=20), retry=2)
    error = await failure_of(client, stream=stream)
    assert isinstance(error, APITimeoutError)
    assert (error.phase, error.attempts) == ("connect", 2)


# N3 to N6: the connection breaks.


@both_ways
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param([RESET], id="reset"),
        pytest.param([CLOSE], id="close"),
        pytest.param([b"HTTP/1.1 200", RESET], id="reset inside the status line"),
        pytest.param([b"HTTP/1.1 200 OK\r\ncontent-", RESET], id="reset inside a header"),
        pytest.param([b"HTTP/1.1 200 OK\r\n", CLOSE], id="close inside the head"),
    ],
)
async def test_n3_a_break_before_the_head_is_repaired_by_the_next_attempt(
    serve: Serve,
    connect: Connect,
    fault: Script,
    stream: bool,
):
    server = await serve(fault, good(stream))
    assert await said_by(connect(server), stream=stream) == "Hello"
    assert len(server.requests) == server.connections == 2
    assert server.requests[0].body == server.requests[1].body


@both_ways
async def test_n4_a_close_at_the_request_on_a_kept_connection_costs_no_call(
    serve: Serve,
    connect: Connect,
    stream: bool,
):
    server = await serve(good(stream), [CLOSE], good(stream))
    client = connect(server)
    for _ in range(2):
        assert await said_by(client, stream=stream) == "Hello"
    assert [request.connection for request in server.requests] == [1, 1, 2]


@both_ways
async def test_n4_that_close_is_repaired_at_once_and_held_against_nobody(
    serve: Serve,
    connect: Connect,
    stream: bool,
):
    server = await serve(good(stream), [CLOSE], good(stream), [CLOSE], good(stream))
    slow = RetryPolicy(max_attempts=2, base_delay=600, max_delay=600)
    client = connect(server, retry=slow, breaker=BreakerPolicy(failure_threshold=1))
    async with asyncio.timeout(120):
        for _ in range(3):
            assert await said_by(client, stream=stream) == "Hello"
    assert [request.connection for request in server.requests] == [1, 1, 2, 2, 3]


async def test_n4_a_close_on_the_fresh_connection_too_is_paid_for(serve: Serve, connect: Connect):
    server = await serve([ANSWER], [CLOSE])
    client = connect(server, retry=RetryPolicy(max_attempts=2, base_delay=0))
    await ask(client)
    error = await failure_of(client, stream=False)
    assert isinstance(error, APIConnectionError)
    # The first on the kept connection, which is not counted, and two on fresh ones.
    assert [request.connection for request in server.requests] == [1, 1, 2, 3]


async def test_n4_a_connection_closed_while_it_was_kept_is_not_used_again(serve: Serve, connect: Connect):
    server = await serve([ANSWER, CLOSE], [ANSWER])
    client = connect(server)
    await ask(client)
    async with asyncio.timeout(120):
        await server.idle.wait()
    await ask(client)
    assert [request.connection for request in server.requests] == [1, 2]


# What follows a good head and breaks off.
BREAKS = {
    "reset inside a chunk": [b'40\r\n{"id"', RESET],
    "close inside a chunk": [b'40\r\n{"id"', CLOSE],
    "reset inside a chunk's size": [b"4", RESET],
    "close inside a chunk's size": [b"4", CLOSE],
    "close between chunks": [http_chunk(b'{"id"'), CLOSE],
    "no last chunk": [http_chunk(b" "), CLOSE],
    "end of file after the last chunk's size": [b"0\r\n", CLOSE],
}


@both_ways
@pytest.mark.parametrize("fault", BREAKS)
async def test_n5_a_body_that_breaks_off_is_asked_for_again(
    serve: Serve,
    connect: Connect,
    fault: str,
    stream: bool,
):
    server = await serve([STREAM_HEAD if stream else CHUNKED, *BREAKS[fault]], good(stream))
    assert await said_by(connect(server), stream=stream) == "Hello"
    assert len(server.requests) == server.connections == 2


@pytest.mark.parametrize("fault", BREAKS)
async def test_n5_a_break_after_content_is_told_with_the_content(serve: Serve, connect: Connect, fault: str):
    shown = asyncio.Event()  # aiohttp drops what it has not handed out when the connection breaks
    server = await serve([begun(OPENING, said("Hel")), shown, *BREAKS[fault]], streamed("Hello"))
    seen = []

    async def read() -> None:
        async for piece in await open_stream(connect(server)):
            seen.append(piece.choices[0].delta.content)
            if len(seen) == 2:
                shown.set()

    with pytest.raises(StreamInterruptedError) as caught:
        await read()
    assert seen == ["", "Hel"]
    assert caught.value.text == "Hel"
    assert isinstance(caught.value.__cause__, APIConnectionError)
    assert len(server.requests) == 1


@both_ways
@pytest.mark.parametrize("last", [RESET, CLOSE], ids=["reset", "close"])
async def test_n6_a_body_shorter_than_its_length_is_asked_for_again(
    serve: Serve,
    connect: Connect,
    last: object,
    stream: bool,
):
    whole = EVENTS if stream else BODY
    short = head(content_length=str(len(whole) + 1)) + (OPENING if stream else whole)
    server = await serve([short, last], good(stream))
    assert await said_by(connect(server), stream=stream) == "Hello"
    assert len(server.requests) == server.connections == 2


async def test_n6_a_length_that_is_never_reached_does_not_spoil_a_stream_that_was_whole(
    serve: Serve,
    connect: Connect,
):
    server = await serve([head(content_length=str(len(EVENTS) + 9)) + EVENTS, CLOSE])
    assert await said_by(connect(server), stream=True) == "Hello"


# N7, N8: the body's own length is wrong, or there is none.


@both_ways
async def test_n7_bytes_past_the_length_are_nobodys_answer(serve: Serve, connect: Connect, stream: bool):
    whole = EVENTS if stream else BODY
    cut = OPENING if stream else BODY[:-10]
    server = await serve([head(content_length=str(len(cut))) + whole], good(stream), good(stream))
    client = connect(server)
    assert await said_by(client, stream=stream) == "Hello"
    assert await said_by(client, stream=stream) == "Hello"
    assert [request.connection for request in server.requests] == [1, 2, 2]


@pytest.mark.parametrize("apart", [False, True], ids=["in one piece", "later"])
async def test_n7_a_second_response_that_nobody_asked_for_is_not_taken_for_the_next_answer(
    serve: Serve,
    connect: Connect,
    apart: bool,
):
    stray = response(answer("somebody else's"))
    first = asyncio.Event()
    script = [ANSWER, first, stray, SILENCE] if apart else [ANSWER + stray]
    server = await serve(script, [ANSWER])
    client = connect(server)
    await ask(client)
    first.set()
    for _ in range(20):
        await asyncio.sleep(0)  # turns in which the loop hands over what has arrived; nothing tells when
    assert (await ask(client)).choices[0].message.content == "Hello"
    assert server.connections == 2


@both_ways
async def test_n8_a_body_that_ends_with_its_connection_is_taken_when_it_is_whole(
    serve: Serve,
    connect: Connect,
    stream: bool,
):
    server = await serve([head(connection="close") + (EVENTS if stream else BODY), CLOSE], good(stream))
    client = connect(server)
    for _ in range(2):
        assert await said_by(client, stream=stream) == "Hello"
    assert server.connections == 2


@both_ways
@pytest.mark.parametrize("last", [RESET, CLOSE], ids=["reset", "close"])
async def test_n8_a_body_that_ends_with_its_connection_is_not_whole_when_it_is_cut(
    serve: Serve,
    connect: Connect,
    last: object,
    stream: bool,
):
    cut = OPENING if stream else BODY[:-5]
    server = await serve([head(connection="close") + cut, last], good(stream))
    assert await said_by(connect(server), stream=stream) == "Hello"
    assert len(server.requests) == 2


async def test_n8_a_stream_that_ends_with_its_connection_is_told_with_its_content(serve: Serve, connect: Connect):
    server = await serve([head(connection="close") + OPENING + said("Hel"), CLOSE])
    error = await failure_of(connect(server), stream=True)
    assert isinstance(error, StreamInterruptedError)
    assert error.text == "Hel"


# N9 to N11: the peer is there and says nothing, or as good as nothing.


@both_ways
@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\n", CHUNKED, CHUNKED + b'40\r\n{"id"'])
async def test_n9_a_half_close_and_then_silence_ends_within_the_idle_timer(
    serve: Serve,
    connect: Connect,
    begin: bytes,
    stream: bool,
):
    server = await serve([begin, HALF_CLOSE, SILENCE])
    client = connect(server, timeout=Timeouts(idle=0.3, headers=0.3), retry=1)
    async with asyncio.timeout(120):  # below all other timers
        assert isinstance(await failure_of(client, stream=stream), APIConnectionError)


@both_ways
@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nx-slow: "], ids=["status line", "header"])
async def test_n10_a_head_that_trickles_meets_the_headers_timer(
    serve: Serve,
    connect: Connect,
    begin: bytes,
    stream: bool,
):
    server = await serve([begin, Drip(b"H")] if begin else [Drip(b"\r\n")])
    error = await failure_of(connect(server, timeout=Timeouts(headers=0.08), retry=2), stream=stream)
    assert isinstance(error, APITimeoutError)
    assert (error.phase, error.attempts) == ("headers", 2)


async def test_n11_a_body_that_trickles_comments_meets_the_first_content_timer(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING), Drip(http_chunk(b":"))])
    error = await failure_of(connect(server, timeout=Timeouts(first_content=0.08), retry=2), stream=True)
    assert isinstance(error, APITimeoutError)
    assert (error.phase, error.attempts) == ("first_content", 2)


async def test_n11_a_plain_body_that_trickles_blanks_meets_the_attempt_timer(serve: Serve, connect: Connect):
    server = await serve([CHUNKED, Drip(http_chunk(b" "))])
    error = await failure_of(connect(server, timeout=Timeouts(attempt=0.08), retry=2), stream=False)
    assert isinstance(error, APITimeoutError)
    assert (error.phase, error.attempts) == ("attempt", 2)


# N12: what comes is no HTTP.

RUBBISH = {
    "bad status line": [b"no HTTP at all\r\n\r\n", SILENCE],
    "bad status": [b"HTTP/1.1 abc OK\r\n\r\n", SILENCE],
    "other protocol": [b"SSH-2.0-OpenSSH_9.9\r\n", SILENCE],
    "binary": [bytes(range(256)), SILENCE],
    "bad header": [b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", SILENCE],
    "two lengths": [head(content_length="4").replace(b"\r\n\r\n", b"\r\ncontent-length: 9\r\n\r\n"), SILENCE],
    "negative length": [head(content_length="-1"), SILENCE],
    "length and chunks": [head(content_length="9", transfer_encoding="chunked") + http_chunk(b"x"), SILENCE],
    "header of 9 kB": [head(x_long="x" * 9_000), SILENCE],
    "header of 200 kB": [head(x_long="x" * 200_000), SILENCE],
    "name of 9 kB": [head(**{"x" * 9_000: "x"}), SILENCE],
    "reason of 9 kB": [head(200, "x" * 9_000), SILENCE],
    "200 fields": [head(**{f"x-{number}": "x" for number in range(200)}), SILENCE],
    "bad chunk size": [CHUNKED + b"zz\r\nrubbish\r\n", SILENCE],
    "huge chunk size": [CHUNKED + b"f" * 40 + b"\r\n", SILENCE],
    "unknown encoding": [head(content_encoding="br", content_length="4") + b"\xff\xff\xff\xff", SILENCE],
}


@both_ways
@pytest.mark.parametrize("fault", RUBBISH)
async def test_n12_what_is_no_http_is_tried_again_twice_and_is_no_400(
    serve: Serve,
    connect: Connect,
    fault: str,
    stream: bool,
):
    server = await serve(RUBBISH[fault])
    async with asyncio.timeout(120):  # far below the timers: the fault is seen, not waited out
        error = await failure_of(connect(server, retry=MANY), stream=stream)
    assert isinstance(error, APIConnectionError)
    assert (error.reason, error.status_code) == ("protocol", None)
    assert f"127.0.0.1:{server.port}" in str(error)
    assert error.attempts == len(server.requests) == 3
    assert len(str(error)) < 400


@both_ways
async def test_n12_a_chunk_size_that_is_none_is_seen_at_once_also_in_mid_body(
    serve: Serve,
    connect: Connect,
    stream: bool,
):
    later = asyncio.Event()
    begin = begun(OPENING) if stream else CHUNKED + http_chunk(b"\n")
    server = await serve([begin, later, b"zz\r\nrubbish\r\n", SILENCE])
    later.set()
    async with asyncio.timeout(120):
        error = await failure_of(connect(server, retry=MANY), stream=stream)
    assert isinstance(error, APIConnectionError)
    assert error.reason == "protocol"
    assert error.attempts == len(server.requests) == 3


async def test_n12_rubbish_after_content_is_told_with_the_content(serve: Serve, connect: Connect):
    shown = asyncio.Event()
    server = await serve([begun(OPENING, said("Hel")), shown, b"zz\r\n", SILENCE])

    async def read() -> None:
        async with asyncio.timeout(120):
            async for piece in await open_stream(connect(server)):
                if piece.choices[0].delta.content:
                    shown.set()

    with pytest.raises(StreamInterruptedError) as caught:
        await read()
    assert caught.value.text == "Hel"
    assert isinstance(caught.value.__cause__, APIConnectionError)
    assert caught.value.__cause__.reason == "protocol"


# N13: TLS.


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that this process trusts, in the way in which OpenSSL is told so."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.trusted))
    return made


@both_ways
async def test_n13_a_certificate_of_ones_own_authority_is_trusted(
    serve: Serve,
    connect: Connect,
    authority: Authority,
    stream: bool,
):
    server = await serve(good(stream), tls=authority.server_context())
    assert await said_by(connect(server), stream=stream) == "Hello"


@pytest.fixture(params=["self-signed", "expired", "wrong host"])
def wrong_tls(request: pytest.FixtureRequest, tmp_path: Path, authority: Authority) -> ssl.SSLContext:
    """The context of a server that must not be spoken to."""
    match request.param:
        case "self-signed":
            (tmp_path / "stranger").mkdir()
            return Authority(tmp_path / "stranger").server_context()
        case "expired":
            return authority.server_context(lasts=-timedelta(minutes=1))
        case "wrong host":
            return authority.server_context(names=["api.example", "127.0.0.2"], lasts=HOUR)
    raise AssertionError(request.param)


@pytest.fixture(params=[False, True], ids=["", "switched off"])
def switched_off(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without the variables that switch verification off in other programs."""
    if request.param:
        monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")
        monkeypatch.setenv("CURL_CA_BUNDLE", "")
        monkeypatch.setenv("NODE_TLS_REJECT_UNAUTHORIZED", "0")


@both_ways
@pytest.mark.usefixtures("switched_off")
async def test_n13_a_certificate_that_cannot_be_trusted_fails_at_once_and_sees_no_key(
    serve: Serve,
    connect: Connect,
    wrong_tls: ssl.SSLContext,
    stream: bool,
):
    server = await serve(good(stream), tls=wrong_tls)
    error = await failure_of(connect(f"https://127.0.0.1:{server.port}"), stream=stream)
    assert isinstance(error, APIConnectionError)
    assert error.reason == "tls"
    assert f"https://127.0.0.1:{server.port}" in str(error)
    assert (error.attempts, error.retryable, error.connected) == (1, False, False)
    # What is sent inside TLS is sent after the handshake, and none was completed.
    assert server.requests == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_n13_tls_older_than_1_2_fails_at_once_and_sees_no_key(connect: Connect, authority: Authority):
    context = authority.server_context()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    refused: list[str] = []

    def shake_hands(listening: socket.socket) -> None:
        # In a thread: asyncio closes the connection without the alert that says why.
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            try:
                context.wrap_socket(connection, server_side=True)
            except ssl.SSLError as error:
                refused.append(error.reason)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        handshake = asyncio.ensure_future(asyncio.to_thread(shake_hands, listening))
        error = await failure_of(connect(f"https://127.0.0.1:{listening.getsockname()[1]}"), stream=False)
        await handshake
    assert isinstance(error, APIConnectionError)
    assert error.reason == "tls"
    assert (error.attempts, error.retryable) == (1, False)
    assert refused == ["UNSUPPORTED_PROTOCOL"]


@both_ways
async def test_n13_a_plain_server_on_a_tls_port_fails_at_once_and_sees_no_key(connect: Connect, stream: bool):
    hellos: list[bytes] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hellos.append(await reader.read(1000))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        client = connect(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        error = await failure_of(client, stream=stream)
    assert isinstance(error, APIConnectionError)
    assert error.reason == "tls"
    assert (error.attempts, error.retryable) == (1, False)
    assert len(hellos) == 1
    assert CANARY.encode() not in hellos[0]


async def test_n13_a_server_that_never_shakes_hands_meets_the_connect_timer(connect: Connect):
    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(ignore, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        error = await failure_of(connect(url, timeout=Timeouts(connect=0.1), retry=2), stream=False)
    assert isinstance(error, APITimeoutError)
    assert (error.phase, error.attempts) == ("connect", 2)


def test_n13_nothing_that_can_be_set_switches_verification_off():
    words = ("verify", "ssl", "tls", "insecure", "cert", "fingerprint")
    settings = {*Settings.__struct_fields__, *inspect.signature(AsyncDeepSeek.__init__).parameters}
    assert [name for name in settings if any(word in name.lower() for word in words)] == []


# N14, N15: proper HTTP that is no answer.


@both_ways
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_n14_a_redirect_to_another_origin_is_not_followed(
    serve: Serve,
    connect: Connect,
    status: int,
    stream: bool,
):
    other = await serve(good(stream))
    server = await serve([response(b"", status, location=f"{other.url}/chat/completions")])
    error = await failure_of(connect(server), stream=stream)
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.attempts, error.retryable) == (status, 1, False)
    assert (other.connections, len(server.requests)) == (0, 1)


@both_ways
@pytest.mark.parametrize("before", [head(100, "Continue"), head(103, "Early Hints", link="</a>")], ids=["100", "103"])
async def test_n15_informational_responses_before_the_answer_are_skipped(
    serve: Serve,
    connect: Connect,
    before: bytes,
    stream: bool,
):
    server = await serve([before * 3, *good(stream)])
    assert await said_by(connect(server), stream=stream) == "Hello"
    assert len(server.requests) == 1


@both_ways
async def test_n15_informational_responses_for_ever_meet_the_headers_timer(
    serve: Serve,
    connect: Connect,
    stream: bool,
):
    server = await serve([Drip(head(103, "Early Hints"))])
    error = await failure_of(connect(server, timeout=Timeouts(headers=0.03), retry=2), stream=stream)
    assert isinstance(error, APITimeoutError)
    assert (error.phase, error.attempts) == ("headers", 2)


@both_ways
@pytest.mark.parametrize(
    "empty",
    [
        pytest.param(head(204, "No Content"), id="204"),
        pytest.param(head(205, "Reset Content", content_length="0"), id="205"),
        pytest.param(head(101, "Switching Protocols", upgrade="h2c", connection="upgrade"), id="101"),
        pytest.param(head(content_length="0"), id="length of 0"),
    ],
)
async def test_n15_a_response_without_content_is_no_answer(
    serve: Serve,
    connect: Connect,
    empty: bytes,
    stream: bool,
):
    server = await serve([empty], good(stream))
    async with asyncio.timeout(120):
        assert await said_by(connect(server), stream=stream) == "Hello"
    assert len(server.requests) == 2


@both_ways
async def test_n15_trailers_after_the_body_are_ignored(serve: Serve, connect: Connect, stream: bool):
    body = EVENTS if stream else BODY
    trailed = CHUNKED + http_chunk(body) + b"0\r\nx-checksum: 1\r\nx-other: 2\r\n\r\n"
    server = await serve([trailed])
    client = connect(server)
    for _ in range(2):
        assert await said_by(client, stream=stream) == "Hello"
    assert server.connections == 1


@both_ways
async def test_n15_a_head_of_the_largest_size_allowed_is_taken(serve: Serve, connect: Connect, stream: bool):
    fields = {f"x-{number}": "y" * 40 for number in range(120)}
    answered = b"".join(good(stream))
    server = await serve([answered.replace(b"\r\n", b"\r\n" + head(**fields).partition(b"\r\n")[2][:-2], 1)])
    assert await said_by(connect(server), stream=stream) == "Hello"


# N16: the peer does not read.


@both_ways
@pytest.mark.parametrize("size", [1_000_000, 12_000_000])
@pytest.mark.parametrize("phase", ["attempt", "headers"])
async def test_n16_a_server_that_does_not_read_meets_a_timer_and_blocks_nothing(
    serve: Serve,
    connect: Connect,
    size: int,
    phase: str,
    stream: bool,
):
    server = await serve([SILENCE], reads=False)
    client = connect(server, timeout=Timeouts(**{phase: 0.3}), retry=1, lint="off")
    messages = [{"role": "user", "content": "x" * size}]
    began = time.thread_time()
    json.dumps(messages).encode()
    encoding = time.thread_time() - began
    ticking = asyncio.ensure_future(pauses())
    error = await failure_of(client, stream=stream, messages=messages)
    ticking.cancel()
    assert isinstance(error, APITimeoutError)
    assert error.phase == phase
    found = await ticking
    assert len(found) > 200, "a tick of each millisecond, as ever"
    assert max(found) < 0.01 + 10 * encoding


async def pauses() -> list[float]:
    """Until it is cancelled: the CPU time of the event loop's thread between each two turns of this."""
    found, last = [], time.thread_time()
    with suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(0.001)
            now = time.thread_time()
            found.append(now - last)
            last = now
    return found
