"""Cache entry and its serialised form. Pure."""

from __future__ import annotations

import struct
import zlib
from typing import Final

import msgspec

_HEAD: Final = struct.Struct(">dI")


class Entry(msgspec.Struct, frozen=True, gc=False):
    """JSON of an answer and its time of receipt."""

    body: bytes
    stored: float
    """Unix time in seconds."""

    def packed(self, key: bytes) -> bytes:
        """Serialise the entry; a checksum binds it to ``key``."""
        return _HEAD.pack(self.stored, _checksum(key, self.body)) + self.body


def unpacked(key: bytes, record: bytes) -> Entry | None:
    """Parse a serialised entry; None if the checksum does not match ``key`` and content."""
    if len(record) < _HEAD.size:
        return None
    stored, checksum = _HEAD.unpack_from(record)
    body = record[_HEAD.size :]
    return Entry(body, stored) if checksum == _checksum(key, body) else None


def _checksum(key: bytes, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(key))
