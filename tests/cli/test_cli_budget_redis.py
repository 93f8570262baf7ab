"""``deepseek-async budget`` where the budget is kept in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from command_line import KEY, CommandLine
from support.redis_server import RedisServer

from deepseek_async.admission.budget.store import Spending
from deepseek_async.admission.budget.store_redis import RedisStore
from deepseek_async.configuration.credential import ApiKey

DAY = "2026-11-28"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path) as server:
        store = RedisStore(server.url, ApiKey(KEY).fingerprint())
        spending = {("deepseek-flash", "summaries"): Spending(3, 2_000_000_000)}
        store.report(DAY, allotted=5_000_000_000, spent=2_500_000_000, spending=spending)
        store.close()
        yield server


async def test_what_the_account_of_the_key_spent_is_shown(command: CommandLine, server: RedisServer):
    command.environment["DEEPSEEK_ASYNC_SHARED"] = server.url
    shown = await command.run("budget", "--day", DAY)
    assert [line.split() for line in shown.out.splitlines()] == [
        ["model", "tag", "calls", "$"],
        ["deepseek-flash", "summaries", "3", "2.000000"],
        ["unattributed", "0.500000"],
        [f"{DAY},", "total", "3", "2.500000"],
        ["reserved", "for", "calls", "in", "flight", "2.500000"],
    ]


async def test_another_account_is_named(command: CommandLine, server: RedisServer):
    shown = await command.run("budget", "--day", DAY, "--shared", server.url, "--account", "research")
    assert (shown.code, shown.out) == (2, "")
    assert f"no budget of this account on {DAY} in {server.url}: name another account with --account" in shown.err


async def test_a_file_that_is_named_is_looked_into_all_the_same(command: CommandLine, server: RedisServer):
    command.environment["DEEPSEEK_ASYNC_SHARED"] = server.url
    shown = await command.run("budget", "nothing.sqlite")
    assert (shown.code, shown.err) == (2, "error: no budget file at nothing.sqlite\n")


async def test_a_redis_that_is_not_there_is_said_without_its_password(command: CommandLine, server: RedisServer):
    await server.kill()
    shown = await command.run("budget", "--shared", server.url.replace("://", "://:canary-9137@"))
    assert (shown.code, shown.out) == (2, "")
    assert f"cannot use the budget in {server.url}" in shown.err
    assert "canary-9137" not in shown.err
