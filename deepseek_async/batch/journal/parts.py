"""Parts of an output written by several processes, each its own file in a folder beside the output.

They are shards of one job (``Shard``), merged into the output in input order at the end of the run, when the folder
is removed. The parts of a killed run are resumed by the next one, even with another number of parts.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, Self

from deepseek_async.batch.journal.disk import Disk, sync_folder, uninterrupted, write_whole
from deepseek_async.batch.journal.lock import OutputLock
from deepseek_async.batch.journal.merge import Merged, merge
from deepseek_async.batch.journal.ownership import lock_of, refuse_foreign
from deepseek_async.batch.journal.reading import OutputLines
from deepseek_async.batch.line_format import glance, text_of
from deepseek_async.batch.output_line import decode_line
from deepseek_async.batch.row_identity import shard_of
from deepseek_async.errors import ConfigurationError, OutputWriteError

_PART: Final = re.compile(r"([1-9][0-9]*)-of-([1-9][0-9]*)\.jsonl")
_OF_A_KILLED_RUN: Final = re.compile(_PART.pattern + r"\.(?:part|lock)|[0-9a-f]{16}\.token")
_BLOCK: Final = 1 << 18
"""Buffered bytes per part while an output is split."""


class Parts:
    """The parts of an output; use in ``with``, which holds the output's lock. Does file I/O; call it in a thread.

    Raises OutputLockedError if another run holds the output or a part of it, OutputWriteError for a foreign output,
    and ConfigurationError.
    """

    def __init__(self, output: Path, disk: Disk | None = None) -> None:
        self._output = output
        self._disk = disk or Disk()
        self._lock: OutputLock | None = None
        self.folder: Final = output.with_name(f"{output.name}.parts")
        self.paths: list[Path] = []
        """Paths of the parts, in shard order."""

    def __enter__(self) -> Self:
        refuse_foreign(self._output)
        self._lock = OutputLock.take(self._output, self._disk)
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def left(self) -> int | None:
        """Return the number of parts that an earlier run was split into, or None if it left none."""
        counts = {int(found[2]) for found in self._found().values()}
        return max(counts) if counts else None

    def prepare(self, count: int) -> None:
        """Create ``count`` parts that together hold all rows of the job."""
        found = self._found()
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputWriteError(f"cannot create {self.folder}: {error.strerror}", path=str(self.folder)) from None
        self.paths = [self.folder / f"{number}-of-{count}.jsonl" for number in range(1, count + 1)]
        if found and (_has_lines(self._output) or {int(name[2]) for name in found.values()} != {count}):
            self._merge(list(found))
        if _has_lines(self._output):
            self._split(count)

    def merge(self) -> Merged:
        """Merge all parts into the output, in input order, and remove them."""
        return self._merge([path for path in self.paths if path.exists()])

    def _merge(self, parts: list[Path]) -> Merged:
        outputs = [*([self._output] if self._output.exists() else []), *parts]
        if not outputs:
            return Merged(rows=0, superseded=0, damaged=0)
        merged = merge(outputs, self._output, self._disk, in_order=True, holds_lock=True)
        # Damaged lines that were set aside, and foreign files, stay.
        for path in parts:
            for name in (path, lock_of(path)):
                with suppress(OSError):
                    self._disk.remove(name)
        return merged

    def show_token(self) -> str:
        """Write a token to the folder, by which other machines verify that they share it; removed by ``close``."""
        token = secrets.token_hex(8)
        try:
            self.token_file(self.folder, token).write_text(token)
        except OSError as error:
            raise OutputWriteError(f"cannot write to {self.folder}: {error.strerror}", path=str(self.folder)) from None
        return token

    @staticmethod
    def token_file(folder: Path, token: str) -> Path:
        """Return the path of the token."""
        return folder / f"{token}.token"

    def close(self) -> None:
        """Remove the folder if it is empty."""
        with suppress(OSError):
            for path in self.folder.iterdir():
                if _OF_A_KILLED_RUN.fullmatch(path.name):
                    self._disk.remove(path)
            self.folder.rmdir()

    def _found(self) -> dict[Path, re.Match[str]]:
        try:
            names = sorted(os.listdir(self.folder))  # noqa: PTH208
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigurationError(f"cannot read the directory {self.folder}: {error.strerror}") from None
        found = {self.folder / name: _PART.fullmatch(name) for name in names}
        return {path: match for path, match in found.items() if match is not None}

    def _split(self, count: int) -> None:
        """Give each part the lines of its rows, so that its run knows which have ended."""
        try:
            with ExitStack() as stack:
                files = [stack.enter_context(_Part(path, self._disk)) for path in self.paths]
                for line, name in _named_lines(self._output):
                    files[shard_of(name, count) - 1].add(line)
                for file in files:
                    file.finish()
            sync_folder(self._disk, self.folder)
        except OSError as error:
            raise OutputWriteError(
                f"cannot write the parts of {self._output}: {error.strerror or error}; the output is unchanged",
                path=str(self.folder),
            ) from None


class _Part:
    """A part being written; it appears atomically when complete."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._temporary = path.with_name(f"{path.name}.part")
        self._descriptor = -1
        self._lines: list[bytes] = []
        self._size = 0

    def __enter__(self) -> Self:
        self._descriptor = uninterrupted(self._disk.open, self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._disk.close(self._descriptor)
        with suppress(OSError):
            self._disk.remove(self._temporary)

    def add(self, line: bytes) -> None:
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _BLOCK:
            self._write()

    def finish(self) -> None:
        self._write()
        uninterrupted(self._disk.sync, self._descriptor)
        uninterrupted(self._disk.rename, self._temporary, self._path)

    def _write(self) -> None:
        write_whole(lambda rest: self._disk.write(self._descriptor, rest), b"".join(self._lines))
        self._lines, self._size = [], 0


def _has_lines(output: Path) -> bool:
    return output.exists() and output.stat().st_size > 0


def _named_lines(output: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield each undamaged line with its row's name."""
    for line in OutputLines(output):
        seen = glance(line)
        if seen is not None:
            yield line, seen[0]
            continue
        text = text_of(line)
        row = decode_line(text)
        if row is not None:
            yield text + b"\n", row.custom_id.encode()
