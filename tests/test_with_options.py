"""A client with other options shares everything else with the client that it was made from."""

from __future__ import annotations

import warnings

import pytest
from support.clients import AT_ONCE, Connect, ask, said_by
from support.servers import ANSWER, CANARY, KEY_REFUSED, SILENCE, Serve, response, streamed

from deepseek_async import (
    APITimeoutError,
    AsyncDeepSeek,
    AuthenticationError,
    ConfigurationError,
    InternalServerError,
    InvalidRequestError,
    RequestLintWarning,
    RetryPolicy,
    Timeouts,
)

FAILS = [response(b"", 500)]


async def test_max_retries_counts_what_follows_the_first_attempt(serve: Serve, connect: Connect):
    server = await serve(FAILS)
    client = connect(server, retry=None, max_retries=0)
    with pytest.raises(InternalServerError) as caught:
        await ask(client)
    assert caught.value.attempts == len(server.requests) == 1


def test_max_retries_is_one_less_than_the_attempts_of_retry():
    by_retries, by_attempts = AsyncDeepSeek(api_key=CANARY, max_retries=3), AsyncDeepSeek(api_key=CANARY, retry=4)
    assert by_retries.settings.retry == by_attempts.settings.retry == RetryPolicy(max_attempts=4)


def test_max_retries_and_retry_together_are_refused_however_they_agree():
    with pytest.raises(ConfigurationError, match=r"retry and max_retries"):
        AsyncDeepSeek(api_key=CANARY, retry=4, max_retries=3)
    with pytest.raises(ConfigurationError, match=r"retry and max_retries"):
        AsyncDeepSeek(api_key=CANARY).with_options(retry=4, max_retries=3)


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "3"])
def test_wrong_max_retries_are_named(wrong: object):
    with pytest.raises(ConfigurationError, match=r"max_retries must be an integer of at least 0"):
        AsyncDeepSeek(api_key=CANARY, max_retries=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("stream", [False, True])
async def test_both_use_one_connection_and_one_queue(serve: Serve, connect: Connect, stream: bool):
    server = await serve(streamed("Hello") if stream else [ANSWER])
    client = connect(server)
    other = client.with_options(timeout=60)
    for each in (client, other, client):
        assert await said_by(each, stream=stream) == "Hello"
    assert server.connections == 1
    assert client.statistics() == other.statistics()
    assert other._context.caller() is client._context.caller()


async def test_only_what_was_named_differs(serve: Serve, connect: Connect):
    policy = RetryPolicy(max_attempts=4, base_delay=0.25, max_delay=7)
    client = connect(await serve([ANSWER]), retry=policy, timeout=Timeouts(stall=30))
    other = client.with_options(timeout=20, max_retries=0, lint="off")
    assert other.settings.timeouts == Timeouts(stall=30, total=20)
    assert other.settings.retry == RetryPolicy(max_attempts=1, base_delay=0.25, max_delay=7)
    assert other.settings.lint == "off"
    assert (client.settings.timeouts, client.settings.retry) == (Timeouts(stall=30), policy)
    assert client.with_options().settings == client.settings
    assert client.with_options(retry=AT_ONCE).settings.retry == AT_ONCE
    assert other.with_options(retry=2).settings.retry == RetryPolicy(max_attempts=2, base_delay=0.25, max_delay=7)
    assert type(other) is AsyncDeepSeek
    assert CANARY not in repr(other)


async def test_its_calls_have_its_timeout_and_its_retries(serve: Serve, connect: Connect):
    server = await serve(FAILS, FAILS, [SILENCE])
    client = connect(server)
    with pytest.raises(InternalServerError) as refused:
        await ask(client.with_options(max_retries=1))
    assert refused.value.attempts == 2
    with pytest.raises(APITimeoutError) as caught:
        await ask(client.with_options(timeout=0.05))
    assert caught.value.phase == "total"


async def test_its_jobs_have_its_retries_and_those_of_the_first_keep_theirs(serve: Serve, connect: Connect):
    server = await serve(FAILS)
    client = connect(server)
    assert client.batch is client.batch
    other = client.with_options(max_retries=0)
    results = [result async for result in other.batch.map(["Hi"])]
    assert [result.attempts for result in results] == [1]
    results = [result async for result in client.batch.map(["Hi"])]
    assert [result.attempts for result in results] == [AT_ONCE.max_attempts]


async def test_a_key_that_is_refused_to_one_is_not_sent_by_the_other(serve: Serve, connect: Connect):
    server = await serve([KEY_REFUSED], [ANSWER])
    client = connect(server)
    other = client.with_options(timeout=60)
    for each in (other, client):
        with pytest.raises(AuthenticationError):
            await ask(each)
    assert len(server.requests) == 1
    client.reset()
    assert await said_by(other, stream=False) == "Hello"


async def test_what_was_warned_of_once_is_not_said_again_by_the_other(serve: Serve, connect: Connect):
    client = connect(await serve([ANSWER]))
    with pytest.warns(RequestLintWarning):
        await ask(client, temperature=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await ask(client.with_options(timeout=60), temperature=3)
        await ask(client.with_options(lint="fix"), temperature=3)
        await ask(client.with_options(lint="off"), temperature=3)
    with pytest.raises(InvalidRequestError, match=r"temperature"):
        await ask(client.with_options(lint="error"), temperature=3)


@pytest.mark.parametrize("wrong", [{"lint": "loud"}, {"timeout": -1}, {"timeout": "5"}, {"retry": 0}, {"retry": "x"}])
def test_a_wrong_option_is_named(wrong: dict):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        AsyncDeepSeek(api_key=CANARY).with_options(**wrong)


@pytest.mark.parametrize("closed", ["first", "other"])
async def test_closing_either_closes_both(serve: Serve, connect: Connect, closed: str):
    server = await serve([ANSWER])
    client = connect(server)
    other = client.with_options(timeout=60)
    await ask(client)
    async with client if closed == "first" else other:
        pass
    for each in (client, other, client.with_options(timeout=5)):
        with pytest.raises(ConfigurationError, match=r"closed"):
            await ask(each)
    await server.idle.wait()


async def test_what_a_subclass_adds_is_there_too():
    class Labelled(AsyncDeepSeek):
        def __init__(self, label: str) -> None:
            super().__init__(api_key=CANARY)
            self.label = label

    other = Labelled("mine").with_options(timeout=5)
    assert (type(other), other.label) == (Labelled, "mine")
