"""A real nginx between the client and the API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from foreign_servers import FrontedBy, Simulate
from support.clients import Connect, ask, failure_of, open_stream, said_by
from support.servers import CANARY, Serve, begun, ending, http_chunk, said

from deepseek_async import AsyncDeepSeek, StreamInterruptedError
from deepseek_async.errors import APIStatusError, InternalServerError

STREAMED_THROUGH = "proxy_http_version 1.1; proxy_buffering off;"
CUTS = ["reset_before_headers", "reset_mid_event", "close_mid_event", "eof_before_finish", "truncated_json"]


@pytest.mark.parametrize("directives", ["", STREAMED_THROUGH], ids=["stock", "unbuffered"])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_comes_whole(
    simulate: Simulate, behind_nginx: FrontedBy, connect: Connect, directives: str, stream: bool
):
    simulator = await simulate()
    _, url = await behind_nginx(simulator.base_url, directives)
    answers = [await said_by(connect(url), stream=stream) for _ in range(3)]
    assert answers == [await said_by(connect(simulator.base_url), stream=stream) for _ in range(3)]
    assert all(answers)


async def test_an_unbuffered_stream_is_read_as_it_is_written(serve: Serve, behind_nginx: FrontedBy, connect: Connect):
    rest = asyncio.Event()
    server = await serve([begun(said("Hel")), rest, http_chunk(said("lo")), http_chunk(ending()), http_chunk(b"")])
    _, url = await behind_nginx(server.url, STREAMED_THROUGH)
    async with await open_stream(connect(url)) as stream:
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content == "Hel":
                rest.set()
    assert stream.completion.choices[0].message.content == "Hello"


@pytest.mark.parametrize("directives", ["", STREAMED_THROUGH], ids=["stock", "unbuffered"])
@pytest.mark.parametrize("fault", CUTS)
async def test_what_is_cut_behind_nginx_is_not_taken_for_an_answer(
    simulate: Simulate, behind_nginx: FrontedBy, connect: Connect, directives: str, fault: str
):
    simulator = await simulate()
    _, url = await behind_nginx(simulator.base_url, directives)
    for stream in (False, True):
        error = await failure_of(connect(url, retry=1), stream=stream, extra_headers={"x-simulate-fault": fault})
        assert isinstance(error, StreamInterruptedError) or error.retryable, error


async def test_a_connection_that_nginx_closes_after_its_time_costs_no_call(
    simulate: Simulate, behind_nginx: FrontedBy, connect: Connect
):
    simulator = await simulate()
    _, url = await behind_nginx(simulator.base_url, "keepalive_requests 2;")
    client = connect(url, retry=1)
    for _ in range(5):
        await asyncio.gather(*(ask(client) for _ in range(10)))


async def test_a_prompt_that_nginx_finds_too_long_is_refused_once_and_in_words(
    simulate: Simulate, behind_nginx: FrontedBy, connect: Connect
):
    simulator = await simulate()
    _, url = await behind_nginx(simulator.base_url, "client_max_body_size 1k;")
    client = connect(url)
    long = [{"role": "user", "content": "word " * 20_000}]
    error = await failure_of(client, stream=False, messages=long)
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.attempts) == (413, 1)
    assert "Request Entity Too Large" in str(error)
    assert await said_by(client, stream=False)


async def test_nginx_without_its_server_is_asked_again(
    free_port: Callable[[], int], behind_nginx: FrontedBy, connect: Connect
):
    _, url = await behind_nginx(f"http://127.0.0.1:{free_port()}")
    error = await failure_of(connect(url), stream=False)
    assert isinstance(error, InternalServerError)
    assert (error.status_code, error.attempts) == (502, 4)
    assert "Bad Gateway" in str(error)


async def test_a_bulk_job_outlives_a_restart_of_nginx(simulate: Simulate, behind_nginx: FrontedBy):
    simulator = await simulate(latency=0.05)
    nginx, url = await behind_nginx(simulator.base_url)
    async with AsyncDeepSeek(api_key=CANARY, base_url=url) as client:
        answered: list[int] = []
        async for result in client.batch.map((f"row {number}" for number in range(300)), ordered=False):
            assert result.ok, result.error
            answered.append(result.index)
            if len(answered) == 50:
                await nginx.stop()
                await nginx.start()
    assert sorted(answered) == list(range(300))


@pytest.mark.parametrize("status", [503, 429])
@pytest.mark.parametrize(
    ("around", "directive"),
    [
        ("limit_req_zone $server_port zone=requests:1m rate=50r/s;", "limit_req zone=requests;"),
        ("limit_conn_zone $server_port zone=connections:1m;", "limit_conn connections 8;"),
    ],
    ids=["limit_req", "limit_conn"],
)
async def test_a_bulk_job_slows_down_for_what_nginx_lets_through(
    simulate: Simulate, behind_nginx: FrontedBy, around: str, directive: str, status: int
):
    """Whoever sends a burst, opens a breaker and sends the next one a minute later needs many minutes for these."""
    simulator = await simulate(latency=0.1)
    kind = directive.split(maxsplit=1)[0]
    _, url = await behind_nginx(simulator.base_url, f"{directive} {kind}_status {status};", around)
    async with asyncio.timeout(120), AsyncDeepSeek(api_key=CANARY, base_url=url) as client:
        results = [result async for result in client.batch.map(f"row {number}" for number in range(250))]
    assert all(result.ok for result in results)
    assert len(simulator.requests) == 250, "what nginx refuses never arrives"
    # About 290 as a rule; what else was thought of first costs a hundred more at each time.
    assert sum(result.attempts for result in results) <= 2.6 * 250
