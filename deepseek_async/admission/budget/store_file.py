"""The day's money on disk, shared by the processes of a machine. Every method is one transaction, and blocks.

A rollback journal and not a write-ahead log, because SQLite before 3.51.3 can lose the end of a log that two
processes write (sqlite.org, WAL-reset bug), and there is one transaction for many calls.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from deepseek_async.admission.budget.ledger import granted
from deepseek_async.admission.budget.store import Spending, Standing, add_up, new_holder
from deepseek_async.errors import ConfigurationError
from deepseek_async.files.sqlite_file import ForeignFileError, connected, looked_into, marks_of, refuse_foreign
from deepseek_async.process.forks import AtFork, leave, register

_VERSION: Final = 1
_APPLICATION: Final = 0x44534247
"""``DSBG`` in the file's header: what proves that a file is a budget. Another one is never opened."""
_WAIT: Final = 30.0
"""Seconds to wait for other processes, each of whose transactions takes some milliseconds.

SQLite keeps no queue: it looks again ten times a second. Of eight processes that do nothing else, on a disk that has
more to do, one waited five seconds.
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
    """See ``Store``: one process's view of the file. Raises sqlite3.Error and OSError.

    Waits up to 30 s for other processes.

    The file is closed when the process forks, and opened again by whoever needs it next.
    """

    hears_of_holders = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._holder = new_holder()
        self._owed: dict[tuple[str, str], Spending] = {}
        self._connection: sqlite3.Connection | None = None
        self._busy = threading.RLock()
        register(self)

    def standing(self, day: str) -> Standing:
        """Where ``day`` stands, over all processes."""
        with self._transaction() as connection:
            return _standing(connection, day, "")

    def allot(self, day: str, *, cap: int, allotted: int, least: int, wanted: int) -> tuple[int, Standing]:
        """Take at least ``least`` more, or nothing."""
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
    ) -> Standing:
        """Write down what this process has spent and may still spend."""
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
        """Those of ``shares`` for which no process has raised its alert on ``day``; they count as raised now."""
        with self._transaction() as connection:
            return [
                share
                for share in shares
                if connection.execute("INSERT OR IGNORE INTO alerts VALUES (?, ?)", (day, share)).rowcount
            ]

    def spending(self, day: str) -> dict[tuple[str, str], Spending]:
        """What ``day`` was spent on, by model and tag."""
        with self._transaction() as connection:
            return _spending(connection, day)

    def close(self) -> None:
        """Close the file."""
        with self._busy:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def before_fork(self) -> None:
        """Wait for the transaction that is under way, and close the file."""
        self._busy.acquire()
        self.close()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._busy.release()

    def after_fork_in_child(self) -> None:
        """Be another holder."""
        self._busy = threading.RLock()
        self._holder, self._owed = new_holder(), {}
        if self._connection is not None:  # forked by code that says so only afterwards
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
                # Also what was not committed, on a full disk: the next transaction, here or of another process, would
                # find it open. SQLite may have taken it back itself.
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                if connection.in_transaction:
                    self.close()
                raise


def _standing(connection: sqlite3.Connection, day: str, without: str) -> Standing:
    held, spent = connection.execute(
        "SELECT coalesce(sum(max(allotted, spent)), 0), coalesce(sum(spent), 0) FROM holders "
        "WHERE day = ? AND holder != ?",
        (day, without),
    ).fetchone()
    return Standing(held, spent)


def _drop_old_days(connection: sqlite3.Connection, day: str) -> None:
    connection.execute("DELETE FROM holders WHERE day < date(?, '-31 days')", (day,))
    connection.execute("DELETE FROM alerts WHERE day < date(?, '-31 days')", (day,))
    connection.execute("DELETE FROM spending WHERE day < date(?, '-400 days')", (day,))


def looked_up(path: Path, day: str) -> tuple[dict[tuple[str, str], Spending], Standing]:
    """What ``day`` was spent on, by model and tag, and where it stands; the file is not written to.

    Raises ConfigurationError for a file that is no budget, sqlite3.Error and OSError.
    """
    with _foreign_refused(path):
        refuse_foreign(path, _APPLICATION)
    if not path.stat().st_size:
        return {}, Standing()
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
            f"{path} is no budget: {error}, so it is left as it is; choose another budget.path",
        ) from None


def _refuse_other_versions(connection: sqlite3.Connection, path: Path) -> None:
    if marks_of(connection) not in {(0, 0), (_APPLICATION, _VERSION)}:
        raise ConfigurationError(f"{path} is not a budget of version {_VERSION}; choose another budget.path")


def _opened(path: Path) -> sqlite3.Connection:
    with _foreign_refused(path):
        connection = connected(path, _APPLICATION, wait=_WAIT, writes=True)
    try:
        _refuse_other_versions(connection, path)
        # In one transaction, because another process may look at the file meanwhile.
        marks = f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {_VERSION};"
        connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} {marks} COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection
