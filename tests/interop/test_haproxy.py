"""A real HAProxy between the client and the API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from foreign_servers import Run, Simulate
from support.clients import Connect, ask, failure_of, said_by

from deepseek_async.errors import APIStatusError, InternalServerError, PermissionDeniedError

CONFIGURATION = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout queue 60s
    timeout server {patience}
frontend api
    bind 127.0.0.1:{port}
    {rules}
    default_backend deepseek
backend deepseek
    server one {upstream} {limits}
"""

Balance = Callable[..., Awaitable[str]]


@pytest.fixture
async def balance(run: Run, tmp_path: Path, free_port: Callable[[], int]) -> Balance:
    """Puts HAProxy in front of a server; returns the URL to ask it at."""

    async def start(upstream: str, *, rules: str = "", limits: str = "", patience: str = "60s") -> str:
        port = free_port()
        configuration = tmp_path / "haproxy.cfg"
        upstream = upstream.removeprefix("http://")
        filled = {"port": port, "upstream": upstream, "rules": rules, "limits": limits, "patience": patience}
        configuration.write_text(CONFIGURATION.format_map(filled))
        await run("haproxy", "-W", "-db", "-f", str(configuration), ready=b"Loading success")
        return f"http://127.0.0.1:{port}"

    return start


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_comes_whole(simulate: Simulate, balance: Balance, connect: Connect, stream: bool):
    simulator = await simulate()
    client = connect(await balance(simulator.base_url))
    assert await said_by(client, stream=stream) == await said_by(connect(simulator.base_url), stream=stream)


async def test_calls_that_queue_in_haproxy_are_all_answered(simulate: Simulate, balance: Balance, connect: Connect):
    simulator = await simulate(latency=0.02)
    client = connect(await balance(simulator.base_url, limits="maxconn 2"), retry=1)
    await asyncio.gather(*(ask(client) for _ in range(40)))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_takes_longer_than_haproxy_waits_is_told_as_a_gateway_timeout(
    simulate: Simulate, balance: Balance, connect: Connect, stream: bool
):
    simulator = await simulate(latency=1000)
    client = connect(await balance(simulator.base_url, patience="50ms"))
    error = await failure_of(client, stream=stream)
    assert isinstance(error, InternalServerError)
    assert (error.status_code, error.attempts) == (504, 4)


async def test_a_server_that_haproxy_cannot_reach_is_asked_again(
    balance: Balance, connect: Connect, free_port: Callable[[], int]
):
    client = connect(await balance(f"127.0.0.1:{free_port()}"))
    error = await failure_of(client, stream=False)
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.attempts) == (503, 4)
    assert "No server is available" in str(error)


async def test_a_rule_that_dislikes_one_call_concerns_that_call(simulate: Simulate, balance: Balance, connect: Connect):
    simulator = await simulate()
    client = connect(await balance(simulator.base_url, rules="http-request deny if { req.hdr(x-dislike) -m found }"))
    error = await failure_of(client, stream=False, extra_headers={"x-dislike": "1"})
    assert isinstance(error, PermissionDeniedError)
    assert error.attempts == 1
    assert await said_by(client, stream=False)
