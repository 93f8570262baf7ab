"""Who answers when the one that was asked cannot: other models, then another server; and when nobody else may."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from certificate import Authority
from support.clients import MESSAGES, Connect, ask, open_stream, texts
from support.servers import ANSWER, CANARY, OPENING, RESET, SILENCE, Serve, answer, begun, response, said, streamed

from deepseek_async import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    BreakerPolicy,
    CircuitOpenError,
    Endpoint,
    InsufficientBalanceError,
    InternalServerError,
    RateLimitError,
    RetryPolicy,
    ServerOverloadedError,
    StreamInterruptedError,
)

TWICE = RetryPolicy(max_attempts=2, base_delay=0, max_delay=0)
BACKUP_KEY = "sk-backup0123456789abcdefTAIL"
DOWN = response(b"", 500)


def models_of(server) -> list[str]:
    return [request.json()["model"] for request in server.requests]


async def test_a_fallback_model_answers_when_the_attempts_are_used_up(serve: Serve, connect: Connect):
    server = await serve([DOWN], [DOWN], [ANSWER])
    done = await ask(connect(server, retry=TWICE, fallback_models=["deepseek-v4-pro"]))
    assert models_of(server) == ["deepseek-flash", "deepseek-flash", "deepseek-v4-pro"]
    assert done.fallback == "deepseek-v4-pro"
    assert "fallback" not in done.to_dict()


async def test_an_answer_of_the_model_that_was_asked_names_no_fallback(serve: Serve, connect: Connect):
    server = await serve([DOWN], [ANSWER])
    assert (await ask(connect(server, fallback_models=["deepseek-v4-pro"]))).fallback is None


async def test_models_are_asked_in_turn_and_then_the_other_server_with_its_own_key(serve: Serve, connect: Connect):
    server, backup = await serve([DOWN]), await serve([ANSWER])
    client = connect(
        server,
        retry=1,
        fallback_models=["deepseek-v4-pro"],
        fallback=Endpoint(backup.url, BACKUP_KEY, model="deepseek-chat"),
    )
    done = await ask(client, temperature=0.5)
    assert models_of(server) == ["deepseek-flash", "deepseek-v4-pro"]
    (request,) = backup.requests
    assert request.json() == {"model": "deepseek-chat", "messages": MESSAGES, "temperature": 0.5}
    assert request.header("authorization") == f"Bearer {BACKUP_KEY}"
    assert done.fallback == f"deepseek-chat at {backup.url}"
    assert CANARY not in json.dumps([str(each.headers) for each in backup.requests])


async def test_another_server_gets_neither_the_key_nor_the_headers_of_the_first(serve: Serve, connect: Connect):
    server, backup = await serve([DOWN]), await serve([ANSWER])
    await ask(connect(server, retry=1, fallback=backup.url, default_headers={"x-gateway": "secret"}))
    (request,) = backup.requests
    assert request.header("authorization") is None
    assert request.header("x-gateway") is None
    assert request.json()["model"] == "deepseek-flash"


async def test_an_unreachable_server_is_not_asked_for_its_other_models(serve: Serve, connect: Connect):
    server, backup = await serve(), await serve([ANSWER])
    url = server.url
    await server.stop()
    client = connect(url, retry=1, fallback_models=["deepseek-v4-pro"], fallback=backup.url)
    done = await ask(client)
    assert done.fallback == backup.url
    assert {limiter.model for limiter in client.statistics().models} == {"deepseek-flash"}


async def test_an_open_breaker_asks_the_fallback_at_once(serve: Serve, connect: Connect):
    server = await serve([DOWN], [ANSWER])
    client = connect(server, retry=1, breaker=BreakerPolicy(failure_threshold=1), fallback_models=["deepseek-v4-pro"])
    for _ in range(3):
        assert (await ask(client)).fallback == "deepseek-v4-pro"
    assert models_of(server) == ["deepseek-flash"] + 3 * ["deepseek-v4-pro"]


async def test_a_stream_falls_back_before_its_first_content(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING), RESET], streamed("Hel", "lo"))
    async with await open_stream(connect(server, retry=1, fallback_models=["deepseek-v4-pro"])) as stream:
        assert await texts(stream) == ["opening", "Hel", "lo", "stop"]
    assert stream.fallback == stream.completion.fallback == "deepseek-v4-pro"


async def test_a_stream_does_not_fall_back_after_its_first_content(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING, said("Hel")), RESET], streamed("Hello"))
    async with await open_stream(connect(server, retry=1, fallback_models=["deepseek-v4-pro"])) as stream:
        with pytest.raises(StreamInterruptedError):
            await texts(stream)
    assert len(server.requests) == 1


REFUSED_BY_ACCOUNT = {
    "money": (response(b"", 402), InsufficientBalanceError),
    "quota": (response(b"You exceeded your current quota", 429), RateLimitError),
}


@pytest.mark.parametrize("kind", REFUSED_BY_ACCOUNT)
async def test_an_empty_account_is_no_reason_for_another_model_but_for_another_account(
    serve: Serve,
    connect: Connect,
    kind: str,
):
    wire, error_type = REFUSED_BY_ACCOUNT[kind]
    server, backup = await serve([wire]), await serve([ANSWER])
    with pytest.raises(error_type):
        await ask(connect(server, fallback_models=["deepseek-v4-pro"]))
    assert models_of(server) == ["deepseek-flash"]
    done = await ask(connect(server, fallback=Endpoint(backup.url, BACKUP_KEY)))
    assert done.fallback == backup.url


@pytest.mark.parametrize(("status", "error_type"), [(400, BadRequestError), (401, AuthenticationError)])
async def test_a_wrong_request_and_a_wrong_key_are_told_and_not_hidden(
    serve: Serve,
    connect: Connect,
    status: int,
    error_type: type[Exception],
):
    server, backup = await serve([response(b"", status)]), await serve([ANSWER])
    with pytest.raises(error_type):
        await ask(connect(server, fallback_models=["deepseek-v4-pro"], fallback=backup.url))
    assert (len(server.requests), len(backup.requests)) == (1, 0)


async def test_an_untrusted_certificate_never_falls_back(serve: Serve, connect: Connect, tmp_path: Path):
    server = await serve([ANSWER], tls=Authority(tmp_path).server_context())
    backup = await serve([ANSWER])
    client = connect(server, fallback_models=["deepseek-v4-pro"], fallback=Endpoint(backup.url, BACKUP_KEY))
    with pytest.raises(APIConnectionError) as caught:
        await ask(client)
    assert caught.value.reason == "tls"
    assert (server.requests, backup.requests) == ([], [])


async def test_when_all_fail_the_last_error_is_raised_with_all_attempts(serve: Serve, connect: Connect):
    server = await serve([DOWN], [DOWN], [response(b"", 503)])
    with pytest.raises(ServerOverloadedError) as caught:
        await ask(connect(server, retry=TWICE, fallback_models=["deepseek-v4-pro"]))
    assert caught.value.attempts == len(server.requests) == 4


async def test_the_model_that_was_asked_is_no_fallback_of_itself(serve: Serve, connect: Connect):
    server = await serve([DOWN])
    with pytest.raises(InternalServerError):
        await ask(connect(server, retry=1, fallback_models=["deepseek-flash"]))
    assert len(server.requests) == 1


async def test_bulk_waits_for_an_open_breaker_and_falls_back_only_when_its_attempts_are_used_up(
    serve: Serve,
    connect: Connect,
):
    server = await serve([DOWN], [ANSWER])
    breaker = BreakerPolicy(failure_threshold=1, reset_timeout=0.02)
    client = connect(server, retry=2, breaker=breaker, fallback_models=["deepseek-v4-pro"])
    results = [result async for result in client.batch.map(["Hi"])]
    assert results[0].ok
    assert results[0].completion.fallback is None
    assert models_of(server) == ["deepseek-flash", "deepseek-flash"]


async def test_a_cancelled_fallback_leaves_nothing(serve: Serve, connect: Connect):
    server, backup = await serve([DOWN]), await serve([SILENCE])
    client = connect(server, retry=1, fallback=backup.url)
    asking = asyncio.ensure_future(ask(client))
    await backup.arrived.wait()
    statistics = client.statistics().fallback
    assert statistics is not None
    assert statistics.in_flight == 1
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    statistics = client.statistics().fallback
    assert statistics is not None
    assert statistics.in_flight == 0


async def test_without_a_fallback_an_open_breaker_is_the_error(serve: Serve, connect: Connect):
    server = await serve([DOWN])
    client = connect(server, retry=1, breaker=BreakerPolicy(failure_threshold=1))
    with pytest.raises(InternalServerError):
        await ask(client)
    with pytest.raises(CircuitOpenError) as caught:
        await ask(client)
    assert 54 <= caught.value.retry_after <= 66
    assert (caught.value.attempts, len(server.requests)) == (0, 1)
    assert "breaker open" in repr(client)
    server.scripts = [[response(answer())]]
    client.reset()
    assert (await ask(client)).choices[0].message.content == "Hello"


async def test_the_headers_of_a_call_do_not_go_to_another_origin(serve: Serve, connect: Connect):
    server, backup = await serve([DOWN], [DOWN]), await serve([ANSWER])
    client = connect(server, retry=1, fallback_models=["deepseek-v4-pro"], fallback=Endpoint(backup.url, BACKUP_KEY))
    await ask(client, extra_headers={"X-Gateway": "ours alone"})
    assert [request.header("x-gateway") for request in server.requests] == ["ours alone"] * 2
    assert backup.requests[0].header("x-gateway") is None
