"""The client and the event loops it is used on."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
from pathlib import Path

import pytest
from limited_server import LimitedServer
from support.clients import Connect, ask
from support.servers import ANSWER, CANARY, KEY_REFUSED, ScriptedServer, Serve, begun, said, streamed

from deepseek_async import AsyncDeepSeek, AuthenticationError, ConfigurationError
from deepseek_async.admission.limit_factory import LimitFactory

MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def served():
    """A scripted server on a loop and a thread of its own, for tests that run event loops themselves."""
    started = threading.Event()
    ended = asyncio.Event()
    found: list[ScriptedServer] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with ScriptedServer([[ANSWER]]) as server:
            found.append(server)
            started.set()
            await ended.wait()

    def run() -> None:
        # In one go: while a loop is not running, time passes for the others that wait for what it should do.
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve())

    thread = threading.Thread(target=run)
    thread.start()
    started.wait(120)
    yield found[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join(120)
    loop.close()


def test_one_client_serves_two_event_loops_one_after_the_other(served: ScriptedServer):
    client = AsyncDeepSeek(api_key=CANARY, base_url=served.url)

    async def ask() -> str | None:
        done = await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES)
        return done.choices[0].message.content

    assert asyncio.run(ask()) == "Hello"
    assert asyncio.run(ask()) == "Hello"
    asyncio.run(client.aclose())
    gc.collect()
    assert len(served.requests) == 2


def test_so_does_its_pool_for_another_server(served: ScriptedServer):
    client = AsyncDeepSeek(api_key=CANARY, base_url=served.url, endpoints={"completions": f"{served.url}/other"})

    async def ask() -> str:
        return (await client.completions.create(model="deepseek-flash", prompt="Hi")).choices[0].finish_reason or ""

    assert asyncio.run(ask()) == "stop"
    assert asyncio.run(ask()) == "stop"
    asyncio.run(client.aclose())
    gc.collect()
    assert len(served.requests) == 2


def test_a_client_in_use_on_one_loop_refuses_another(served: ScriptedServer):
    client = AsyncDeepSeek(api_key=CANARY, base_url=served.url)

    async def ask() -> None:
        await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES)

    async def ask_here_and_there() -> None:
        await ask()
        with pytest.raises(ConfigurationError, match="another running event loop"):
            await asyncio.to_thread(asyncio.run, ask())
        await ask()
        await client.aclose()

    asyncio.run(ask_here_and_there())
    assert len(served.requests) == 2


async def test_making_a_client_opens_nothing():
    client = AsyncDeepSeek(api_key=CANARY)
    assert "not yet used" in repr(client)
    await client.aclose()


async def test_a_client_is_not_pickled():
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(AsyncDeepSeek(api_key=CANARY))


async def test_closing_right_after_a_stream_leaves_no_connection(serve: Serve, connect: Connect):
    """The last bytes of the body may never come; the connection is not left to the garbage collector."""
    server = await serve([*streamed("Hello")[:1]], [begun(said("x"))])
    client = connect(server)
    async with await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES, stream=True) as stream:
        async for _ in stream:
            pass
    await client.aclose()
    gc.collect()
    async with asyncio.timeout(120):
        await server.idle.wait()


async def test_a_client_without_a_key_says_what_to_set():
    with pytest.raises(ConfigurationError, match="DEEPSEEK_API_KEY"):
        AsyncDeepSeek()


async def test_clients_of_one_account_share_its_limits(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    one = connect(server, account="mine", max_concurrency=5)
    other = connect(server, account="mine", max_concurrency=5, api_key="sk-another-key-of-the-account")
    stranger = connect(server, max_concurrency=5)
    assert (
        one._context.caller().account_limiter
        is other._context.caller().account_limiter
        is not stranger._context.caller().account_limiter
    )
    await one.aclose()
    assert (await ask(other)).choices[0].message.content == "Hello"
    await other.aclose()
    assert connect(server, account="mine", max_concurrency=5)._context.caller().account_limiter is not other


async def test_a_key_that_is_refused_does_not_stop_the_other_key_of_the_account(serve: Serve, connect: Connect):
    server = await serve([KEY_REFUSED], [ANSWER])
    one, other = (connect(server, account="mine", api_key=key) for key in ("sk-revoked-key-1234", "sk-valid-key-1234"))
    other._context.caller()
    with pytest.raises(AuthenticationError):
        await ask(one)
    await ask(other)


async def test_the_limit_that_was_named_is_what_the_next_client_remembers(
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("DEEPSEEK_ASYNC_CACHE_DIR", str(tmp_path))
    async with LimitedServer(20, lambda: 0.05) as server:
        client = connect(server.url)
        assert all([result.ok async for result in client.batch.map([f"p{number}" for number in range(100)])])
        await client.aclose()
        account_limiter = connect(server.url)._context.caller().account_limiter
        assert isinstance(account_limiter.windows, LimitFactory)
        assert account_limiter.windows.remembered("deepseek-flash") == 20
        assert account_limiter.limiter("deepseek-flash").window.size < 20
