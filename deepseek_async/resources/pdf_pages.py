"""Upper bound for the pages of a PDF, from its page tree, to reserve the fee before it is sent."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from deepseek_async.files.upload import Content, FileOnDisk

_WINDOW: Final = 1 << 20
_OVERLAP: Final = 64
"""Maximum length of a marker, in bytes."""

_COUNT: Final = re.compile(rb"/Count\s{0,8}(\d{1,9})(?=\D)")
"""Page count of a tree node. An outline may have a count too, which can only raise the bound."""
_PACKED: Final = re.compile(rb"/ObjStm\b")
"""An object stream, which may contain the tree (ISO 32000, 7.5.7)."""
_BEGIN: Final = re.compile(rb"stream\r?\n")
_HEAD: Final = 4_096
"""Maximum bytes from ``/ObjStm`` to the start of the stream."""
_MOST_UNPACKED: Final = 4 << 20
_MOST_IN_ALL: Final = 64 << 20


def most_pages(content: Content) -> int | None:
    """Return the largest count in the page tree; None if it is unreadable, e.g. encrypted."""
    with content.path.open("rb") if isinstance(content, FileOnDisk) else io.BytesIO(content) as opened:
        return _counted(opened)


def _counted(opened: BinaryIO) -> int | None:
    counts: list[int] = []
    packed: set[int] = set()
    for at, window in _windows(opened):
        counts += map(int, _COUNT.findall(window))
        packed |= {at + found.start() for found in _PACKED.finditer(window)}
    left = _MOST_IN_ALL
    for at in sorted(packed):
        objects = _unpacked(opened, at)
        left -= len(objects or b"")
        if objects is None or left < 0:
            return None
        counts += map(int, _COUNT.findall(objects))
    return max(counts, default=None)


def _windows(opened: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield overlapping pieces of a file with their offsets."""
    at, kept = 0, b""
    while piece := opened.read(_WINDOW):
        window = kept + piece
        yield at, window
        kept = window[-_OVERLAP:]
        at += len(window) - len(kept)


def _unpacked(opened: BinaryIO, at: int) -> bytes | None:
    """Return the objects of the stream with its marker at ``at``; None if it is unreadable."""
    opened.seek(at)
    head = opened.read(_HEAD)
    begin = _BEGIN.search(head)
    if begin is None:
        return None
    opened.seek(at + begin.end())
    unpacking = zlib.decompressobj()
    objects = b""
    try:
        while not unpacking.eof and (piece := opened.read(_OVERLAP << 10)):
            objects += unpacking.decompress(piece, _MOST_UNPACKED - len(objects))
            if len(objects) >= _MOST_UNPACKED:
                return None
    except zlib.error:
        return None
    return objects if unpacking.eof else None
