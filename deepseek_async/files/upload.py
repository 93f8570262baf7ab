"""What goes out piece by piece, so that no file has to be in memory as a whole: one on disk, and the body around it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from deepseek_async.errors import InvalidRequestError

_log: Final = logging.getLogger("deepseek_async")

PIECE: Final = 256 * 1024
"""Bytes that are read and sent at a time."""


class FileOnDisk(msgspec.Struct, frozen=True):
    """A file as it was when it was looked at. It is read again for each attempt, and must be the same then."""

    path: Path
    size: int
    changed: int
    """Nanoseconds since 1970."""
    inode: int

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> FileOnDisk:
        """The file at ``path`` now. Raises InvalidRequestError if it cannot be read, or has no size of its own."""
        where = Path(path)
        try:
            with where.open("rb") as opened:
                return cls._seen(where, opened)
        except OSError as error:
            raise InvalidRequestError(f"file {where} cannot be read: {error.strerror or error}") from None

    @classmethod
    def _seen(cls, path: Path, opened: BinaryIO) -> FileOnDisk:
        found = os.fstat(opened.fileno())
        return cls(path, found.st_size, found.st_mtime_ns, found.st_ino)

    def __len__(self) -> int:
        return self.size

    def start(self, size: int) -> bytes:
        """Its first ``size`` bytes."""
        with self.path.open("rb") as opened:
            return opened.read(size)

    def end(self, size: int) -> bytes:
        """Its last ``size`` bytes."""
        with self.path.open("rb") as opened:
            opened.seek(max(0, self.size - size))
            return opened.read(size)

    def read_pieces(self, size: int) -> Iterator[bytes]:
        """All of it, so many bytes at a time. Raises InvalidRequestError if it has changed, or cannot be read."""
        try:
            with self.path.open("rb") as opened:
                read = 0
                while piece := opened.read(size):
                    read += len(piece)
                    yield piece
                self._check(opened, read)
        except OSError as error:
            raise InvalidRequestError(f"file {self.path} cannot be read any more: {error.strerror or error}") from None

    def read(self) -> bytes:
        """All of it. Raises InvalidRequestError if it has changed."""
        with self.path.open("rb") as opened:
            content = opened.read()
            self._check(opened, len(content))
        return content

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Its bytes, read off the event loop. Raises InvalidRequestError as soon as it is seen to have changed."""
        opened: BinaryIO | None = None
        try:
            opened = await asyncio.to_thread(self.path.open, "rb")
            self._check(opened, self.size)
            sent = 0
            while piece := await asyncio.to_thread(opened.read, PIECE):
                sent += len(piece)
                if sent >= self.size:
                    self._check(opened, sent)
                yield piece
            self._check(opened, sent)
        except OSError as error:
            raise InvalidRequestError(f"file {self.path} cannot be read any more: {error.strerror or error}") from None
        finally:
            if opened is not None:
                opened.close()

    def _check(self, opened: BinaryIO, read: int) -> None:
        if read != self.size or self._seen(self.path, opened) != self:
            raise InvalidRequestError(
                f"file {self.path} changed while it was read, and had {self.size:,} bytes at first; send it when it is "
                "whole",
            )


Content = bytes | FileOnDisk
"""What an upload is made of."""


class UploadProgress(msgspec.Struct, eq=False):
    """How much of a file has gone out."""

    told: Callable[[int, int], object] | None = None
    """Called with the bytes of the file that have gone out, and all that it has."""
    whole: bool = False
    """Whether the last bytes have been handed over, so that the server may have the file."""

    def now(self, sent: int, size: int) -> None:
        """So many bytes have gone out."""
        if self.told is None:
            return
        try:
            self.told(sent, size)
        except Exception:  # noqa: BLE001  it is not ours
            self.told = None
            _log.exception("on_progress failed and is not called again; the upload goes on")


class UploadBody(msgspec.Struct, frozen=True):
    """The body of a request with a ``content`` that goes out piece by piece."""

    head: bytes
    content: Content
    tail: bytes
    progress: UploadProgress

    def __len__(self) -> int:
        return len(self.head) + len(self.content) + len(self.tail)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Its bytes, in their order."""
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
    """What ``content`` cannot hold; of a file on disk it is that of what is known of it, without reading it."""
    known = content if isinstance(content, bytes) else repr(content).encode("utf-8", "surrogateescape")
    return blake2b(known, digest_size=16).hexdigest()
