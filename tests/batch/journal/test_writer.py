"""The output file as a journal: what was acknowledged is in it, whatever the disk or the process does."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.waiting import settled, until
from writing import Writing, line, outcome, read_back

import deepseek_async
from deepseek_async.batch.journal import Disk, Durability, Journal, Written
from deepseek_async.batch.journal import file as file_module
from deepseek_async.batch.journal import writer as module
from deepseek_async.batch.journal.lock import file_system
from deepseek_async.batch.journal.writer import GROUP_ROWS
from deepseek_async.errors import ConfigurationError, OutputWriteError

REPOSITORY = Path(deepseek_async.__file__).parents[1]


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
        assert read_back(journal) == (["a", "b"], 0)
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
    async with Journal(writing.path, lambda written: history.append(("acknowledge", len(written.marks)))) as journal:
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


@pytest.mark.parametrize(("durability", "syncs"), [("os", 1), ("group", 1), ("each", 10)])
async def test_a_row_is_synced_as_often_as_was_asked_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    durability: str,
    syncs: int,
):
    calls = []
    monkeypatch.setattr(os, "fdatasync", calls.append)
    writing = Writing(tmp_path / "out.jsonl", durability=Durability(durability))
    await writing.write(*range(10))

    assert len(calls) == syncs  # left to the kernel, it is synced once, at the end
    assert writing.names() == writing.acknowledged == [str(number) for number in range(10)]
    assert writing.groups == ([1] * 10 if durability == "each" else [10])


async def test_an_acknowledged_row_can_be_read_back_from_its_place(writing: Writing):
    places: list[tuple[int, bytes]] = []

    def durable(written: Written) -> None:
        offset = written.offset
        for text in written.lines:
            places.append((offset, text))
            offset += len(text)

    await writing.write("before")
    async with Journal(writing.path, durable, min_free=0) as journal:
        for name in ("a", "long", "c"):
            await journal.append(line(name, 100_000 if name == "long" else 0), None)
        await journal.drain()
        for offset, text in places:
            assert journal.read_line(offset) == text.rstrip(b"\n")

    assert len(places) == 3


# What a crash leaves behind


async def test_a_torn_last_line_is_cut_off_wherever_it_broke(writing: Writing):
    whole, torn = line("a") + line("b"), line("c")
    for length in range(len(torn) - 1):
        writing.path.write_bytes(whole + torn[:length])
        async with writing.journal() as journal:
            assert (read_back(journal), journal.cut) == ((["a", "b"], 0), length)
        assert writing.path.read_bytes() == whole


async def test_a_last_line_that_lacks_nothing_but_its_end_is_kept(writing: Writing):
    writing.path.write_bytes(line("a") + line("b", 200_000)[:-1])
    await writing.write("c")

    assert writing.names() == ["a", "b", "c"]


async def test_lines_of_another_program_are_an_output_too(writing: Writing):
    writing.path.write_bytes(b'{"custom_id":"a","response":{"status_code":200,"body":{}},"error":null}\n')
    async with writing.journal() as journal:
        assert read_back(journal) == (["a"], 0)


async def test_a_torn_line_may_be_longer_than_a_block(writing: Writing):
    writing.path.write_bytes(line("a") + line("b", 200_000)[:-2])
    await writing.write("c")

    assert writing.names() == ["a", "c"]


async def test_a_damaged_line_is_set_aside_and_finishes_no_row(writing: Writing):
    damaged = line("b").replace(b'"b"', b'"c"')
    writing.path.write_bytes(line("a") + damaged + b"\n" + b"\0" * 4096 + b"\n" + line("d"))
    async with writing.journal() as journal:
        assert read_back(journal) == (["a", "d"], 2)

    side = writing.path.with_name("out.jsonl.damaged")
    assert side.read_bytes() == damaged + b"\0" * 4096 + b"\n"
    assert stat.S_IMODE(side.stat().st_mode) == 0o600


async def test_line_ends_that_another_program_changed_are_no_damage(writing: Writing):
    writing.path.write_bytes((line("a") + line("b")).replace(b"\n", b"\r\n"))
    async with writing.journal() as journal:
        assert read_back(journal) == (["a", "b"], 0)


async def test_a_side_file_that_cannot_be_written_is_an_error_of_the_output(writing: Writing):
    writing.path.write_bytes(line("a").replace(b'"a"', b'"b"'))

    class NoNewFiles(Disk):
        def open(self, path: Path, flags: int) -> int:
            if "damaged" in path.name:
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            return super().open(path, flags)

    async with writing.journal(disk=NoNewFiles()) as journal:
        with pytest.raises(OutputWriteError, match=r"move damaged lines of .* to .*: Permission denied"):
            read_back(journal)


async def test_a_damaged_line_is_set_aside_once_and_leaves_blanks_that_every_reader_skips(writing: Writing):
    writing.path.write_bytes(line("a") + line("b").replace(b'"b"', b'"c"') + line("d"))
    for expected in (1, 0, 0):
        async with writing.journal() as journal:
            assert read_back(journal) == (["a", "d"], expected)

    assert writing.path.read_bytes().split() == (line("a") + line("d")).split()
    assert writing.path.with_name("out.jsonl.damaged").read_bytes().count(b"\n") == 1


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
        (Path.mkdir, "not a regular file"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.with_name("out.jsonl.lock").mkdir(), "cannot create .*not a regular file"),
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


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "ceph"])
async def test_a_network_file_system_is_refused_unless_it_is_allowed(
    writing: Writing,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
):
    mounts = f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:50 / {writing.path.parent} rw shared:1 - {kind} server:/x rw\n"
    monkeypatch.setattr(Disk, "mounts", lambda _: mounts)

    with pytest.raises(ConfigurationError, match=rf"network file system \({kind}\).*--allow-network"):
        await writing.write("a")
    assert not writing.path.exists()
    await Writing(writing.path, allow_network=True).write("a")
    assert writing.names() == ["a"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/data/x", "xfs"),
        ("/data", "xfs"),
        ("/database", "ext4"),
        ("/data/over/x", "tmpfs"),
        ("/with space/x", "nfs"),
    ],
)
def test_the_file_system_is_that_of_the_innermost_and_latest_mount(path: str, kind: str):
    mounts = (
        "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
        "2 1 8:2 / /data rw master:1 shared:2 - xfs /dev/sdb rw\n"
        "3 2 8:2 / /data/over rw - nfs server:/x rw\n"
        "4 2 8:2 / /data/over rw - tmpfs tmpfs rw\n"
        "5 1 8:2 / /with\\040space rw - nfs server:/x rw\n"
        "what is this\n"
    )

    assert file_system(Path(path), mounts) == kind


def test_where_mounts_are_not_known_no_file_system_is_named():
    assert file_system(Path("/data"), "") is None


async def test_a_disk_that_is_nearly_full_is_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(OutputWriteError, match=r"MiB free, min_free is 1,099,511,627,776 MiB"):
        await Writing(tmp_path / "out.jsonl", min_free=1 << 60).write("a")


# Disks that fail


class FailingCall:
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


async def test_a_short_write_is_continued(writing: Writing, monkeypatch: pytest.MonkeyPatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    await writing.write(*range(50))

    assert writing.names() == [str(number) for number in range(50)]


async def test_a_failed_sync_is_not_tried_again(writing: Writing, monkeypatch: pytest.MonkeyPatch, no_waiting: None):
    disk = FailingCall(monkeypatch, "fdatasync", 2, for_good=False, code=errno.EIO)
    with pytest.raises(OutputWriteError):
        await writing.write_on()

    assert disk.calls == 3
    assert writing.names() == writing.acknowledged


async def test_a_producer_that_waits_for_the_disk_hears_of_its_failure(
    writing: Writing,
    monkeypatch: pytest.MonkeyPatch,
):
    FailingCall(monkeypatch, "write", 0, for_good=True, code=errno.EIO)

    async def flood(journal: Journal) -> None:
        for number in range(100 * GROUP_ROWS):
            await journal.append(line(number), number)

    with pytest.raises(OutputWriteError, match="Input/output error"):
        async with writing.journal() as journal:
            await flood(journal)
    assert writing.names() == []


async def test_a_failure_of_the_last_group_shows_on_leaving(writing: Writing, monkeypatch: pytest.MonkeyPatch):
    FailingCall(monkeypatch, "fdatasync", 0, for_good=False, code=errno.EIO)

    with pytest.raises(OutputWriteError, match="run the same command again"):
        await writing.write("a", "b")
    assert writing.acknowledged == []
    assert writing.names() == []


async def test_after_a_failure_it_is_said_which_answered_rows_are_missing(
    writing: Writing,
    monkeypatch: pytest.MonkeyPatch,
):
    FailingCall(monkeypatch, "fdatasync", 1, for_good=False, code=errno.EIO)

    async def run() -> None:
        async with writing.journal() as journal:
            await journal.append(line("kept"), "kept")
            await journal.drain()
            for number in range(7):
                await journal.append(line(number), str(number))

    failure = await outcome(run())

    assert failure is not None
    assert failure.rows == [str(number) for number in range(7)]
    assert "7 answered rows are not in it (0, 1, 2, 3, 4, …)" in failure.message
    assert writing.names() == writing.acknowledged == ["kept"]


class FullDisk(Disk):
    """Takes so many bytes; then it is full until somebody makes room."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.refused = 0

    def write(self, descriptor: int, data: memoryview) -> int:
        size = min(self.room, len(data))
        if not size:
            self.refused += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= size
        return super().write(descriptor, data[:size])


async def test_a_full_disk_is_waited_for_and_rows_go_on_when_there_is_room(
    writing: Writing,
    monkeypatch: pytest.MonkeyPatch,
    no_waiting: None,
):
    monkeypatch.setattr(module, "FULL_DISK_PAUSE", 0.001)
    disk = FullDisk(int(2.5 * len(line("0"))))
    async with writing.journal(disk=disk) as journal:
        for number in range(5):
            await journal.append(line(number), str(number))
        await until(lambda: disk.refused >= 3)
        assert journal.stalled
        assert writing.names() == writing.acknowledged  # whole lines, and nothing of the group that did not fit
        waiting = asyncio.create_task(journal.flow())
        await settled()
        assert not waiting.done()
        disk.room = 1 << 20
        await waiting
        assert not journal.stalled

    assert writing.names() == writing.acknowledged == [str(number) for number in range(5)]


async def test_a_disk_that_stays_full_ends_the_run_and_the_next_one_goes_on(
    writing: Writing,
    monkeypatch: pytest.MonkeyPatch,
    no_waiting: None,
):
    monkeypatch.setattr(module, "FULL_DISK_SECONDS", 0.02)
    monkeypatch.setattr(module, "FULL_DISK_PAUSE", 0.005)
    size = len(line("0"))
    async with writing.journal() as journal:
        await journal.append(line(0), "0")
    stuck = Writing(writing.path, disk=FullDisk(size + 10)).journal()

    async def run() -> None:
        async with stuck as journal:
            for number in range(1, 9):
                await journal.append(line(number), str(number))
            await until(lambda: journal.stalled)
            # Who waits to send the next request must not send it after all.
            with pytest.raises(OutputWriteError, match="no space was freed"):
                await journal.flow()

    failure = await outcome(run())

    assert failure is not None
    assert "No space left on device, and no space was freed within" in failure.message
    assert failure.rows
    kept = writing.names()
    assert kept[0] == "0"
    await Writing(writing.path).write("more")
    assert writing.names() == [*kept, "more"]


async def test_room_is_looked_for_every_minute(writing: Writing, monkeypatch: pytest.MonkeyPatch, no_waiting: None):
    monkeypatch.setattr(module, "FULL_DISK_PAUSE", 0.001)
    monkeypatch.setattr(file_module, "_SPACE_CHECK_SECONDS", 0.0)
    free = [1000]
    monkeypatch.setattr(Disk, "free", lambda *_: free[0])
    async with writing.journal(min_free=500) as journal:
        await journal.append(line("a"), "a")
        await journal.drain()
        free[0] = 499
        await journal.append(line("b"), "b")
        await until(lambda: journal.stalled)
        assert writing.names() == ["a"]
        free[0] = 500
    assert writing.names() == ["a", "b"]


async def test_an_output_that_is_deleted_under_the_run_is_noticed(writing: Writing, no_waiting: None):
    running = asyncio.create_task(writing.write_on())
    await writing.until_acknowledged(1)
    writing.path.unlink()
    with pytest.raises(OutputWriteError, match="it was deleted while the job was running"):
        await running
    assert not writing.path.exists()


@pytest.mark.parametrize("replaced", [False, True])
async def test_an_output_that_is_moved_under_the_run_is_noticed_and_keeps_what_it_has(
    writing: Writing,
    no_waiting: None,
    replaced: bool,
):
    running = asyncio.create_task(writing.write_on())
    await writing.until_acknowledged(1)
    elsewhere = writing.path.rename(writing.path.with_name("elsewhere"))
    if replaced:
        writing.path.write_text("")
    with pytest.raises(OutputWriteError, match="it was moved or replaced while the job was running"):
        await running
    assert elsewhere.read_bytes().count(b"\n") >= len(writing.acknowledged) > 0
    assert not writing.path.exists() or writing.path.read_bytes() == b""


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
    FailingCall(monkeypatch, "write", 0, for_good=True, code=errno.EIO)
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
    def durable(written: Written) -> None:
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
