"""Files are read in threads of their own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from deepseek_async.files.upload import FileOnDisk


class LookUps(ThreadPoolExecutor):
    """The event loop's own threads, which look up names of hosts."""

    def submit(self, *work: Any, **options: Any) -> Any:
        raise AssertionError(f"taken from the look-ups of names: {work} {options}")


async def test_reading_a_file_takes_no_thread_from_the_look_up_of_names(tmp_path: Path):
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(range(256)) * 4096)
    asyncio.get_running_loop().set_default_executor(LookUps(1))

    read = [piece async for piece in FileOnDisk.at(path).pieces()]

    assert b"".join(read) == path.read_bytes()
