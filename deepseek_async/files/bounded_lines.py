"""Bounded reads: no line and no file, compressed or not, exceeds its memory limit."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

_BLOCK: Final = 1 << 16


class LongLine(msgspec.Struct, frozen=True):
    """A line above the length limit, skipped block by block."""

    size: int
    """Bytes, line ending included."""
    digest: bytes
    """Distinguishes it from other long lines."""
    ended: bool
    """Whether it ends in a line feed."""


def lines_of(file: BinaryIO, longest: int) -> Iterator[bytes | LongLine]:
    """Yield lines with their endings; a LongLine for each with more than ``longest`` bytes before its line feed."""
    for line in iter(partial(file.readline, longest + 1), b""):
        if len(line) <= longest or line[-1:] == b"\n":
            yield line
        else:
            yield _passed_over(file, line)


def content_of(path: Path, most: int) -> bytes:
    """Read a whole file. Raises OSError, also (EFBIG) if it has more than ``most`` bytes."""
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"must have at most {most:,} bytes", str(path))
    return content


def _passed_over(file: BinaryIO, beginning: bytes) -> LongLine:
    digest, size, piece = blake2b(beginning, digest_size=16), len(beginning), beginning
    del beginning
    while piece[-1:] != b"\n":
        piece = file.readline(_BLOCK)
        if not piece:
            break
        digest.update(piece)
        size += len(piece)
    return LongLine(size, digest.digest(), bool(piece))
