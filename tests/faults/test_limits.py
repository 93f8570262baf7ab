"""Rows Q1 to Q8 of the fault matrix: refusals and outages of a server that has a limit, a state, and a bad day."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path

import pytest
from limited_server import LimitedServer, response
from support.clients import Connect, ask
from support.servers import ANSWER, KEY_REFUSED, SILENCE, Serve
from support.waiting import until

from deepseek_async import (
    AuthenticationError,
    BreakerPolicy,
    CircuitOpenError,
    ConcurrencyLimitError,
    InsufficientBalanceError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    ServerOverloadedError,
)
from deepseek_async.admission.concurrency import AdaptiveLimit
from deepseek_async.batch.fail_fast import FIRST_ROWS, UNAUTHORIZED

WHOLE_FORM = 1000
"""Rows of Q1's storm."""


def spread(seed: int, shortest: float, longest: float) -> Callable[[], float]:
    chance = random.Random(seed)
    return lambda: chance.uniform(shortest, longest)


def prompts(number: int) -> list[str]:
    return [f"prompt {index}" for index in range(number)]


async def answers(client, number: int) -> int:
    """Rows of a bulk job that were answered; a row that fails is a failed test."""
    answered = 0
    async for result in client.batch.map(prompts(number)):
        assert result.ok, result.error
        answered += 1
    return answered


async def test_q1_a_storm_of_waiting_rows_finds_the_limit_and_loses_none(connect: Connect):
    async with LimitedServer(60, spread(1, 0.1, 0.5)) as server:
        client = connect(server.url)
        async with asyncio.timeout(120):
            assert await answers(client, WHOLE_FORM) == WHOLE_FORM
        (model,) = client.statistics().models
        assert model.window.limit == 60
        assert server.most <= 60
        assert server.refused <= WHOLE_FORM * 0.08, "most of them while the limit was not known yet"


async def test_q2_the_window_follows_a_limit_that_falls_in_mid_job(connect: Connect):
    """The way back up takes half a minute or more, by design: ``benchmarks/limits.py`` shows it over sockets."""
    async with LimitedServer(60, spread(2, 0.2, 0.35)) as server:
        client = connect(server.url)
        working = asyncio.ensure_future(answers(client, 480))
        await server.when(lambda: server.in_flight > 55)
        server.limit = 20
        server.begin_measuring()
        await server.when(lambda: server.served > 200)
        assert server.refused <= 40
        (model,) = client.statistics().models
        assert model.window.size <= 24
        server.limit = 60
        assert await working == 480
        assert server.refused <= 40


async def test_q3_a_limit_of_nothing_is_asked_for_gently_and_left_at_full_load(connect: Connect):
    async with LimitedServer(16, spread(3, 0.1, 0.3)) as server:
        client = connect(server.url)
        working = asyncio.ensure_future(answers(client, 500))
        await server.when(lambda: server.in_flight > 14)
        server.limit = 0
        await server.when(lambda: server.in_flight == 0)
        server.begin_measuring()
        await asyncio.sleep(60)
        assert 20 <= server.attempts <= 40, "gaps of 0.25 s that double to 2 s"
        server.limit = 16
        async with asyncio.timeout(120):
            await server.when(lambda: server.in_flight > 14)
            assert await working == 500


TEXTS = {
    "numbers": (
        b'{"error": {"message": "Your current concurrency is 6, which exceeds your concurrency limit of 5"}}',
        5,
    ),
    "other text": (b'{"error": {"message": "Slow down please", "type": "rate_limit_error"}}', None),
    "half the numbers": (b"Your current concurrency is 6", None),
    "empty": (b"", None),
    "HTML": (b"<html><title>429 Too Many Requests</title></html>", None),
    "not UTF-8": (b"concurrency is \xff\xfe limit of \xff", None),
    "absurd numbers": (b"concurrency is 999999999, limit of 999999999", None),
    "null": (b'{"error": null}', None),
}


@pytest.mark.parametrize("kind", TEXTS)
async def test_q4_a_refusal_is_understood_or_measured_whatever_it_says(serve: Serve, connect: Connect, kind: str):
    body, limit = TEXTS[kind]
    server = await serve([response(429, body)], [ANSWER])
    client = connect(server)
    assert (await ask(client)).choices[0].message.content == "Hello"
    assert len(server.requests) == 2
    (model,) = client.statistics().models
    assert model.window.limit == limit or limit is None


PERMANENT = {
    "no words": (b"", {}),
    "no words, seconds to wait": (b"", {"retry_after": "1"}),
    "no words, a minute to wait": (b"", {"retry_after": "60"}),
    "words of no limit": (b'{"error": {"message": "Slow down please"}}', {}),
    "a minute": (b'{"error": {"message": "Too many requests per minute"}}', {}),
}


@pytest.mark.parametrize("kind", PERMANENT)
@pytest.mark.parametrize("max_retries", [0, 1, 2, 5])
async def test_q4_a_refusal_for_ever_ends_after_the_retries_that_were_asked_for(
    serve: Serve,
    connect: Connect,
    kind: str,
    max_retries: int,
):
    body, headers = PERMANENT[kind]
    server = await serve([response(429, body, **headers)])
    client = connect(server, retry=None, max_retries=max_retries)
    began = asyncio.get_running_loop().time()
    with pytest.raises(RateLimitError) as caught:
        await ask(client)
    assert len(server.requests) == caught.value.attempts
    assert len(server.requests) == max_retries + 1 or kind == "no words, a minute to wait"
    assert len(server.requests) <= max_retries + 1
    assert asyncio.get_running_loop().time() - began < 260


async def test_q4_a_limit_of_nothing_for_ever_is_left_after_two_minutes(serve: Serve, connect: Connect):
    server = await serve([response(429, b"Your current concurrency is 1, which exceeds your concurrency limit of 0")])
    client = connect(server, max_concurrency="auto")
    began = asyncio.get_running_loop().time()
    ended = await asyncio.gather(*(ask(client) for _ in range(20)), return_exceptions=True)
    assert {type(error) for error in ended} == {ConcurrencyLimitError}
    assert 110 < asyncio.get_running_loop().time() - began < 240


@pytest.mark.timeout(600)  # an hour of refusals is 3,612 real requests
async def test_q4_a_job_that_is_refused_for_an_hour_stops_and_keeps_its_rows(
    serve: Serve,
    connect: Connect,
    tmp_path: Path,
):
    source, output = tmp_path / "prompts.txt", tmp_path / "answers.jsonl"
    source.write_text("\n".join(prompts(200)))
    server = await serve([response(429)])
    client = connect(server, retry=RetryPolicy())
    began = asyncio.get_running_loop().time()
    report = await client.batch.run(source, output)
    assert isinstance(report.stopped, RateLimitError)
    assert report.exit_code == 3
    assert output.read_bytes() == b"", "no row has failed: none was looked at"
    assert 1800 < asyncio.get_running_loop().time() - began < 3 * 3600
    server.scripts = [[ANSWER]]
    assert (await client.batch.run(source, output)).exit_code == 0


async def test_q4_a_job_outlasts_minutes_of_nothing_but_refusals(connect: Connect):
    async with LimitedServer(1000, spread(8, 0.02, 0.04)) as server:
        server.failing = lambda: response(429)
        client = connect(server.url, retry=2)
        working = asyncio.ensure_future(answers(client, 300))
        await asyncio.sleep(600)
        server.failing = lambda: None
        assert await working == 300


WAITS = {
    "seconds": ({"retry_after": "20"}, 20),
    "half a second": ({"retry_after": "10.5"}, 10.5),
    "milliseconds": ({"retry_after_ms": "12300", "retry_after": "50"}, 12.3),
    "a date": ({"retry_after": formatdate(1_000_000_015, usegmt=True), "date": formatdate(1e9, usegmt=True)}, 15),
    "a past date": ({"retry_after": formatdate(999_999_990, usegmt=True), "date": formatdate(1e9, usegmt=True)}, None),
    "not a number": ({"retry_after": "NaN"}, None),
    "infinite": ({"retry_after": "inf"}, None),
    "negative": ({"retry_after": "-3"}, None),
    "absurd": ({"retry_after": "9e99"}, None),
    "too many digits": ({"retry_after": "99999999999"}, None),
    "garbage": ({"retry_after": "soon"}, None),
}


@pytest.mark.parametrize("kind", WAITS)
@pytest.mark.parametrize("status", [429, 503])
async def test_q5_a_waiting_time_holds_the_whole_model_and_nonsense_holds_nobody(
    serve: Serve,
    connect: Connect,
    kind: str,
    status: int,
):
    headers, seconds = WAITS[kind]
    server = await serve([response(status, b"", **headers)], [ANSWER])
    client = connect(server)
    account_limiter = client._context.caller().account_limiter
    asking = asyncio.ensure_future(ask(client))
    if seconds is None:
        await asking
        return
    await until(lambda: account_limiter.waiting)
    (model,) = client.statistics().models
    assert seconds * 0.6 < model.paused_for <= seconds * 1.1
    other = asyncio.ensure_future(ask(client))
    await until(lambda: account_limiter.waiting == 2)
    assert len(server.requests) == 1
    client.reset()
    await asyncio.gather(asking, other)


async def test_q5_a_wait_of_hours_is_told_to_whoever_asks_meanwhile(serve: Serve, connect: Connect):
    server = await serve([response(429, b"per minute", retry_after="7200")], [ANSWER])
    client = connect(server)
    for _ in range(2):
        with pytest.raises(RateLimitError) as caught:
            await ask(client)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 120
    assert len(server.requests) == 1


async def test_q6_an_outage_at_full_load_is_answered_by_few_attempts(connect: Connect):
    async with LimitedServer(60, spread(6, 0.05, 0.15)) as server:
        client = connect(
            server.url, breaker=BreakerPolicy(), retry=RetryPolicy(max_attempts=30, base_delay=0.05, max_delay=0.5)
        )
        working = asyncio.ensure_future(answers(client, 1500))
        await server.when(lambda: server.served > 200)
        served = server.served
        server.failing = lambda: response(503)
        server.begin_measuring()
        await asyncio.sleep(90)
        model = client.statistics().models[0]
        assert model.breaker in {"open", "half-open"}
        in_flight_then = 60
        assert server.attempts <= 0.2 * served + 10 + in_flight_then
        server.failing = lambda: None
        async with asyncio.timeout(120):
            assert await working == 1500
        assert client.statistics().models[0].breaker == "closed"


async def test_q6_interactive_calls_fail_at_once_while_the_breaker_is_open(connect: Connect):
    async with LimitedServer(60, lambda: 0.01) as server:
        client = connect(server.url, breaker=BreakerPolicy(), retry=1)
        server.failing = lambda: response(503)
        for _ in range(5):
            with pytest.raises(ServerOverloadedError):
                await ask(client)
        server.begin_measuring()
        for _ in range(20):
            with pytest.raises(CircuitOpenError):
                await ask(client)
        assert server.attempts == 0
        assert client.statistics().models[0].paused_for == 0, (
            "the breaker's own wait is not one that the server asked for"
        )


async def test_q6_retries_end_with_the_budget_and_the_error_says_so(serve: Serve, connect: Connect):
    server = await serve([response(500)])
    client = connect(server)
    errors = await asyncio.gather(*(ask(client) for _ in range(20)), return_exceptions=True)
    assert len(server.requests) == 20 + 10, "ten retries are the reserve, and no success has earned more"
    assert sum(error.retry_budget_exhausted for error in errors) > 10


@pytest.mark.parametrize("bulk", [False, True])
async def test_q7_a_cancelled_probe_leaves_its_place_to_the_next(serve: Serve, connect: Connect, bulk: bool):
    server = await serve([response(503)], [SILENCE], [ANSWER])
    client = connect(server, breaker=BreakerPolicy(failure_threshold=1, reset_timeout=0.01), retry=1)
    with pytest.raises(ServerOverloadedError):
        await ask(client)
    await until(
        lambda: (
            client._context.caller()
            .account_limiter.limiter("deepseek-flash")
            .breaker.admits(asyncio.get_running_loop().time())
        )
    )
    server.arrived.clear()
    probe = asyncio.ensure_future(answers(client, 1) if bulk else ask(client))
    await server.arrived.wait()
    with pytest.raises(CircuitOpenError):
        await ask(client)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert (await ask(client)).choices[0].message.content == "Hello"
    assert client.statistics().models[0].breaker == "closed"


async def test_q8_a_refused_key_is_not_sent_again_for_seconds(serve: Serve, connect: Connect):
    server = await serve([KEY_REFUSED], [ANSWER])
    client = connect(server)
    for _ in range(3):
        with pytest.raises(AuthenticationError) as caught:
            await ask(client)
    assert len(server.requests) == 1
    assert 0 < (caught.value.retry_after or 0) <= 5
    assert client.statistics().stopped_by is not None
    assert "stopped: 401" in repr(client)


async def test_q8_one_call_asks_again_about_a_refused_key_and_frees_the_others(serve: Serve, connect: Connect):
    server = await serve([KEY_REFUSED], [SILENCE], [ANSWER])
    client = connect(server)
    with pytest.raises(AuthenticationError):
        await ask(client)
    await asyncio.sleep(6)
    server.arrived.clear()
    asking = asyncio.ensure_future(ask(client))
    await server.arrived.wait()
    for _ in range(3):
        with pytest.raises(AuthenticationError):
            await ask(client)
    assert len(server.requests) == 2, "the others are held back until it is known what came of the one"
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(6)
    assert (await ask(client)).choices[0].message.content == "Hello"
    assert client.statistics().stopped_by is None
    assert (await ask(client)).choices[0].message.content == "Hello"


async def test_q8_a_key_that_stays_refused_is_asked_about_ever_more_rarely(serve: Serve, connect: Connect):
    server = await serve([KEY_REFUSED])
    client = connect(server)
    clock, asked = asyncio.get_running_loop(), []
    began = clock.time()
    while clock.time() - began < 3600:
        with pytest.raises(AuthenticationError):
            await ask(client)
        if len(server.requests) > len(asked):
            asked.append(clock.time())
        await asyncio.sleep(1 if clock.time() - began < 120 else 4)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps == sorted(gaps) or max(gaps) <= 305
    assert 4 < gaps[0] < 8
    assert 295 < gaps[-1] < 305
    assert len(asked) < 20


CONCERN_THEIR_CALL = {
    "403 of a firewall": (403, b"<html>Sorry, blocked</html>"),
    "403 in JSON": (403, b'{"error": {"message": "content not allowed", "type": "permission_error"}}'),
    "403 empty": (403, b""),
    "401 of a proxy": (401, b"<html><title>401 Authorization Required</title></html>"),
    "401 of a gateway": (401, b'{"error": {"message": "auth service unavailable"}}'),
    "401 empty": (401, b""),
    "401 inside a 200": (200, b'{"error": {"message": "x", "type": "authentication_error"}}'),
}


@pytest.mark.parametrize("kind", CONCERN_THEIR_CALL)
async def test_q8_a_refusal_of_something_in_between_concerns_its_call(serve: Serve, connect: Connect, kind: str):
    status, body = CONCERN_THEIR_CALL[kind]
    server = await serve([response(status, body)], [ANSWER])
    client = connect(server)
    with pytest.raises((AuthenticationError, PermissionDeniedError)):
        await ask(client)
    assert (await ask(client)).choices[0].message.content == "Hello"
    assert client.statistics().stopped_by is None


async def test_q8_an_endpoint_that_the_key_may_not_use_does_not_stop_the_chat(serve: Serve, connect: Connect):
    server = await serve([response(403, b'{"error": {"message": "no access"}}')], [ANSWER])
    client = connect(server)
    with pytest.raises(PermissionDeniedError):
        await client.user.balance()
    assert (await ask(client)).choices[0].message.content == "Hello"


async def test_q8_calls_that_wait_in_the_queue_end_when_the_key_is_refused(connect: Connect):
    async with LimitedServer(1000, lambda: 0.05) as server:
        server.failing = lambda: KEY_REFUSED
        client = connect(server.url, max_concurrency=2)
        ended = await asyncio.gather(*(ask(client) for _ in range(50)), return_exceptions=True)
    assert {type(error) for error in ended} == {AuthenticationError}
    assert server.failed <= 4


@pytest.mark.parametrize("words", [b"", b"<html>401</html>", b'{"error": {"message": "Incorrect API key provided"}}'])
@pytest.mark.parametrize("answered_before", [0, 100])
async def test_q8_a_job_with_a_wrong_key_for_a_gateway_stops_soon_and_keeps_its_rows(
    connect: Connect,
    tmp_path: Path,
    words: bytes,
    answered_before: int,
):
    source, output = tmp_path / "prompts.txt", tmp_path / "answers.jsonl"
    source.write_text("\n".join(prompts(500)))
    async with LimitedServer(1000, spread(8, 0.02, 0.04)) as server:
        server.failing = lambda: None if server.attempts <= answered_before else response(401, words)
        client = connect(server.url, max_concurrency=20)
        report = await client.batch.run(source, output)
        assert isinstance(report.stopped, AuthenticationError)
        assert report.exit_code == 3
        assert server.failed <= 20 + (UNAUTHORIZED if answered_before else 0)
        assert len(output.read_text().splitlines()) == server.served
        server.failing = lambda: None
        assert (await client.batch.run(source, output)).exit_code == 0
    assert len(output.read_text().splitlines()) == 500


async def test_q8_a_job_goes_on_after_a_passing_401_and_names_the_row_that_is_left(connect: Connect, tmp_path: Path):
    source, output = tmp_path / "prompts.txt", tmp_path / "answers.jsonl"
    source.write_text("\n".join(prompts(200)))
    async with LimitedServer(1000, spread(8, 0.02, 0.04)) as server:
        server.failing = lambda: response(401) if server.attempts in {100, 150} else None
        client = connect(server.url, max_concurrency=20)
        report = await client.batch.run(source, output)
        assert (report.ok, report.failed, report.exit_code) == (198, 0, 3)
        assert isinstance(report.stopped, AuthenticationError)
        server.failing = lambda: None
        report = await client.batch.run(source, output)
    assert (report.ok, report.exit_code) == (2, 0)


async def test_q8_a_row_that_a_firewall_forbids_fails_alone(connect: Connect, tmp_path: Path):
    source, output = tmp_path / "prompts.txt", tmp_path / "answers.jsonl"
    source.write_text("\n".join(prompts(200)))
    async with LimitedServer(1000, spread(8, 0.02, 0.04)) as server:
        server.failing = lambda: response(403, b"<html>blocked</html>") if server.attempts % 50 == 0 else None
        report = await connect(server.url, max_concurrency=20).batch.run(source, output)
    assert (report.ok, report.failed, report.exit_code) == (196, 4, 1)


@pytest.mark.parametrize("answered_before", [0, 100])
async def test_q8_a_job_whose_rows_are_all_forbidden_stops(connect: Connect, tmp_path: Path, answered_before: int):
    source, output = tmp_path / "prompts.txt", tmp_path / "answers.jsonl"
    source.write_text("\n".join(prompts(1000)))
    async with LimitedServer(1000, spread(8, 0.02, 0.04)) as server:
        server.failing = lambda: None if server.attempts <= answered_before else response(403)
        report = await connect(server.url, max_concurrency=20).batch.run(source, output)
    assert report.exit_code == 3
    assert "all failed with the same error" in str(report.stopped)
    assert server.failed <= FIRST_ROWS + 20


@pytest.mark.parametrize(("status", "error_type"), [(401, AuthenticationError), (402, InsufficientBalanceError)])
@pytest.mark.parametrize("answered_before", [0, 100])
async def test_q8_a_job_whose_account_is_refused_stops_at_once_and_can_be_resumed(
    connect: Connect,
    tmp_path: Path,
    status: int,
    error_type: type[Exception],
    answered_before: int,
):
    source, output = tmp_path / "prompts.txt", tmp_path / "answers.jsonl"
    source.write_text("\n".join(prompts(500)))
    async with LimitedServer(1000, spread(8, 0.02, 0.04)) as server:
        seen_first: list[int] = []

        def failing() -> bytes | None:
            if server.attempts <= answered_before:
                return None
            seen_first.append(server.in_flight)
            return KEY_REFUSED if status == 401 else response(status)

        server.failing = failing
        client = connect(server.url, max_concurrency=20)
        report = await client.batch.run(source, output)
        assert isinstance(report.stopped, error_type)
        assert report.exit_code == 3
        assert server.failed <= 20, "those that were under way, and none after the first such answer"
        finished = len(output.read_text().splitlines())
        assert finished == server.served
        server.failing = lambda: None
        client.reset()
        report = await client.batch.run(source, output)
        assert report.exit_code == 0
    assert len(output.read_text().splitlines()) == 500


async def test_q8_calls_made_after_an_account_was_empty_are_sent_because_somebody_may_have_paid(
    serve: Serve,
    connect: Connect,
):
    server = await serve([response(402)], [ANSWER])
    client = connect(server)
    with pytest.raises(InsufficientBalanceError):
        await ask(client)
    assert (await ask(client)).choices[0].message.content == "Hello"


async def test_a_window_of_a_number_starts_there_at_once_and_never_grows_above(connect: Connect):
    async with LimitedServer(1000, lambda: 0.05) as server:
        client = connect(server.url, max_concurrency=150)
        working = asyncio.ensure_future(answers(client, 600))
        await server.when(lambda: server.in_flight >= 100)
        assert await working == 600
        assert server.most == 150
        assert isinstance(client._context.caller().account_limiter.limiter("deepseek-flash").window, AdaptiveLimit)


async def test_interactive_calls_are_not_starved_by_a_bulk_job(connect: Connect):
    async with LimitedServer(1000, lambda: 0.05) as server:
        client = connect(server.url, max_concurrency=10)
        working = asyncio.ensure_future(answers(client, 400))
        await server.when(lambda: server.in_flight == 10)
        overtaken_by = []
        for _ in range(10):
            before = server.served
            await ask(client)
            overtaken_by.append(server.served - before)
        assert not working.done()
        assert sorted(overtaken_by)[5] < 40, "a queue of hundreds of rows is not waited for"
        await working
