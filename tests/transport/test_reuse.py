"""When a connection carries another request: both transports over sockets whose other end the test holds."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Self

import pytest
from support.servers import CANARY, CLOSE, ScriptedServer, Serve, response
from support.waiting import until

from deepseek_async.configuration.credential import ApiKey
from deepseek_async.errors import APIConnectionError
from deepseek_async.transport.pool import Pool
from deepseek_async.transport.protocol import HTTPRequest
from deepseek_async.transport.session import Session
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.transport.watchdog import Watchdog

LARGEST = 1 << 20
POST = HTTPRequest("POST", "/chat/completions", b"{}")
HUGE = HTTPRequest("POST", "/chat/completions", b"x" * (20 << 20))
KINDS = pytest.mark.parametrize("kind", [Pool, Session], ids=["pool", "session"])


class Peer:
    """The server's end of each connection, by hand: what it does happens in the kernel, without a turn of the loop."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.ends: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in (*self.ends, self._listening):
            end.close()

    async def answer(self, number: int, body: bytes) -> None:
        """Read some of what comes on the connection with this number, and answer it."""
        loop = asyncio.get_running_loop()
        while len(self.ends) <= number:
            end, _ = await loop.sock_accept(self._listening)
            end.setblocking(False)
            self.ends.append(end)
        assert await loop.sock_recv(self.ends[number], 4096)
        self.ends[number].send(response(body))


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as made:
        yield made


@pytest.fixture
async def opened() -> AsyncIterator[Callable[[type[Pool | Session], str], Pool | Session]]:
    async with AsyncExitStack() as stack:

        def make(kind: type[Pool | Session], url: str) -> Pool | Session:
            made = kind(url, ApiKey(CANARY), limit=10)
            stack.push_async_callback(made.aclose)
            return made

        yield make


async def asked(transport: Pool | Session, outgoing: HTTPRequest = POST, *, fresh: bool = False) -> bytes:
    """The body of the answer to a request."""
    watchdog = Watchdog(Timeouts(), asyncio.get_running_loop())
    answer = await transport.send(outgoing, watchdog, fresh=fresh)
    body = await answer.read(LARGEST)
    answer.release()
    return body


@KINDS
@pytest.mark.parametrize("comes", [response(b"of another"), b"\r\n", b""], ids=["an answer", "a line end", "the end"])
async def test_what_came_while_the_loop_stood_still_is_not_taken_for_the_next_answer(
    peer: Peer, opened, kind, comes: bytes, stand_still: Callable[[float], None]
):
    transport = opened(kind, peer.url)
    first, _ = await asyncio.gather(asked(transport), peer.answer(0, b"first"))
    if comes:
        peer.ends[0].send(comes)
    else:
        peer.ends[0].shutdown(socket.SHUT_WR)
    stand_still(0.1)
    second, _ = await asyncio.gather(asked(transport), peer.answer(1, b"second"))
    assert (first, second) == (b"first", b"second")


@KINDS
async def test_a_connection_on_which_nothing_came_is_used_again_after_the_loop_stood_still(
    peer: Peer, opened, kind, stand_still: Callable[[float], None]
):
    transport = opened(kind, peer.url)
    for body in (b"first", b"second"):
        assert (await asyncio.gather(asked(transport), peer.answer(0, body)))[0] == body
        stand_still(5)


@KINDS
async def test_an_early_answer_leaves_no_half_sent_request_on_a_connection_that_is_used_again(peer: Peer, opened, kind):
    transport = opened(kind, peer.url)
    first, _ = await asyncio.gather(asked(transport, HUGE), peer.answer(0, b"early"))
    second, _ = await asyncio.gather(asked(transport), peer.answer(1, b"second"))
    assert (first, second) == (b"early", b"second")


async def gated(serve: Serve) -> tuple[ScriptedServer, asyncio.Event]:
    """A server that answers five requests together, forgets the connection of the sixth, and answers all others."""
    together = asyncio.Event()
    return await serve(*[[together, response(b"ok")]] * 5, [CLOSE], [response(b"again")]), together


async def five(transport: Pool | Session, server: ScriptedServer, together: asyncio.Event) -> None:
    """Five requests at once, whose connections are idle afterwards."""
    asking = [asyncio.create_task(asked(transport)) for _ in range(5)]
    await until(lambda: len(server.requests) == 5)
    together.set()
    await asyncio.gather(*asking)


@KINDS
async def test_after_a_dead_connection_the_next_attempt_takes_a_fresh_one(serve: Serve, opened, kind):
    server, together = await gated(serve)
    transport = opened(kind, server.url)
    await five(transport, server, together)
    with pytest.raises(APIConnectionError) as caught:
        await asked(transport)
    assert caught.value.reused
    assert await asked(transport, fresh=True) == b"again"
    assert server.requests[-1].connection == 6


@KINDS
async def test_a_connection_that_is_lost_while_the_server_works_had_not_been_dead(serve: Serve, opened, kind):
    """The request may have been billed: it is not sent again as if nobody had seen it."""
    late = asyncio.Event()
    server = await serve([response(b"ok")], [late, CLOSE])
    transport = opened(kind, server.url)
    await asked(transport)
    asyncio.get_running_loop().call_later(10, late.set)
    with pytest.raises(APIConnectionError) as caught:
        await asked(transport)
    assert [request.connection for request in server.requests] == [1, 1]
    assert not caught.value.reused


async def test_whoever_was_idle_when_a_connection_was_found_dead_is_not_used_again(serve: Serve, opened):
    server, together = await gated(serve)
    transport = opened(Pool, server.url)
    await five(transport, server, together)
    with pytest.raises(APIConnectionError):
        await asked(transport)
    for _ in range(3):
        assert await asked(transport) == b"again"
    assert {request.connection for request in server.requests[6:]} == {6}


async def test_an_origin_that_sent_what_nobody_asked_for_gets_a_connection_for_each_request_for_a_while(
    serve: Serve, opened, caplog: pytest.LogCaptureFixture
):
    surprise = asyncio.Event()
    server = await serve([response(b"ok"), surprise, response(b"surprise")], [response(b"ok")])
    transport = opened(Pool, server.url)
    await asked(transport)
    with caplog.at_level(logging.WARNING, "deepseek_async"):
        surprise.set()
        async with asyncio.timeout(5):
            await server.idle.wait()
        for _ in range(3):
            await asked(transport)
    assert server.connections == 4
    assert ["unsolicited bytes" in record.message for record in caplog.records] == [True]
    await asyncio.sleep(61)
    for _ in range(3):
        await asked(transport)
    assert server.connections == 5


@pytest.mark.parametrize("farewell", [b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", b""])
async def test_a_server_that_takes_its_leave_of_an_idle_connection_is_not_doubtful(
    serve: Serve, opened, farewell: bytes
):
    leave = asyncio.Event()
    server = await serve([response(b"ok"), leave, farewell, CLOSE], [response(b"ok")])
    transport = opened(Pool, server.url)
    await asked(transport)
    leave.set()
    async with asyncio.timeout(5):
        await server.idle.wait()
    for _ in range(3):
        await asked(transport)
    assert server.connections == 2
