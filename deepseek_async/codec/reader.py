"""What a stream needs of whatever reads its bytes; each kind of answer has a reader of its own. Pure."""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeVar

import msgspec

from deepseek_async.codec.repair import MOST_NOTES
from deepseek_async.codec.sse import SSEDecoder
from deepseek_async.errors import APIError
from deepseek_async.types import Answer, CompletionUsage

ChunkT = TypeVar("ChunkT")
WholeT = TypeVar("WholeT", bound=Answer)
_WholeT_co = TypeVar("_WholeT_co", bound=Answer, covariant=True)

PREFACE_BYTES: Final = 64 * 1024
"""Bytes before the first event that are kept, to be explained if no event comes; the rest is only counted."""

_NOTHING: Final = frozenset({b"", b"null", b'""', b"[]", b"false"})

_LOOK: Final = 4096
_BLANK: Final = b" \t\r\n\xef\xbb\xbf"
"""What may stand before JSON, a byte order mark included."""


class ReaderState(msgspec.Struct, gc=False, eq=False):
    """How far a reader has come."""

    _events: SSEDecoder = msgspec.field(default_factory=SSEDecoder)
    done: bool = False
    """Whether the end that this kind of stream has, has come; what follows it is ignored."""
    failure: APIError | None = None
    """What could not be read. Chunks before it are returned all the same."""
    error: Any = None
    """The error object that the server sent in the place of a chunk."""
    halted: bool = False
    """Whether one of done, error and failure is set."""
    counted: bool = False
    """Whether the server has said what all of the answer was billed for, although it may not be whole."""
    progressed: bool = False
    """Whether the last feed brought content, reasoning or a tool call."""
    usage_asked: bool = False
    """Whether we, and not the caller, have asked the server to tell the usage: see ``ChoicesReader``."""
    preface: bytearray | None = msgspec.field(default_factory=bytearray)
    """What came before the first event: blank lines, comments, or something that is no stream. None after it."""
    notes: dict[str, None] = {}
    """What came in another form than the API describes, and how it was read; in the order in which it came."""

    __repr__ = object.__repr__

    def keep(self, block: bytes) -> None:
        """Add ``block`` to the preface. An answer in JSON is kept whole; of all else the end explains enough."""
        preface = self.preface
        if preface is not None:
            preface += block
            if len(preface) > PREFACE_BYTES and not is_json(preface):
                del preface[:-PREFACE_BYTES]

    def note(self, chunk: Answer) -> None:
        """Remember what was odd about ``chunk``."""
        if len(self.notes) < MOST_NOTES:
            self.notes.update(dict.fromkeys(chunk.repaired))


def says_nothing(data: bytes) -> bool:
    """Whether an event that is no object says nothing, as heartbeats do. What is cut or garbled may have said a lot."""
    return data.strip() in _NOTHING


def is_json(preface: bytearray) -> bool:
    """Whether what came in the place of a stream is an object in JSON, or the beginning of one."""
    return preface[:_LOOK].lstrip(_BLANK).startswith(b"{")


class StreamReader(Protocol[ChunkT, _WholeT_co]):
    """Reads one attempt's stream. Its readers are structs, which can inherit from no protocol: mypy holds them to it.

    ``feed`` is the hot path: once per socket read, for all that has arrived. The fields are ``ReaderState``'s.
    """

    done: bool
    failure: APIError | None
    error: Any
    halted: bool
    counted: bool
    progressed: bool
    usage_asked: bool
    preface: bytearray | None

    def __init__(self, events: SSEDecoder, /) -> None: ...

    def feed(self, block: bytes) -> list[ChunkT]:
        """The chunks that ``block`` completes."""
        ...

    def answer(self) -> _WholeT_co:
        """What has arrived so far, as one answer."""
        ...

    @property
    def usage(self) -> CompletionUsage | None:
        """What the answer consumed, once the server has said so."""
        ...

    @property
    def model(self) -> str | None:
        """Who answers, once the server has said so."""
        ...

    @property
    def refused(self) -> bool:
        """Whether the service's check of contents has ended the answer."""
        ...

    @property
    def whole(self) -> bool:
        """Whether the answer is complete although the stream's own end has not come."""
        ...

    def fault(self, *, progressed: bool) -> APIError | None:
        """Why what has arrived by the end of the stream is no answer; None when it is one."""
        ...

    @property
    def size(self) -> int:
        """Characters of text that are kept of what has arrived so far."""
        ...

    def leave_in(self, failure: APIError) -> None:
        """Let ``failure`` tell what had arrived when it broke the stream."""
        ...

    def ends(self, chunk: ChunkT) -> bool:
        """Whether ``chunk`` says that the answer, or a part of it, is complete."""
        ...

    def says_nothing(self, chunk: ChunkT) -> bool:
        """Whether ``chunk`` carries neither content nor reasoning nor a tool call."""
        ...
