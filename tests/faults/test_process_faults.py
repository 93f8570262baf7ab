"""Rows R1 to R4 of the fault matrix: what the process itself suffers, and what its callers do to it."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

import pytest
from limited_server import LimitedServer
from support.clients import MESSAGES, Connect, ask
from support.servers import ANSWER, OPENING, RESET, SILENCE, Serve, begun, http_chunk, response, said, streamed
from support.thoroughness import often
from support.waiting import until

from deepseek_async import AsyncDeepSeek, BreakerPolicy, DeepSeekError, Timeouts


async def started(program: str, *arguments: str) -> asyncio.subprocess.Process:
    """A child that runs ``program`` with what this process can import."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(program),
        *arguments,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("seconds", [5, 12, 3600])
async def test_r1_an_event_loop_that_stands_still_makes_no_timeout_and_no_failure(
    connect: Connect, stand_still: Callable[[float], None], seconds: float
):
    async with LimitedServer(20, lambda: 4) as server:
        timeouts = Timeouts(headers=8, idle=8, stall=8, first_content=10)
        client = connect(server.url, timeout=timeouts, breaker=BreakerPolicy(failure_threshold=1))
        asking = [asyncio.ensure_future(ask(client)) for _ in range(10)]
        await server.when(lambda: server.in_flight == 10)
        stand_still(seconds)
        await asyncio.gather(*asking)
        assert server.attempts == 10
        assert client.statistics().models[0].breaker == "closed"


async def test_r1_a_stopped_process_goes_on_as_if_nothing_had_been():
    """SIGSTOP, as of a laptop that is closed: a child with its own server, stopped for longer than its timers."""
    program = """
        import asyncio
        import os
        import signal
        from deepseek_async import AsyncDeepSeek, BreakerPolicy, Timeouts
        from limited_server import LimitedServer

        async def main():
            async with LimitedServer(20, lambda: 0.2) as server:
                client = AsyncDeepSeek(
                    api_key="sk-child", base_url=server.url, retry=1, max_concurrency=20,
                    breaker=BreakerPolicy(failure_threshold=1),
                    timeout=Timeouts(headers=2, idle=2, stall=2, first_content=2),
                )
                async with client:
                    tasks = [
                        asyncio.ensure_future(client.chat.completions.create(
                            model="deepseek-flash", messages=[{"role": "user", "content": "Hi"}],
                        ))
                        for _ in range(10)
                    ]
                    await server.when(lambda: server.in_flight == 10)
                    os.kill(os.getpid(), signal.SIGSTOP)
                    await asyncio.gather(*tasks)
                    print(server.attempts, client.statistics().scopes[0].breaker, flush=True)

        asyncio.run(main())
    """
    child = await started(program)
    await asyncio.to_thread(os.waitid, os.P_PID, child.pid, os.WSTOPPED)
    await asyncio.sleep(3)
    child.send_signal(signal.SIGCONT)
    out, _ = await child.communicate()
    assert out == b"10 closed\n"
    assert child.returncode == 0


@pytest.mark.parametrize("days", [-1, 1])
async def test_r2_a_wall_clock_that_jumps_changes_nothing(connect: Connect, monkeypatch: pytest.MonkeyPatch, days: int):
    clock = time.time
    async with LimitedServer(20, lambda: 0.05) as server:
        client = connect(
            server.url,
            breaker=BreakerPolicy(),
            max_concurrency=20,
            tokens_per_minute=1e9,
            requests_per_minute=1e6,
        )
        before = [asyncio.ensure_future(ask(client)) for _ in range(10)]
        await server.when(lambda: server.in_flight == 10)
        monkeypatch.setattr(time, "time", lambda: clock() + days * 86400)
        await asyncio.gather(*before, *(ask(client) for _ in range(30)))
        assert server.attempts == server.served + server.refused
        (model,) = client.statistics().models
        assert (model.breaker, model.paused_for, model.retry_credit) == ("closed", 0.0, pytest.approx(10, abs=8))


@pytest.fixture
def few_descriptors() -> int:
    """A soft limit of open files that leaves 64 to this test; put back afterwards."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 32  # noqa: PTH112, PTH208
    limit = in_use + 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_r3_few_descriptors_cap_the_window_and_are_warned_of(
    connect: Connect,
    few_descriptors: int,
    caplog: pytest.LogCaptureFixture,
):
    async with LimitedServer(1000, lambda: 0.02) as server:
        client = connect(server.url, max_concurrency=500)
        limiter = client._context.caller().account_limiter.limiter("deepseek-flash")
        assert limiter.window.size == few_descriptors - 32
        assert "limit on open files allows only" in caplog.text


async def test_r3_running_out_of_descriptors_shrinks_the_load_and_fails_no_row():
    """The client in a child, whose limit falls after it has begun; an exhausted server would be another test."""
    program = """
        import asyncio, logging, os, resource, sys
        from deepseek_async import AsyncDeepSeek

        logging.basicConfig()  # without it a library is silent

        async def main():
            async with AsyncDeepSeek(api_key="sk-child", base_url=sys.argv[1], max_concurrency=200) as client:
                client._context.caller()
                _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + 48, hard))
                results = [result async for result in client.batch.map([f"p{number}" for number in range(150)])]
                print(sum(result.ok for result in results), flush=True)

        asyncio.run(main())
    """
    async with LimitedServer(1000, lambda: 0.2) as server:
        child = await started(program, server.url)
        out, complaints = await child.communicate()
        assert out == b"150\n"
        assert child.returncode == 0
        assert b"too many open files" in complaints
        assert server.most <= 49, "one of the 48 and the one that listed them"


MANY_CANCELLATIONS = often(600)
"""Calls that are cancelled; ``--rounds 10000`` is the full form."""


async def use(client: AsyncDeepSeek, *, way: str) -> None:
    if way == "plain":
        await ask(client)
        return
    if way == "bulk":
        async for _ in client.batch.map(["one", "two", "three"]):
            pass
        return
    asked = {"model": "deepseek-flash", "messages": MESSAGES, "stream": True}
    async with await client.chat.completions.create(**asked) as answer:
        async for _ in answer:
            pass


async def one_round(client: AsyncDeepSeek, chance: random.Random) -> int:
    """Six calls, each cancelled after some steps of the loop; returns how many had not ended before."""
    account_limiter = client._context.caller().account_limiter
    tasks = [asyncio.ensure_future(use(client, way=chance.choice(["plain", "stream", "bulk"]))) for _ in range(6)]
    cancelled = 0
    for task in chance.sample(tasks, len(tasks)):
        # Within the first steps, on the way to the server, or anywhere up to the end.
        for _ in range(chance.randrange(chance.choice([8, 60, 400]))):
            await asyncio.sleep(0)
        cancelled += task.cancel()
    for ending in await asyncio.gather(*tasks, return_exceptions=True):
        assert ending is None or isinstance(ending, asyncio.CancelledError | DeepSeekError), repr(ending)
    assert (account_limiter.in_flight, account_limiter.waiting) == (0, 0)
    for limiter in account_limiter.limiters:
        assert limiter.idle, limiter.statistics()
        assert limiter.queue._timer is None
        assert limiter.queue._interactive_running == 0
    return cancelled


@pytest.mark.timeout(900)
async def test_r4_cancelling_at_any_step_leaves_nothing(
    serve: Serve,
    connect: Connect,
    request: pytest.FixtureRequest,
):
    """Calls of every kind against a server of every fault, each cancelled after a random number of loop steps."""
    total = request.config.getoption("--rounds") or MANY_CANCELLATIONS
    chance = random.Random(20261125)
    refused = response(b"Your current concurrency is 3, which exceeds your concurrency limit of 2", 429)
    scripts = [
        *6 * [[ANSWER]],
        *4 * [streamed("Hel", "lo")],
        [RESET],
        [response(b"", 503)],
        [response(b"", 500, retry_after="0.001")],
        [refused],
        [response(b"tokens per minute", 429, retry_after="0.001")],
        [begun(OPENING, said("Hel")), RESET],
        [b"HTTP/1.1 200 OK\r\n", SILENCE],
        [begun(said("Hel")), SILENCE],
        [ANSWER[:-20], SILENCE],
        [begun(), http_chunk(b": keep-alive\n\n"), SILENCE],
    ]
    server = await serve(*(chance.choice(scripts) for _ in range(total * 3)))
    cancelled = 0
    while cancelled < total:
        # A new one now and then, or most would be cancelled in the queue of a model that has learned to be careful.
        client = connect(
            server,
            max_concurrency=3,
            tokens_per_minute=1e12,
            requests_per_minute=1e7,
            breaker=BreakerPolicy(failure_threshold=4, reset_timeout=0.002),
            fallback_models=["deepseek-v4-pro"],
            timeout=Timeouts(total=20),
        )
        for _ in range(4):
            cancelled += await one_round(client, chance)
        await client.aclose()
    await until(lambda: not asyncio.all_tasks() - {asyncio.current_task()} - server.tasks)
    assert cancelled >= total
    assert len(server.requests) > total / 3, "many of them were cancelled while the server worked for them"
