"""The power goes: of what was not synced, the disk keeps anything. What was acknowledged is there all the same.

Writes and syncs of a real run are recorded, and replayed into what a disk may hold at every moment: unsynced
writes are kept, dropped, torn, turned to zeros, and reach the disk in any order.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from writing import Writing, line, names_in, read_back

from deepseek_async.batch.journal import Disk, Journal, Written
from deepseek_async.batch.journal import writer as module

SECTOR = 512
Event = tuple[str, Any, Any]


class RecordingDisk(Disk):
    """Notes what reaches the output, and when it is made durable."""

    def __init__(self, path: Path) -> None:
        self.events: list[Event] = []
        self._path = path
        self._output = -1
        self._folder = -1

    def open(self, path: Path, flags: int) -> int:
        descriptor = super().open(path, flags)
        if path == self._path:
            self._output = descriptor
        elif path == self._path.parent:
            self._folder = descriptor
        return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:
        end = self.status(descriptor).st_size
        written = super().write(descriptor, data)
        if descriptor == self._output:
            self.events.append(("write", end, bytes(data[:written])))
        return written

    def truncate(self, descriptor: int, size: int) -> None:
        super().truncate(descriptor, size)
        if descriptor == self._output:
            self.events.append(("truncate", size, None))

    def sync_data(self, descriptor: int) -> None:
        super().sync_data(descriptor)
        self.events.append(("sync", None, None))

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        if descriptor == self._output:
            self.events.append(("sync", None, None))
        elif descriptor == self._folder:
            self.events.append(("name", None, None))


def applied(content: bytearray, event: Event) -> None:
    kind, place, data = event
    if kind == "truncate":
        del content[place:]
        content.extend(bytes(place - len(content)))
    elif kind == "write":
        content.extend(bytes(max(0, place + len(data) - len(content))))
        content[place : place + len(data)] = data


def survived(before: bytes, events: list[Event], chance: random.Random) -> bytes:
    """One of the many things that a disk may hold when the power goes after ``events``."""
    synced = max((place for place, event in enumerate(events) if event[0] == "sync"), default=-1)
    content = bytearray(before)
    for event in events[: synced + 1]:
        applied(content, event)
    pending = [event for event in events[synced + 1 :] if event[0] in {"write", "truncate"}]
    chance.shuffle(pending)
    for event in pending:
        kind, place, data = event
        fate = chance.choice(["kept", "dropped", "torn", "zeros", "sectors"])
        if fate == "dropped":
            continue
        if kind == "write" and fate == "torn":
            data = data[: chance.randint(0, len(data))]
        elif kind == "write" and fate == "zeros":
            data = bytes(len(data))
        elif kind == "write" and fate == "sectors":
            pieces = bytearray(data)
            for start in range(0, len(data), SECTOR):
                if chance.random() < 0.5:
                    end = min(start + SECTOR, len(data))
                    pieces[start:end] = bytes(end - start)
            data = bytes(pieces)
        applied(content, (kind, place, data))
    return bytes(content)


async def recorded(path: Path, rows: int) -> list[Event]:
    """The events of a run, with an acknowledgement among them for every group."""
    disk = RecordingDisk(path)

    def durable(written: Written) -> None:
        disk.events.append(("acknowledge", [str(mark) for mark in written.marks], None))

    chance = random.Random(rows)
    async with Journal(path, durable, min_free=0, disk=disk) as journal:
        for number in range(rows):
            await journal.append(line(number, chance.choice([0, 300, 3000])), number)
            if chance.random() < 0.3:
                await journal.drain()
    return disk.events


BEFORE = {"new": b"", "old": line("before"), "torn": line("before") + line("torn")[:-7]}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
async def test_whenever_the_power_goes_each_acknowledged_row_is_there_and_the_file_opens(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: bytes,
    request: pytest.FixtureRequest,
):
    monkeypatch.setattr(module, "GROUP_SECONDS", 0)
    rounds = request.config.getoption("--rounds") or 4
    path = tmp_path / "out.jsonl"
    if before:
        path.write_bytes(before)
    events = await recorded(path, 60)
    kinds = [event[0] for event in events]
    # A name that is not durable would be a file that is not there.
    assert kinds.index("name") < kinds.index("acknowledge")
    assert kinds.count("acknowledge") > 5

    monkeypatch.setattr(os, "fsync", lambda _: None)  # the replays are not cut off in their turn
    monkeypatch.setattr(os, "fdatasync", lambda _: None)
    chance = random.Random(7)
    replay = tmp_path / "replay.jsonl"
    for moment in range(len(events) + 1):
        acknowledged = [name for kind, names, _ in events[:moment] if kind == "acknowledge" for name in names]
        for _ in range(rounds):
            replay.write_bytes(survived(before, events[:moment], chance))
            async with Writing(replay).journal() as journal:
                names, _ = read_back(journal)
                await journal.append(line("after"), None)
            assert set(acknowledged) <= set(names)
            assert len(set(names)) == len(names)
            assert ("before" in names) == bool(before)
            left = b"".join(text for text in replay.read_bytes().splitlines(keepends=True) if text.strip())
            assert names_in(left) == [*names, "after"]
