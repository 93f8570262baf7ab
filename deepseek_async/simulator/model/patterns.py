"""Generator of text matching a regular expression as used in schemas: classes, repetitions, groups, choices. Pure."""

from __future__ import annotations

import re
from re import _constants as codes  # type: ignore[attr-defined]  # the only parser of these patterns
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_TRIED: tuple[str, ...] = (*"aA0 _-.:/@", *map(chr, range(33, 127)), "é", "深")
_MOST_REPEATS = 1000


def matching(pattern: str, least: int = 0) -> str | None:
    """Return a text that matches `pattern`, with at least `least` characters if it may repeat; None if unsupported."""
    try:
        parsed = parser.parse(pattern)
        for more in (0, least):
            text = "".join(_texts(parsed, more))
            if len(text) >= least and re.search(pattern, text):
                return text
    except (re.error, RecursionError, NotImplementedError, OverflowError):
        pass
    return None


def _texts(parsed: Any, more: int) -> list[str]:
    return [_text(code, argument, more) for code, argument in parsed]


def _text(code: Any, argument: Any, more: int) -> str:
    if code is codes.LITERAL:
        return chr(argument)
    if code is codes.ANY:
        return "a"
    if code is codes.NOT_LITERAL:
        return next(one for one in _TRIED if ord(one) != argument)
    if code is codes.IN:
        return _one_in(argument)
    if code is codes.BRANCH:
        return "".join(_texts(argument[1][0], more))
    if code is codes.SUBPATTERN:
        return "".join(_texts(argument[3], more))
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
        low, high, repeated = argument
        times = int(min(max(low, more), high, max(low, _MOST_REPEATS)))
        return "".join(_texts(repeated, 0)) * times
    if code is codes.AT:
        return ""
    raise NotImplementedError(code)


def _one_in(members: list[Any]) -> str:
    for one in _TRIED:
        if _is_in(one, members):
            return one
    for code, argument in members:
        if code is codes.LITERAL:
            return chr(argument)
        if code is codes.RANGE:
            return chr(argument[0])
    raise NotImplementedError(members)


def _is_in(one: str, members: list[Any]) -> bool:
    inverted: bool = members[0][0] is codes.NEGATE
    fits: bool = any(_fits(one, code, argument) for code, argument in members)
    return inverted is not fits


def _fits(one: str, code: Any, argument: Any) -> bool:
    if code is codes.LITERAL:
        return bool(ord(one) == argument)
    if code is codes.RANGE:
        return bool(argument[0] <= ord(one) <= argument[1])
    if code is codes.CATEGORY:
        return re.fullmatch(_CATEGORIES[argument], one) is not None
    return False


_CATEGORIES = {
    codes.CATEGORY_DIGIT: r"\d",
    codes.CATEGORY_NOT_DIGIT: r"\D",
    codes.CATEGORY_SPACE: r"\s",
    codes.CATEGORY_NOT_SPACE: r"\S",
    codes.CATEGORY_WORD: r"\w",
    codes.CATEGORY_NOT_WORD: r"\W",
}
