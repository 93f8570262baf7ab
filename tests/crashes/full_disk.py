"""A disk of 4 MB that is full in the middle of a job: the real command, a real file system. Mounting it takes root.

    python tests/crashes/full_disk.py

Twice: room is made while the command waits for it, and it goes on by itself; no room is made, it ends after a minute
with the code of a job that can be resumed, and the next run does the rest.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from killing import KEY, REPOSITORY, CountingServer

ROWS = 2500
SIZE = "4m"
ROOM = 8 << 20


async def start(folder: Path, output: Path, server: CountingServer) -> asyncio.subprocess.Process:
    command = ("batch", "run", str(folder / "in.jsonl"), "-o", str(output), "-c", "16", "--min-free", "0")
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deepseek_async", *command),
        env={**os.environ, "DEEPSEEK_API_KEY": KEY, "DEEPSEEK_BASE_URL": server.url, "PYTHONPATH": str(REPOSITORY)},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


def free(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def names(output: Path) -> list[str]:
    content = output.read_bytes()
    assert content.endswith(b"\n"), "a torn line"
    return [json.loads(line)["custom_id"] for line in content.splitlines()]


async def until_it_is_full(disk: Path, server: CountingServer) -> int:
    """Return when requests have stopped because there is no room; how many there were."""
    while free(disk) > 64 << 10:  # noqa: ASYNC110  a file system tells nobody that it is full
        await asyncio.sleep(0.05)
    before = -1
    while before != server.requests:
        before = server.requests
        await asyncio.sleep(1.5)
    return before


async def run(disk: Path, *, makes_room: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="full-disk-") as name:
        folder = Path(name)
        rows = (json.dumps({"custom_id": f"{row}", "prompt": f"Question {row}"}) + "\n" for row in range(ROWS))
        (folder / "in.jsonl").write_text("".join(rows))
        output = disk / "out.jsonl"
        async with CountingServer(random.Random(7)) as server:
            process = await start(folder, output, server)
            asked = await until_it_is_full(disk, server)
            kept = len(names(output))
            say(f"full: {kept:,} rows in the output, {asked:,} asked for, {asked - kept:,} answers kept in memory")
            began = time.monotonic()
            if makes_room:
                await make_room(disk)
            _, said = await process.communicate()
            say(f"ended with {process.returncode} after {time.monotonic() - began:.1f} s; asked {server.requests:,}")
            assert process.returncode == (0 if makes_room else 3), said.decode()
            if not makes_room:
                say(next(line for line in said.decode().splitlines() if line.startswith("stopped: "))[:160])
                assert len(set(names(output))) == len(names(output)) >= kept
                await make_room(disk)
                process = await start(folder, output, server)
                await process.communicate()
                say(f"the next run ended with {process.returncode}")
            assert process.returncode == 0
            assert sorted(names(output)) == sorted(str(row) for row in range(ROWS))
            say(f"{ROWS:,} rows, each with one line; {server.requests - ROWS:,} requests more than rows")


async def make_room(disk: Path) -> None:
    await asyncio.to_thread(subprocess.run, ["mount", "-o", f"remount,size={ROOM}", str(disk)], check=True)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    for makes_room in (True, False):
        say(f"--- room is {'made' if makes_room else 'not made'} while the command waits")
        with tempfile.TemporaryDirectory(prefix="full-disk-") as disk:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", disk], check=True)
            try:
                asyncio.run(run(Path(disk), makes_room=makes_room))
            finally:
                subprocess.run(["umount", disk], check=True)


if __name__ == "__main__":
    main()
