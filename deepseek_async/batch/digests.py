"""Compact sets and maps of 64-bit digests, used for per-row state. Pure."""

from __future__ import annotations

from array import array
from typing import Final

_EMPTY: Final = 0
_SMALLEST: Final = 1024
_WORD: Final = 8


class DigestSet:
    """A set of 64-bit digests at 11 to 27 bytes each, where a set of ints takes about 100.

    Open addressing in one array of machine words. Digests are uniformly distributed, so their low bits are the
    slot. ``expected`` presizes the table.
    """

    __slots__ = ("_mask", "_table", "_used")

    def __init__(self, expected: int = 0) -> None:
        size = _size_for(expected)
        self._table = _zeros(size)
        self._mask = size - 1
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def __contains__(self, value: int) -> bool:
        table, mask = self._table, self._mask
        place = value & mask
        while (found := table[place]) != _EMPTY:
            if found == value:
                return True
            place = (place + 1) & mask
        return False

    def add(self, value: int) -> bool:
        """Add ``value``, which must not be 0. Return False if it was already present."""
        table, mask = self._table, self._mask
        place = value & mask
        while (found := table[place]) != _EMPTY:
            if found == value:
                return False
            place = (place + 1) & mask
        table[place] = value
        self._used += 1
        if self._used * 4 > len(table) * 3:
            self._table = _rehashed(table)
            self._mask = len(self._table) - 1
        return True


class DigestMap:
    """A map from 64-bit digests to 64-bit integers, at 22 to 54 bytes an entry."""

    __slots__ = ("_keys", "_mask", "_used", "_values")

    def __init__(self, expected: int = 0) -> None:
        size = _size_for(expected)
        self._keys = _zeros(size)
        self._values = _zeros(size)
        self._mask = size - 1
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def get(self, key: int) -> int | None:
        """Return the value of ``key``, or None."""
        keys, mask = self._keys, self._mask
        place = key & mask
        while (found := keys[place]) != _EMPTY:
            if found == key:
                return self._values[place]
            place = (place + 1) & mask
        return None

    def put(self, key: int, value: int) -> int | None:
        """Set the value of ``key``, which must not be 0. Return the previous value, or None."""
        keys, mask = self._keys, self._mask
        place = key & mask
        while (found := keys[place]) != _EMPTY:
            if found == key:
                before = self._values[place]
                self._values[place] = value
                return before
            place = (place + 1) & mask
        self._add(place, key, value)
        return None

    def setdefault(self, key: int, value: int) -> int:
        """Return the value of ``key``, which must not be 0; set it to ``value`` if absent."""
        keys, mask = self._keys, self._mask
        place = key & mask
        while (found := keys[place]) != _EMPTY:
            if found == key:
                return self._values[place]
            place = (place + 1) & mask
        self._add(place, key, value)
        return value

    def _add(self, place: int, key: int, value: int) -> None:
        self._keys[place] = key
        self._values[place] = value
        self._used += 1
        if self._used * 4 > len(self._keys) * 3:
            self._grow()

    def _grow(self) -> None:
        keys, values = self._keys, self._values
        self._keys = _rehashed(keys)
        self._mask = len(self._keys) - 1
        self._values = _zeros(len(self._keys))
        for place, key in enumerate(keys):
            if key != _EMPTY:
                self._values[_place(self._keys, self._mask, key)] = values[place]


class Occurrences:
    """Counts occurrences of digests; only repeated ones take a map entry."""

    __slots__ = ("_repeats", "_seen")

    def __init__(self, expected: int = 0) -> None:
        self._seen = DigestSet(expected)
        self._repeats = DigestMap()

    def next(self, value: int) -> int:
        """Return how often ``value``, which must not be 0, occurred before."""
        if self._seen.add(value):
            return 0
        before = (self._repeats.get(value) or 0) + 1
        self._repeats.put(value, before)
        return before


def _size_for(entries: int) -> int:
    """Return the smallest table size that holds ``entries`` at a load of at most three quarters."""
    size = _SMALLEST
    while size * 3 < entries * 4:
        size *= 2
    return size


def _zeros(size: int) -> array[int]:
    # Multiplied, because an array built from bytes would need twice its size.
    return array("Q", bytes(_WORD)) * size


def _rehashed(table: array[int]) -> array[int]:
    """Return a table of twice the size with the same digests."""
    larger = _zeros(2 * len(table))
    mask = len(larger) - 1
    for value in table:
        if value != _EMPTY:
            larger[_place(larger, mask, value)] = value
    return larger


def _place(table: array[int], mask: int, value: int) -> int:
    place = value & mask
    while table[place] not in (_EMPTY, value):
        place = (place + 1) & mask
    return place
