"""Keys and bearer tokens taken out of texts that are to be shown: a client's own by value, any other by its shape."""

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
"""Characters from which on a value is masked also inside of words. A shorter one is often a word itself, as ``test``
for a server on this machine, and masked where it stands alone."""

_BEGINNING: Final = 4
"""Characters of a value that are masked at the end of a text that was cut off."""

_ALNUM: Final = re.compile(r"[A-Za-z0-9]+")
_PARTS: Final = re.compile(r"[A-Za-z0-9]+|\\+|.", re.DOTALL)
_ENTITIES: Final = {chr(code): name for code, name in html.entities.codepoint2name.items()} | {"'": "apos"}

_known: Final[dict[int, weakref.ref[Known]]] = {}
_noted: list[tuple[str, ...]] = []
"""The anchors of all that is known, once somebody has asked for them. Another list whenever that has changed, so that
what is noted late by another thread is noted where nobody looks any more."""


class Known:
    """Values that are masked in every text, as long as somebody holds this. It shows none of them.

    The registry is the process's own, because a key may be named in a text that has nothing to do with its client, and
    weak, because a service may have a client for each of its users.
    """

    __slots__ = ("__weakref__", "values")

    def __init__(self, *values: str) -> None:
        self.values: Final = tuple(_Value.of(value) for value in dict.fromkeys(values) if value.strip())
        name = id(self)
        _known[name] = weakref.ref(self, lambda _: _forget(name))
        _changed()

    def __repr__(self) -> str:
        return "<Known …>"


@dataclass(frozen=True, slots=True, repr=False)  # a struct would have ``--help`` wait for msgspec
class _Value:
    """How one value is found, as it is and as JSON, URLs and HTML write it."""

    text: str
    anchor: str
    """The longest part of it that is written alike everywhere."""
    pattern: re.Pattern[str]

    @classmethod
    def of(cls, text: str) -> _Value:
        pattern = "".join(_written(part[0]) for part in _PARTS.finditer(text))
        if len(text) < _ANYWHERE:
            pattern = f"(?<![\\w-]){pattern}(?![\\w-])"
        return cls(text, max(_ALNUM.findall(text), key=len, default=""), re.compile(pattern))

    def cut_off(self, text: str) -> int:
        """How many characters at the end of ``text`` are its beginning, the rest of it being cut off."""
        longest = min(len(self.text) - 1, len(text))
        return next((size for size in range(longest, _BEGINNING - 1, -1) if text.endswith(self.text[:size])), 0)


def _written(part: str) -> str:
    """All the ways in which a run of letters, a run of backslashes or another character is written.

    How many backslashes may be added is bounded, so that a text of nothing else is searched in linear time.
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
    """``text`` with the keys of living clients, and all that looks like a key or a bearer token, replaced.

    ``cut`` is for a text whose end is missing: it may end in the middle of a key.
    """
    text = mask_known(text, cut=cut)
    # Letters and digits alone have neither shape; ids of requests are such, and there is one for every call.
    return text if text.isalnum() else _SHAPES.sub(lambda match: f"{match[1] or ''}{MASK}", text)


def mask_known(text: str, *, cut: bool = False) -> str:
    """``text`` with the keys of living clients replaced; for data, which may hold what looks like a key and is none."""
    for anchor in _anchors():
        if anchor in text:
            break
    else:
        if not cut:
            return text
    there = [value for value in _values() if value.anchor in text]
    # The longest first: a key may hold another one.
    for value in sorted(there, key=lambda value: -len(value.text)):
        text = value.pattern.sub(MASK, text)
    if cut:
        lost = max((value.cut_off(text) for value in _values()), default=0)
        text = text[: len(text) - lost] + MASK if lost else text
    return text


def is_suspect(wire: bytes) -> bool:
    """Whether ``wire`` may hold what ``redact`` replaces; costs little where it does not."""
    return b"sk-" in wire or b"earer " in wire or any(anchor.encode() in wire for anchor in _anchors())


def _forget(name: int) -> None:
    # The collector may run this at any moment: it takes no lock.
    _known.pop(name, None)
    _changed()


def _changed() -> None:
    global _noted  # noqa: PLW0603  one for the process
    _noted = []


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
