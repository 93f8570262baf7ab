"""A reader of server-sent events, as HTML defines it (section 9.2.6)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, NamedTuple


class Event(NamedTuple):
    """One dispatched event."""

    kind: str
    data: str
    id: str

    @property
    def value(self) -> Any:
        """The datum as JSON."""
        return json.loads(self.data)

    @property
    def number(self) -> int:
        """The number in an id of a resumable answer."""
        return int(self.id.rpartition(".")[2])


class EventSource:
    """Takes blocks of bytes, cut anywhere, and gives events."""

    def __init__(self) -> None:
        self._rest = b""
        self._id = self._kind = ""
        self._data: list[str] = []
        self.comments = 0

    @property
    def last_event_id(self) -> str:
        return self._id

    def feed(self, block: bytes) -> list[Event]:
        *lines, self._rest = (self._rest + block).split(b"\n")
        assert b"\r" not in block  # nothing of ours ends a line so
        return [event for line in lines for event in self._line(line.decode())]

    def _line(self, line: str) -> list[Event]:
        if not line:
            event = Event(self._kind or "message", "\n".join(self._data), self._id)
            said, self._kind, self._data = bool(self._data), "", []
            return [event] if said else []
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "":
                self.comments += 1
            case "data":
                self._data.append(value)
            case "event":
                self._kind = value
            case "id":
                self._id = value
        return []


def events_in(*blocks: bytes) -> list[Event]:
    """All events of a whole response."""
    source = EventSource()
    return [event for block in blocks for event in source.feed(block)]


async def events_from(blocks: AsyncIterable[bytes]) -> AsyncIterator[Event]:
    """The events of a response as they come."""
    source = EventSource()
    async for block in blocks:
        for event in source.feed(block):
            yield event
