"""An output, what was acknowledged of it, and what a disk has kept of it: what the tests of the journal share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import count
from pathlib import Path
from typing import Any

from deepseek_async.batch.journal import Journal, Written
from deepseek_async.batch.line_encoder import encode_line
from deepseek_async.batch.output_line import decode_line
from deepseek_async.batch.result import BatchResult
from deepseek_async.errors import APIConnectionError, OutputWriteError


def line(name: object, size: int = 0) -> bytes:
    """A whole output line for the row of that name, padded by about ``size`` bytes."""
    error = APIConnectionError("x" * size)
    return encode_line(BatchResult(index=0, error=error), str(name), 1)


def names_in(content: bytes) -> list[str]:
    """Rows of an output, which must be whole lines."""
    assert content == b"" or content.endswith(b"\n")
    found = []
    for text in content.split(b"\n")[:-1]:
        row = decode_line(text)
        assert row is not None, text
        found.append(row.custom_id)
    return found


def read_back(journal: Journal) -> tuple[list[str], int]:
    """Rows that earlier runs have finished, and the number of damaged lines, which are set aside."""
    lines, names = journal.lines(), []
    for text in lines:
        row = decode_line(text.rstrip(b"\r\n"))
        if row is None:
            lines.blank_or_damaged(text)
        else:
            names.append(row.custom_id)
    journal.set_aside(lines)
    return names, len(lines.damaged)


class Writing:
    """Writes to one file and remembers what was acknowledged."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.acknowledged: list[Any] = []
        self.groups: list[int] = []
        self._options = {"min_free": 0, **options}
        self._more = asyncio.Event()

    def journal(self, **options: Any) -> Journal:
        return Journal(self.path, self._durable, **{**self._options, **options})

    def _durable(self, written: Written) -> None:
        assert len(written.marks) == len(written.lines)
        self.acknowledged += written.marks
        self.groups.append(len(written.marks))
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

    async def one_by_one(self, size: int) -> None:
        """Write each row in a group of its own."""
        async with self.journal() as journal:
            for number in range(size):
                await journal.append(line(number), str(number))
                acknowledged = asyncio.ensure_future(self.until_acknowledged(number + 1))
                assert journal._writer is not None
                await asyncio.wait({acknowledged, journal._writer}, return_when=asyncio.FIRST_COMPLETED)
                acknowledged.cancel()

    def names(self) -> list[str]:
        """Rows in the file, which must be whole lines."""
        return names_in(self.path.read_bytes())


async def outcome(running: Coroutine[Any, Any, None]) -> OutputWriteError | None:
    try:
        await running
    except OutputWriteError as error:
        return error
    return None
