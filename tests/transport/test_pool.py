"""The two transports over real sockets: each test asks both, unless it is about the pool's own ways."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack

import pytest
from support.servers import CANARY, CLOSE, RESET, SILENCE, Serve, head, response
from support.waiting import settled

from deepseek_async.configuration.credential import ApiKey
from deepseek_async.errors import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    InvalidRequestError,
)
from deepseek_async.transport.pool import Pool
from deepseek_async.transport.protocol import HTTPRequest, HTTPResponse
from deepseek_async.transport.session import Session
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.transport.watchdog import Watchdog

Open = Callable[..., Pool | Session]
Ask = Callable[..., Awaitable[HTTPResponse]]

LARGEST = 1 << 20


@pytest.fixture(params=[Pool, Session], ids=["pool", "session"])
def kind(request: pytest.FixtureRequest) -> type[Pool | Session]:
    chosen: type[Pool | Session] = request.param
    return chosen


@pytest.fixture
async def opened(serve: Serve) -> AsyncIterator[Callable[..., Pool | Session]]:
    """Opens transports that are closed after the test."""
    async with AsyncExitStack() as stack:

        def open_transport(of: type[Pool | Session], url: str, **options) -> Pool | Session:
            transport = of(url, ApiKey(CANARY), **{"limit": 10, **options})
            stack.push_async_callback(transport.aclose)
            return transport

        yield open_transport


def watchdog(**timers: float) -> Watchdog:
    return Watchdog(Timeouts(**timers), asyncio.get_running_loop())


POST = HTTPRequest("POST", "/chat/completions", b"{}")


async def test_a_response_is_read_and_its_connection_serves_again(serve: Serve, opened: Open, kind):
    server = await serve([response(b"first", x_ds_trace_id="t")], [response(b"second")])
    transport = opened(kind, server.url)
    for expected in (b"first", b"second"):
        answer = await transport.send(POST, watchdog())
        assert answer.status == 200
        assert await answer.read(LARGEST) == expected
        answer.release()
    assert server.connections == 1


async def test_what_the_server_sees_is_one_well_formed_request(serve: Serve, opened: Open, kind):
    server = await serve([response(b"ok")])
    transport = opened(kind, server.url + "/base", headers={"X-Team": "blue"})
    sent = HTTPRequest("POST", "/files?purpose=user%20data", b"body", {"content-type": "text/plain", "X-Row": "7"})
    answer = await transport.send(sent, watchdog())
    await answer.read(LARGEST)
    answer.release()
    seen = server.requests[0]
    assert (seen.method, seen.path, seen.body) == ("POST", "/base/files?purpose=user%20data", b"body")
    assert seen.header("host") == f"127.0.0.1:{server.port}"
    assert seen.header("authorization") == f"Bearer {CANARY}"
    assert seen.header("content-type") == "text/plain"
    assert seen.header("accept-encoding") == "identity"
    assert (seen.header("x-team"), seen.header("x-row")) == ("blue", "7")


async def test_a_request_without_a_body_has_no_length(serve: Serve, opened: Open, kind):
    server = await serve([response(b"ok")])
    answer = await opened(kind, server.url).send(HTTPRequest("GET", "/models"), watchdog())
    answer.close()
    assert server.requests[0].header("content-length") is None


async def test_a_large_body_arrives_whole(serve: Serve, opened: Open, kind):
    server = await serve([response(b"ok")])
    answer = await opened(kind, server.url).send(HTTPRequest("POST", "/", b"x" * 3_000_000), watchdog())
    answer.close()
    assert server.requests[0].body == b"x" * 3_000_000


async def test_a_header_that_would_split_the_request_is_refused(serve: Serve, opened: Open, kind):
    server = await serve([response(b"ok")])
    transport = opened(kind, server.url)
    with pytest.raises(InvalidRequestError, match=r"must not contain line breaks|cannot send the request"):
        await transport.send(HTTPRequest("POST", "/", b"", {"X": "a\r\nY: b"}), watchdog())
    assert server.requests == []


async def test_a_body_beyond_the_limit_is_refused_before_it_is_held(serve: Serve, opened: Open, kind):
    server = await serve([response(b"x" * 300_000)])
    answer = await opened(kind, server.url).send(POST, watchdog())
    with pytest.raises(APIResponseValidationError, match="exceeds 1,000 bytes"):
        await answer.read(1000)
    answer.close()


async def test_a_reader_that_does_not_read_holds_the_server_back(serve: Serve, opened: Open, kind):
    size = 40_000_000
    server = await serve([head(content_length=size) + b"x" * size])
    answer = await opened(kind, server.url).send(POST, watchdog())
    await settled()
    assert not server.idle.is_set()
    received = 0
    while block := await answer.read_available():
        received += len(block)
    assert received == size
    answer.release()


async def test_a_connection_closed_while_idle_is_told_from_others(serve: Serve, opened: Open):
    server = await serve([response(b"ok")], [CLOSE])
    transport = opened(Pool, server.url)
    answer = await transport.send(POST, watchdog())
    await answer.read(LARGEST)
    answer.release()
    with pytest.raises(APIConnectionError) as caught:
        await transport.send(POST, watchdog())
    assert caught.value.reused
    with pytest.raises(APIConnectionError) as caught:
        await transport.send(POST, watchdog())
    assert not caught.value.reused


async def test_bytes_that_nobody_asked_for_end_an_idle_connection(serve: Serve, opened: Open):
    surprise = asyncio.Event()
    server = await serve([response(b"ok"), surprise, response(b"surprise")], [response(b"second")])
    transport = opened(Pool, server.url)
    answer = await transport.send(POST, watchdog())
    await answer.read(LARGEST)
    answer.release()
    surprise.set()
    async with asyncio.timeout(120):
        await server.idle.wait()
    answer = await transport.send(POST, watchdog())
    assert await answer.read(LARGEST) == b"second"
    answer.release()
    assert server.connections == 2


@pytest.mark.parametrize("script", [[CLOSE], [RESET], [b"HTTP/1.1 200 O", CLOSE]])
async def test_a_connection_lost_before_the_head_is_an_error_of_ours(serve: Serve, opened: Open, kind, script):
    server = await serve(script)
    with pytest.raises(APIConnectionError) as caught:
        await opened(kind, server.url).send(POST, watchdog())
    assert caught.value.connected
    assert caught.value.__context__ is None


async def test_a_timer_ends_the_wait_for_the_head(serve: Serve, opened: Open, kind):
    server = await serve([SILENCE])
    with pytest.raises(APITimeoutError) as caught:
        await opened(kind, server.url).send(POST, watchdog(headers=0.05))
    assert caught.value.phase == "headers"


@pytest.mark.parametrize("turns", range(0, 30, 3))
async def test_a_loop_that_stands_still_fails_no_request(
    serve: Serve, opened: Open, kind, turns: int, stand_still: Callable[[float], None]
):
    """Whatever it was about to do then: to connect, to send, or to read."""
    server = await serve([response(b"ok")])
    short = watchdog(connect=1, headers=1, first_content=1, idle=1, stall=1, attempt=1)
    asking = asyncio.create_task(opened(kind, server.url).send(POST, short))
    for _ in range(turns):
        await asyncio.sleep(0)
    stand_still(4)
    answer = await asking
    assert await answer.read(LARGEST) == b"ok"
    answer.close()


async def test_a_server_that_takes_no_connection_meets_the_timer_for_connecting(opened: Open, kind):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, ExitStack() as stack:
        address = listening.getsockname()
        for _ in range(3):  # the kernel's queue of connections is full from then on
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        with pytest.raises(APITimeoutError, match=r"cannot connect to http://127.0.0.1:\d+: timed out") as caught:
            await opened(kind, f"http://127.0.0.1:{address[1]}").send(POST, watchdog(connect=1))
    assert (caught.value.phase, caught.value.reason) == ("connect", "unreachable")


async def test_closing_a_response_ends_the_wait_of_its_reader(serve: Serve, opened: Open, kind):
    server = await serve([head(content_length=10), SILENCE])
    answer = await opened(kind, server.url).send(POST, watchdog())
    reading = asyncio.create_task(answer.read(LARGEST))
    await settled()
    answer.close()
    with pytest.raises(APIConnectionError):
        await reading


async def test_closing_the_transport_fails_what_is_under_way(serve: Serve, opened: Open, kind):
    server = await serve([SILENCE])
    transport = opened(kind, server.url)
    asking = asyncio.create_task(transport.send(POST, watchdog()))
    await server.arrived.wait()
    await transport.aclose()
    with pytest.raises(APIConnectionError):
        await asking
    with pytest.raises(APIConnectionError, match="closed"):
        await transport.send(POST, watchdog())


async def test_many_paths_do_not_fill_the_memory(serve: Serve, opened: Open):
    server = await serve([response(b"ok")])
    transport = opened(Pool, server.url)
    for number in range(100):
        answer = await transport.send(HTTPRequest("GET", f"/files/{number}"), watchdog())
        await answer.read(LARGEST)
        answer.release()
    assert len(transport._heads) <= 64
