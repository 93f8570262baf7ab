"""How many pages a PDF can have at most, from its page tree: a bill of pages is held before anything is sent."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from deepseek_async.files.upload import Content, FileOnDisk

_WINDOW: Final = 1 << 20
_OVERLAP: Final = 64
"""Bytes that a mark may be long."""

_COUNT: Final = re.compile(rb"/Count\s{0,8}(\d{1,9})(?=\D)")
"""The pages below a node of the tree. An outline may have one too, which makes it no fewer."""
_PACKED: Final = re.compile(rb"/ObjStm\b")
"""A stream of objects, which the tree may be in (ISO 32000, 7.5.7)."""
_BEGIN: Final = re.compile(rb"stream\r?\n")
_HEAD: Final = 4_096
"""Bytes from ``/ObjStm`` to the beginning of the stream at most."""
_MOST_UNPACKED: Final = 4 << 20
_MOST_IN_ALL: Final = 64 << 20


def most_pages(content: Content) -> int | None:
    """The largest count in the page tree; None for what cannot be read, as when it is encrypted."""
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
    """Pieces of a file with their places, each with the end of the one before."""
    at, kept = 0, b""
    while piece := opened.read(_WINDOW):
        window = kept + piece
        yield at, window
        kept = window[-_OVERLAP:]
        at += len(window) - len(kept)


def _unpacked(opened: BinaryIO, at: int) -> bytes | None:
    """The objects of the stream whose mark stands ``at``; None for one that cannot be read."""
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
