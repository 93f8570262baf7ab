"""Families of endpoints on other servers: where requests go, and above all where the key does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.clients import Connect
from support.servers import CANARY, KEY_REFUSED, SILENCE, Serve, response
from support.waiting import until

from deepseek_async import AsyncDeepSeek, AuthenticationError, ConfigurationError, Endpoint

TEXT = response({"choices": [{"index": 0, "text": "x", "finish_reason": "stop"}]})
MODELS = response({"data": []})
OTHER_KEY = "sk-other-server-0123456789"


async def ask(client: AsyncDeepSeek, **parameters: Any) -> None:
    await client.completions.create(model="m", prompt="p", **parameters)


async def test_the_key_does_not_go_to_another_origin(serve: Serve, connect: Connect):
    home, other = await serve([MODELS]), await serve([TEXT])
    client = connect(home, endpoints={"completions": other.url}, default_headers={"X-Gateway": "secret"})
    await ask(client)
    await client.models.list()
    assert CANARY.encode() not in other.requests[0].head
    assert (other.requests[0].header("authorization"), other.requests[0].header("x-gateway")) == (None, None)
    assert home.requests[0].header("authorization") == f"Bearer {CANARY}"
    assert home.requests[0].header("x-gateway") == "secret"


async def test_another_server_gets_the_key_that_is_its_own(serve: Serve, connect: Connect):
    home, other = await serve([MODELS]), await serve([TEXT])
    await ask(connect(home, endpoints={"completions": Endpoint(other.url, OTHER_KEY)}))
    assert other.requests[0].header("authorization") == f"Bearer {OTHER_KEY}"


async def test_another_path_of_the_same_origin_gets_the_clients_key(serve: Serve, connect: Connect):
    home = await serve([TEXT])
    client = connect(home, endpoints={"completions": f"{home.url}/elsewhere"}, default_headers={"X-Gateway": "secret"})
    await ask(client)
    assert home.requests[0].path == "/elsewhere/completions"
    assert home.requests[0].header("authorization") == f"Bearer {CANARY}"
    assert home.requests[0].header("x-gateway") == "secret"
    assert client._context.caller_of("completions").account_limiter is client._context.caller().account_limiter


async def test_another_server_has_its_own_places(serve: Serve, connect: Connect):
    home, other = await serve([SILENCE]), await serve([TEXT])
    client = connect(home, endpoints={"completions": other.url}, max_concurrency=1)
    held = asyncio.ensure_future(client.models.list())
    await home.arrived.wait()
    await ask(client)
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held


async def test_families_of_one_server_share_its_connections(serve: Serve, connect: Connect):
    home, other = await serve([MODELS]), await serve([TEXT])
    client = connect(home, endpoints={"completions": other.url, "embeddings": f"{other.url}/"})
    assert client._context.caller_of("completions") is client._context.caller_of("embeddings")
    assert client._context.caller_of("images") is client._context.caller()


async def test_statistics_gauges_and_reset_are_of_every_server(serve: Serve, connect: Connect):
    home, other = await serve([MODELS]), await serve([KEY_REFUSED], [SILENCE])
    client = connect(home, endpoints={"completions": other.url, "embeddings": f"{home.url}/v2"}, breaker=True)
    client._context.caller_of("embeddings")
    with pytest.raises(AuthenticationError):
        await ask(client)
    at_home, elsewhere = sorted(client.statistics().endpoints, key=lambda each: each.base_url == other.url)
    assert (at_home.stopped_by, elsewhere.base_url) == (None, other.url)
    assert "Authentication Fails" in str(elsewhere.stopped_by)
    client.reset()
    held = asyncio.ensure_future(ask(client))
    await until(lambda: len(other.requests) == 2)
    assert client.statistics().endpoints[-1].in_flight == client.snapshot().in_flight == 1
    assert client.snapshot().breaker_state == {"m": 0}
    held.cancel()
    with pytest.raises(asyncio.CancelledError):
        await held


async def test_closing_the_client_closes_the_connections_to_all(serve: Serve, connect: Connect):
    home, other = await serve([MODELS]), await serve([TEXT])
    client = connect(home, endpoints={"completions": other.url})
    await ask(client)
    await client.aclose()
    await other.idle.wait()
    with pytest.raises(ConfigurationError, match="closed"):
        await ask(client)


@pytest.mark.parametrize(
    ("endpoints", "said"),
    [
        ({"chat": "https://x.invalid"}, r"endpoints\['chat'\].*embeddings"),
        ({"embeddings": "nonsense"}, r"endpoints\['embeddings'\].*full URL"),
        ({"embeddings": "http://x.invalid"}, "must be https"),
        ({"embeddings": f"https://user:{CANARY}@x.invalid"}, "user name or password"),
        ({"embeddings": Endpoint("https://x.invalid?q=1")}, "query"),
        ({"embeddings": 7}, "URL or an Endpoint"),
        ({"embeddings": Endpoint(None)}, "URL or an Endpoint"),
    ],
)
def test_a_wrong_endpoint_is_named(endpoints: dict, said: str):
    with pytest.raises(ConfigurationError, match=said) as caught:
        AsyncDeepSeek(api_key=CANARY, endpoints=endpoints)
    assert CANARY not in str(caught.value)


def test_an_endpoint_shows_neither_its_key_nor_a_password():
    shown = repr(Endpoint(f"https://me:{CANARY}@x.invalid", CANARY)) + repr({"a": Endpoint("https://x", CANARY)})
    assert CANARY not in shown
    assert "0123456789abcdef" not in shown
    assert Endpoint("https://x") == Endpoint("https://x")
    assert Endpoint("https://x") != "https://x"
    with pytest.raises(ConfigurationError):
        Endpoint("https://x", " ")
