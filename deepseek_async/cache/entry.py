"""One stored answer, and the form in which it is written down. Pure."""

from __future__ import annotations

import struct
import zlib
from typing import Final

import msgspec

_HEAD: Final = struct.Struct(">dI")


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An answer's JSON and when it was received."""

    body: bytes
    stored: float
    """Seconds since 1970."""

    def packed(self, key: bytes) -> bytes:
        """Bytes that ``unpacked`` reads; a checksum binds them to ``key``."""
        return _HEAD.pack(self.stored, _checksum(key, self.body)) + self.body


def unpacked(key: bytes, record: bytes) -> Entry | None:
    """The entry that was stored under ``key``; None if a bit of it was changed since."""
    if len(record) < _HEAD.size:
        return None
    stored, checksum = _HEAD.unpack_from(record)
    body = record[_HEAD.size :]
    return Entry(body, stored) if checksum == _checksum(key, body) else None


def _checksum(key: bytes, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(key))
