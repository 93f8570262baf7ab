"""The conformance checks hold for every transport there is, and a client works over one of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from aioresponses import aioresponses
from plain_transport import PlainTransport
from support.servers import Serve, response
from support.waiting import settled

from deepseek_async import AsyncDeepSeek, ConfigurationError
from deepseek_async.configuration.credential import ApiKey
from deepseek_async.errors import APIConnectionError
from deepseek_async.transport.conformance import CHECKS, check_transport
from deepseek_async.transport.pool import Pool
from deepseek_async.transport.protocol import HTTPRequest, HTTPResponse, Transport, TransportOptions
from deepseek_async.transport.session import Session
from deepseek_async.transport.watchdog import Watchdog

ANSWER = b'{"id":"1","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Hello"}}]}'


def over(kind: type[Pool | Session]) -> Callable[[TransportOptions], Transport]:
    def make(options: TransportOptions) -> Transport:
        key = ApiKey(options.headers["Authorization"].removeprefix("Bearer "))
        return kind(options.base_url, key, limit=options.connections)

    return make


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.strip("_"))
@pytest.mark.parametrize(
    "make", [over(Pool), over(Session), PlainTransport], ids=["pool", "aiohttp's session", "of one's own"]
)
async def test_every_transport_keeps_every_promise(make: Any, check: Any):
    await check(make)


class Swallowing(PlainTransport):
    """Reports a dropped connection as an error of Python's own."""

    async def send(self, outgoing: HTTPRequest, watchdog: Watchdog, *, fresh: bool = False) -> HTTPResponse:
        try:
            return await super().send(outgoing, watchdog, fresh=fresh)
        except APIConnectionError as error:
            raise OSError("gone") from error


class Deaf(PlainTransport):
    """Sends no headers of the client's."""

    def __init__(self, options: TransportOptions) -> None:
        super().__init__(TransportOptions(base_url=options.base_url, headers={}, connections=1))


@pytest.mark.parametrize(
    ("make", "promise"),
    [
        (Swallowing, "a refused connection must raise a retryable APIConnectionError"),
        (Deaf, "the headers of TransportOptions must be sent exactly once"),
    ],
)
async def test_a_broken_promise_is_named(make: Any, promise: str):
    with pytest.raises(AssertionError, match=promise):
        await check_transport(make)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_works_over_a_transport_of_the_users_own(serve: Serve, stream: bool):
    chunk = b'{"id":"1","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":"stop"}]}'
    events = b"data: " + chunk + b"\n\ndata: [DONE]\n\n"
    server = await serve([response(events if stream else ANSWER)])
    made: list[TransportOptions] = []

    def make(options: TransportOptions) -> PlainTransport:
        made.append(options)
        return PlainTransport(options)

    async with AsyncDeepSeek(api_key="sk-conformance-0123456789", base_url=server.url, transport=make) as client:
        messages: list[Mapping[str, Any]] = [{"role": "user", "content": "Hi"}]
        done = await client.chat.completions.create(model="deepseek-flash", messages=messages, stream=stream)
        if stream:
            async for _ in done:
                pass
            done = done.completion
        assert done.choices[0].message.content == "Hello"

    (options,) = made
    assert options.base_url == server.url
    assert options.headers["Authorization"] == "Bearer sk-conformance-0123456789"
    assert "sk-conformance" not in repr(options) + str(options.headers)


@pytest.mark.parametrize("given", [5, "aiohttp", Pool.__new__(Pool)])
def test_a_transport_that_cannot_be_made_is_refused_at_once(given: Any):
    with pytest.raises(ConfigurationError, match="transport must be a callable"):
        AsyncDeepSeek(api_key="sk-test", transport=given)


async def test_what_is_made_has_to_be_a_transport(serve: Serve):
    server = await serve([response(ANSWER)])
    with pytest.raises(ConfigurationError, match="an object with send and aclose, got int"):
        await AsyncDeepSeek(api_key="sk-test", base_url=server.url, transport=lambda _: 5).__aenter__()  # type: ignore[arg-type, return-value]


async def test_whoever_has_replaced_aiohttps_requests_when_the_client_opens_sees_every_request(serve: Serve):
    server = await serve([response(ANSWER)])
    with aioresponses() as mocked:
        async with AsyncDeepSeek(api_key="sk-test", base_url=server.url) as client:
            mocked.post(f"{server.url}/chat/completions", body=ANSWER.replace(b"Hello", b"mocked"))
            done = await client.chat.completions.create(
                model="deepseek-flash", messages=[{"role": "user", "content": "Hi"}]
            )
            assert done.choices[0].message.content == "mocked"
    await settled()
    assert not server.requests
