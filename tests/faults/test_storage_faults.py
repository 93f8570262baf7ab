"""Rows R5 and R6: the cache's Redis or file fails under a working client, and no caller notices.

And the law of every file that is appended to: what the disk does not take is said, nobody waits for it, and what comes
when there is room again is written whole.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support.clients import Connect
from support.redis_server import RedisServer, requests_to_redis
from support.servers import ANSWER, ScriptedServer, Serve

from deepseek_async import AsyncDeepSeek, Budget, Cache, ConfigurationError
from deepseek_async.admission.budget import store_file
from deepseek_async.cache import disk
from deepseek_async.cache.disk import DiskTier
from deepseek_async.cache.entry import Entry
from deepseek_async.events import CallEnded
from deepseek_async.files import sqlite_file
from deepseek_async.labels import Labels, labelled
from deepseek_async.observe.audit import AuditLog, files
from deepseek_async.observe.audit.query import Query, lines

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


FULL = sqlite3.OperationalError("database or disk is full")
FAULTS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EROFS": errno.EROFS}


class FailingConnection(sqlite_file.SQLiteConnection):
    """Fails at each statement that begins with one of ``failing``."""

    failing: tuple[str, ...] = ()

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self._fail_at(sql)
        return super().execute(sql, *parameters)

    def executemany(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        self._fail_at(sql)
        return super().executemany(sql, *parameters)

    def _fail_at(self, sql: str) -> None:
        if FailingConnection.failing and sql.startswith(FailingConnection.failing):
            raise FULL


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FailingConnection]]:
    """Every database is one that fails where it is told to."""
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *place, **how: connect(*place, **{**how, "factory": FailingConnection})
    )
    monkeypatch.setattr(FailingConnection, "failing", ())
    yield FailingConnection
    FailingConnection.failing = ()


STATEMENTS = ["BEGIN", "INSERT", "COMMIT"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("statement", STATEMENTS)
def test_nobody_waits_for_a_cache_whose_disk_is_full(
    tmp_path: Path, failing: type[FailingConnection], monkeypatch: pytest.MonkeyPatch, statement: str
):
    # What waits for the disk and what is asked of it go to the writer together.
    monkeypatch.setattr(disk, "_BATCH_SECONDS", 30.0)
    tier = DiskTier(tmp_path / "answers.sqlite", max_bytes=2**30, keep_seconds=3600.0)
    tier.put(b"before", Entry(b"{}", 1e12))
    tier.flush()
    failing.failing = (statement,)
    tier.put(b"lost", Entry(b"{}", 1e12))
    tier.flush()
    failing.failing = ()
    tier.clear()
    tier.close()
    again = DiskTier(tmp_path / "answers.sqlite", max_bytes=2**30, keep_seconds=3600.0)
    again.put(b"after", Entry(b"{}", 1e12))
    again.flush()
    assert [again.get(key) is not None for key in (b"before", b"lost", b"after")] == [False, False, True]
    again.close()


@pytest.mark.timeout(60)
def test_nobody_waits_for_a_cache_whose_writer_met_what_nobody_thought_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tier = DiskTier(tmp_path / "answers.sqlite", max_bytes=2**30, keep_seconds=3600.0)
    tier.flush()
    monkeypatch.setattr(Entry, "packed", lambda *_: 1 / 0)
    tier.put(b"lost", Entry(b"{}", 1e12))
    tier.flush()
    tier.clear()
    tier.close()


async def test_clearing_a_cache_says_so_if_answers_are_still_there(tmp_path: Path, failing: type[FailingConnection]):
    cache = Cache(path=tmp_path / "answers.sqlite", **EVERY)
    cache.keep(b"k", b"{}")
    failing.failing = ("DELETE FROM entries",)
    with pytest.raises(OSError, match=r"cannot clear cache .*answers\.sqlite: .*full.*delete the file"):
        await cache.clear()
    failing.failing = ()
    await cache.clear()
    assert await cache.find(b"k") is None
    await cache.aclose()


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_a_budget_that_could_not_be_written_is_written_when_there_is_room(
    tmp_path: Path, failing: type[FailingConnection], statement: str, serve: Serve, connect: Connect
):
    server = await serve([ANSWER])
    budget = Budget(1.0, path=tmp_path / "budget.sqlite")
    client = connect(server, budget=budget)
    await ask(client, "first")
    failing.failing = (statement,)
    await budget.flush()
    failing.failing = ()
    await ask(client, "second")
    assert [item.calls for item in (await budget.spending()).values()] == [2]
    # Nothing is held open: another process may write.
    other = Budget(1.0, path=tmp_path / "budget.sqlite")
    assert [item.calls for item in (await other.spending()).values()] == [2]
    await client.aclose()
    await other.aclose()
    await budget.aclose()


async def test_a_budget_that_another_program_looks_at_is_not_locked_by_it_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve, connect: Connect
):
    monkeypatch.setattr(store_file, "_WAIT", 0.0)
    server = await serve([ANSWER])
    budget = Budget(1.0, path=tmp_path / "budget.sqlite")
    client = connect(server, budget=budget)
    await ask(client, "first")
    await budget.flush()
    looking = sqlite3.connect(tmp_path / "budget.sqlite", isolation_level=None)
    looking.execute("BEGIN")
    looking.execute("SELECT * FROM spending").fetchall()

    async def use_up_what_was_taken_ahead() -> None:
        for number in count():
            await ask(client, f"question {number}")

    with pytest.raises(ConfigurationError, match=r"cannot use the budget .*: database is locked"):
        await use_up_what_was_taken_ahead()
    await budget.flush()
    looking.close()
    await ask(client, "last")
    assert [item.calls for item in (await budget.spending()).values()] == [len(server.requests)]
    await client.aclose()
    await budget.aclose()


class FailingSystem:
    """``os`` whose ``write`` takes ``room`` bytes more and then fails; ``close`` fails when it is told to."""

    def __init__(self, fault: int) -> None:
        self.room: int | None = None
        self.closes = True
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, descriptor: int, data: memoryview) -> int:
        if self.room is None:
            return os.write(descriptor, data)
        if not self.room:
            raise OSError(self._fault, os.strerror(self._fault))
        taken = os.write(descriptor, data[: self.room])
        self.room -= taken
        return taken

    def close(self, descriptor: int) -> None:
        os.close(descriptor)
        if not self.closes:
            raise OSError(self._fault, os.strerror(self._fault))


def call_of(number: int, **facts: Any) -> CallEnded:
    common = {"operation": "chat", "origin": "http://127.0.0.1", "model": "deepseek-flash", "outcome": "ok"}
    told = {"request": b"{}", "started": 1e9, "duration": 1.0, "labels": Labels(), "response_id": f"{number}"}
    return CallEnded(**{**common, **told, **facts})


@pytest.mark.parametrize("closes", [True, False], ids=["closes", "fails to close too"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("room", [0, 1, 40, 400, 1000])
def test_an_audit_line_is_never_glued_to_one_that_a_full_disk_has_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, room: int, closes: bool
):
    system = FailingSystem(FAULTS[fault])
    monkeypatch.setattr(files, "os", system)
    log = AuditLog(tmp_path)
    log(call_of(0))
    assert log.flush()
    system.room, system.closes = room, closes
    for number in range(1, 4):
        log(call_of(number))
    assert log.flush()
    system.room, system.closes = None, True
    other = AuditLog(tmp_path)  # another process, which finds the torn line
    for number in range(4, 6):
        (log if number == 5 else other)(call_of(number))
        assert log.flush()
        assert other.flush()
    found = [int(line["response_id"]) for line in lines(tmp_path, Query())]
    assert [found[0], *found[-2:]] == [0, 4, 5]
    assert len(found) == 6 - log.dropped, "what was not written is counted, and nothing else"
    log.close()
    other.close()


def test_an_audit_log_whose_old_days_cannot_be_deleted_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(path: Path, **_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    log = AuditLog(tmp_path)
    log(call_of(0))
    assert log.flush()
    log.close()
    next(tmp_path.iterdir()).rename(tmp_path / "audit-2000-01-01.jsonl")
    monkeypatch.setattr(Path, "unlink", refuse)
    log(call_of(1))
    assert log.flush()
    assert log.dropped == 0
    assert [line["response_id"] for line in lines(tmp_path, Query())] == ["0", "1"]
    log.close()


HALVES = ["\ud83d", "half \ud83d of one", "\udcff", "\udc00\ud800", "whole \U0001f389 and half \ude00"]
"""Texts that UTF-8 cannot carry: emoji that were cut in two, and names of files that are no UTF-8."""


@pytest.mark.parametrize("half", HALVES)
async def test_a_text_that_utf8_cannot_carry_costs_no_line_no_spending_and_no_scrape(
    tmp_path: Path, half: str, serve: Serve, connect: Connect
):
    metrics = pytest.importorskip("deepseek_async.observe.metrics").Metrics()
    server = await serve([ANSWER])
    budget = Budget(1.0, path=tmp_path / "budget.sqlite")
    log = AuditLog(tmp_path / "audit", content=True)
    client = connect(server, budget=budget, listeners=[log, metrics])
    with labelled(tag=half, prompt_version=half, conversation=half):
        await ask(client, "first")
        client.feedback(half, 1.0)
    asked = json.dumps({"input": half, "user_id": half, "model": half}).encode()
    for facts in (
        {"served_model": half, "request_id": half, "finish_reason": half, "response_id": half},
        {"answer": half, "request": asked},
    ):
        log(call_of(1, **facts))
        metrics(call_of(1, **facts))
    assert log.flush()
    assert log.dropped == 0
    assert len(list(lines(tmp_path / "audit", Query()))) == 3
    assert [item.calls for item in (await budget.spending()).values()] == [1]
    assert metrics.exposition()
    await client.aclose()
    await budget.aclose()
    log.close()


ON_A_FULL_DISK = """
import asyncio, os, sys
from pathlib import Path
from deepseek_async import Cache
async def main():
    cache = Cache(path=Path(sys.argv[1]) / "answers.sqlite", only_deterministic=False)
    cache.keep(b"first", b"{}")
    await asyncio.to_thread(cache._disk.flush)
    import resource
    size = (Path(sys.argv[1]) / "answers.sqlite-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    for number in range(100):
        cache.keep(b"%d" % number, b"x" * 4096)
    try:
        await cache.clear()
    except OSError as error:
        print("said", error)
    await cache.aclose()
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main())
"""


async def test_a_process_whose_disk_takes_no_more_ends(tmp_path: Path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ON_A_FULL_DISK, str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            said, told = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert (process.returncode, b"said" in said) == (0, True), told.decode()
