"""SQLite store of the budget, shared by the processes of a machine. Methods are single blocking transactions.

Uses a rollback journal instead of a write-ahead log, because SQLite before 3.51.3 can lose the end of a log with two
writing processes (sqlite.org, WAL-reset bug), and one transaction serves many calls.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from deepseek_async.admission.budget.ledger import granted
from deepseek_async.admission.budget.store import DayTotals, Spending, add_up, new_holder
from deepseek_async.errors import ConfigurationError
from deepseek_async.files.sqlite_file import ForeignFileError, connected, looked_into, marks_of, refuse_foreign
from deepseek_async.process.forks import AtFork, leave, register

_VERSION: Final = 1
_APPLICATION: Final = 0x44534247
"""Application id in the file's header (``DSBG``), which identifies a budget. Other files are never opened."""
_WAIT: Final = 30.0
"""Seconds to wait for other processes, whose transactions take some milliseconds each.

SQLite has no lock queue: it polls ten times a second. With eight processes doing nothing else, on a busy disk, one
waited five seconds.
"""

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS holders (
    day TEXT NOT NULL, holder TEXT NOT NULL,
    allotted INTEGER NOT NULL, spent INTEGER NOT NULL, PRIMARY KEY (day, holder)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spending (
    day TEXT NOT NULL, model TEXT NOT NULL, tag TEXT NOT NULL,
    calls INTEGER NOT NULL, spent INTEGER NOT NULL, PRIMARY KEY (day, model, tag)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alerts (day TEXT NOT NULL, share REAL NOT NULL, PRIMARY KEY (day, share)) WITHOUT ROWID;
"""


class FileStore(AtFork):
    """Implements ``Store``: one process's view of the file. Raises sqlite3.Error and OSError.

    Waits up to 30 s for other processes.

    The file is closed on a fork and reopened on next use.
    """

    hears_of_holders = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._holder = new_holder()
        self._owed: dict[tuple[str, str], Spending] = {}
        self._connection: sqlite3.Connection | None = None
        self._busy = threading.RLock()
        register(self)

    def standing(self, day: str) -> DayTotals:
        """Return the totals of ``day`` over all processes."""
        with self._transaction() as connection:
            return _standing(connection, day, "")

    def allot(self, day: str, *, cap: int, allotted: int, least: int, wanted: int) -> tuple[int, DayTotals]:
        """Allot at least ``least`` more, or nothing."""
        with self._transaction() as connection:
            _drop_old_days(connection, day)
            others = _standing(connection, day, self._holder)
            (sharers,) = connection.execute("SELECT count(*) FROM holders WHERE day = ?", (day,)).fetchone()
            remaining = cap - others.held - allotted
            added = granted(wanted=wanted, least=least, remaining=remaining, sharers=sharers)
            if added:
                connection.execute(
                    "INSERT INTO holders VALUES (?, ?, ?, 0) ON CONFLICT DO UPDATE SET allotted = excluded.allotted",
                    (day, self._holder, allotted + added),
                )
            return added, others

    def report(
        self,
        day: str,
        *,
        allotted: int,
        spent: int,
        spending: Mapping[tuple[str, str], Spending],
    ) -> DayTotals:
        """Store what this process has spent and may still spend."""
        add_up(self._owed, spending)
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO holders VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET allotted = excluded.allotted, spent = excluded.spent",
                (day, self._holder, allotted, spent),
            )
            connection.executemany(
                "INSERT INTO spending VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, spent = spent + excluded.spent",
                [(day, model, tag, item.calls, item.spent) for (model, tag), item in self._owed.items()],
            )
            others = _standing(connection, day, self._holder)
        self._owed = {}
        return others

    def first_to_alert(self, day: str, shares: Iterable[float]) -> list[float]:
        """Return those of ``shares`` whose alert no process has raised on ``day``, and mark them as raised."""
        with self._transaction() as connection:
            return [
                share
                for share in shares
                if connection.execute("INSERT OR IGNORE INTO alerts VALUES (?, ?)", (day, share)).rowcount
            ]

    def spending(self, day: str) -> dict[tuple[str, str], Spending]:
        """Return the spending of ``day`` by model and tag."""
        with self._transaction() as connection:
            return _spending(connection, day)

    def close(self) -> None:
        """Close the file."""
        with self._busy:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def before_fork(self) -> None:
        """Wait for the transaction in progress and close the file."""
        self._busy.acquire()
        self.close()

    def after_fork_in_parent(self) -> None:
        """Resume."""
        self._busy.release()

    def after_fork_in_child(self) -> None:
        """Become another holder."""
        self._busy = threading.RLock()
        self._holder, self._owed = new_holder(), {}
        if self._connection is not None:  # forked without running the hooks
            leave(self._connection)
            self._connection = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._busy:
            if self._connection is None:
                self._connection = _opened(self.path)
            connection = self._connection
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # Rolls back after a failed commit on a full disk: the next transaction, here or in another process,
                # would find it open. SQLite may have rolled it back itself.
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                if connection.in_transaction:
                    self.close()
                raise


def _standing(connection: sqlite3.Connection, day: str, without: str) -> DayTotals:
    held, spent = connection.execute(
        "SELECT coalesce(sum(max(allotted, spent)), 0), coalesce(sum(spent), 0) FROM holders "
        "WHERE day = ? AND holder != ?",
        (day, without),
    ).fetchone()
    return DayTotals(held, spent)


def _drop_old_days(connection: sqlite3.Connection, day: str) -> None:
    connection.execute("DELETE FROM holders WHERE day < date(?, '-31 days')", (day,))
    connection.execute("DELETE FROM alerts WHERE day < date(?, '-31 days')", (day,))
    connection.execute("DELETE FROM spending WHERE day < date(?, '-400 days')", (day,))


def looked_up(path: Path, day: str) -> tuple[dict[tuple[str, str], Spending], DayTotals]:
    """Return the spending of ``day`` by model and tag, and its totals; does not write to the file.

    Raises ConfigurationError if the file is not a budget, sqlite3.Error and OSError.
    """
    with _foreign_refused(path):
        refuse_foreign(path, _APPLICATION)
    if not path.stat().st_size:
        return {}, DayTotals()
    with looked_into(path) as connection:
        _refuse_other_versions(connection, path)
        return _spending(connection, day), _standing(connection, day, "")


def _spending(connection: sqlite3.Connection, day: str) -> dict[tuple[str, str], Spending]:
    rows = connection.execute(
        "SELECT model, tag, calls, spent FROM spending WHERE day = ? ORDER BY spent DESC",
        (day,),
    )
    return {(model, tag): Spending(calls, spent) for model, tag, calls, spent in rows}


@contextmanager
def _foreign_refused(path: Path) -> Iterator[None]:
    try:
        yield
    except ForeignFileError as error:
        raise ConfigurationError(
            f"cannot use {path} as a budget: {error}; choose another budget.path",
        ) from None


def _refuse_other_versions(connection: sqlite3.Connection, path: Path) -> None:
    marks = marks_of(connection)
    if marks not in {(0, 0), (_APPLICATION, _VERSION)}:
        raise ConfigurationError(
            f"cannot use {path} as a budget: its format must be version {_VERSION}, got {marks[1]}; choose another "
            "budget.path"
        )


def _opened(path: Path) -> sqlite3.Connection:
    with _foreign_refused(path):
        connection = connected(path, _APPLICATION, wait=_WAIT, writes=True)
    try:
        _refuse_other_versions(connection, path)
        # One transaction, because another process may inspect the file meanwhile.
        marks = f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {_VERSION};"
        connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} {marks} COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection
