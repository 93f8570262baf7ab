"""The disk tier: found again after a restart, bounded, and never in the way when its file is bad."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.foreign_files import FILES, KINDS, untouched
from support.inherited import copies_of_descriptors

from deepseek_async.cache import disk
from deepseek_async.cache.database import APPLICATION, NotACacheError, WriterLock, open_writer
from deepseek_async.cache.disk import DiskTier
from deepseek_async.cache.entry import Entry

Make = Callable[..., DiskTier]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "answers.sqlite"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    tiers: list[DiskTier] = []

    def make_tier(place: Path = path, **options) -> DiskTier:
        tiers.append(DiskTier(place, **{"max_bytes": 2**30, "keep_seconds": 3600.0, **options}))
        return tiers[-1]

    yield make_tier
    for tier in tiers:
        tier.close()


def entry(body: bytes = b"{}", stored: float | None = None) -> Entry:
    return Entry(body, time.time() if stored is None else stored)


class Stopwatch:
    """The time of the thread that reads: ``step`` seconds pass between two looks at it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.step = 0.0
        self._reader = threading.current_thread()

    def monotonic(self) -> float:
        if threading.current_thread() is not self._reader:
            return time.monotonic()
        self.now += self.step
        return self.now


def test_a_disk_that_is_slow_three_times_in_a_row_is_left_alone_for_a_while(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    clock = Stopwatch()
    monkeypatch.setattr(disk, "SLOW", 0.05)
    monkeypatch.setattr(disk, "time", clock)
    tier, stored = make(), entry(b"answer")
    tier.put(b"k", stored)
    tier.flush()

    def read_in(seconds: float) -> Entry | None:
        clock.step = seconds
        return tier.get(b"k")

    assert [read_in(seconds) for seconds in (0.06, 0.06, 0.01, 0.06, 0.06, 0.06)] == [stored] * 6
    assert ["3 reads in a row took over 50 ms" in record.message for record in caplog.records] == [True]
    assert read_in(0.01) is None
    clock.now += 31
    assert read_in(0.01) == stored


def test_what_was_put_is_found_and_still_after_a_restart(make: Make):
    tier, stored = make(), entry(b"answer")
    tier.put(b"k", stored)
    tier.flush()
    assert tier.get(b"k") == stored
    assert tier.get(b"other") is None
    tier.close()
    assert make().get(b"k") == stored


def test_files_are_for_their_owner_only(make: Make, path: Path):
    tier = make()
    tier.put(b"k", entry())
    tier.flush()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert len(modes) == 4  # the database, its log, the log's index, the lock
    assert set(modes.values()) == {0o600}


def test_nothing_is_pickled(make: Make, path: Path):
    tier = make()
    tier.put(b"k", entry(b'{"plain": "json"}'))
    tier.close()
    with sqlite3.connect(path) as connection:
        (record,) = connection.execute("SELECT record FROM entries").fetchone()
    connection.close()
    assert record.endswith(b'{"plain": "json"}')


def test_the_file_keeps_within_its_bytes_and_drops_what_was_not_used(make: Make):
    now = [1000.0]
    tier = make(max_bytes=2**20, clock=lambda: now[0])
    for number in range(600):
        now[0] += 1
        tier.put(b"%d" % number, entry(b"x" * 4000, now[0]))
        tier.flush()
    stored = tier.stored()
    assert stored is not None
    assert stored.bytes <= 2**20
    assert 100 < stored.entries < 300
    assert tier.get(b"599") is not None
    assert tier.get(b"0") is None


def test_old_answers_are_deleted(make: Make):
    now = [1000.0]
    tier = make(keep_seconds=100.0, clock=lambda: now[0])
    tier.put(b"old", entry(stored=now[0]))
    tier.flush()
    now[0] += 1000
    tier.put(b"new", entry(stored=now[0]))
    tier.flush()
    assert (tier.get(b"old") is None, tier.get(b"new") is None) == (True, False)


def test_clear_forgets_everything(make: Make):
    tier = make()
    tier.put(b"k", entry())
    tier.clear()
    assert tier.get(b"k") is None


def flip_all_but_the_first_page(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(byte ^ 0x55 for byte in data[4096:]))


def another_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("spoil", [flip_all_but_the_first_page, another_version, cut])
def test_a_cache_that_cannot_be_used_is_set_aside(make: Make, path: Path, spoil, caplog: pytest.LogCaptureFixture):
    tier = make()
    for number in range(200):
        tier.put(b"%d" % number, entry(b"x" * 1000))
    tier.close()
    spoil(path)
    spoiled = path.read_bytes()
    with caplog.at_level(logging.WARNING, "deepseek_async"):
        tier = make()
        assert [tier.get(b"%d" % number) for number in range(200)].count(None) > 0
        tier.put(b"new", entry(b"after"))
        tier.flush()
        tier.put(b"new", entry(b"after"))  # the first may have met the damage
        tier.close()
    aside = path.with_name("answers.sqlite.damaged")
    (said,) = [record.message for record in caplog.records if "set aside" in record.message]
    assert (str(path) in said, str(aside) in said) == (True, True)
    assert aside.read_bytes() == spoiled
    again = make()
    found = again.get(b"new")
    assert found is not None
    assert found.body == b"after"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_file_that_is_no_cache_is_left_as_it_is_and_said(
    make: Make,
    path: Path,
    kind: str,
    caplog: pytest.LogCaptureFixture,
):
    path.parent.mkdir()
    KINDS[kind](path)
    with untouched(path.parent):
        tier = make()
        for _ in range(3):
            tier.put(b"k", entry())
            assert tier.get(b"k") is None
        tier.flush()
        assert tier.stored() is None
        with pytest.raises(NotACacheError, match="; name another file"):
            tier.clear()
        tier.close()
    (said,) = [record.message for record in caplog.records]
    assert str(path) in said
    assert "name another file" in said


def test_rows_that_another_program_commits_meanwhile_are_all_there(make: Make, path: Path):
    path.parent.mkdir()
    program = sqlite3.connect(path, isolation_level=None)
    program.execute("PRAGMA journal_mode = WAL")
    program.execute("CREATE TABLE orders (n)")
    tier = make()
    for number in range(20):
        program.execute("INSERT INTO orders VALUES (?)", (number,))
        tier.put(b"%d" % number, entry())
        tier.get(b"%d" % number)
    tier.close()
    assert program.execute("SELECT count(*) FROM orders").fetchone() == (20,)
    assert program.execute("SELECT name FROM sqlite_schema").fetchall() == [("orders",)]
    program.close()


def test_what_another_process_is_about_to_make_is_a_miss_and_then_found(
    make: Make, path: Path, caplog: pytest.LogCaptureFixture
):
    path.parent.mkdir()
    other = WriterLock(path)
    assert other.take()
    tier = make()
    assert tier.get(b"k") is None
    path.touch()
    assert tier.get(b"k") is None
    connection = open_writer(path)
    stored = entry(b"answer")
    connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", (b"k", 1e9, 1e9, stored.packed(b"k")))
    assert tier.get(b"k") == stored
    connection.close()
    other.release()
    assert caplog.records == []


@pytest.mark.parametrize("name", ["SQLITE_BUSY", "SQLITE_BUSY_RECOVERY"])
def test_a_log_that_another_process_recovers_is_a_miss_and_no_reason_to_leave_the_cache_alone(
    make: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, name: str
):
    class Recovering:
        def execute(self, *_: object) -> object:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = getattr(sqlite3, name)
            raise error

    tier, stored = make(), entry(b"answer")
    tier.put(b"k", stored)
    tier.flush()
    with monkeypatch.context() as patch:
        patch.setattr(tier, "_reader", Recovering())
        assert tier.get(b"k") is None
    assert tier.get(b"k") == stored
    assert caplog.records == []


def test_damaged_caches_leave_a_file_of_that_name_alone(make: Make, path: Path):
    path.parent.mkdir()
    mine = path.with_name("answers.sqlite.damaged")
    FILES["notes"](mine)
    notes = mine.read_bytes()
    for _ in range(2):
        tier = make()
        tier.put(b"k", entry(b"x" * 100_000))
        tier.close()
        flip_all_but_the_first_page(path)
        tier = make()
        assert tier.get(b"k") is None
        tier.close()
    assert mine.read_bytes() == notes
    damaged = [
        file.name for file in path.parent.iterdir() if ".damaged" in file.name and not file.name.endswith("-wal")
    ]
    assert sorted(damaged) == ["answers.sqlite.damaged", "answers.sqlite.damaged.2"]


def test_a_look_from_outside_changes_nothing_while_the_cache_is_written(make: Make, path: Path):
    tier = make()
    for number in range(7):
        tier.put(b"%d" % number, entry())
    tier.flush()
    program = "import sys, pathlib; from deepseek_async.cache.database import stored_in; "
    with untouched(path.parent):
        seen = subprocess.run(
            [sys.executable, "-c", program + "print(stored_in(pathlib.Path(sys.argv[1])).entries)", str(path)],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
    assert seen.stdout == "7\n"


def test_an_answer_with_a_changed_byte_is_not_found_and_deleted(make: Make, path: Path):
    tier = make()
    tier.put(b"k", entry(b"a very particular answer"))
    tier.put(b"other", entry(b"another"))
    tier.close()
    path.write_bytes(path.read_bytes().replace(b"particular", b"peculiar!!"))
    tier = make()
    assert tier.get(b"k") is None
    tier.flush()
    stored = tier.stored()
    assert stored is not None
    assert stored.entries == 1
    assert tier.get(b"other") is not None


@pytest.mark.parametrize("place", ["a file in the way", "a link"])
def test_a_place_that_cannot_be_written_is_left_alone(
    make: Make,
    tmp_path: Path,
    place: str,
    caplog: pytest.LogCaptureFixture,
):
    if place == "a link":
        path = tmp_path / "linked.sqlite"
        path.symlink_to(tmp_path / "elsewhere.sqlite")
    else:
        (tmp_path / "file").write_text("not a folder")
        path = tmp_path / "file" / "answers.sqlite"
    tier = make(path)
    for _ in range(3):
        assert tier.get(b"k") is None
        tier.put(b"k", entry())
    tier.clear()
    assert tier.stored() is None
    assert not (tmp_path / "elsewhere.sqlite").exists()
    assert sum("cannot write cache" in record.message for record in caplog.records) == len(caplog.records) == 1
    said = "is a symbolic link to nothing" if place == "a link" else "cannot write cache"
    assert said in caplog.text
    assert "Errno" not in caplog.text


READ_ONLY = """
import os, sys, time
from pathlib import Path
from deepseek_async.cache.disk import DiskTier
from deepseek_async.cache.entry import Entry
if os.geteuid() == 0:
    os.setuid(65534)  # root may write what is read-only
tier = DiskTier(Path(sys.argv[1]), max_bytes=2**30, keep_seconds=3600.0)
for _ in range(3):
    tier.put(b"new", Entry(b"{}", time.time()))
    print(tier.get(b"k") is not None, tier.get(b"new"))
tier.close()
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """For another user than the one who runs the tests, to whom pytest's own folders are closed."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_a_read_only_file_stops_nothing(make: Make, open_folder: Path):
    path = open_folder / "cache" / "answers.sqlite"
    tier = make(path)
    tier.put(b"k", entry())
    tier.close()
    for file in path.parent.iterdir():
        file.chmod(0o444)
    path.parent.chmod(0o555)
    ended = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    path.parent.chmod(0o700)
    assert (ended.returncode, ended.stderr.count("cannot write cache")) == (0, 1), ended.stderr
    # What is in it may be read or not; nothing new is in it.
    assert {line.split()[1] for line in ended.stdout.splitlines()} == {"None"}


def test_a_second_process_reads_while_the_first_writes(make: Make, path: Path):
    first = make()
    first.put(b"k", entry(b"shared"))
    first.flush()
    second = make(path)
    found = second.get(b"k")
    assert found is not None
    assert found.body == b"shared"
    second.put(b"from the second", entry())
    second.flush()
    first.put(b"from the first", entry())
    first.flush()
    assert second.get(b"from the first") is not None


STORM = """
import sys, time
from pathlib import Path
from deepseek_async.cache.disk import DiskTier
from deepseek_async.cache.entry import Entry
tier = DiskTier(Path(sys.argv[1]), max_bytes=2**24, keep_seconds=3600.0)
number = int(sys.argv[2])
tier.put(b"begun", Entry(b"{}", time.time()))
tier.flush()
print("writing", flush=True)
while True:
    number += 1
    tier.put(b"%d" % number, Entry(b"%d" % number * 500, time.time()))
    if number % 64 == 0:
        tier.flush()
        print(number, flush=True)
"""


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    return int(os.environ.get("CACHE_KILL_ROUNDS", "4"))


def test_a_kill_in_a_storm_of_writes_leaves_a_usable_cache(make: Make, path: Path, rounds: int):
    seen = 0
    for number in range(rounds):
        process = subprocess.Popen(
            [sys.executable, "-c", STORM, str(path), str(seen)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = 2 + number * 7 % 25
        seen = max(int(line) for line in [process.stdout.readline() for _ in range(lines)] if line != "writing\n")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        tier = make()
        found = tier.get(b"%d" % seen)
        assert found is not None, f"round {number}: what was flushed is lost"
        assert found.body == b"%d" % seen * 500
        tier.put(b"after", entry())
        tier.flush()
        assert tier.get(b"after") is not None
        tier.close()
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
        connection.close()
        assert not path.with_name(path.name + ".damaged").exists()


def test_the_writers_place_is_free_at_once_although_a_process_that_is_being_started_has_its_lock_still_open(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("deepseek_async.cache.database._SAFE_WITH_TWO_WRITERS", (99, 0, 0))
    first, second = WriterLock(tmp_path / "cache"), WriterLock(tmp_path / "cache")
    assert first.take()
    with copies_of_descriptors(tmp_path) as held:
        assert held == 1
        assert not second.take()
        first.release()
        assert second.take()
    second.release()
