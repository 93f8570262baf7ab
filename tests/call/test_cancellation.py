"""Wherever a call is cancelled, it gives back its slot, its socket and its timers."""

from __future__ import annotations

import asyncio
import random

import pytest
from support.clients import Connect, said_by
from support.servers import ANSWER, RESET, SILENCE, Serve, begun, http_chunk, response, said, streamed
from support.thoroughness import often
from support.waiting import until

from deepseek_async import DeepSeekError

ROUNDS = often(300)


async def test_calls_cancelled_anywhere_leave_nothing(serve: Serve, connect: Connect):
    """Each round lets several calls run a random number of loop steps and then cancels some of them."""
    seed = 20261123
    chance = random.Random(seed)
    scripts = [
        [ANSWER],
        streamed("Hel", "lo"),
        [RESET],
        [response(b"", 503)],
        [begun(said("Hel")), RESET],
        [b"HTTP/1.1 200 OK\r\n", SILENCE],
        [begun(said("Hel")), SILENCE],
        [ANSWER[:-20], SILENCE],
        [begun(), http_chunk(b": keep-alive\n\n"), SILENCE],
    ]
    server = await serve(*(chance.choice(scripts) for _ in range(20 * ROUNDS)))
    client = connect(server, max_concurrency=2, tokens_per_minute=1e12)
    account_limiter = client._context.caller().account_limiter
    for _ in range(ROUNDS):
        tasks = [asyncio.ensure_future(said_by(client, stream=chance.random() < 0.5)) for _ in range(4)]
        for task in chance.sample(tasks, len(tasks)):
            for _ in range(chance.randrange(40)):
                await asyncio.sleep(0)
            task.cancel()
            assert account_limiter.in_flight <= 2
        endings = await asyncio.gather(*tasks, return_exceptions=True)
        for ending in endings:
            assert isinstance(ending, str | asyncio.CancelledError | DeepSeekError), f"{seed=} {ending!r}"
        assert (account_limiter.in_flight, account_limiter.waiting) == (0, 0), f"{seed=}"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cancelled_call_raises_cancelled_error_and_nothing_of_ours(
    serve: Serve,
    connect: Connect,
    stream: bool,
):
    server = await serve([SILENCE])
    client = connect(server)
    task = asyncio.ensure_future(said_by(client, stream=stream))
    await server.arrived.wait()
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert client._context.caller().account_limiter.in_flight == 0
    async with asyncio.timeout(120):
        await server.idle.wait()


async def test_a_timeout_around_a_call_is_the_callers_own(serve: Serve, connect: Connect):
    server = await serve([SILENCE])
    client = connect(server)
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.05):
            await said_by(client, stream=False)
    assert not isinstance(caught.value, DeepSeekError)


async def test_a_slot_freed_by_a_cancelled_call_goes_to_the_next(serve: Serve, connect: Connect):
    server = await serve([SILENCE], [ANSWER])
    client = connect(server, max_concurrency=1)
    first = asyncio.ensure_future(said_by(client, stream=False))
    await server.arrived.wait()
    second = asyncio.ensure_future(said_by(client, stream=False))
    await until(lambda: client._context.caller().account_limiter.waiting == 1)
    assert client._context.caller().account_limiter.waiting == 1
    first.cancel()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_back_off_can_be_cancelled(serve: Serve, connect: Connect):
    server = await serve([response(b"", 503, retry_after="100")])
    client = connect(server)
    task = asyncio.ensure_future(said_by(client, stream=False))
    await server.arrived.wait()
    account_limiter = client._context.caller().account_limiter
    await until(lambda: account_limiter.in_flight == 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(server.requests) == 1
