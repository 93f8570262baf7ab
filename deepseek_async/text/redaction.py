"""Redaction of secrets in text: the process's own keys by value, other keys and bearer tokens by pattern."""

from __future__ import annotations

import html.entities
import re
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MASK: Final = "sk-…"

_SHAPES: Final = re.compile(r"(?i)(bearer\s+)[^\s\"',}]+|\bsk-[A-Za-z0-9_\-]{4,}")

_ANYWHERE: Final = 6
"""Shortest value that is also masked inside words. A shorter one may be an ordinary word, such as ``test`` for a
server on this machine, and is masked only as a whole word."""

_BEGINNING: Final = 4
"""Shortest prefix of a value that is masked at the end of truncated text."""

_ALNUM: Final = re.compile(r"[A-Za-z0-9]+")
_PARTS: Final = re.compile(r"[A-Za-z0-9]+|\\+|.", re.DOTALL)
_ENTITIES: Final = {chr(code): name for code, name in html.entities.codepoint2name.items()} | {"'": "apos"}

_known: Final[dict[int, weakref.ref[MaskedValues]]] = {}
_noted: list[tuple[str, ...]] = []
"""Anchors of all known values, computed on first use. Every change replaces the list, so that a late append by
another thread lands in a discarded list."""

_CERTAIN: Final = 16
"""Shortest value that is masked in answers, where no ordinary word may be."""
_noted_bytes: list[tuple[bytes, ...]] = []
"""Anchors of those values, likewise."""


class MaskedValues:
    """Registers values to be masked in every text for the lifetime of this object. Its repr shows none of them.

    The registry is per process, because a key may appear in a text unrelated to its client, and weak, because a
    service may have a client for each of its users.
    """

    __slots__ = ("__weakref__", "values")

    def __init__(self, *values: str) -> None:
        self.values: Final = tuple(_Value.of(value) for value in dict.fromkeys(values) if value.strip())
        name = id(self)
        _known[name] = weakref.ref(self, lambda _: _forget(name))
        _changed()

    def __repr__(self) -> str:
        return "<Known …>"


@dataclass(frozen=True, slots=True, repr=False)  # msgspec would slow down ``--help``
class _Value:
    """Search pattern of one value, as plain text and as escaped in JSON, URLs and HTML."""

    text: str
    anchor: str
    """The longest part of the value that every encoding leaves unchanged."""
    pattern: re.Pattern[str]

    @classmethod
    def of(cls, text: str) -> _Value:
        pattern = pattern_of(text).pattern
        if len(text) < _ANYWHERE:
            pattern = f"(?<![\\w-]){pattern}(?![\\w-])"
        return cls(text, max(_ALNUM.findall(text), key=len, default=""), re.compile(pattern))

    def cut_off(self, text: str) -> int:
        """Return the length of the longest prefix of the value that ends a truncated ``text``."""
        longest = min(len(self.text) - 1, len(text))
        return next((size for size in range(longest, _BEGINNING - 1, -1) if text.endswith(self.text[:size])), 0)


def pattern_of(text: str) -> re.Pattern[str]:
    """Return a pattern for ``text`` as it is and as escaped in JSON, URLs and HTML."""
    return re.compile("".join(_written(part[0]) for part in _PARTS.finditer(text)))


def _written(part: str) -> str:
    """Return a pattern for every encoding of a run of letters, a run of backslashes or a single character.

    The number of added backslashes is bounded, so that a text of backslashes is searched in linear time.
    """
    if _ALNUM.fullmatch(part):
        return part
    count, character = len(part), part[0]
    code = ord(character)
    ways = [rf"\\u(?i:{code:04x})", rf"&\#0*{code};", rf"&\#[xX]0*(?i:{code:x});"]
    ways += ["".join(rf"%(?i:{byte:02x})" for byte in character.encode("utf-8", "replace"))]
    if character in _ENTITIES:
        ways.append(f"&{_ENTITIES[character]};")
    if character == " ":
        ways.append(r"\+")
    if character == "\\":
        return rf"(?:\\{{{count},{2 * count + 2}}}|(?:{'|'.join(ways)}){{{count}}})"
    return rf"(?:\\{{0,3}}{re.escape(character)}|{'|'.join(ways)})"


def redact(text: str, *, cut: bool = False) -> str:
    """Replace keys of live clients and everything shaped like a key or a bearer token in ``text``.

    ``cut``: ``text`` is truncated and may end in the middle of a key.
    """
    text = mask_known(text, cut=cut)
    # A purely alphanumeric text has neither shape; request ids, one per call, are alphanumeric.
    return text if text.isalnum() else _SHAPES.sub(lambda match: f"{match[1] or ''}{MASK}", text)


def mask_known(text: str, *, cut: bool = False) -> str:
    """Replace keys of live clients in ``text``; for data, which may contain strings that only look like keys."""
    for anchor in _anchors():
        if anchor in text:
            break
    else:
        if not cut:
            return text
    there = [value for value in _values() if value.anchor in text]
    # Longest first: one key may contain another.
    for value in sorted(there, key=lambda value: -len(value.text)):
        text = value.pattern.sub(MASK, text)
    if cut:
        lost = max((value.cut_off(text) for value in _values()), default=0)
        text = text[: len(text) - lost] + MASK if lost else text
    return text


def mask_in(wire: bytes) -> bytes:
    """Replace keys of live clients in an answer that leaves the process, whatever it holds.

    Values below 16 characters are left: they may be words of the answer.
    """
    noted = _noted_bytes
    if not noted:
        noted.append(tuple(value.anchor.encode() for value in _values() if len(value.text) >= _CERTAIN))
    for anchor in noted[0]:
        if anchor in wire:
            text = wire.decode("utf-8", "surrogateescape")
            for value in _values():
                if len(value.text) >= _CERTAIN:
                    text = value.pattern.sub(MASK, text)
            return text.encode("utf-8", "surrogateescape")
    return wire


def is_suspect(wire: bytes) -> bool:
    """Whether ``wire`` may contain something that ``redact`` replaces; cheap if it does not."""
    return b"sk-" in wire or b"earer " in wire or any(anchor.encode() in wire for anchor in _anchors())


def _forget(name: int) -> None:
    # Runs in the garbage collector at any moment, so it takes no lock.
    _known.pop(name, None)
    _changed()


def _changed() -> None:
    global _noted, _noted_bytes
    _noted, _noted_bytes = [], []


def _anchors() -> tuple[str, ...]:
    noted = _noted
    if not noted:
        noted.append(tuple({value.anchor for value in _values()}))
    return noted[0]


def _values() -> Iterator[_Value]:
    for reference in tuple(_known.values()):
        known = reference()
        if known is not None:
            yield from known.values
