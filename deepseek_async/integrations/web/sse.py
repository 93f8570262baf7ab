"""Server-sent events as bytes: frames, their ids, comments. Pure. (WHATWG HTML, section 9.2)"""

from __future__ import annotations

import re
from typing import Final

HEARTBEAT: Final = b": waiting\n\n"
"""A comment: every reader of server-sent events ignores it, and it keeps proxies from closing the connection."""

HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # nginx would hold the frames back until its buffer is full
}
"""Headers of a relayed answer."""

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_ANSWER_ID: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
_EVENT_ID: Final = re.compile(r"([A-Za-z0-9_-]{16,64})\.([0-9]{1,12})")


def frame(data: bytes, event: str | None = None) -> bytes:
    """Return one event. An ``event`` name that could break out of its line is left out."""
    named = b"" if event is None or not _NAME.fullmatch(event) else b"event: %b\n" % event.encode()
    if b"\n" not in data and b"\r" not in data:  # all JSON of ours; the split costs more than the rest
        return b"%bdata: %b\n\n" % (named, data)
    lines = _LINE_END.split(data)
    return named + b"".join(b"data: %b\n" % line for line in lines) + b"\n"


def event_id(answer_id: str, number: int) -> str:
    """Return the id of the event ``number`` of an answer, from 1."""
    return f"{answer_id}.{number}"


def with_id(framed: bytes, answer_id: str, number: int) -> bytes:
    """Return the frame with its event id."""
    return b"id: %b.%d\n%b" % (answer_id.encode(), number, framed)


def only_id(answer_id: str, number: int) -> bytes:
    """Return a frame that sets the reader's last event id and dispatches no event."""
    return b"id: %b.%d\n\n" % (answer_id.encode(), number)


def is_answer_id(text: str) -> bool:
    """Whether ``text`` can be the id of an answer."""
    return _ANSWER_ID.fullmatch(text) is not None


def parsed_id(text: str | None) -> tuple[str, int] | None:
    """Return answer id and number of a ``Last-Event-ID``; None for anything that is not one of ours."""
    found = _EVENT_ID.fullmatch(text or "")
    return None if found is None else (found[1], int(found[2]))
