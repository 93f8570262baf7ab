"""Whose a database is, by its bytes; and a look into one that leaves no trace."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.foreign_files import FILES, KINDS, untouched

from deepseek_async.files import sqlite_file
from deepseek_async.files.sqlite_file import (
    ForeignFileError,
    application_of,
    connected,
    is_busy,
    looked_into,
    marks_of,
    refuse_foreign,
)

OURS = 0x44534B43
LOOK = """
import sys
from collections.abc import Callable
from pathlib import Path
from deepseek_async.files.sqlite_file import looked_into
with looked_into(Path(sys.argv[1])) as connection:
    print(connection.execute("SELECT count(*) FROM rows").fetchone()[0])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "some.sqlite"


def begin(path: Path, *, log: bool, application: int = OURS) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    if log:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA application_id = {application}")
    connection.execute("CREATE TABLE rows (n)")
    connection.executemany("INSERT INTO rows VALUES (?)", [(1,), (2,), (3,)])
    return connection


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_not_ours_is_told_without_touching_it(path: Path, kind: str):
    KINDS[kind](path)
    with untouched(path.parent), pytest.raises(ForeignFileError, match=r"^it is |^.* beside it belongs"):
        refuse_foreign(path, OURS)


def test_nothing_and_an_empty_file_may_become_ours(path: Path):
    refuse_foreign(path, OURS)
    path.touch()
    refuse_foreign(path, OURS)
    assert application_of(path) is None


def test_an_empty_file_with_the_log_of_a_database_is_somebody_elses(path: Path):
    FILES["database with a log"](path)
    path.write_bytes(b"")
    with untouched(path.parent), pytest.raises(ForeignFileError, match="belongs to a deleted database"):
        refuse_foreign(path, OURS)


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("there", [True, False])
def test_a_database_that_another_process_creates_at_any_step_of_the_look_is_nobody_elses(
    path: Path, there: bool, step: int, monkeypatch: pytest.MonkeyPatch
):
    if there:
        path.touch()
    created: list[sqlite3.Connection] = []
    steps = 0

    def observed(look: Callable[[Path], Any]) -> Callable[[Path], Any]:
        def looking(at: Path) -> Any:
            nonlocal steps
            seen = look(at)
            if steps == step:
                created.append(begin(path, log=True))
            steps += 1
            return seen

        return looking

    for name in ("_size", "_beginning", "_header"):
        monkeypatch.setattr(sqlite_file, name, observed(getattr(sqlite_file, name)))
    try:
        assert application_of(path) in (None, OURS)
        assert created or step >= steps
    finally:
        for connection in created:
            connection.close()


@pytest.mark.parametrize("log", [True, False])
def test_ours_is_known_while_it_is_open_when_it_was_closed_and_when_its_program_was_killed(path: Path, log: bool):
    connection = begin(path, log=log)
    refuse_foreign(path, OURS)
    killed = path.parent / "killed"
    killed.mkdir()
    for file in path.parent.glob("some.sqlite*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, killed)
    connection.close()
    refuse_foreign(path, OURS)
    refuse_foreign(killed / path.name, OURS)


def test_only_what_was_committed_to_a_log_counts(path: Path):
    begin(path, log=True, application=0).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN")
    connection.execute(f"PRAGMA application_id = {OURS}")
    # More than the cache holds, so that the page goes to the log before the end.
    connection.executemany("INSERT INTO rows VALUES (?)", [("x" * 3000,)] * 2000)
    assert path.with_name(path.name + "-wal").stat().st_size > 0
    assert application_of(path) == 0
    connection.execute("COMMIT")
    assert application_of(path) == OURS
    connection.close()


@pytest.mark.parametrize("state", ["open", "closed", "killed", "killed in a transaction"])
@pytest.mark.parametrize("log", [True, False])
def test_a_look_sees_what_is_committed_and_changes_nothing(path: Path, state: str, log: bool):
    connection = begin(path, log=log)
    if state == "killed in a transaction":
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO rows VALUES (?)", [("x" * 3000,)] * 200)
    looked_at = path
    if state.startswith("killed"):
        looked_at = path.parent / "killed" / path.name
        looked_at.parent.mkdir()
        for file in path.parent.glob("some.sqlite*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, looked_at.parent)
    if state != "open":
        connection.close()
    with untouched(path.parent):
        # In a process of its own, as a command is.
        ended = subprocess.run(
            [sys.executable, "-c", LOOK, str(looked_at)], capture_output=True, text=True, check=False, timeout=120
        )
    assert (ended.stdout, ended.stderr) == ("3\n", "")
    connection.close()


def test_a_look_cannot_write(path: Path):
    begin(path, log=False).close()
    with looked_into(path) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("INSERT INTO rows VALUES (4)")


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"nothing but zeros", "disk image"}))
def test_a_file_that_sqlite_would_delete_beside_it_is_somebody_elses(path: Path, kind: str, ending: str):
    begin(path, log=False).close()
    KINDS[kind](path.with_name(path.name + ending))
    with untouched(path.parent), pytest.raises(ForeignFileError, match="beside it is not an SQLite file"):
        refuse_foreign(path, OURS)


def look_into(path: Path) -> None:
    with looked_into(path) as connection:
        connection.execute("SELECT count(*) FROM rows").fetchone()


def look_through_a_link(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    assert application_of(link) == OURS


def connect_again(path: Path, *, writes: bool) -> None:
    connection = connected(path, OURS, wait=0.0, writes=writes)
    connection.execute("SELECT count(*) FROM rows").fetchone()
    connection.close()


DOINGS: dict[str, Callable[[Path], object]] = {
    "a question whose it is": lambda path: refuse_foreign(path, OURS),
    "one through a link": look_through_a_link,
    "a look": look_into,
    "a second connection that reads": lambda path: connect_again(path, writes=False),
    "a second connection that writes": lambda path: connect_again(path, writes=True),
}
INTRUDE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0.0, isolation_level=None)
try:
    connection.execute("INSERT INTO rows VALUES (5)")
except sqlite3.OperationalError as error:
    print(error)
connection.close()
"""


def intrude(path: Path) -> str:
    """What another process is told that wants to write now."""
    command = [sys.executable, "-c", INTRUDE, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.strip()


@pytest.mark.parametrize("doing", sorted(DOINGS))
def test_nothing_done_in_the_process_gives_up_the_locks_of_its_transaction(path: Path, doing: str):
    begin(path, log=False).close()
    connection = connected(path, OURS, wait=0.0, writes=True)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO rows VALUES (4)")
    DOINGS[doing](path)
    assert intrude(path) == "database is locked"
    connection.execute("COMMIT")
    assert intrude(path) == ""
    assert connection.execute("SELECT count(*) FROM rows").fetchone() == (5,)
    connection.close()


@pytest.mark.parametrize("doing", sorted(DOINGS))
def test_no_other_process_ends_the_log_of_one_that_is_connected(path: Path, doing: str):
    begin(path, log=True).close()
    connection = connected(path, OURS, wait=0.0, writes=True)
    connection.execute("INSERT INTO rows VALUES (4)")
    DOINGS[doing](path)
    # The last connection to a database deletes its log; what is written to a deleted one is lost.
    assert intrude(path) == ""
    assert path.with_name(path.name + "-wal").exists()
    connection.execute("INSERT INTO rows VALUES (6)")
    assert intrude(path) == ""
    connection.close()
    with looked_into(path) as looking:
        assert looking.execute("SELECT n FROM rows").fetchall() == [(1,), (2,), (3,), (4,), (5,), (6,), (5,)]


def test_a_file_that_becomes_another_programs_is_told_while_it_is_connected_to(path: Path):
    begin(path, log=False).close()
    connection = connected(path, OURS, wait=0.0, writes=True)
    other = path.with_name("other")
    FILES["notes"](other)
    path.write_bytes(other.read_bytes())
    with pytest.raises(ForeignFileError):
        refuse_foreign(path, OURS)
    connection.close()


def test_marks_are_of_one_moment(path: Path):
    path.touch()
    connection = connected(path, OURS, wait=0.0, writes=True)
    other = sqlite3.connect(path, timeout=0.0, isolation_level=None)

    def mark_in_between(statement: str) -> None:
        if statement == "-- PRAGMA user_version":
            other.execute("BEGIN IMMEDIATE")
            other.execute(f"PRAGMA application_id = {OURS}")
            other.execute("PRAGMA user_version = 1")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("COMMIT")
            told.append(statement)

    told: list[str] = []
    connection.set_trace_callback(mark_in_between)
    assert marks_of(connection) == (0, 0)
    assert len(told) == 1
    connection.set_trace_callback(None)
    other.execute("COMMIT")
    assert marks_of(connection) == (OURS, 1)
    other.close()
    connection.close()


WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("INSERT INTO rows VALUES (4)")
print("writing", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
connection.close()
"""


def test_a_look_amid_a_transaction_of_another_process_copies_nothing(path: Path, monkeypatch: pytest.MonkeyPatch):
    begin(path, log=False).close()
    # A copy would be of two moments: the file of one, its journal of another.
    monkeypatch.setattr(shutil, "copy", None)
    command = [sys.executable, "-c", WRITE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        assert path.with_name(path.name + "-journal").stat().st_size > 0
        with looked_into(path) as connection:
            assert connection.execute("SELECT count(*) FROM rows").fetchone() == (3,)
        writer.communicate("on\n", timeout=120)
    assert writer.returncode == 0
    with looked_into(path) as connection:
        assert connection.execute("SELECT count(*) FROM rows").fetchone() == (4,)


@pytest.mark.parametrize("name", ["SQLITE_BUSY", "SQLITE_BUSY_RECOVERY", "SQLITE_BUSY_SNAPSHOT", "SQLITE_BUSY_TIMEOUT"])
def test_another_connection_at_work_is_known_in_all_its_ways(name: str):
    error = sqlite3.OperationalError("database is locked")
    assert not is_busy(error)
    error.sqlite_errorcode = getattr(sqlite3, name)
    assert is_busy(error)
