"""Files read within bounds: no line and no file takes more memory than it may, packed or not."""

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
    """A line that is longer than it may be. It was passed over block by block."""

    size: int
    """Bytes, its end included."""
    digest: bytes
    """Tells it from another one."""
    ended: bool
    """Whether it has a line feed."""


def lines_of(file: BinaryIO, longest: int) -> Iterator[bytes | LongLine]:
    """The file's lines with their ends; a LongLine for one of more than ``longest`` bytes before its line feed."""
    for line in iter(partial(file.readline, longest + 1), b""):
        if len(line) <= longest or line[-1:] == b"\n":
            yield line
        else:
            yield _passed_over(file, line)


def content_of(path: Path, most: int) -> bytes:
    """All of a file. Raises OSError, also for one of more than ``most`` bytes, as a device may be."""
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes", str(path))
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
