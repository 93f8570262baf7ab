"""What identifies a request: method, path and body; and how two of them differ. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cached_property
from hashlib import sha256
from typing import Any, Final, Literal

import msgspec

from deepseek_async.files.upload import PIECE, UploadBody
from deepseek_async.testing.scrubbing import Scrubber
from deepseek_async.types.json_text import read

Kind = Literal["none", "json", "upload", "texts"]

_SHOWN: Final = 60
_BEFORE: Final = 12
"""Characters shown before the first one that differs."""


class RecordedRequest(msgspec.Struct, frozen=True, dict=True):
    """A request without its headers and without what was scrubbed."""

    method: str
    path: str
    kind: Kind = "none"
    body: Any = None
    """The JSON body; the size and digest of an upload; the texts sent over a WebSocket."""

    @cached_property
    def key(self) -> tuple[str, str, str]:
        """Equal for requests that get the same answers: object members in any order."""
        return self.method, self.path, json.dumps(self.body, sort_keys=True, separators=(",", ":"))

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def request_of(method: str, path: str, body: bytes | None, scrubber: Scrubber) -> RecordedRequest:
    """Return the request with a ``body`` in memory."""
    path = scrubber.text(path)
    if not body:
        return RecordedRequest(method, path)
    try:
        return RecordedRequest(method, path, "json", scrubber.value(read(body, "strict")))
    except (ValueError, RecursionError):
        return RecordedRequest(method, path, "upload", digest_of(iter((body,))))


def upload_request(method: str, path: str, body: UploadBody, scrubber: Scrubber) -> RecordedRequest:
    """Return the request with a streamed ``body``. Reads the file, so call it off the event loop."""
    content = body.content
    pieces = iter((content,)) if isinstance(content, bytes) else content.read_pieces(PIECE)
    return RecordedRequest(method, scrubber.text(path), "upload", digest_of(_of(body.head, pieces, body.tail)))


def texts_request(method: str, path: str, texts: Iterable[str], scrubber: Scrubber) -> RecordedRequest:
    """Return the request that sends ``texts`` over a WebSocket."""
    frames = [scrubber.value(read(text.encode("utf-8", "replace"))) for text in texts]
    return RecordedRequest(method, scrubber.text(path), "texts", frames)


def digest_of(pieces: Iterator[bytes]) -> dict[str, Any]:
    """Return size and digest of a multipart body without its boundary, which depends on a file's date."""
    first = next(pieces, b"")
    boundary = first.partition(b"\r\n")[0] if first.startswith(b"--") else b""
    digest, size = sha256(), 0
    for piece in _of(first, pieces, b""):
        plain = piece.replace(boundary, b"--") if boundary else piece
        digest.update(plain)
        size += len(plain)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _of(head: bytes, pieces: Iterable[bytes], tail: bytes) -> Iterator[bytes]:
    yield head
    yield from pieces
    yield tail


class Difference(msgspec.Struct, frozen=True):
    """The first place where two values differ."""

    place: str
    recorded: str
    asked: str

    def __str__(self) -> str:
        return f"{self.place}: recorded {self.recorded}, asked {self.asked}"


def first_difference(recorded: RecordedRequest, asked: RecordedRequest) -> Difference | None:
    """Return the first difference in reading order; None if there is none."""
    if recorded.method != asked.method or recorded.path != asked.path:
        return Difference("the path", str(recorded), str(asked))
    return _difference(recorded.body, asked.body, "")


def likeness(recorded: RecordedRequest, asked: RecordedRequest) -> float:
    """Return how much two requests have in common, from 0 to 2: the path, then values at equal places."""
    ours, theirs = set(_leaves(recorded.body, "")), set(_leaves(asked.body, ""))
    common = len(ours & theirs) / max(1, len(ours | theirs))
    return common + ((recorded.method, recorded.path) == (asked.method, asked.path))


def _leaves(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, f"{place}.{name}")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _leaves(item, f"{place}[{position}]")
    else:
        yield place, repr(value)


def _difference(recorded: Any, asked: Any, place: str) -> Difference | None:
    if isinstance(recorded, dict) and isinstance(asked, dict):
        # In the order of the request, then what is missing in it.
        for name in dict.fromkeys((*asked, *recorded)):
            inner = f"{place}.{name}" if place else name
            if name not in recorded:
                return Difference(inner, "nothing", _shown(asked[name]))
            if name not in asked:
                return Difference(inner, _shown(recorded[name]), "nothing")
            if (found := _difference(recorded[name], asked[name], inner)) is not None:
                return found
        return None
    if isinstance(recorded, list) and isinstance(asked, list):
        for position, (one, other) in enumerate(zip(recorded, asked, strict=False)):
            if (found := _difference(one, other, f"{place}[{position}]")) is not None:
                return found
        if len(recorded) == len(asked):
            return None
        return Difference(place or "the body", f"{len(recorded)} items", f"{len(asked)}")
    if type(recorded) is type(asked) and recorded == asked:
        return None
    if isinstance(recorded, str) and isinstance(asked, str):
        return Difference(place or "the body", *_from_first_difference(recorded, asked))
    return Difference(place or "the body", _shown(recorded), _shown(asked))


def _from_first_difference(one: str, other: str) -> tuple[str, str]:
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, same - _BEFORE) if max(len(one), len(other)) > _SHOWN else 0
    mark = "…" if start else ""
    return _shown(mark + one[start:]), _shown(mark + other[start:])


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= _SHOWN:
        return text
    return text[:_SHOWN] + ('…"' if isinstance(value, str) else "…")
