"""In-memory tier of the cache (LRU)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from deepseek_async.cache.entry import Entry

_OVERHEAD: Final = 300
"""Bytes per entry beside its body: key, entry, and its slot in the ordered dict (sys.getsizeof)."""


class MemoryTier:
    """LRU cache of at most ``max_bytes``."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self.size = 0
        """Bytes in use, per-entry overhead included."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Entry | None:
        """Return the entry under ``key`` and mark it as most recently used."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: bytes, entry: Entry) -> None:
        """Store ``entry``, unless it is larger than the whole tier."""
        self.discard(key)
        size = len(entry.body) + _OVERHEAD
        if size > self._max_bytes:
            return
        self._entries[key] = entry
        self.size += size
        while self.size > self._max_bytes:
            _, dropped = self._entries.popitem(last=False)
            self.size -= len(dropped.body) + _OVERHEAD

    def discard(self, key: bytes) -> None:
        """Delete the entry under ``key``, if present."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size -= len(entry.body) + _OVERHEAD

    def clear(self) -> None:
        """Delete all entries."""
        self._entries.clear()
        self.size = 0
