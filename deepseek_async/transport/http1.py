"""Incremental HTTP/1.1 response parser (RFC 9112). Pure: takes socket bytes, returns body bytes.

aiohttp passes every HTTP chunk through a stream object in Python. DeepSeek sends every event as its own HTTP
chunk, which makes that cost noticeable; this parser validates and strips a block of chunks at once.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

import msgspec

from deepseek_async.transport.received_fields import HeaderFields

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_FIELD_BYTES: Final = 8 * 1024
MAX_FIELDS: Final = 128
"""Limits of a response head; the size limit of a field is that of aiohttp and most servers."""

_MAX_INTERIM: Final = 16  # 1xx heads before the final one
_MAX_LINE: Final = 4096  # a chunk size line with extensions, or all trailers
_MAX_INFLATED: Final = 16 * 1024 * 1024  # inflated size of one read; JSON compresses to a twentieth, not a thousandth

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: [^\r\n\0]*)?")
_FIELDS: Final = re.compile(rb"(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*)*")
_FRAMING: Final = re.compile(rb"\r\n(content-length|transfer-encoding|connection|content-encoding):([^\r]*)")
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\0]*)?")
_HEXADECIMAL: Final = b"0123456789abcdefABCDEF"
_EMPTY_LINES: Final = re.compile(rb"\A(?:\r\n)+")
_MAX_DIGITS: Final = 15  # of a size; fits into 64 bits
_NO_SIZE: Final = -3  # not a valid length, even minus a line end
_PARTIAL_END: Final = 3  # bytes of a partially received empty line
_CR, _LF = b"\r\n"


class HTTPViolation(Exception):  # noqa: N818  describes the server's violation
    """The bytes are not a valid HTTP/1.1 response; the message states the violation."""


class BodyCutOff(HTTPViolation):
    """The connection ended before the body was complete."""


@lru_cache(4096)
def _chunk_size(digits: bytes) -> int:
    """Parse a chunk size; returns _NO_SIZE for the last chunk and for invalid sizes."""
    if not digits or len(digits) > _MAX_DIGITS or digits.strip(_HEXADECIMAL):
        return _NO_SIZE  # int() alone would accept blanks, signs, underscores and 0x
    return int(digits, 16) or _NO_SIZE


class _State(IntEnum):
    HEAD = 0
    CHUNKS = 1
    TRAILERS = 2
    LENGTH = 3
    UNTIL_CLOSE = 4
    COMPLETE = 5


_HEAD, _CHUNKS, _TRAILERS, _LENGTH, _UNTIL_CLOSE, _COMPLETE = _State


class ResponseParser(msgspec.Struct, gc=False, eq=False):
    """Incremental parser for one response; raises HTTPViolation on a protocol error."""

    status: int = 0
    """HTTP status; 0 until the head has arrived."""
    headers: Mapping[str, str] = {}
    reusable: bool = False
    """Whether the connection may carry another response."""
    complete: bool = False
    """Whether the whole response has arrived."""
    _state: _State = _HEAD
    _between: bool = False  # whether the next byte starts an uncompressed chunk
    _held: bytes = b""  # incomplete head, chunk size line or trailers
    _left: int = 0  # remaining bytes of the chunk or body
    _ending: bool = False  # whether a chunk's line end is still missing
    _interim: int = 0
    _inflate: Any = None

    # A struct's default repr would expose the server's data in tracebacks with locals.
    __repr__ = object.__repr__

    def feed(self, data: bytes) -> bytes:
        """Return the body bytes in ``data``, without framing and decompressed."""
        if self._between:
            # Fast path for a live stream: one whole chunk per read, where the general steps below are measurable.
            # No find, startswith or endswith: they parse their arguments on every call.
            size, _, rest = data.partition(b"\r\n")
            if len(size) <= _MAX_DIGITS and _chunk_size(size) == len(rest) - 2 and rest[-1] == _LF and rest[-2] == _CR:
                return rest[:-2]
            return self._whole_chunks(data)
        if self._state is _HEAD:
            data = self._read_head(data)
            if not data or self._state is _HEAD:
                return b""
            if self._between:
                return self._whole_chunks(data)
        body = self._read_body(data)
        return body if self._inflate is None else self._inflated(body)

    def feed_end(self) -> None:
        """Handle end of input. Raises BodyCutOff unless the response is delimited by it."""
        if self._state is _UNTIL_CLOSE and self._inflate is None:
            self._finish()
        elif not self.complete:
            raise BodyCutOff("connection closed during the response")

    def _finish(self) -> None:
        self._state = _COMPLETE
        self.complete = True
        self._between = False

    def _read_head(self, data: bytes) -> bytes:
        held = self._held + data
        if held.startswith(b"\r\n"):
            # An empty line before the status line is ignored (RFC 9112, section 2.2).
            held = _EMPTY_LINES.sub(b"", held)
        end = held.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEAD_BYTES:
            self._held = held
            if len(held) > MAX_HEAD_BYTES + _PARTIAL_END:
                raise HTTPViolation(f"response head exceeds {MAX_HEAD_BYTES:,} bytes")
            if (held != b"\r" and not b"HTTP/1.".startswith(held[:7])) or _has_bare_line_feed(held):
                raise HTTPViolation("not an HTTP/1.1 response head")
            return b""
        self._held = b""
        head, rest = held[:end], held[end + 4 :]
        line_end = head.find(b"\r\n")
        status_line, raw = (head, b"") if line_end < 0 else (head[:line_end], head[line_end:])
        found = _STATUS_LINE.fullmatch(status_line)
        if found is None or len(status_line) > MAX_FIELD_BYTES:
            raise HTTPViolation("not an HTTP/1.1 status line")
        _check_fields(raw)
        status = int(found[2])
        if status < 200:
            self._interim += 1
            if status == 101 or self._interim > _MAX_INTERIM:
                raise HTTPViolation(f"unexpected status {status}")
            return self._read_head(rest) if rest else b""
        lowered = raw.lower()
        self.headers = HeaderFields(raw, lowered)
        self.status = status
        self._frame(lowered, old=found[1] == b"0")
        if self.complete and rest:
            self.reusable = False
            return b""
        return rest

    def _frame(self, lowered: bytes, *, old: bool) -> None:
        """Determine body framing (RFC 9112, section 6.3) and whether the connection is reusable."""
        found = _FRAMING.findall(lowered)
        framing: dict[bytes, bytes] = dict(found)
        if len(framing) < len(found):
            framing = _joined(found)
        options = framing.get(b"connection", b"")
        coding = framing.get(b"transfer-encoding")
        length = framing.get(b"content-length")
        self.reusable = options.find(b"close") < 0
        if old and (coding is not None or b"keep-alive" not in _members(options)):
            # HTTP/1.0 has no Transfer-Encoding: an intermediary would frame the body otherwise (RFC 9112, section 6.1).
            self.reusable = False
        if coding is not None and length is not None:
            raise HTTPViolation("both Transfer-Encoding and Content-Length")
        if coding is not None and coding.strip(b" \t") != b"chunked":
            raise HTTPViolation("unsupported Transfer-Encoding")
        if length is not None:
            self._left = _length(length.strip(b" \t"))
        if self.status in (204, 304):
            # These have no body, whatever their length field says (section 6.3); a server may still send one.
            self.reusable = self.reusable and coding is None and not self._left
            self._left = 0
            self._finish()
            return
        if coding is not None:
            self._state = _CHUNKS
        elif length is None:
            self._state = _UNTIL_CLOSE
            self.reusable = False
        elif self._left:
            self._state = _LENGTH
        else:
            self._finish()
        encoding = framing.get(b"content-encoding", b"identity").strip(b" \t")
        if encoding in (b"gzip", b"x-gzip", b"deflate"):
            # Seen unrequested on plain answers in 2025. 47: detect gzip or zlib from the first bytes.
            self._inflate = zlib.decompressobj(47)
        elif encoding != b"identity":
            raise HTTPViolation("unsupported Content-Encoding")
        self._between = coding is not None and self._inflate is None

    def _whole_chunks(self, data: bytes) -> bytes:
        """Return the body in ``data``, which starts with a chunk. Whole chunks, the common case, are read at once."""
        pieces = data.split(b"\r\n")
        # The last piece belongs to what comes next, and so does a size whose data has not arrived whole.
        whole = (len(pieces) - 1) // 2
        sizes, bodies = pieces[: 2 * whole : 2], pieces[1 : 2 * whole : 2]
        if not whole or list(map(_chunk_size, sizes)) != list(map(len, bodies)):
            return self._read_body(data)  # with the last chunk in it, or a line end inside of one
        body = b"".join(bodies)
        rest = len(pieces[-1]) if len(pieces) % 2 else len(pieces[-2]) + 2 + len(pieces[-1])
        return body + self._read_body(data[-rest:]) if rest else body

    def _read_body(self, data: bytes) -> bytes:
        if self._state is _UNTIL_CLOSE:
            return data
        if self._state is _LENGTH:
            return self._read_length(data)
        if self._held and self._state is _CHUNKS:
            data, self._held = self._held + data, b""
        pieces: list[bytes] = []
        at, size = 0, len(data)
        inside = bool(self._left or self._ending)
        while at < size and self._state is _CHUNKS:
            at = self._read_chunk(data, at, pieces)
            if inside and not (self._left or self._ending) and at < size:
                # Once past the chunk that a read began inside of, the others are whole again.
                self._between = self._inflate is None
                return b"".join(pieces) + self._whole_chunks(data[at:])
        if at < size and self._state is _TRAILERS:
            rest = self._read_trailers(data[at:])
            at = size - len(rest)
        if at < size and self.complete:
            self.reusable = False  # unsolicited bytes
        at_chunk = self._state is _CHUNKS and not (self._held or self._left or self._ending)
        self._between = at_chunk and self._inflate is None
        return b"".join(pieces)

    def _read_length(self, data: bytes) -> bytes:
        surplus = len(data) - self._left
        if surplus < 0:
            self._left = -surplus
            return data
        self._finish()
        if surplus:
            self.reusable = False
            return data[: self._left]
        return data

    def _read_chunk(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Parse one step of a chunked body from ``at`` on: data, its line end, or a size line. Returns where it ends.

        The rest is not copied: a read of many chunks would take time with the square of their number.
        """
        if self._left:
            piece = data[at : at + self._left]
            pieces.append(piece)
            self._left -= len(piece)
            self._ending = not self._left
            return at + len(piece)
        if self._ending:
            line_end = data[at : at + 2]
            if line_end == b"\r":
                self._held = line_end
                return at + 1
            if line_end != b"\r\n":
                raise HTTPViolation("chunk data exceeds its size")
            self._ending = False
            return at + 2
        end = data.find(b"\r\n", at, at + _MAX_LINE + 2)
        if end < 0:
            held = data[at:]
            if len(held) > _MAX_LINE + 1 or b"\n" in held:  # + 1: a partial line end
                raise HTTPViolation("chunk size line too long")
            self._held = held
            return len(data)
        size = _CHUNK_SIZE.fullmatch(data, at, end)
        if size is None:
            raise HTTPViolation("invalid chunk size")
        self._left = int(size[1], 16)
        if not self._left:
            self._state = _TRAILERS
        return end + 2

    def _read_trailers(self, data: bytes) -> bytes:
        # Preceded by the previous line end, trailers have the syntax of header fields.
        held = (self._held or b"\r\n") + data
        end = held.find(b"\r\n\r\n")
        if end < 0 or end > _MAX_LINE:
            if len(held) > _MAX_LINE + _PARTIAL_END or _has_bare_line_feed(held):
                raise HTTPViolation("trailers too long")
            self._held = held
            return b""
        _check_fields(held[:end])
        self._held = b""
        self._finish()
        return held[end + 4 :]

    def _inflated(self, body: bytes) -> bytes:
        inflate = self._inflate
        if inflate.eof and body:
            # zlib would collect these in unused_data, beyond every limit.
            raise HTTPViolation("data after the end of a compressed body")
        try:
            plain: bytes = inflate.decompress(body, _MAX_INFLATED)
        except zlib.error:
            raise HTTPViolation("invalid compressed body") from None
        if inflate.unconsumed_tail:
            raise HTTPViolation("compressed body expands beyond the limit")
        if inflate.unused_data and self._state is not _UNTIL_CLOSE:
            raise HTTPViolation("data after the end of a compressed body")
        if self._state is _UNTIL_CLOSE and inflate.eof:
            self._finish()
        if self.complete and not inflate.eof:
            raise BodyCutOff("compressed body truncated")
        return plain


def _has_bare_line_feed(data: bytes) -> bool:
    """Whether a bare LF ends a line, which other parsers accept and this one does not."""
    return data.count(b"\n") != data.count(b"\r\n")


def _joined(found: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Join repeated fields, which form one list (RFC 9110, section 5.3)."""
    joined: dict[bytes, bytes] = {}
    for name, value in found:
        joined[name] = b"%b,%b" % (joined[name], value) if name in joined else value
    return joined


def _members(value: bytes) -> set[bytes]:
    return {one.strip(b" \t") for one in value.split(b",")}


def _length(value: bytes) -> int:
    if value.isdigit() and len(value) <= _MAX_DIGITS:
        return int(value)
    lengths = _members(value)
    size = lengths.pop()
    if lengths or not size.isdigit() or len(size) > _MAX_DIGITS:
        raise HTTPViolation("invalid Content-Length")
    return int(size)


def _check_fields(raw: bytes) -> None:
    if not _FIELDS.fullmatch(raw):
        raise HTTPViolation("invalid header field")
    if raw.count(b"\n") > MAX_FIELDS:
        raise HTTPViolation(f"more than {MAX_FIELDS} header fields")
    if len(raw) > MAX_FIELD_BYTES and max(map(len, raw.split(b"\r\n"))) > MAX_FIELD_BYTES:
        raise HTTPViolation(f"header field exceeds {MAX_FIELD_BYTES:,} bytes")
