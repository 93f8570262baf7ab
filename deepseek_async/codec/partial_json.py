"""Reading of JSON that is still arriving, into objects of a class. Pure; linear in the length of the text."""

from __future__ import annotations

import json
import re
from enum import Enum, auto
from typing import Any, Final

from deepseek_async.codec.partial_types import ABSENT, ANYTHING, Growth

_DEEPEST: Final = 200
"""Nested lists and objects; the object of a deeper answer stops growing."""

_PLAIN: Final = re.compile(r'[^"\\]*')
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_SCALAR: Final = re.compile(r"[^,\]}\s]*")
_HIGH: Final = range(0xD800, 0xDC00)
_LOW: Final = range(0xDC00, 0xE000)
_SHORT: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}

_THOUGHTS: Final = ("<think>", "</think>")

# A copy of what has arrived is made when as many characters have come as pay for it, in nanoseconds: so all copies of
# an answer together take time linear in its length, and of an ordinary one each piece is shown.
_EARNED: Final = 500
"""By a character that arrives; decoding its chunk takes about as long."""
_AHEAD: Final = 50_000
_OBJECT: Final = 1_000
_ITEM: Final = 20
_LETTERS: Final = 4
"""Characters copied in a nanosecond."""


class _State(Enum):
    START = auto()
    THINKING = auto()
    PREAMBLE = auto()
    VALUE = auto()
    TEXT = auto()
    KEY = auto()
    NAME = auto()
    """Within the name of a field."""
    COLON = auto()
    SCALAR = auto()
    NEXT = auto()
    ENDED = auto()


class _Open:
    """A list or an object that has begun. A hidden one is not shown before its end."""

    __slots__ = ("growth", "hidden", "key", "parts", "value_growth")

    def __init__(self, growth: Growth, parts: list[Any] | dict[str, Any], *, hidden: bool) -> None:
        self.growth = growth
        self.parts = parts
        self.hidden = hidden
        self.key = ""
        self.value_growth: Growth = ANYTHING

    def with_part(self, part: Any) -> Any:
        """Return the value so far, with the ``part`` that is arriving."""
        parts: Any = self.parts.copy()
        if part is not ABSENT:
            if isinstance(parts, dict):
                parts[self.key] = part
            else:
                parts.append(part)
        return self.growth.made(parts, whole=False)


class PartialReader:
    """Reads the JSON object in a text that arrives in pieces."""

    def __init__(self, growth: Growth = ANYTHING) -> None:
        self._growth = growth
        self._state = _State.START
        self._rest = ""
        """Text that cannot be read without what follows it."""
        self._open: list[_Open] = []
        self._pieces: list[str] = []
        """Of the string that is arriving."""
        self._letters = 0
        self._shown = False
        """Whether the string that is arriving grows."""
        self._whole: Any = ABSENT
        self._copied = 0
        """Cost of a copy, less its string."""
        self._credit = _AHEAD
        self._changed = False

    def feed(self, text: str) -> bool:
        """Read on. Whether there is something new to look at, and it is paid for."""
        self._credit += _EARNED * len(text)
        try:
            self._read(self._rest + text)
        except ValueError:
            self._state = _State.ENDED  # the whole answer is judged by others
        return self._changed and self._credit >= self._copied + self._letters // _LETTERS

    def partial(self) -> Any:
        """Return what has arrived: a new object, which shares its complete parts with earlier ones. None before any."""
        self._changed = False
        if not self._open:
            return None if self._whole is ABSENT else self._whole
        self._credit -= self._copied + self._letters // _LETTERS
        value = ABSENT
        if self._state is _State.TEXT and self._shown:
            self._pieces = ["".join(self._pieces)]
            value = self._pieces[0]
        for opened in reversed(self._open):
            value = ABSENT if opened.hidden else opened.with_part(value)
        return value

    def _read(self, text: str) -> None:
        at, end = 0, len(text)
        while at < end and self._state is not _State.ENDED:
            read = _READ[self._state](self, text, at)
            if read < 0:
                break
            at = read
        self._rest = text[at:] if self._state is not _State.ENDED else ""

    # Each reads on at a position and returns the next one, or -1 if more text is needed.

    def _start(self, text: str, at: int) -> int:
        at = _space(text, at)
        opening = _THOUGHTS[0]
        begun = text[at : at + len(opening)]
        if begun == opening:
            self._state = _State.THINKING
            return at + len(opening)
        if begun and opening.startswith(begun):
            return -1
        if begun:
            self._state = _State.PREAMBLE
        return at + (text[at : at + 1] == "\ufeff")

    def _thinking(self, text: str, at: int) -> int:
        closing = _THOUGHTS[1]
        found = text.find(closing, at)
        if found < 0:
            self._state = _State.THINKING
            # All but what may be the beginning of the end.
            return max(at, len(text) - len(closing) + 1) if len(text) - len(closing) + 1 > at else -1
        self._state = _State.PREAMBLE
        return found + len(closing)

    def _preamble(self, text: str, at: int) -> int:
        found = text.find("{", at)
        if found < 0:
            return len(text)
        return self._begin(self._growth, {}, found)

    def _begin(self, growth: Growth, parts: list[Any] | dict[str, Any], at: int) -> int:
        if len(self._open) >= _DEEPEST:
            raise ValueError
        within = bool(self._open) and self._open[-1].hidden
        grows = growth.items() if isinstance(parts, list) else growth.field("")
        opened = _Open(growth, parts, hidden=within or grows is None)
        self._open.append(opened)
        if isinstance(parts, list):
            opened.value_growth = growth.items() or ANYTHING
        self._copied += _OBJECT
        self._changed = self._changed or not opened.hidden
        self._state = _State.KEY if isinstance(parts, dict) else _State.VALUE
        return at + 1

    def _value(self, text: str, at: int) -> int:
        at = _space(text, at)
        first = text[at : at + 1]
        opened = self._open[-1]
        growth = opened.value_growth
        if first == "{":
            return self._begin(growth, {}, at)
        if first == "[":
            return self._begin(growth, [], at)
        if first == '"':
            self._state = _State.TEXT
            self._shown = growth.texts and not opened.hidden
            self._changed = self._changed or self._shown
            return at + 1
        if first == "]" and isinstance(opened.parts, list):
            return self._end(at)
        if first:
            self._state = _State.SCALAR
        return at

    def _text(self, text: str, at: int) -> int:
        at, whole = self._string(text, at)
        if whole:
            said = self._take_string()
            growth = self._open[-1].value_growth
            grown = growth.texts and not self._open[-1].hidden
            self._put(said if grown else self._converted(said))
        return at

    def _string(self, text: str, at: int) -> tuple[int, bool]:
        """Read a string on; return the position, or -1, and whether it has ended."""
        plain = _PLAIN.match(text, at)
        assert plain is not None  # noqa: S101  it matches everywhere
        end = plain.end()
        if end > at:
            self._add(text[at:end])
        if end == len(text):
            return end, False
        if text[end] == '"':
            return end + 1, True
        read = self._escape(text, end)
        # What came before the escape has been read.
        if read < 0 and end > at:
            return end, False
        return read, False

    def _add(self, piece: str) -> None:
        self._pieces.append(piece)
        self._letters += len(piece)
        self._changed = self._changed or (self._shown and self._state is _State.TEXT)

    def _escape(self, text: str, at: int) -> int:
        kind = text[at + 1 : at + 2]
        if not kind:
            return -1
        if kind != "u":
            self._add(_SHORT[kind] if kind in _SHORT else _refuse())
            return at + 2
        code, after = _code(text, at), at + 6
        if code is None:
            return -1
        if code in _HIGH:
            follows = text[after : after + 2]
            if len(follows) < 2 and "\\u".startswith(follows):
                return -1
            low = _code(text, after) if follows == "\\u" else 0
            if low is None:
                return -1
            if low in _LOW:
                self._add(chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)))
                return after + 6
        self._add(chr(code))
        return after

    def _take_string(self) -> str:
        said = "".join(self._pieces)
        self._pieces, self._letters, self._shown = [], 0, False
        return said

    def _key(self, text: str, at: int) -> int:
        at = _space(text, at)
        first = text[at : at + 1]
        if first == "}":
            return self._end(at)
        if first == '"':
            self._state = _State.NAME
            return at + 1
        return at if not first else _refuse()

    def _name(self, text: str, at: int) -> int:
        at, whole = self._string(text, at)
        if whole:
            opened = self._open[-1]
            key = self._take_string()
            found = ANYTHING.field(key) if opened.hidden else opened.growth.field(key)
            assert found is not None  # noqa: S101  an object that does not grow is hidden
            opened.key, opened.value_growth = found
            self._state = _State.COLON
        return at

    def _colon(self, text: str, at: int) -> int:
        at = _space(text, at)
        first = text[at : at + 1]
        if first == ":":
            self._state = _State.VALUE
            return at + 1
        return at if not first else _refuse()

    def _scalar(self, text: str, at: int) -> int:
        found = _SCALAR.match(text, at)
        assert found is not None  # noqa: S101  it matches everywhere
        end = found.end()
        self._pieces.append(text[at:end])
        if end < len(text):
            self._put(self._converted(json.loads(self._take_string())))
        return end

    def _next(self, text: str, at: int) -> int:
        at = _space(text, at)
        first = text[at : at + 1]
        opened = self._open[-1]
        if first == ",":
            self._state = _State.KEY if isinstance(opened.parts, dict) else _State.VALUE
            return at + 1
        if first == ("}" if isinstance(opened.parts, dict) else "]"):
            return self._end(at)
        return at if not first else _refuse()

    def _converted(self, value: Any) -> Any:
        opened = self._open[-1]
        return value if opened.hidden else opened.value_growth.converted(value)

    def _put(self, value: Any) -> None:
        """Add a complete value to the innermost list or object."""
        self._state = _State.NEXT
        opened = self._open[-1]
        if value is ABSENT:
            return
        self._copied += _ITEM
        if isinstance(opened.parts, dict):
            opened.parts[opened.key] = value
        else:
            opened.parts.append(value)
        self._changed = self._changed or not opened.hidden

    def _end(self, at: int) -> int:
        """End the innermost list or object."""
        ended = self._open.pop()
        self._copied -= _OBJECT + _ITEM * len(ended.parts)
        if not self._open:
            self._whole = ABSENT if ended.hidden else ended.growth.made(ended.parts, whole=True)
            self._state, self._changed = _State.ENDED, True
        elif not ended.hidden:
            self._put(ended.growth.made(ended.parts, whole=True))
        else:
            self._put(self._converted(ended.parts))
        return at + 1


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _code(text: str, at: int) -> int | None:
    """Return the code of ``\\uXXXX`` at a position; None if it is incomplete."""
    digits = text[at + 2 : at + 6]
    if not all(digit in "0123456789abcdefABCDEF" for digit in digits):
        _refuse()
    return int(digits, 16) if len(digits) == 4 else None


def _refuse() -> Any:
    raise ValueError("not JSON")


_READ: Final = {
    _State.START: PartialReader._start,  # noqa: SLF001
    _State.THINKING: PartialReader._thinking,  # noqa: SLF001
    _State.PREAMBLE: PartialReader._preamble,  # noqa: SLF001
    _State.VALUE: PartialReader._value,  # noqa: SLF001
    _State.TEXT: PartialReader._text,  # noqa: SLF001
    _State.KEY: PartialReader._key,  # noqa: SLF001
    _State.NAME: PartialReader._name,  # noqa: SLF001
    _State.COLON: PartialReader._colon,  # noqa: SLF001
    _State.SCALAR: PartialReader._scalar,  # noqa: SLF001
    _State.NEXT: PartialReader._next,  # noqa: SLF001
}
