"""The output file as a journal: what was acknowledged is in it, whatever the disk or the process does."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from deepseek_async.batch import journal as module
from deepseek_async.batch.journal import GROUP_ROWS, Journal
from deepseek_async.batch.line import encode_line
from deepseek_async.batch.result import BatchResult
from deepseek_async.errors import APIConnectionError, OutputLockedError, OutputWriteError

REPOSITORY = Path(module.__file__).parents[2]


def line(name: object, size: int = 0) -> bytes:
    """A whole output line for the row of that name, padded by about ``size`` bytes."""
    error = APIConnectionError("x" * size)
    return encode_line(BatchResult(index=0, error=error), str(name), 1)


class Writing:
    """Writes to one file and remembers what was acknowledged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.acknowledged: list[Any] = []
        self.groups: list[int] = []
        self._more = asyncio.Event()

    def journal(self) -> Journal:
        return Journal(self.path, self._durable)

    def _durable(self, marks: list[Any]) -> None:
        self.acknowledged += marks
        self.groups.append(len(marks))
        self._more.set()

    async def until_acknowledged(self, size: int) -> None:
        while len(self.acknowledged) < size:
            self._more.clear()
            await self._more.wait()

    async def write(self, *names: object, size: int = 0) -> None:
        async with self.journal() as journal:
            for name in names:
                await journal.append(line(name, size), str(name))

    async def write_on(self) -> None:
        """Write until it fails."""
        async with self.journal() as journal:
            for number in count():
                await journal.append(line(number), str(number))
                await asyncio.sleep(0)

    def names(self) -> list[str]:
        """Rows in the file, which must be whole lines."""
        content = self.path.read_bytes()
        assert content == b"" or content.endswith(b"\n")
        found = []
        for text in content.splitlines():
            row = module.decode_line(text)
            assert row is not None, text
            found.append(row.custom_id)
        return found


@pytest.fixture
def writing(tmp_path: Path) -> Writing:
    return Writing(tmp_path / "out.jsonl")


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups are written as soon as there is a line, so that a test sees many of them at once."""
    monkeypatch.setattr(module, "GROUP_SECONDS", 0)


# Writing, reading again


async def test_lines_are_in_the_file_in_their_order(writing: Writing):
    await writing.write(*range(1000))

    assert writing.names() == [str(number) for number in range(1000)]
    assert writing.acknowledged == writing.names()


async def test_a_group_ends_when_it_is_full(writing: Writing, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "GROUP_SECONDS", 3600)
    async with writing.journal() as journal:
        for number in range(GROUP_ROWS):
            await journal.append(line(number), number)
        await writing.until_acknowledged(GROUP_ROWS)

    assert writing.groups == [GROUP_ROWS]


async def test_a_group_that_does_not_fill_ends_by_the_clock(writing: Writing):
    async with writing.journal() as journal:
        await journal.append(line("a"), "a")
        await writing.until_acknowledged(1)

        assert writing.names() == ["a"]


async def test_a_journal_goes_on_behind_what_is_there(writing: Writing):
    await writing.write("a", "b")
    async with writing.journal() as journal:
        assert [row.custom_id for row in journal.finished()] == ["a", "b"]
        await journal.append(line("c"), "c")

    assert writing.names() == ["a", "b", "c"]


async def test_a_producer_waits_when_the_disk_is_far_behind(writing: Writing, monkeypatch: pytest.MonkeyPatch):
    loop = asyncio.get_running_loop()
    go, taken = asyncio.Event(), 0
    sync = os.fdatasync

    def slow_sync(descriptor: int) -> None:
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result()
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow_sync)

    async def produce(journal: Journal) -> None:
        nonlocal taken
        for number in range(10 * GROUP_ROWS):
            await journal.append(line(number), number)
            taken += 1
            await asyncio.sleep(0)

    async with writing.journal() as journal:
        producing = asyncio.create_task(produce(journal))
        for _ in range(20 * GROUP_ROWS):
            await asyncio.sleep(0)
        assert taken < 6 * GROUP_ROWS
        go.set()
        await producing

    assert len(writing.names()) == 10 * GROUP_ROWS


# Durable before it counts


async def test_a_row_is_acknowledged_only_after_it_was_written_and_synced(
    writing: Writing,
    monkeypatch: pytest.MonkeyPatch,
    no_waiting: None,
):
    history: list[tuple[str, int]] = []
    write, sync = os.write, os.fdatasync

    def recorded_write(descriptor: int, data: memoryview) -> int:
        written = write(descriptor, data)
        history.append(("write", bytes(data[:written]).count(b"\n")))
        return written

    def recorded_sync(descriptor: int) -> None:
        sync(descriptor)
        history.append(("sync", 0))

    monkeypatch.setattr(os, "write", recorded_write)
    monkeypatch.setattr(os, "fdatasync", recorded_sync)
    async with Journal(writing.path, lambda marks: history.append(("acknowledge", len(marks)))) as journal:
        for number in range(700):
            await journal.append(line(number), number)
            if number % 100 == 0:
                await asyncio.sleep(0)

    written = synced = counted = 0
    for what, rows in history:
        if what == "write":
            written += rows
        elif what == "sync":
            synced = written
        else:
            counted += rows
            assert counted <= synced
    assert counted == 700


async def test_the_name_of_a_new_file_is_made_durable_too(writing: Writing, monkeypatch: pytest.MonkeyPatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor)))
    await writing.write("a")

    assert any(os.path.samestat(status, writing.path.parent.stat()) for status in synced)
    assert any(os.path.samestat(status, writing.path.stat()) for status in synced)


# What a crash leaves behind


async def test_a_torn_last_line_is_cut_off_wherever_it_broke(writing: Writing):
    whole, torn = line("a") + line("b"), line("c")
    for length in range(len(torn)):
        writing.path.write_bytes(whole + torn[:length])
        async with writing.journal() as journal:
            assert [row.custom_id for row in journal.finished()] == ["a", "b"]
            assert journal.damaged == 0
        assert writing.path.read_bytes() == whole


@pytest.mark.parametrize("content", [b"no line feed", b"\0" * 200_000, b"{"])
async def test_a_file_without_a_whole_line_is_emptied(writing: Writing, content: bytes):
    writing.path.write_bytes(content)
    await writing.write("a")

    assert writing.names() == ["a"]


async def test_a_torn_line_may_be_longer_than_a_block(writing: Writing):
    writing.path.write_bytes(line("a") + line("b", 200_000)[:-1])
    await writing.write("c")

    assert writing.names() == ["a", "c"]


async def test_a_damaged_line_is_set_aside_and_finishes_no_row(writing: Writing):
    damaged = line("b").replace(b'"b"', b'"c"')
    writing.path.write_bytes(line("a") + damaged + b"\n" + b"\0" * 4096 + b"\n" + line("d"))
    async with writing.journal() as journal:
        assert [row.custom_id for row in journal.finished()] == ["a", "d"]
        assert journal.damaged == 2

    side = writing.path.with_name("out.jsonl.damaged")
    assert side.read_bytes() == damaged + b"\0" * 4096 + b"\n"
    assert stat.S_IMODE(side.stat().st_mode) == 0o600


async def test_line_ends_that_another_program_changed_are_no_damage(writing: Writing):
    writing.path.write_bytes((line("a") + line("b")).replace(b"\n", b"\r\n"))
    async with writing.journal() as journal:
        assert [row.custom_id for row in journal.finished()] == ["a", "b"]
        assert journal.damaged == 0


async def test_a_side_file_that_cannot_be_written_is_an_error_of_the_output(writing: Writing):
    writing.path.write_bytes(b"damaged\n")
    writing.path.with_name("out.jsonl.damaged").mkdir()
    async with writing.journal() as journal:
        with pytest.raises(OutputWriteError, match=r"set a damaged line of .* aside"):
            list(journal.finished())


# Places that are no output


async def test_a_new_output_can_be_read_by_its_owner_only(writing: Writing):
    await writing.write("a")

    for path in (writing.path, writing.path.with_name("out.jsonl.lock")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_symbolic_link_is_refused_and_its_target_untouched(writing: Writing, tmp_path: Path):
    target = tmp_path / "precious"
    target.write_text("no line feed at the end")
    writing.path.symlink_to(target)

    with pytest.raises(OutputWriteError, match="it is a symbolic link"):
        await writing.write("a")
    assert target.read_text() == "no line feed at the end"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "Is a directory"),
        (os.mkfifo, "Invalid argument"),
        (lambda path: path.with_name("out.jsonl.lock").mkdir(), "cannot create .*Is a directory"),
        (lambda path: path.with_name("out.jsonl.lock").symlink_to(path), "cannot create"),
    ],
    ids=["directory", "pipe", "lock is a directory", "lock is a link"],
)
async def test_what_is_no_regular_file_is_refused(writing: Writing, make: Callable[[Path], Any], reason: str):
    make(writing.path)

    with pytest.raises(OutputWriteError, match=reason):
        await writing.write("a")


async def test_a_missing_folder_is_refused(tmp_path: Path):
    with pytest.raises(OutputWriteError, match="No such file or directory"):
        await Writing(tmp_path / "missing" / "out.jsonl").write("a")


async def test_a_refused_file_is_not_kept_locked(writing: Writing):
    writing.path.mkdir()
    with pytest.raises(OutputWriteError):
        await writing.write("a")
    writing.path.rmdir()
    await writing.write("a")

    assert writing.names() == ["a"]


# One writer

HOLD = """
import asyncio, sys
from pathlib import Path
from deepseek_async.batch.journal import Journal

async def main():
    async with Journal(Path(sys.argv[1]), lambda marks: None) as journal:
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await journal.append(sys.argv[2].encode() + b"\\n", None)

asyncio.run(main())
"""


@pytest.fixture
def holder(writing: Writing) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the output and writes one line when its input ends."""
    command = [sys.executable, "-c", HOLD, str(writing.path), line("first").decode().rstrip("\n")]
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


async def test_a_second_run_is_told_who_holds_the_output_and_the_first_is_unharmed(
    writing: Writing,
    holder: subprocess.Popen[str],
):
    with pytest.raises(OutputLockedError, match=f"pid {holder.pid}") as caught:
        await writing.write("second")
    assert f"pid {holder.pid}" in caught.value.owner
    assert caught.value.path == str(writing.path)

    holder.communicate()
    assert holder.returncode == 0
    assert writing.names() == ["first"]


async def test_the_lock_of_a_killed_run_is_free(writing: Writing, holder: subprocess.Popen[str]):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    await writing.write("second")

    assert writing.names() == ["second"]


async def test_one_process_cannot_write_an_output_twice_either(writing: Writing):
    async with writing.journal() as journal:
        with pytest.raises(OutputLockedError, match=f"pid {os.getpid()}"):
            await writing.write("second")
        await journal.append(line("first"), "first")

    assert writing.names() == ["first"]


# Disks that fail


async def one_by_one(writing: Writing, size: int) -> None:
    """Each row in a group of its own."""
    async with writing.journal() as journal:
        for number in range(size):
            await journal.append(line(number), str(number))
            acknowledged = asyncio.ensure_future(writing.until_acknowledged(number + 1))
            await asyncio.wait({acknowledged, journal._writer}, return_when=asyncio.FIRST_COMPLETED)
            acknowledged.cancel()


async def outcome(running: Coroutine[Any, Any, None]) -> OutputWriteError | None:
    try:
        await running
    except OutputWriteError as error:
        return error
    return None


class Disk:
    """Wraps the system calls of the writer; the n-th call to one of them fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str, failing: int, *, for_good: bool, code: int) -> None:
        self.calls = 0
        self._real = getattr(os, call)
        self._failing = failing
        self._for_good = for_good
        self._code = code
        monkeypatch.setattr(os, call, self._try)

    @property
    def met(self) -> bool:
        return self.calls > self._failing

    def _try(self, *arguments: Any) -> Any:
        here, self.calls = self.calls, self.calls + 1
        if here == self._failing or (self._for_good and here > self._failing):
            if self._code == errno.ENOSPC and len(arguments) > 1 and here == self._failing:
                # A full disk takes what still fits, and refuses the rest.
                return self._real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            raise OSError(self._code, os.strerror(self._code))
        return self._real(*arguments)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("for_good", [True, False], ids=["for good", "once"])
@pytest.mark.parametrize(
    ("call", "code"),
    [("write", errno.EIO), ("write", errno.ENOSPC), ("fdatasync", errno.EIO), ("fdatasync", errno.ENOSPC)],
)
async def test_no_acknowledged_row_is_missing_whichever_call_fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    code: int,
    for_good: bool,
):
    failing = 0
    while True:
        writing = Writing(tmp_path / f"{failing}.jsonl")
        with monkeypatch.context() as patch:
            disk = Disk(patch, call, failing, for_good=for_good, code=code)
            failure = await outcome(one_by_one(writing, 8))
        short_but_fine = code == errno.ENOSPC and call == "write" and not for_good
        assert (failure is not None) == (disk.met and not short_but_fine)
        if failure is not None:
            assert os.strerror(code) in failure.message
            assert failure.path == str(writing.path)
        survived = writing.names()
        assert survived[: len(writing.acknowledged)] == writing.acknowledged
        if not disk.met:
            break
        failing += 1

    assert failing >= 8
    assert len(survived) == 8


async def test_a_short_write_is_continued(writing: Writing, monkeypatch: pytest.MonkeyPatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    await writing.write(*range(50))

    assert writing.names() == [str(number) for number in range(50)]


async def test_a_failed_sync_is_not_tried_again(writing: Writing, monkeypatch: pytest.MonkeyPatch, no_waiting: None):
    disk = Disk(monkeypatch, "fdatasync", 2, for_good=False, code=errno.EIO)
    with pytest.raises(OutputWriteError):
        await writing.write_on()

    assert disk.calls == 3
    assert writing.names() == writing.acknowledged


async def test_a_producer_that_waits_for_the_disk_hears_of_its_failure(
    writing: Writing,
    monkeypatch: pytest.MonkeyPatch,
):
    Disk(monkeypatch, "write", 0, for_good=True, code=errno.EIO)

    async def flood(journal: Journal) -> None:
        for number in range(100 * GROUP_ROWS):
            await journal.append(line(number), number)

    with pytest.raises(OutputWriteError, match="Input/output error"):
        async with writing.journal() as journal:
            await flood(journal)
    assert writing.names() == []


async def test_a_failure_of_the_last_group_shows_on_leaving(writing: Writing, monkeypatch: pytest.MonkeyPatch):
    Disk(monkeypatch, "fdatasync", 0, for_good=False, code=errno.EIO)

    with pytest.raises(OutputWriteError, match="run the same command again"):
        await writing.write("a", "b")
    assert writing.acknowledged == []
    assert writing.names() == []


async def test_a_full_disk_leaves_whole_lines_and_the_next_run_goes_on(writing: Writing, no_waiting: None):
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutputWriteError, match="File too large"):
            await writing.write(*range(5000), size=500)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    kept = writing.names()
    assert writing.acknowledged == kept
    await writing.write("more")

    assert writing.names() == [*kept, "more"]


async def test_an_output_that_is_deleted_under_the_run_is_noticed(writing: Writing, no_waiting: None):
    running = asyncio.create_task(writing.write_on())
    await writing.until_acknowledged(1)
    writing.path.unlink()
    with pytest.raises(OutputWriteError, match="it was deleted while the job was running"):
        await running
    assert not writing.path.exists()


# Callers that fail or are cancelled


async def test_what_was_appended_is_written_also_while_the_caller_is_cancelled(writing: Writing):
    appended = asyncio.Event()

    async def run() -> None:
        async with writing.journal() as journal:
            await journal.append(line("a"), "a")
            appended.set()
            await asyncio.get_running_loop().create_future()

    running = asyncio.create_task(run())
    await appended.wait()
    running.cancel()
    await asyncio.sleep(0)
    running.cancel("and again")

    with pytest.raises(asyncio.CancelledError):
        await running
    assert writing.names() == writing.acknowledged == ["a"]


async def test_a_cancellation_stays_one_when_the_disk_fails_too(writing: Writing, monkeypatch: pytest.MonkeyPatch):
    Disk(monkeypatch, "write", 0, for_good=True, code=errno.EIO)
    appended = asyncio.Event()

    async def run() -> None:
        async with writing.journal() as journal:
            await journal.append(line("a"), "a")
            appended.set()
            await asyncio.get_running_loop().create_future()

    running = asyncio.create_task(run())
    await appended.wait()
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_callback_that_raises_is_heard_and_keeps_nothing_off_the_disk(writing: Writing, no_waiting: None):
    def durable(marks: list[Any]) -> None:
        raise ValueError("a mistake in the callback")

    async def flood(journal: Journal) -> None:
        for number in range(20 * GROUP_ROWS):
            await journal.append(line(number), number)
            taken.append(str(number))

    taken: list[str] = []
    with pytest.raises(ValueError, match="a mistake in the callback"):
        async with Journal(writing.path, durable) as journal:
            await flood(journal)

    assert 0 < len(taken) < 20 * GROUP_ROWS
    # The append that raised had taken its line too.
    assert writing.names() == [*taken, str(len(taken))]


async def test_closing_twice_does_nothing(writing: Writing):
    async with writing.journal() as journal:
        await journal.append(line("a"), "a")
        await journal.aclose()
        await journal.aclose()

    assert writing.names() == ["a"]


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


async def test_no_descriptor_and_no_thread_stays_behind(writing: Writing):
    await writing.write("a")
    before = open_descriptors()
    for _ in range(20):
        await writing.write("a")
        with pytest.raises(OutputWriteError):
            await Writing(writing.path.parent).write("a")

    assert open_descriptors() == before
