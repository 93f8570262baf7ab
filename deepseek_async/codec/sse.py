"""Incremental server-sent events decoder (WHATWG HTML standard, section 9.2.6).

Splits lines on LF, CRLF and CR only. U+2028, U+2029 and U+0085 are ordinary characters inside data: splitting there, as
``str.splitlines`` does, breaks JSON that contains them.

DeepSeek sends only ``data: {json}\\n\\n`` while it generates a chat answer, so a block of such events is cut with one
``bytes.split``. Responses and messages send ``event: …\\n`` before it, which repeats the type in the data: a block of
those is cut at its blank lines. Everything else takes the line-by-line path.
"""

from __future__ import annotations

from typing import Final

import msgspec

from deepseek_async.codec.size_limits import MAX_EVENT_BYTES
from deepseek_async.errors import APIResponseValidationError

_BOM: Final = b"\xef\xbb\xbf"
_PREFIX: Final = b"data: "
_SKIPPED: Final = len(_PREFIX)
_BOUNDARY: Final = b"\n\ndata: "
_NAME: Final = b"event: "
_NAMED: Final = b"\ndata: "
_LF: Final = 0x0A
_CR: Final = 0x0D
"""As an integer: searching bytes for bytes makes CPython raise and discard an exception first, 0.3 µs."""

FIELDS: Final = (b"data:", b"event:", b"id:", b"retry:", b":")
"""Line prefixes of an event stream; no JSON begins with them."""


class ServerSentEvent(msgspec.Struct, gc=False, frozen=True):
    """One dispatched event. ``data`` stays bytes: the JSON decoder checks its UTF-8."""

    data: bytes
    event: str = "message"
    id: str = ""


class SSEDecoder(msgspec.Struct, gc=False, eq=False):
    """Incremental decoder: ``feed`` it bytes in pieces of any size; it returns the completed events.

    Raises APIResponseValidationError if one event exceeds ``max_event_bytes``.
    """

    max_event_bytes: int = MAX_EVENT_BYTES
    comments: int = 0
    """Number of comment lines; DeepSeek sends ``: keep-alive`` while a request is queued."""
    retry: int | None = None
    """Reconnection time in milliseconds, if the server sent one."""
    at_boundary: bool = False
    """Whether no event is pending and no other field was seen."""
    _partial: list[bytes] = []  # pieces of an unfinished line
    _partial_bytes: int = 0
    _data: list[bytes] = []  # data lines of the event being read
    _size: int = 0
    _event: str = ""
    _id: str = ""
    _skip_line_feed: bool = False
    _started: bool = False
    _prefix: bytes = b""  # name of the latest event, and the bytes between it and its data

    @property
    def mid_event(self) -> bool:
        """Whether part of an event is pending; the standard discards it at the end of the stream."""
        return bool(self._partial or self._data)

    def feed(self, block: bytes) -> list[ServerSentEvent]:
        """Return the events completed by ``block``, in order."""
        plain, others = self._split(block)
        return [*map(ServerSentEvent, plain), *others]

    def feed_data(self, block: bytes) -> list[bytes]:
        """Return only the data of the events completed by ``block``: DeepSeek's streams have nothing else."""
        # Fast path for one complete event per read, where every step counts. No startswith and endswith: they parse
        # their arguments on each call.
        at_boundary = self.at_boundary
        if at_boundary and block[:_SKIPPED] == _PREFIX and block[-1] == _LF == block[-2]:
            data = block[_SKIPPED:-2]
            if _LF not in data and _CR not in data and len(data) <= self.max_event_bytes:
                return [data]
        prefix = self._prefix
        if at_boundary and prefix and block.startswith(prefix) and block.endswith(b"\n\n"):
            data = block[len(prefix) : -2]
            if _LF not in data and _CR not in data and len(data) <= self.max_event_bytes:
                return [data]
        named, block = self._named(block)
        if not block:
            return named
        plain, others = self._split(block)
        return [*named, *plain, *(event.data for event in others)] if named or others else plain

    def _named(self, block: bytes) -> tuple[list[bytes], bytes]:
        """Return the data of leading events with a name, and the remaining bytes."""
        if self._partial and self._partial[0].startswith(_NAME):
            if _LF not in block:
                self._hold(block)
                return [], b""
            block = b"".join([*self._partial, block])
            self._partial.clear()
            self._partial_bytes = 0
        if not block.startswith(_NAME) or self._partial or self._event or self._id or self._data or _CR in block:
            return [], block
        self._started = True  # without a byte order mark
        payloads, block = self._cut_named_events(block)
        if block.startswith(_NAME) and b"\n\n" not in block:
            # An unfinished event, held back whole, so that it takes the fast path once complete.
            self._hold(block)
            block = b""
        self.at_boundary = not self._partial
        return payloads, block

    def _split(self, block: bytes) -> tuple[list[bytes], list[ServerSentEvent]]:
        """Return the data of leading plain events, and the events after them."""
        if not self._started:
            block = self._strip_bom(block)
        if self._skip_line_feed and block:
            self._skip_line_feed = False
            if block.startswith(b"\n"):
                block = block[1:]
        if self._partial:
            # Joined only at the end of a line, so that a long line in small pieces costs linear time.
            if _LF not in block and _CR not in block:
                self._hold(block)
                return [], []
            block = b"".join([*self._partial, block])
            self._partial.clear()
            self._partial_bytes = 0
        payloads, rest = self._cut_plain_events(block) if not self._data else ([], block)
        others = self._read_lines(rest) if rest else []
        self.at_boundary = not (self._partial or self._data or self._event or self._id or self._skip_line_feed)
        return payloads, others

    def _cut_plain_events(self, block: bytes) -> tuple[list[bytes], bytes]:
        """Return the data of all leading plain events (``data: …\\n\\n``), and the remaining bytes."""
        end = block.rfind(b"\n\n")
        if end < 0 or self._event or self._id or not block.startswith(_PREFIX) or _CR in block:
            return [], block
        payloads = block[len(_PREFIX) : end].split(_BOUNDARY)
        # A line feed inside a payload means a second line, a comment or another field. Searching the joined copy costs
        # a fifth of counting all of them in the block.
        if _LF in b"".join(payloads) or end > self.max_event_bytes:
            return [], block
        return payloads, block[end + 2 :]

    def _cut_named_events(self, block: bytes) -> tuple[list[bytes], bytes]:
        """Return the data of all leading events of the form ``event: …\\ndata: …\\n\\n``, and the remaining bytes."""
        end = block.rfind(b"\n\n")
        if end < 0 or end > self.max_event_bytes:
            return [], block
        pieces: list[bytes]
        name, _, _ = block.partition(_NAMED)
        if _LF not in name:
            # Most have the name of the previous event, and are cut as fast as unnamed ones.
            prefix = self._prefix = name + _NAMED
            pieces = block[len(prefix) : end].split(b"\n\n" + prefix)
            if _LF not in b"".join(pieces):
                return pieces, block[end + 2 :]
        payloads: list[bytes] = []
        pieces = block[:end].split(b"\n\n")
        for position, piece in enumerate(pieces):
            name, _, data = piece.partition(_NAMED)
            if _LF in data or _LF in name or not (data and name.startswith(_NAME)):
                return payloads, b"\n\n".join(pieces[position:]) + block[end:]
            payloads.append(data)
        return payloads, block[end + 2 :]

    def _read_lines(self, block: bytes) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        # bytes.splitlines, unlike str.splitlines, splits on LF, CRLF and CR only.
        lines = block.splitlines(keepends=True)
        if not lines[-1].endswith((b"\n", b"\r")):
            self._hold(lines.pop())
        elif lines[-1].endswith(b"\r"):
            self._skip_line_feed = True
        for line in lines:
            content = line.rstrip(b"\r\n")
            if content:
                self._read_field(content)
            elif self._data:
                events.append(self._dispatch())
            else:
                self._event = ""
        return events

    def _read_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._count(len(value) + 1)
            self._data.append(value)
        elif name == b"":
            self.comments += 1
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():
            # Longer numbers are not a reconnection time, and int() rejects very long ones.
            self.retry = int(value[:18])

    def _dispatch(self) -> ServerSentEvent:
        event = ServerSentEvent(b"\n".join(self._data), self._event or "message", self._id)
        self._data.clear()
        self._event = ""
        self._size = 0
        return event

    def _hold(self, piece: bytes) -> None:
        self._partial.append(piece)
        self._partial_bytes += len(piece)
        self._count(0)

    def _count(self, added: int) -> None:
        self._size += added
        if self._size + self._partial_bytes > self.max_event_bytes:
            raise APIResponseValidationError(
                f"stream event exceeds {self.max_event_bytes:,} bytes (limits.event)",
                retryable=False,
            )

    def _strip_bom(self, block: bytes) -> bytes:
        """Remove one byte order mark at the very start, however it was split."""
        block = b"".join([*self._partial, block])
        self._partial.clear()
        self._partial_bytes = 0
        if len(block) < len(_BOM) and _BOM.startswith(block):
            if block:
                self._hold(block)
            return b""
        self._started = True
        return block.removeprefix(_BOM)
