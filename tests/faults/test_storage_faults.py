"""Rows R5 and R6: the cache's Redis or file fails under a working client, and no caller notices."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from clients import Connect
from redis_server import RedisServer, requests_to_redis
from servers import ANSWER, ScriptedServer, Serve

from deepseek_async import AsyncDeepSeek, Cache

EVERY = {"only_deterministic": False}


async def ask(client: AsyncDeepSeek, prompt: str) -> None:
    """A call, which must succeed."""
    messages = [{"role": "user", "content": prompt}]
    done = await client.chat.completions.create(model="deepseek-flash", messages=messages)
    assert done.choices[0].message.content == "Hello"


async def ask_on(client: AsyncDeepSeek, server: ScriptedServer, number: int = 40) -> None:
    """Calls in a row, each answered by the server."""
    before = len(server.requests)
    for turn in range(number):
        await ask(client, f"question {before + turn}")
    assert len(server.requests) == before + number


@pytest.mark.parametrize("when", ["at the start", "in mid-run", "stopped in mid-run"])
async def test_r5_a_redis_that_fails_is_left_alone(
    serve: Serve, connect: Connect, tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch
):
    server = await serve([ANSWER])
    async with RedisServer(tmp_path) as redis:
        client = connect(server, cache=Cache(redis=redis.url, **EVERY))
        if when == "at the start":
            await redis.kill()
        else:
            await ask(client, "first")
            if when == "in mid-run":
                await redis.kill()
            else:
                redis.stop()
        requests = requests_to_redis(monkeypatch)
        await ask_on(client, server)
        assert len(requests) <= 2, "the storing of the first answer and one call wait for the failure, no other does"
        if when == "stopped in mid-run":
            redis.go_on()
        # What is in memory is served all the same.
        answered = len(server.requests)
        await ask(client, f"question {answered - 1}")
        assert len(server.requests) == answered
        await client.aclose()


def flip(path: Path) -> None:
    """All but the first page, which says whose the file is."""
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(byte ^ 0x55 for byte in data[4096:]))


def not_ours(path: Path) -> None:
    path.write_bytes(b"the only copy of a thesis\n" * 1000)


def another_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def in_the_way(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [flip, another_version, cut_off, in_the_way, not_ours])
async def test_r6_a_cache_file_that_cannot_be_used_stops_no_call(
    serve: Serve,
    connect: Connect,
    tmp_path: Path,
    spoil: Callable[[Path], None],
):
    path = tmp_path / "answers.sqlite"
    server = await serve([ANSWER])
    first = connect(server, cache=Cache(path=path, **EVERY))
    for number in range(20):
        await ask(first, str(number))
    await first.aclose()
    spoil(path)
    again = connect(server, cache=Cache(path=path, **EVERY))
    for number in range(20):
        await ask(again, str(number))
    await again.aclose()
    if spoil in {in_the_way, not_ours}:
        assert not path.with_name("answers.sqlite.damaged").exists()
        return
    assert path.with_name("answers.sqlite.damaged").exists()
    asked = len(server.requests)
    third = connect(server, cache=Cache(path=path, **EVERY))
    for number in range(20):
        await ask(third, str(number))
    assert len(server.requests) - asked <= 1, "a new file was begun, and holds what was asked since"
    await third.aclose()
