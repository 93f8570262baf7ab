"""Conformance suite for custom transports: checks the contract of ``Transport`` against a loopback server.

async def test_my_transport():
    await check_transport(MyTransport)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from deepseek_async.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APITimeoutError,
    DeepSeekError,
)
from deepseek_async.transport.protocol import HTTPRequest, HTTPResponse, MakeTransport, Transport, TransportOptions
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.transport.watchdog import Watchdog

_KEY: Final = "Bearer sk-conformance-0123456789"
_LIMIT: Final = 1 << 20
_PATIENCE: Final = 20.0
"""Seconds until a missing event fails a check."""

_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-DS-Trace-Id: t1\r\nContent-Length: 5\r\n\r\nhello"
_STREAM: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class _Peer:
    """Server side of one connection: received bytes and responses."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.head = b""
        self.body = b""

    async def request(self) -> None:
        """Read one request with a Content-Length."""
        self.head = await self._reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in self.head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        self.body = await self._reader.readexactly(length)

    async def send(self, data: bytes) -> None:
        """Write ``data`` and flush."""
        self._writer.write(data)
        await self._writer.drain()

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        with suppress(ConnectionError):
            while await self._reader.read(_LIMIT):
                pass

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


_Script = Callable[[_Peer], Awaitable[None]]


@asynccontextmanager
async def _served(make: MakeTransport, script: _Script) -> AsyncIterator[Transport]:
    """Yield a transport to a server that runs ``script`` on each connection."""
    peers: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a running coroutine has a task
        peers[task] = writer
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await script(_Peer(reader, writer))
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = make(_options(port))
    try:
        async with asyncio.timeout(_PATIENCE):
            yield transport
    finally:
        await transport.aclose()
        server.close()
        for writer in peers.values():
            writer.transport.abort()
        if peers:
            await asyncio.wait(peers, timeout=1)
        await server.wait_closed()


def _options(port: int) -> TransportOptions:
    headers = {"Authorization": _KEY, "Content-Type": "application/json", "Accept-Encoding": "identity"}
    return TransportOptions(base_url=f"http://127.0.0.1:{port}", headers=headers, connections=100)


def _watchdog(**timeouts: float) -> Watchdog:
    return Watchdog(Timeouts(**timeouts), asyncio.get_running_loop())


async def _sent(
    transport: Transport, watchdog: Watchdog | None = None, path: str = "/chat/completions"
) -> HTTPResponse:
    guard = watchdog or _watchdog()
    response = await transport.send(HTTPRequest("POST", path, b'{"a":1}', {"X-Own": "yes"}), guard)
    guard.head_arrived(streaming=True)
    return response


def _check(holds: object, law: str) -> None:
    if not holds:
        raise AssertionError(f"transport contract violated: {law}")


async def _failure(awaitable: Awaitable[object], law: str) -> DeepSeekError:
    """Return the library error that ``awaitable`` raises; checks that it holds no other library's exception."""
    try:
        await awaitable
    except DeepSeekError as error:
        part: BaseException | None = error
        while part is not None:
            _check(isinstance(part, DeepSeekError), f"{law}: its context is a foreign {type(part).__name__}")
            part = part.__cause__ or part.__context__
        return error
    except Exception as error:
        raise AssertionError(f"transport contract violated: {law}: raised {type(error).__name__}") from error
    raise AssertionError(f"transport contract violated: {law}: raised nothing")


async def _a_request_arrives_as_it_is(make: MakeTransport) -> None:
    peers: list[_Peer] = []

    async def script(peer: _Peer) -> None:
        await peer.request()
        peers.append(peer)
        await peer.send(_OK)
        await peer.gone()

    async with _served(make, script) as transport:
        response = await _sent(transport)
        _check(response.status == 200, "status must be that of the response")
        _check(response.headers.get("x-ds-trace-id") == "t1", "header names must be case-insensitive")
        _check(await response.read(_LIMIT) == b"hello", "read must return the whole body")
        response.release()
        head = peers[0].head
        _check(head.startswith(b"POST /chat/completions HTTP/1.1\r\n"), "method and path must be sent unchanged")
        _check(head.count(_KEY.encode()) == 1, "the headers of TransportOptions must be sent exactly once")
        _check(b"x-own: yes" in head.lower(), "the headers of the request must be sent")
        _check(b"accept-encoding: identity" in head.lower(), "Accept-Encoding must be identity")
        _check(peers[0].body == b'{"a":1}', "the body must be sent unchanged")


async def _a_status_is_no_error(make: MakeTransport) -> None:
    async def script(peer: _Peer) -> None:
        while True:  # until the client disconnects
            await peer.request()
            moved = b"/moved " in peer.head
            status = b"307 Temporary Redirect\r\nLocation: /elsewhere" if moved else b"503 Service Unavailable"
            await peer.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nno")

    async with _served(make, script) as transport:
        for path, status in (("/busy", 503), ("/moved", 307)):
            response = await _sent(transport, path=path)
            _check(response.status == status, "any status must be returned, and redirects not followed")
            _check(await response.read(_LIMIT) == b"no", "the body of an error response must be readable")
            response.release()


async def _bytes_come_as_they_arrive(make: MakeTransport) -> None:
    first_seen = asyncio.Event()

    async def script(peer: _Peer) -> None:
        await peer.request()
        await peer.send(_STREAM + b"3\r\none\r\n")
        await first_seen.wait()
        await peer.send(b"3\r\ntwo\r\n0\r\n\r\n")
        await peer.gone()

    async with _served(make, script) as transport:
        response = await _sent(transport)
        first = await response.read_available()
        _check(first == b"one", "read_available must return available bytes without waiting for more")
        first_seen.set()
        rest = b""
        while block := await response.read_available():
            rest += block
        _check(rest == b"two", "read_available must return each byte once, and empty bytes at the end")
        response.release()


async def _a_body_has_a_limit(make: MakeTransport) -> None:
    async def script(peer: _Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
        await peer.gone()

    async with _served(make, script) as transport:
        response = await _sent(transport)
        law = "a body above the limit must raise APIResponseValidationError"
        _check(isinstance(await _failure(response.read(1_000), law), APIResponseValidationError), law)
        response.close()


async def _a_body_that_breaks_off_is_told(make: MakeTransport) -> None:
    async def script(peer: _Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        peer.close()

    async with _served(make, script) as transport:
        law = "a truncated body must raise APIConnectionError"
        response = await _sent(transport)
        _check(isinstance(await _failure(response.read(_LIMIT), law), APIConnectionError), law)
        response.close()
        response = await _sent(transport)
        explained: APIError | None = None
        try:
            while await response.read_available():
                pass
        except Exception as error:  # noqa: BLE001  explain translates every exception
            explained = response.explain(error)
        _check(isinstance(explained, APIConnectionError), f"{law}, through explain, from read_available")
        response.close()


async def _nobody_answers(make: MakeTransport) -> None:
    listening = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()
    transport = make(_options(port))
    law = "a refused connection must raise a retryable APIConnectionError"
    try:
        error = await _failure(_sent(transport), law)
        _check(isinstance(error, APIConnectionError) and error.retryable, law)
    finally:
        await transport.aclose()


async def _a_timer_breaks_the_wait(make: MakeTransport) -> None:
    left = asyncio.Event()

    async def script(peer: _Peer) -> None:
        await peer.request()
        if b"/stream " in peer.head:
            await peer.send(_STREAM)
        await peer.gone()
        left.set()

    async with _served(make, script) as transport:
        law = "an expired timer must break the wait with watchdog.failure()"
        error = await _failure(_sent(transport, _watchdog(headers=0.05)), law)
        _check(isinstance(error, APITimeoutError) and error.phase == "headers", law)
        await left.wait()
        watchdog = _watchdog(idle=0.05)
        response = await _sent(transport, watchdog, "/stream")
        explained: APIError | None = None
        try:
            watchdog.waiting()
            await response.read_available()
        except Exception as error:  # noqa: BLE001  explain translates every exception
            explained = response.explain(error)
        _check(isinstance(explained, APITimeoutError), f"{law}, during a stream")
        response.close()


async def _a_cancelled_request_ends(make: MakeTransport) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def script(peer: _Peer) -> None:
        await peer.request()
        asked.set()
        await peer.gone()
        left.set()

    async with _served(make, script) as transport:
        sending = asyncio.create_task(_sent(transport))
        await asked.wait()
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        _check(sending.cancelled(), "a cancelled send must raise CancelledError")
        await left.wait()  # a cancelled send must close its connection, else this times out


async def _close_wakes_the_reader(make: MakeTransport) -> None:
    left = asyncio.Event()

    async def script(peer: _Peer) -> None:
        await peer.request()
        await peer.send(_STREAM)
        await peer.gone()
        left.set()

    async with _served(make, script) as transport:
        response = await _sent(transport)

        async def read() -> bytes:
            return await response.read_available()

        reading = asyncio.create_task(read())
        await asyncio.sleep(0)
        response.close()
        await asyncio.wait([reading])  # close must wake a waiting reader, else this times out
        if not reading.cancelled() and (error := reading.exception()) is not None:
            _check(isinstance(error, Exception), "close must end a read with an error or empty bytes")
            with suppress(DeepSeekError):
                response.explain(error) if isinstance(error, Exception) else None
        await left.wait()


async def _many_at_once(make: MakeTransport) -> None:
    together = asyncio.Barrier(10)

    async def script(peer: _Peer) -> None:
        await peer.request()
        await together.wait()
        await peer.send(_OK)
        await peer.gone()

    async with _served(make, script) as transport:

        async def ask() -> bytes:
            response = await _sent(transport)
            body = await response.read(_LIMIT)
            response.release()
            return body

        answers = await asyncio.gather(*(ask() for _ in range(10)))
        _check(answers == [b"hello"] * 10, "requests must run concurrently, up to the number of connections")


async def _a_closed_transport_sends_nothing(make: MakeTransport) -> None:
    left = asyncio.Event()

    async def script(peer: _Peer) -> None:
        await peer.request()
        await peer.send(_OK)
        await peer.gone()
        left.set()

    async with _served(make, script) as transport:
        response = await _sent(transport)
        await response.read(_LIMIT)
        response.release()
        await transport.aclose()
        await left.wait()  # aclose must close idle connections, else this times out
        law = "a closed transport must raise a non-retryable APIConnectionError"
        error = await _failure(_sent(transport), law)
        _check(isinstance(error, APIConnectionError) and not error.retryable, law)
        await transport.aclose()


CHECKS: Final = (
    _a_request_arrives_as_it_is,
    _a_status_is_no_error,
    _bytes_come_as_they_arrive,
    _a_body_has_a_limit,
    _a_body_that_breaks_off_is_told,
    _nobody_answers,
    _a_timer_breaks_the_wait,
    _a_cancelled_request_ends,
    _close_wakes_the_reader,
    _many_at_once,
    _a_closed_transport_sends_nothing,
)


async def check_transport(make: MakeTransport) -> None:
    """Check the contract of ``Transport`` on the transport that ``make`` returns. Takes under a second, on loopback.

    Raises AssertionError naming the violated rule; TimeoutError if an expected event never happens.
    """
    for check in CHECKS:
        await check(make)
