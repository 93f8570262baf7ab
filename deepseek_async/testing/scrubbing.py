"""Removal of secrets from what is recorded: keys by value, fields of bodies by name. Pure."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from deepseek_async.text.redaction import pattern_of
from deepseek_async.types.json_text import read, write

SCRUBBED: Final = "scrubbed"
"""Replaces a secret text."""

_SHORTEST: Final = 6
"""Shortest key that is removed. A shorter one, such as ``test`` for a server on this machine, is an ordinary word."""

_URL_SAFE: Final = str.maketrans("+/", "-_")


class _Edit(NamedTuple):
    start: int
    end: int
    text: bytes


class Scrubber:
    """Removes the ``secrets`` from everything, and the values of the fields ``names`` from JSON at any depth.

    A removed value is replaced by one of its JSON type, so that what reads the body still can.
    """

    def __init__(self, names: Iterable[str] = (), secrets: Iterable[str] = ()) -> None:
        self.names: Final = frozenset(names)
        self._secrets: dict[str, re.Pattern[str]] = {}
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Remove these ``secrets`` too, in every encoding."""
        for secret in secrets:
            if len(secret) >= _SHORTEST and secret not in self._secrets:
                encoded = "|".join(map(re.escape, dict.fromkeys(_base64_of(secret))))
                self._secrets[secret] = re.compile(f"{pattern_of(secret).pattern}|{encoded}")

    def text(self, text: str) -> str:
        """Return ``text`` without the secrets."""
        for pattern in self._secrets.values():
            text = pattern.sub(SCRUBBED, text)
        return text

    def value(self, value: Any) -> Any:
        """Return a JSON value without the secrets and without the values of the named fields."""
        if isinstance(value, dict):
            return {
                self.text(name): _blank(item) if name in self.names else self.value(item)
                for name, item in value.items()
            }
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return self._string(value) if isinstance(value, str) else value

    def chunks(self, chunks: list[bytes]) -> list[bytes]:
        """Return the pieces of a body, a JSON value or events, cut where they were. None of them is empty."""
        whole = b"".join(chunks)
        if self.names:
            chunks = _edited(chunks, list(self._field_edits(whole)))
            whole = b"".join(chunks)
        for pattern in self._secrets.values():
            # Latin-1 maps each byte to one character, so that positions stay.
            found = pattern.finditer(whole.decode("latin-1"))
            chunks = _edited(chunks, [_Edit(*match.span(), SCRUBBED.encode()) for match in found])
            whole = b"".join(chunks)
        return [chunk for chunk in chunks if chunk]

    def _string(self, text: str) -> str:
        if self.names and text.lstrip()[:1] in ("{", "["):
            # The arguments of a tool call, for example.
            try:
                inner = json.loads(text)
            except (ValueError, RecursionError):
                return self.text(text)
            scrubbed = self.value(inner)
            if scrubbed != inner:
                return json.dumps(scrubbed, ensure_ascii=False)
        return self.text(text)

    def _field_edits(self, whole: bytes) -> Iterator[_Edit]:
        for start, end in _documents(whole):
            document = whole[start:end]
            try:
                value = read(document)
                scrubbed = self._fields(value)
            except (ValueError, RecursionError):
                continue
            if scrubbed != value:
                yield _Edit(start, end, write(scrubbed))

    def _fields(self, value: Any) -> Any:
        return Scrubber(self.names).value(value)


def _blank(value: Any) -> Any:
    match value:
        case str():
            return SCRUBBED
        case bool():
            return False
        case int() | float():
            return 0
        case list():
            return []
        case dict():
            return {}
    return None


def _documents(whole: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the JSON values of a body start and end: the whole body, or the data of each event."""
    stripped = whole.strip()
    if stripped[:1] in (b"{", b"["):
        start = whole.index(stripped)
        yield start, start + len(stripped)
        return
    for match in re.finditer(rb"(?m)^data:[ ]?([{\[][^\r\n]*)", whole):
        yield match.span(1)


def _edited(chunks: list[bytes], edits: list[_Edit]) -> list[bytes]:
    """Apply ``edits`` to the joined ``chunks``. A cut inside an edit moves to its end."""
    if not edits:
        return chunks
    whole = b"".join(chunks)
    made: list[bytes] = []
    position = taken = 0  # the end of the last chunk, and up to where the body was used
    pending = iter([*edits, _Edit(len(whole), len(whole), b"")])
    edit = next(pending)
    for chunk in chunks:
        position += len(chunk)
        piece = b""
        while edit.start < position:
            piece += whole[taken : edit.start] + edit.text
            taken = edit.end
            edit = next(pending)
        if taken < position:
            piece += whole[taken:position]
            taken = position
        made.append(piece)
    return made


def _base64_of(secret: str) -> Iterator[str]:
    """Yield the part of a Base64 text that ``secret`` decides, whatever stands before and behind it."""
    for shift in range(3):
        padded = b"\0" * shift + secret.encode()
        text = b64encode(padded).decode()
        core = text[(0, 2, 3)[shift] : len(text) - (0, 3, 2)[len(padded) % 3]]
        if len(core) >= _SHORTEST:
            yield core
            yield core.translate(_URL_SAFE)
