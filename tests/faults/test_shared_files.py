"""Processes that share a file wait for each other, up to a bound, and fail nothing because another one is writing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from support.forking import outcome_of

PROCESSES = 8

BUDGET = """
    from pathlib import Path
    from deepseek_async.admission.budget.store import Spending
    from deepseek_async.admission.budget.store_file import FileStore

    gate = Gate(given["processes"])

    def spend():
        gate.arrive()
        gate.wait()
        store, allotted = FileStore(Path(given["path"])), 0
        for number in range(10):
            added, _ = store.allot("2026-01-01", cap=10**9, allotted=allotted, least=5, wanted=5)
            allotted += added
            spending = {("model", ""): Spending(1, added)}
            store.report("2026-01-01", allotted=allotted, spent=allotted, spending=spending)
            if number % 3 == 0:
                store.close()  # so that it is opened while others write, and not only at the beginning
        store.close()
        return allotted

    ends = [in_child(spend) for _ in range(given["processes"])]
    gate.open(given["processes"])
    say(sum(end() for end in ends))
"""


async def test_processes_that_open_and_spend_one_budget_at_once_all_count(tmp_path: Path):
    path = tmp_path / "budget.sqlite"
    spent = await outcome_of(BUDGET, path=str(path), processes=PROCESSES)
    assert spent == PROCESSES * 10 * 5
    connection = sqlite3.connect(path)
    held = connection.execute("SELECT count(*), sum(allotted), sum(spent) FROM holders").fetchone()
    counted = connection.execute("SELECT sum(calls), sum(spent) FROM spending").fetchone()
    connection.close()
    assert (held, counted) == ((PROCESSES, spent, spent), (PROCESSES * 10, spent))


WRITERS = """
    from pathlib import Path
    from deepseek_async.cache.database import open_writer, transaction

    gate = Gate(given["processes"])

    def write():
        gate.arrive()
        gate.wait()
        # As with an SQLite that stands several writers. Each is the first or the last for some of the files.
        for folder in given["folders"]:
            connection = open_writer(Path(folder) / "answers.sqlite")
            with transaction(connection):
                connection.execute("INSERT INTO entries VALUES (?, 1, 1, x'00')", (str(os.getpid()).encode(),))
            connection.close()

    ends = [in_child(write) for _ in range(given["processes"])]
    gate.open(given["processes"])
    say([end() for end in ends])
"""


async def test_processes_that_make_one_cache_at_once_all_write_it(tmp_path: Path):
    folders = [str(tmp_path / str(number)) for number in range(5)]
    await outcome_of(WRITERS, folders=folders, processes=PROCESSES)
    for folder in folders:
        connection = sqlite3.connect(Path(folder) / "answers.sqlite")
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (PROCESSES,)
        connection.close()


TIERS = """
    import time
    from pathlib import Path
    from deepseek_async.cache.disk import DiskTier
    from deepseek_async.cache.entry import Entry

    gate = Gate(given["processes"])

    def use():
        gate.arrive()
        gate.wait()
        for number in range(5):
            tier = DiskTier(Path(given["path"]), max_bytes=2**30, keep_seconds=1e9)
            tier.get(b"k")
            tier.put(b"k", Entry(b"{}", time.time()))
            tier.flush()
            tier.get(b"k")
            tier.close()

    ends = [in_child(use) for _ in range(given["processes"])]
    gate.open(given["processes"])
    say([end() for end in ends])
"""


async def test_processes_that_open_one_cache_at_once_neither_complain_nor_damage_it(tmp_path: Path):
    path = tmp_path / "cache" / "answers.sqlite"
    await outcome_of(TIERS, path=str(path), processes=PROCESSES)  # which fails for every warning
    assert list(path.parent.glob("*.damaged*")) == []
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT count(*) FROM entries").fetchone() == (1,)
    connection.close()
