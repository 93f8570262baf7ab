"""What makes a row the same row in the next run, and a compact set of such identities. Pure."""

from __future__ import annotations

from array import array
from hashlib import blake2b
from typing import Any, Final

import orjson

from deepseek_async.batch.row import Row

_EMPTY: Final = 0
_SMALLEST: Final = 1024


def digest(text: bytes) -> int:
    """64 bits of ``text``, never 0. A million rows collide with a probability of about 3e-8."""
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little") or 1


def request_hash(row: Row) -> int:
    """64 bits of what the row asks for, whatever the order of its keys."""
    if row.body is None:
        return digest(row.text)
    return digest(_canonical(row.body))


def _canonical(body: Any) -> bytes:
    try:
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # A lone surrogate somewhere: the row will be refused, and still needs an identity.
        return repr(body).encode("utf-8", "backslashreplace")


class Identities:
    """Names rows: by ``custom_id``, else by the request and how many equal ones came before it.

    So rows may move or be inserted between runs, and intended duplicates survive.
    """

    def __init__(self) -> None:
        self._seen = DigestSet()
        self._repeats: dict[int, int] = {}

    def name(self, row: Row, hashed: int) -> str | None:
        """The row's ``custom_id`` in the output, or None if an earlier row has the same one."""
        if row.custom_id is not None:
            return row.custom_id if self._seen.add(digest(row.custom_id.encode())) else None
        # Only requests that occur more than once take a place in the dict.
        occurrence = self._repeats.get(hashed, 0)
        if occurrence == 0 and self._seen.add(hashed):
            return f"row-{hashed:016x}-0"
        self._repeats[hashed] = occurrence + 1
        return f"row-{hashed:016x}-{occurrence + 1}"


class DigestSet:
    """A set of 64-bit digests at 11 to 27 bytes each, where a set of ints takes about 100.

    Open addressing in one array of machine words. The digests are evenly spread already, so their low bits
    are the place.
    """

    __slots__ = ("_mask", "_table", "_used")

    def __init__(self) -> None:
        self._table = array("Q", bytes(8 * _SMALLEST))
        self._mask = _SMALLEST - 1
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def __contains__(self, value: int) -> bool:
        return self._table[self._place(value)] == value

    def add(self, value: int) -> bool:
        """Add ``value``, which must not be 0. False if it was there already."""
        place = self._place(value)
        if self._table[place] == value:
            return False
        self._table[place] = value
        self._used += 1
        if self._used * 4 > len(self._table) * 3:
            self._grow()
        return True

    def _place(self, value: int) -> int:
        table, mask = self._table, self._mask
        place = value & mask
        while table[place] not in (_EMPTY, value):
            place = (place + 1) & mask
        return place

    def _grow(self) -> None:
        old = self._table
        self._table = array("Q", bytes(2 * len(old) * 8))
        self._mask = len(self._table) - 1
        for value in old:
            if value != _EMPTY:
                self._table[self._place(value)] = value
