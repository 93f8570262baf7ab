"""Whose a database is, by its bytes; and a look into one that leaves no trace."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from foreign_files import FILES, KINDS, untouched

from deepseek_async.sqlite_file import ForeignFileError, application_of, looked_into, refuse_foreign

OURS = 0x44534B43
LOOK = """
import sys
from pathlib import Path
from deepseek_async.sqlite_file import looked_into
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
    with untouched(path.parent), pytest.raises(ForeignFileError, match="belongs to a database that is not there"):
        refuse_foreign(path, OURS)


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
    with untouched(path.parent), pytest.raises(ForeignFileError, match="beside it is none of SQLite's"):
        refuse_foreign(path, OURS)
