"""One writer for an output, whatever becomes of its lock file."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from support.inherited import copies_of_descriptors
from writing import Writing, line

import deepseek_async
from deepseek_async.batch.journal import Disk
from deepseek_async.batch.journal.merge import merge
from deepseek_async.batch.review.running_job import writer_of
from deepseek_async.errors import OutputLockedError, OutputWriteError

REPOSITORY = Path(deepseek_async.__file__).parents[1]


@pytest.fixture
def writing(tmp_path: Path) -> Writing:
    return Writing(tmp_path / "out.jsonl")


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


@pytest.mark.parametrize(
    "away", [Path.unlink, lambda lock: lock.rename(lock.with_name("moved"))], ids=["deleted", "moved"]
)
async def test_without_its_lock_file_a_run_still_holds_the_output(
    writing: Writing, holder: subprocess.Popen[str], away: Callable[[Path], Any]
):
    lock = writing.path.with_name("out.jsonl.lock")
    away(lock)
    for _ in range(2):
        with pytest.raises(OutputLockedError, match="another run is writing"):
            await writing.write("second")
        assert writer_of(writing.path) == "its lock file was deleted"
        with pytest.raises(OutputLockedError, match="another run is writing"):
            merge([writing.path], writing.path.with_name("merged.jsonl"))
    holder.communicate()
    assert holder.returncode == 0
    await writing.write("second")
    assert writing.names() == ["first", "second"]


async def test_an_output_that_a_merge_replaces_while_a_run_opens_it_is_not_written(writing: Writing):
    await writing.write("a")

    merged = writing.path.with_name("merged")

    class Slow(Disk):
        def lock(self, descriptor: int) -> None:
            super().lock(descriptor)
            if os.fstat(descriptor).st_ino == writing.path.stat().st_ino:
                shutil.copy(writing.path, merged)
                merged.replace(writing.path)

    with pytest.raises(OutputWriteError, match="cannot open"):
        async with writing.journal(disk=Slow()):
            pass
    assert writing.names() == ["a"]


async def test_an_output_is_free_at_once_although_a_process_that_is_being_started_has_its_files_still_open(
    writing: Writing,
):
    async with AsyncExitStack() as running:
        journal = await running.enter_async_context(writing.journal())
        await journal.append(line("1"), None)
        with copies_of_descriptors(writing.path.parent) as held:
            await running.aclose()
            assert held == 2  # the output and its lock
            assert writer_of(writing.path) is None
            async with writing.journal() as journal:
                await journal.append(line("2"), None)
