"""Answers in memory, the least recently used dropped first."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from deepseek_async.cache.entry import Entry

_OVERHEAD: Final = 300
"""Bytes that an entry takes beside its body: key, entry, and its place in the ordered dict (sys.getsizeof)."""


class MemoryTier:
    """At most ``max_bytes`` of answers."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self.size = 0
        """Bytes held, with what each entry takes beside its body."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Entry | None:
        """The entry under ``key``, which now counts as used last."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep ``entry``; one that is larger than the whole tier is not kept."""
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
        """Forget the entry under ``key``, if there is one."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size -= len(entry.body) + _OVERHEAD

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.size = 0
