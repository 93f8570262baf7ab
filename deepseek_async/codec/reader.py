"""Interface of stream readers; each kind of answer has its own. Pure."""

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
"""Bytes before the first event that are kept for an error message if no event follows."""

_NOTHING: Final = frozenset({b"", b"null", b'""', b"[]", b"false"})

_LOOK: Final = 4096
_BLANK: Final = b" \t\r\n\xef\xbb\xbf"
"""Bytes that may precede JSON, a byte order mark included."""


class ReaderState(msgspec.Struct, gc=False, eq=False):
    """State of a reader."""

    _events: SSEDecoder = msgspec.field(default_factory=SSEDecoder)
    done: bool = False
    """Whether the stream's end marker has arrived; what follows it is ignored."""
    failure: APIError | None = None
    """Decoding error; chunks before it are still returned."""
    error: Any = None
    """Error object sent instead of a chunk."""
    halted: bool = False
    """Whether done, error or failure is set."""
    counted: bool = False
    """Whether the server reported the final usage, although the answer may be incomplete."""
    progressed: bool = False
    """Whether the last feed brought content, reasoning or a tool call."""
    usage_asked: bool = False
    """Whether usage was requested by us, not by the caller: see ``ChoicesReader``."""
    preface: bytearray | None = msgspec.field(default_factory=bytearray)
    """What arrived before the first event: blank lines, comments, or a body that is not a stream. None after it."""
    notes: dict[str, None] = {}
    """Fields that deviated from the API's format and how they were read, in order of arrival."""

    __repr__ = object.__repr__

    def keep(self, block: bytes) -> None:
        """Add ``block`` to the preface. A JSON answer is kept complete; of anything else, the tail suffices."""
        preface = self.preface
        if preface is not None:
            preface += block
            if len(preface) > PREFACE_BYTES and not is_json(preface):
                del preface[:-PREFACE_BYTES]

    def note(self, chunk: Answer) -> None:
        """Record what was repaired in ``chunk``."""
        if len(self.notes) < MOST_NOTES:
            self.notes.update(dict.fromkeys(chunk.repaired))


def says_nothing(data: bytes) -> bool:
    """Whether an event that is not an object is empty, like a heartbeat. Truncated or corrupt data is not."""
    return data.strip() in _NOTHING


def is_json(preface: bytearray) -> bool:
    """Whether the body sent instead of a stream is, or begins as, a JSON object."""
    return preface[:_LOOK].lstrip(_BLANK).startswith(b"{")


class StreamReader(Protocol[ChunkT, _WholeT_co]):
    """Reader of one attempt's stream. Implementations are structs and cannot inherit from a protocol; mypy checks them.

    ``feed`` is the hot path: called once per socket read with everything that arrived. The fields are
    ``ReaderState``'s.
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
        """Return the chunks that ``block`` completes."""
        ...

    def answer(self) -> _WholeT_co:
        """Return what has arrived so far, as one answer."""
        ...

    @property
    def usage(self) -> CompletionUsage | None:
        """Usage of the answer, once the server has reported it."""
        ...

    @property
    def model(self) -> str | None:
        """Name of the answering model, once the server has reported it."""
        ...

    @property
    def refused(self) -> bool:
        """Whether the service's moderation ended the answer."""
        ...

    @property
    def whole(self) -> bool:
        """Whether the answer is complete although the stream has not ended."""
        ...

    def fault(self, *, progressed: bool) -> APIError | None:
        """Return why the data at the end of the stream is not a valid answer, or None."""
        ...

    @property
    def size(self) -> int:
        """Characters of text kept so far."""
        ...

    def leave_in(self, failure: APIError) -> None:
        """Attach the partial answer to ``failure``."""
        ...

    def ends(self, chunk: ChunkT) -> bool:
        """Whether ``chunk`` ends the answer or one of its choices."""
        ...

    def says_nothing(self, chunk: ChunkT) -> bool:
        """Whether ``chunk`` carries neither content nor reasoning nor a tool call."""
        ...
