"""Every system call on an output fails once, or from then on: what was acknowledged is there, and no failure is silent.

As SQLite does it: not some calls, but each in its turn.
"""

from __future__ import annotations

import errno
import os
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from writing import Writing, line, names_in, outcome

from deepseek_async.batch.journal import Disk
from deepseek_async.batch.journal import writer as module

ROWS = 4
SHORT = -1
CALLS = ("open", "close", "write", "write_at", "read_at", "truncate", "sync_data", "sync", "status", "free", "lock")
SYNCS = {"sync_data", "sync"}


class FailingDisk(Disk):
    """The call of that number fails, whichever it is; ``for_good``, so do those of its kind that follow."""

    def __init__(self, failing: int, fault: int, *, for_good: bool) -> None:
        self.calls: list[str] = []
        self.failed = ""
        self._failing = failing
        self._fault = fault
        self._for_good = for_good
        for name in CALLS:
            setattr(self, name, partial(self._call, name, getattr(super(), name)))

    def _call(self, name: str, real: Any, *arguments: Any) -> Any:
        number = len(self.calls)
        self.calls.append(name)
        if number == self._failing:
            self.failed = name
        if number == self._failing or (self._for_good and name == self.failed):
            if self._fault == SHORT:
                return self._short(name, real, *arguments)
            if name == "close":
                real(*arguments)  # it is closed even if it says that it failed
            raise OSError(self._fault, os.strerror(self._fault))
        # No power is lost here, so syncs need not be waited for.
        return None if name in SYNCS else real(*arguments)

    @staticmethod
    def _short(name: str, real: Any, *arguments: Any) -> Any:
        descriptor, *rest = arguments
        if name in {"write", "write_at"}:
            return real(descriptor, rest[0][: max(1, len(rest[0]) // 2)], *rest[1:])
        if name == "read_at":
            return real(descriptor, max(1, rest[0] // 2), *rest[1:])
        return None if name in SYNCS else real(*arguments)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUP_SECONDS", 0)
    monkeypatch.setattr(module, "FULL_DISK_SECONDS", 0.004)
    monkeypatch.setattr(module, "FULL_DISK_PAUSE", 0.002)


FAULTS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EDQUOT": errno.EDQUOT, "EINTR": errno.EINTR, "short": SHORT}


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_whichever_call_fails_no_acknowledged_row_is_missing_and_no_failure_is_silent(
    tmp_path: Path,
    fault: str,
    for_good: bool,
):
    seen: set[str] = set()
    before = [f"before {number}" for number in range(2)]
    wanted = [str(number) for number in range(ROWS)]
    descriptors = open_descriptors()
    for failing in count():
        path = tmp_path / f"{failing}.jsonl"
        path.write_bytes(b"".join(map(line, before)) + line("torn")[:-5])
        disk = FailingDisk(failing, FAULTS[fault], for_good=for_good)
        writing = Writing(path, disk=disk)
        failure = await outcome(writing.one_by_one(ROWS))
        kept = names_in(whole_lines(path))

        assert kept[:2] == before
        assert kept[2 : 2 + len(writing.acknowledged)] == writing.acknowledged
        if failure is None:
            assert writing.acknowledged == wanted
        else:
            assert failure.path == str(path)
            # Every row that was handed over is either acknowledged or named.
            handed_over = writing.acknowledged + list(failure.rows)
            assert handed_over == wanted[: len(handed_over)]
        if fault in {"EINTR", "short"} and not for_good:
            assert failure is None, disk.failed
        if fault == "short" and disk.failed:
            assert failure is None, disk.failed

        # A healthy run then completes it, and each row is there once.
        again = Writing(path, disk=FailingDisk(-1, 0, for_good=False))
        await again.write(*(name for name in wanted if name not in kept))
        assert sorted(again.names()) == sorted(before + wanted)
        assert open_descriptors() == descriptors
        seen.add(disk.failed)
        if not disk.failed:
            break

    assert seen >= {"open", "close", "write", "read_at", "truncate", "sync_data", "sync", "status", "free", "lock"}


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def whole_lines(path: Path) -> bytes:
    """What the next run will find: if the disk refused to cut a torn line off, that run does it."""
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]


async def test_a_failed_sync_is_never_tried_again_on_the_same_descriptor(tmp_path: Path):
    for failing in count():
        disk = FailingDisk(failing, errno.EIO, for_good=False)
        failure = await outcome(Writing(tmp_path / f"{failing}.jsonl", disk=disk).one_by_one(ROWS))
        if disk.failed == "sync_data":
            assert failure is not None
            assert "sync_data" not in disk.calls[failing + 1 :]
        if not disk.failed:
            break
