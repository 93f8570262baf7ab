"""Streamed request bodies: files on disk and multipart bodies, read in pieces instead of into memory."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from deepseek_async.errors import InvalidRequestError
from deepseek_async.process.worker_threads import FILE_THREADS

_log: Final = logging.getLogger("deepseek_async")

PIECE: Final = 256 * 1024
"""Bytes per read and send."""


class FileOnDisk(msgspec.Struct, frozen=True):
    """A file and its state when first opened. Each attempt reads it again and requires the same state."""

    path: Path
    size: int
    changed: int
    """Modification time, Unix time in nanoseconds."""
    inode: int

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> FileOnDisk:
        """Record the file at ``path``. Raises InvalidRequestError if it cannot be read or is not a regular file."""
        where = Path(path)
        try:
            with where.open("rb") as opened:
                return cls._seen(where, opened)
        except OSError as error:
            raise InvalidRequestError(f"cannot read file {where}: {error.strerror or error}") from None

    @classmethod
    def _seen(cls, path: Path, opened: BinaryIO) -> FileOnDisk:
        found = os.fstat(opened.fileno())
        return cls(path, found.st_size, found.st_mtime_ns, found.st_ino)

    def __len__(self) -> int:
        return self.size

    def start(self, size: int) -> bytes:
        """Read its first ``size`` bytes."""
        with self.path.open("rb") as opened:
            return opened.read(size)

    def end(self, size: int) -> bytes:
        """Read its last ``size`` bytes."""
        with self.path.open("rb") as opened:
            opened.seek(max(0, self.size - size))
            return opened.read(size)

    def read_pieces(self, size: int) -> Iterator[bytes]:
        """Yield the file in pieces of ``size`` bytes. Raises InvalidRequestError if it changed or cannot be read."""
        try:
            with self.path.open("rb") as opened:
                read = 0
                while piece := opened.read(size):
                    read += len(piece)
                    yield piece
                self._check(opened, read)
        except OSError as error:
            raise InvalidRequestError(f"cannot read file {self.path} again: {error.strerror or error}") from None

    def read(self) -> bytes:
        """Read the whole file. Raises InvalidRequestError if it changed."""
        with self.path.open("rb") as opened:
            content = opened.read()
            self._check(opened, len(content))
        return content

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the file in pieces, read off the event loop. Raises InvalidRequestError once a change is detected."""
        opened: BinaryIO | None = None
        try:
            opened = await FILE_THREADS.run(self.path.open, "rb")
            self._check(opened, self.size)
            sent = 0
            while piece := await FILE_THREADS.run(opened.read, PIECE):
                sent += len(piece)
                if sent >= self.size:
                    self._check(opened, sent)
                yield piece
            self._check(opened, sent)
        except OSError as error:
            raise InvalidRequestError(f"cannot read file {self.path} again: {error.strerror or error}") from None
        finally:
            if opened is not None:
                opened.close()

    def _check(self, opened: BinaryIO, read: int) -> None:
        if read != self.size or self._seen(self.path, opened) != self:
            raise InvalidRequestError(
                f"file {self.path} changed while it was read (first seen with {self.size:,} bytes); send it again once "
                "it is complete",
            )


Content = bytes | FileOnDisk
"""Content of an upload."""


class UploadProgress(msgspec.Struct, eq=False):
    """Progress of an upload."""

    told: Callable[[int, int], object] | None = None
    """Called with bytes sent and total bytes of the file."""
    whole: bool = False
    """Whether the last bytes were sent, so that the server may have the file."""

    def now(self, sent: int, size: int) -> None:
        """Report ``sent`` of ``size`` bytes."""
        if self.told is None:
            return
        try:
            self.told(sent, size)
        except Exception:  # noqa: BLE001  foreign code
            self.told = None
            _log.exception("on_progress raised and is disabled; the upload continues")


class UploadBody(msgspec.Struct, frozen=True):
    """Request body around a streamed ``content``."""

    head: bytes
    content: Content
    tail: bytes
    progress: UploadProgress

    def __len__(self) -> int:
        return len(self.head) + len(self.content) + len(self.tail)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the body in pieces."""
        progress, size, sent = self.progress, len(self.content), 0
        progress.whole = False
        yield self.head
        async with aclosing(self._content()) as pieces:
            async for piece in pieces:
                yield piece
                sent += len(piece)
                progress.now(sent, size)
        progress.whole = True
        yield self.tail

    async def _content(self) -> AsyncGenerator[bytes, None]:
        if isinstance(self.content, FileOnDisk):
            async with aclosing(self.content.pieces()) as pieces:
                async for piece in pieces:
                    yield piece
        else:
            view = memoryview(self.content)
            for start in range(0, len(view), PIECE):
                yield bytes(view[start : start + PIECE])


def digest_of(content: Content) -> str:
    """Digest of ``content``; for a file on disk a digest of its metadata, without reading it."""
    known = content if isinstance(content, bytes) else repr(content).encode("utf-8", "surrogateescape")
    return blake2b(known, digest_size=16).hexdigest()
