"""Requests through an HTTP proxy, in a tunnel or forwarded: what holds without one holds with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from certificate import LOOPBACK, Authority
from support.clients import AT_ONCE, MESSAGES, Connect, ask, failure_of, open_stream, said_by
from support.proxies import ESTABLISHED, HTTPProxy
from support.servers import (
    ANSWER,
    CANARY,
    CLOSE,
    DONE,
    LAST_CHUNK,
    OPENING,
    RESET,
    SILENCE,
    Drip,
    Script,
    ScriptedServer,
    Serve,
    begun,
    ending,
    http_chunk,
    said,
    streamed,
)

from deepseek_async import (
    APIConnectionError,
    APITimeoutError,
    AsyncDeepSeek,
    RetryPolicy,
    StreamInterruptedError,
    Timeouts,
)

PASSWORD = "pa:ss wörd"
USER = "anna:pa%3Ass%20w%C3%B6rd"

StartProxy = Callable[..., Awaitable[HTTPProxy]]


@pytest.fixture
async def start_proxy(serve: Serve) -> AsyncIterator[StartProxy]:
    """Starts proxies, which are stopped before the servers are."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> HTTPProxy:
            return await stack.enter_async_context(HTTPProxy(**options))

        yield start


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One that clients trust."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.trusted))
    return made


@pytest.fixture
def secure(serve: Serve, authority: Authority) -> Serve:
    """Starts servers that speak TLS."""
    return lambda *scripts, names=LOOPBACK: serve(*scripts, tls=authority.server_context(names))


@dataclass
class Way:
    """A server and a client that reaches it through a proxy."""

    server: ScriptedServer
    proxy: HTTPProxy
    client: AsyncDeepSeek


Lead = Callable[..., Awaitable[Way]]


@pytest.fixture
def aiohttps_session(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets requests go through aiohttp's session, as if somebody had replaced its way of asking."""
    original = aiohttp.ClientSession._request

    async def replaced(session: aiohttp.ClientSession, *arguments: Any, **options: Any) -> Any:
        return await original(session, *arguments, **options)

    return lambda: monkeypatch.setattr(aiohttp.ClientSession, "_request", replaced)


WAYS = ["tunnel", "forwarding", "tunnel over TLS", "forwarding over TLS", "tunnel of aiohttp's session"]


@pytest.fixture(params=WAYS)
def kind(request: pytest.FixtureRequest, aiohttps_session: Callable[[], None]) -> str:
    """Of the way to the server."""
    found: str = request.param
    if "session" in found:
        aiohttps_session()
    return found


@pytest.fixture
def lead(kind: str, connect: Connect, serve: Serve, start_proxy: StartProxy, authority: Authority) -> Lead:
    """Puts a proxy that wants a password between a server with these scripts and a client with these options."""

    async def between(*scripts: Script, **options: Any) -> Way:
        server = await serve(*scripts, tls=authority.server_context() if "tunnel" in kind else None)
        tls = authority.server_context() if "over TLS" in kind else None
        proxy = await start_proxy(password=f"anna:{PASSWORD}", tls=tls)
        return Way(server, proxy, connect(server, proxy=proxy.with_user(USER), **options))

    return between


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_calls_go_through_one_connection_of_the_proxy(lead: Lead, stream: bool):
    way = await lead(streamed("Hel", "lo") if stream else [ANSWER])
    for _ in range(3):
        assert await said_by(way.client, stream=stream) == "Hello"
    assert (way.proxy.connections, way.server.connections) == (1, 1)


async def test_the_server_is_not_shown_what_is_for_the_proxy(lead: Lead):
    way = await lead([ANSWER])
    await ask(way.client)
    (request,) = way.server.requests
    assert request.path == "/chat/completions"
    assert request.header("host") == f"127.0.0.1:{way.server.port}"
    assert b"proxy-" not in request.head.lower()


async def test_a_tunnel_hides_key_and_prompt_from_the_proxy(lead: Lead):
    way = await lead([ANSWER])
    await ask(way.client)
    (head,) = way.proxy.heads
    if way.server.url.startswith("https"):
        assert head.startswith(f"CONNECT 127.0.0.1:{way.server.port} HTTP/1.1\r\n".encode())
        assert CANARY.encode() not in head
    else:
        assert head.startswith(f"POST {way.server.url}/chat/completions HTTP/1.1\r\n".encode())


async def test_a_stream_is_shown_as_it_comes(lead: Lead):
    first = asyncio.Event()
    way = await lead([begun(OPENING, said("Hel")), first, http_chunk(said("lo") + ending() + DONE) + LAST_CHUNK])
    stream = await open_stream(way.client)
    seen = []
    async for text in stream.text_deltas():
        seen.append(text)
        first.set()
    assert seen == ["Hel", "lo"]


async def test_keep_alive_comments_are_no_progress(lead: Lead):
    way = await lead(
        [begun(OPENING), Drip(http_chunk(b": keep-alive\n\n"))],
        timeout=Timeouts(first_content=0.3, idle=60),
        retry=1,
    )
    error = await failure_of(way.client, stream=True)
    assert isinstance(error, APITimeoutError)
    assert error.phase == "first_content"
    assert way.proxy.url in str(error)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_server_that_is_silent_meets_the_timer_and_the_proxy_is_named(lead: Lead, stream: bool):
    way = await lead([SILENCE], timeout=Timeouts(headers=0.2), retry=1)
    error = await failure_of(way.client, stream=stream)
    assert isinstance(error, APITimeoutError)
    assert error.phase == "headers"
    assert way.proxy.url in str(error)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_a_cancelled_call_is_cancelled_and_its_connection_is_not_used_again(lead: Lead, stream: bool):
    way = await lead([SILENCE], [ANSWER])
    task = asyncio.ensure_future(said_by(way.client, stream=stream))
    await way.server.arrived.wait()
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await ask(way.client)).choices[0].message.content == "Hello"
    assert way.server.connections == 2


@pytest.mark.parametrize("fault", [[RESET], [CLOSE], [b"HTTP/1.1 200", CLOSE]], ids=["reset", "close", "cut"])
async def test_a_broken_connection_is_repaired_by_the_next_attempt(lead: Lead, fault: Script):
    way = await lead(fault, [ANSWER])
    assert await said_by(way.client, stream=False) == "Hello"
    assert len(way.server.requests) == 2


async def test_a_connection_that_was_closed_while_it_was_kept_costs_no_call(lead: Lead):
    slow = RetryPolicy(max_attempts=2, base_delay=600, max_delay=600)
    way = await lead([ANSWER], [CLOSE], [ANSWER], retry=slow)
    for _ in range(2):
        assert await said_by(way.client, stream=False) == "Hello"


async def test_a_lost_connection_names_the_proxy(lead: Lead):
    way = await lead([begun(said("Hel")), RESET], retry=1)
    error = await failure_of(way.client, stream=True)
    assert isinstance(error, StreamInterruptedError)
    assert way.proxy.url in str(error.__cause__)


async def test_calls_cancelled_at_any_step_leave_nothing(lead: Lead):
    way = await lead([ANSWER], max_concurrency=2)
    for steps in range(60):
        task = asyncio.ensure_future(said_by(way.client, stream=False))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        (ending,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(ending, str | asyncio.CancelledError)
    assert await said_by(way.client, stream=False) == "Hello"


async def test_a_proxy_that_wants_a_password_is_told_as_that_and_asked_once(
    serve: Serve, secure: Serve, connect: Connect, start_proxy: StartProxy
):
    for start in (secure, serve):
        server = await start([ANSWER])
        proxy = await start_proxy(password=f"anna:{PASSWORD}")
        error = await failure_of(connect(server, proxy=proxy.url), stream=False)
        assert isinstance(error, APIConnectionError)
        assert (error.reason, error.status_code, error.retryable) == ("proxy", 407, False)
        assert error.attempts == proxy.connections == 1
        assert "407 Proxy Authentication Required" in str(error)
        assert f"proxy=http://USER:PASSWORD@127.0.0.1:{proxy.port}" in str(error)
        assert server.requests == []


async def test_a_wrong_password_is_told_and_never_shown(
    serve: Serve, secure: Serve, connect: Connect, start_proxy: StartProxy
):
    for start in (secure, serve):
        server = await start([ANSWER])
        proxy = await start_proxy(password="anna:right")
        client = connect(server, proxy=proxy.with_user("anna:wrong"))
        error = await failure_of(client, stream=False)
        assert "correct the user name and password" in str(error)
        assert proxy.url in str(error)
        shown = f"{error} {error!r} {vars(error)} {client!r} {client.settings!r}"
        assert "wrong" not in shown
        assert "anna" not in shown


@pytest.mark.parametrize("status", [300, 302, 400, 401, 403, 404, 405, 451, 501, 505, 599])
async def test_a_refused_tunnel_is_told_as_what_it_is_and_asked_for_once(
    secure: Serve, connect: Connect, start_proxy: StartProxy, status: int
):
    server = await secure([ANSWER])
    proxy = await start_proxy(answers=[b"HTTP/1.1 %d Nope\r\nContent-Length: 4\r\n\r\nnope" % status])
    error = await failure_of(connect(server, proxy=proxy.url), stream=False)
    assert isinstance(error, APIConnectionError)
    assert (error.reason, error.status_code, error.retryable) == ("proxy", status, False)
    assert error.attempts == proxy.connections == 1
    assert f"{status}" in str(error)
    assert proxy.url in str(error)


async def test_a_forbidden_server_is_named_with_what_to_do(secure: Serve, connect: Connect, start_proxy: StartProxy):
    server = await secure([ANSWER])
    proxy = await start_proxy(answers=[b"HTTP/1.1 403 Forbidden\r\n\r\n"])
    error = await failure_of(connect(server, proxy=proxy.url), stream=False)
    assert str(error) == (
        f"proxy {proxy.url} refused the connection to {server.url}: 403 Forbidden; "
        "allow 127.0.0.1 on the proxy, or bypass it: omit proxy"
    )


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_tunnel_that_cannot_be_opened_for_now_is_asked_for_again(
    secure: Serve, connect: Connect, start_proxy: StartProxy, status: int
):
    server = await secure([ANSWER])
    proxy = await start_proxy(answers=[b"HTTP/1.1 %d Later\r\n\r\n" % status, ESTABLISHED])
    assert await said_by(connect(server, proxy=proxy.url), stream=False) == "Hello"
    assert proxy.connections == 2
    proxy = await start_proxy(answers=[b"HTTP/1.1 %d Later\r\n\r\n" % status])
    error = await failure_of(connect(server, proxy=proxy.url), stream=False)
    assert isinstance(error, APIConnectionError)
    assert (error.reason, error.status_code, error.retryable) == ("unreachable", status, True)
    assert error.attempts == proxy.connections == AT_ONCE.max_attempts
    assert proxy.url in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nProxy-Agent: Corp/1.0\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
async def test_any_success_opens_the_tunnel_whatever_body_it_speaks_of(
    secure: Serve, connect: Connect, start_proxy: StartProxy, answer: bytes
):
    server = await secure([ANSWER])
    proxy = await start_proxy(answers=[answer])
    assert await said_by(connect(server, proxy=proxy.url), stream=False) == "Hello"


async def test_a_login_that_this_client_does_not_know_is_named(
    secure: Serve, connect: Connect, start_proxy: StartProxy
):
    server = await secure([ANSWER])
    asks = b'Proxy-Authenticate: Negotiate, NTLM, Digest realm="a, b", nonce="x"'
    proxy = await start_proxy(answers=[b"HTTP/1.1 407 Auth\r\n%b\r\n\r\n" % asks])
    error = await failure_of(connect(server, proxy=proxy.with_user("anna:x")), stream=False)
    assert "requires Negotiate or NTLM or Digest" in str(error)


@pytest.mark.parametrize(
    "answer",
    [b"\x05\x00", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nX: " + 70_000 * b"x"],
    ids=["SOCKS", "SSH", "endless"],
)
async def test_what_is_no_http_proxy_is_told_as_that(
    secure: Serve, connect: Connect, start_proxy: StartProxy, answer: bytes
):
    server = await secure([ANSWER])
    proxy = await start_proxy(answers=[answer])
    error = await failure_of(connect(server, proxy=proxy.url), stream=False)
    assert f"proxy {proxy.url} sent invalid HTTP" in str(error)
    assert error.attempts == 1


async def test_a_proxy_that_does_not_answer_meets_the_connect_timer(
    secure: Serve, connect: Connect, start_proxy: StartProxy
):
    server = await secure([ANSWER])
    proxy = await start_proxy(answers=[None])
    client = connect(server, proxy=proxy.url, timeout=Timeouts(connect=0.2), retry=2)
    error = await failure_of(client, stream=False)
    assert isinstance(error, APITimeoutError)
    assert (error.phase, error.attempts, proxy.connections) == ("connect", 2, 2)
    assert f"cannot connect to {server.url} through proxy {proxy.url}: timed out" in str(error)


async def test_a_proxy_that_is_not_there_is_named_as_what_failed(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    client = connect(server, proxy="http://127.0.0.1:1", retry=1)
    with pytest.raises(APIConnectionError, match=r"proxy http://127\.0\.0\.1:1 is unreachable: .*check proxy"):
        await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES)
    assert server.requests == []


async def test_a_certificate_that_is_not_trusted_names_the_proxy_and_where_trust_comes_from(
    authority: Authority, serve: Serve, connect: Connect, start_proxy: StartProxy, tmp_path: Path
):
    another = tmp_path / "another"
    another.mkdir()
    server = await serve([ANSWER], tls=Authority(another).server_context())
    proxy = await start_proxy()
    error = await failure_of(connect(server, proxy=proxy.url), stream=False)
    assert isinstance(error, APIConnectionError)
    assert (error.reason, error.attempts) == ("tls", 1)
    assert proxy.url in str(error)
    assert f"SSL_CERT_FILE={authority.trusted}" in str(error)


async def test_the_environments_proxy_carries_calls_to_names_that_only_it_can_resolve(
    secure: Serve, connect: Connect, start_proxy: StartProxy, monkeypatch: pytest.MonkeyPatch
):
    server = await secure([ANSWER], names=["api.corp.invalid"])
    proxy = await start_proxy(password=f"anna:{PASSWORD}")
    monkeypatch.setenv("HTTPS_PROXY", proxy.with_user(USER))
    url = f"https://api.corp.invalid:{server.port}"
    assert await said_by(connect(url), stream=False) == "Hello"
    assert proxy.heads[0].startswith(f"CONNECT api.corp.invalid:{server.port} ".encode())
    monkeypatch.setenv("NO_PROXY", "corp.invalid")
    error = await failure_of(connect(url, retry=1), stream=False)
    assert "api.corp.invalid" in str(error)
    assert proxy.connections == 1
    monkeypatch.delenv("NO_PROXY")
    await failure_of(connect(url, trust_env=False, retry=1), stream=False)
    assert proxy.connections == 1


async def test_a_fallback_on_this_machine_is_not_asked_through_the_clients_proxy(
    serve: Serve, secure: Serve, connect: Connect, start_proxy: StartProxy
):
    server = await secure([RESET])
    local = await serve([ANSWER])
    proxy = await start_proxy()
    client = connect(server, proxy=proxy.url, fallback=local.url, retry=1)
    assert await said_by(client, stream=False) == "Hello"
    assert proxy.connections == 1


async def test_the_log_names_the_proxy_once(
    secure: Serve, connect: Connect, start_proxy: StartProxy, caplog: pytest.LogCaptureFixture
):
    server = await secure([ANSWER])
    proxy = await start_proxy(password=f"anna:{PASSWORD}")
    client = connect(server, proxy=proxy.with_user(USER))
    with caplog.at_level(logging.INFO, "deepseek_async"):
        for _ in range(2):
            await ask(client)
    told = [record.getMessage() for record in caplog.records if "proxy" in record.getMessage()]
    assert told == [f"connecting to {server.url} through proxy {proxy.url}"]
