"""The group in Redis: a real redis-server that is there, is not, says no, and comes back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from support.clients import Connect, said_by
from support.disclosure import everything_shown_by
from support.redis_server import RedisServer
from support.servers import ANSWER, Serve
from support.waiting import until

from deepseek_async import AsyncDeepSeek, ConfigurationError
from deepseek_async.admission.sharing import group_redis
from deepseek_async.admission.sharing.group_redis import RedisGroup
from deepseek_async.admission.sharing.heartbeat import Heartbeat, Reply

MODEL = "deepseek-flash"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer than a second."""
    monkeypatch.setattr(group_redis, "_PATIENCE", 60.0)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
async def made() -> AsyncIterator[Any]:
    groups: list[RedisGroup] = []

    def make(url: str, account: str = "account") -> RedisGroup:
        groups.append(RedisGroup(url, account))
        return groups[-1]

    yield make
    for group in groups:
        await group.aclose()


def beat(group: RedisGroup, member: str = "a", *, model: str = MODEL, **told: Any) -> Awaitable[Reply | None]:
    answer: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
    told = {"bulk": 100, "window": 60, "ceiling": 60} | told
    group.exchange(model, Heartbeat(member=member, **told), answer.set_result)
    return answer


async def asked(server: RedisServer, *command: str | int) -> Any:
    client = redis.asyncio.Redis.from_url(server.url)
    try:
        return await client.execute_command(*command)
    finally:
        await client.aclose()


async def test_processes_that_name_the_same_account_find_each_other(server: RedisServer, made):
    assert (await beat(made(server.url), "a")).members == 1
    assert (await beat(made(server.url), "b")).members == 2


async def test_accounts_and_models_do_not_meet(server: RedisServer, made):
    await beat(made(server.url), "a")
    assert (await beat(made(server.url, "another"), "b")).members == 1
    assert (await beat(made(server.url), "b", model="deepseek-v4-pro")).members == 1


async def test_neither_account_nor_model_is_named_in_redis(server: RedisServer, made):
    await beat(made(server.url, "sk-account"), "a")
    (name,) = await asked(server, "KEYS", "*")
    fields = await asked(server, "HGETALL", name.decode())
    everything = name + repr(fields).encode()
    assert name.startswith(b"deepseek-async:group:1:")
    assert b"sk-account" not in everything
    assert MODEL.encode() not in everything


async def test_who_leaves_is_forgotten_at_once(server: RedisServer, made):
    first, second = made(server.url), made(server.url)
    await beat(first, "a")
    await beat(second, "b")
    first.leave(MODEL, "a")
    await first.aclose()
    assert (await beat(second, "b")).members == 1


async def test_a_redis_that_is_gone_is_said_once_and_again_when_it_is_back(server: RedisServer, made, caplog):
    group = made(server.url)
    await beat(group)
    await server.kill()
    assert [await beat(group), await beat(group)] == [None, None]
    await server.start()
    assert (await beat(group, share=30)).share == 30
    assert [record.getMessage().partition(" redis")[0] for record in caplog.records] == [
        "cannot share limits through",
        "limits shared through",
    ]


async def test_a_redis_that_is_emptied_is_told_again(server: RedisServer, made, caplog):
    group = made(server.url)
    await beat(group)
    await asked(server, "FLUSHALL")
    await asked(server, "SCRIPT", "FLUSH")
    reply = await beat(group, "b", share=20)
    assert (reply.members, reply.share, reply.window) == (1, 20, 60)
    assert not caplog.records


async def test_a_redis_that_stands_still_is_not_waited_for(server: RedisServer, made, caplog, monkeypatch):
    group = made(server.url)
    await beat(group)
    monkeypatch.setattr(group_redis, "_PATIENCE", 0.05)
    server.stop()
    assert await beat(group) is None
    monkeypatch.setattr(group_redis, "_PATIENCE", 60.0)
    before = time.monotonic()
    group.leave(MODEL, "a")
    await group.aclose()
    assert time.monotonic() - before < 30
    server.go_on()
    assert "no answer in 0.05 s" in caplog.text


async def test_a_redis_that_may_not_be_written_is_said(server: RedisServer, made, caplog):
    group = made(server.url)
    await asked(server, "REPLICAOF", "127.0.0.1", "1")
    assert await beat(group) is None
    await asked(server, "REPLICAOF", "NO", "ONE")
    assert await beat(group) is not None
    assert len(caplog.records) == 2


async def test_a_redis_that_is_full_is_said(server: RedisServer, made, caplog):
    await asked(server, "CONFIG", "SET", "maxmemory", "1")
    assert await beat(made(server.url)) is None
    assert "OOM" in caplog.text.upper() or "memory" in caplog.text


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("", "add the password"),
        (":wrong-canary-9137@", "correct the user or password in the URL"),
        ("reader:reader-canary-9137@", "ACL SETUSER"),
    ],
)
async def test_a_password_that_is_wrong_is_said_with_what_to_do(
    server: RedisServer, made, caplog, user: str, said: str
):
    await asked(server, "ACL", "SETUSER", "reader", "on", ">reader-canary-9137", "~*", "-@all", "+ping")
    await asked(server, "CONFIG", "SET", "requirepass", "right-canary-9137")
    caplog.set_level(logging.DEBUG)
    assert await beat(made(server.url.replace("://", f"://{user}"))) is None
    assert said in caplog.text
    assert "canary-9137" not in caplog.text


async def test_a_host_that_refuses_is_said(server: RedisServer, made, caplog):
    await server.kill()
    assert await beat(made(server.url)) is None
    assert "refused" in caplog.text.lower() or "Connect call failed" in caplog.text


async def test_a_redis_that_speaks_no_tls_is_said(server: RedisServer, made, caplog, monkeypatch):
    # Redis waits for the end of a line, which a handshake does not have: no patience would be enough.
    monkeypatch.setattr(group_redis, "_PATIENCE", 1.0)
    assert await beat(made(server.url.replace("redis://", "rediss://"))) is None
    assert len(caplog.records) == 1


URL = "redis://user:canary-9137%2Fx@127.0.0.1:6379/0"


def test_a_url_shows_no_password():
    client = AsyncDeepSeek(api_key="sk-canary0123456789abcdefTAIL", shared=URL)
    shown = f"{client!r} {client.settings!r} {vars(client)!r} {client.statistics()!r}"
    assert "canary-9137" not in shown


async def test_clients_with_a_number_share_on_this_machine_too_and_leave_when_they_close(
    server: RedisServer, serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(group_redis, "_FAREWELL", 60.0)
    scripted = await serve([ANSWER], [ANSWER])
    clients = [connect(scripted, max_concurrency=8, shared=server.url, account=name) for name in ("one", "one")]
    await said_by(clients[0], stream=False)
    (account_limiter,) = {client._context.caller().account_limiter for client in clients}
    membership = account_limiter.limiter("deepseek-flash").membership
    assert membership is not None
    await until(lambda: membership.where == "redis")
    assert await asked(server, "KEYS", "*")
    for client in clients:
        await client.aclose()
    (name,) = await asked(server, "KEYS", "*")
    assert await asked(server, "HLEN", name.decode()) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://user:canary-9137@127.0.0.1", "redis://HOST"),
        ("redis://user:canary-9137@127.0.0.1:no/0", "invalid host or port"),
        ("redis://user:canary-9137#@127.0.0.1/0", "%23"),
        ("redis://user:canary-9137/@127.0.0.1/0", "%2F"),
        ("redis://:canary-9137@/0", "the host is missing"),
        ("redis://:canary-9137@127.0.0.1/first", "the path must be a database number"),
        ("redis://:canary-9137@127.0.0.1/0?socket_timeout=soon", "socket_timeout"),
        ("unix://:canary-9137@", "the path of the socket is missing"),
        ("elsewhere", "elsewhere"),
    ],
)
@pytest.mark.parametrize("how", ["argument", "variable"])
def test_a_url_that_is_wrong_is_said_when_the_client_is_made(url: str, said: str, how: str, monkeypatch):
    if how == "variable":
        monkeypatch.setenv("DEEPSEEK_ASYNC_SHARED", url)
    with pytest.raises(ConfigurationError, match=r"^(shared|DEEPSEEK_ASYNC_SHARED) ") as caught:
        AsyncDeepSeek(api_key="sk-canary0123456789abcdefTAIL", shared=url if how == "argument" else None)
    assert said in str(caught.value)
    assert "canary-9137" not in everything_shown_by(caught.value)
