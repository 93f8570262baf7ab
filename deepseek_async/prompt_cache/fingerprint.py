"""Digests of a prompt in the order of the prefix cache, from which the first difference of two prompts is found. Pure.

A prompt is kept as digests of its parts and of stretches of 16 characters: a third of a byte for each character.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Final

from deepseek_async.codec.prompt import PromptPart, prompt_parts
from deepseek_async.codec.tokens import weigh_text

STRETCH: Final = 16
"""Characters between which a difference is found without the texts."""
_TAIL: Final = 64
_CHUNK: Final = 512
"""Characters after which a prompt may be looked up, about one unit of the cache."""
_WORD: Final = 0xFFFFFFFF
_RESULT: Final = "<tool_result>"
_OF_A_PART: Final = 200
"""Approximate bytes of a part without its digests."""


class Part:
    """One message, tool or other field of a prompt."""

    __slots__ = ("body", "digest", "heads", "lead", "length", "tails", "text", "tokens", "where")

    tokens: float
    heads: array[int]
    tails: array[int]
    text: str | None

    def __init__(self, where: str, text: str, tokens: float, lead: int = 0, known: Mapping[int, Part] = {}) -> None:
        self.where = where
        self.lead = lead
        """Characters before the text of the field."""
        self.length = len(text)
        self.digest = hash(text)
        self.body = hash(text[lead:]) if lead else self.digest
        """Digest without what its place puts before it."""
        # Most parts of most prompts have come before: a system text, tools, earlier turns.
        like = known.get(self.digest)
        if like is not None:
            self.tokens, self.heads, self.tails, self.text = like.tokens, like.heads, like.tails, like.text or text
            return
        self.tokens = tokens + weigh_text(text.encode("utf-8", "replace"))
        self.heads = _digests(text, STRETCH)
        # From the end on, to find what follows a difference unchanged.
        self.tails = _digests(text[::-1], _TAIL)
        self.text = text

    @property
    def size(self) -> int:
        """Approximate bytes of memory."""
        return 4 * (len(self.heads) + len(self.tails)) + (len(self.text) if self.text is not None else 0)

    def same_head(self, other: Part) -> tuple[int, bool]:
        """Return the characters before the first difference, and whether the number is exact."""
        if self.text is not None and other.text is not None:
            return _common(self.text, other.text), True
        return min(_common(self.heads, other.heads) * STRETCH, self.length, other.length), False

    def same_tail(self, other: Part) -> int:
        """Return the characters that are equal at the end."""
        return min(_common(self.tails, other.tails) * _TAIL, self.length, other.length)


def _digests(text: str, length: int) -> array[int]:
    return array("I", [hash(text[at : at + length]) & _WORD for at in range(0, len(text), length)])


def _common(one: Any, other: Any) -> int:
    """Return the number of equal members before the first difference, by bisection: a comparison of slices is fast."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class Difference:
    """Where a prompt leaves an earlier one."""

    __slots__ = ("again", "character", "exact", "length", "part", "shared", "where")

    def __init__(self, shared: float, again: float, part: int, where: str, character: int, *, exact: bool) -> None:
        self.shared = shared
        """Estimated tokens before it."""
        self.again = again
        """Estimated tokens after it that the earlier prompt has too."""
        self.part = part
        """Index of the part; the number of parts without a difference."""
        self.where = where
        self.character = character
        """Characters of the part's own text before it."""
        self.exact = exact


class Fingerprint:
    """Digests of one prompt."""

    __slots__ = ("keys", "parts", "text_of", "tokens")

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self.tokens = sum(part.tokens for part in parts) or 1.0
        """Estimated tokens of the prompt."""
        self.keys = list(_keys(parts))
        """For each place where it may be looked up: a key over everything before it, and the tokens there."""

    @property
    def size(self) -> int:
        """Approximate bytes of memory, without those of its parts, which prompts share."""
        return 300 + _OF_A_PART * len(self.parts) + 160 * len(self.keys)

    def forget_texts(self) -> None:
        """Keep digests only."""
        for part in self.parts:
            part.text = None

    def with_answer(self, answer: str | None) -> Fingerprint:
        """Return the prompt with its answer, which the next turn of a conversation repeats and the cache holds."""
        if not answer:
            return self
        text = _mark("assistant") + answer
        return Fingerprint([*self.parts, Part("answer", text, 3.0)])

    def difference(self, earlier: Fingerprint) -> Difference:
        """Return where this prompt leaves an ``earlier`` one."""
        at = _common([part.digest for part in self.parts], [part.digest for part in earlier.parts])
        shared = sum(part.tokens for part in self.parts[:at])
        if at == len(self.parts):
            return Difference(shared, 0.0, at, "", 0, exact=True)
        part = self.parts[at]
        if at == len(earlier.parts):
            return Difference(shared, self._again(at, earlier), at, part.where, 0, exact=True)
        other = earlier.parts[at]
        characters, exact = part.same_head(other)
        share = part.tokens / max(1, part.length)
        kept = any(part.body == later.body for later in earlier.parts)
        has_other = any(other.body == later.body for later in self.parts)
        if kept:  # whole, elsewhere
            after = float(part.length - characters)
        else:
            after = 0.0 if has_other else min(part.same_tail(other), part.length - characters)
        return Difference(
            shared + characters * share,
            after * share + self._again(at + 1, earlier),
            at,
            other.where if kept and not has_other else part.where,  # which was left out
            max(0, characters - part.lead),
            exact=exact,
        )

    def _again(self, start: int, earlier: Fingerprint) -> float:
        known = {part.body for part in earlier.parts}
        return sum(part.tokens for part in self.parts[start:] if part.body in known)


def fingerprint_of(request: Mapping[str, Any], known: Mapping[int, Part] = {}) -> Fingerprint:
    """Return the fingerprint of a chat request, plain JSON. Raises KeyError, TypeError or the like for another one.

    ``known``: parts of other prompts by their digests, which need not be made again.
    """
    parts = [part for part in prompt_parts(request) if part.where]
    return Fingerprint([_part(where, of, known) for where, of in groupby(parts, lambda part: part.where)])


def _part(where: str, pieces: Iterable[PromptPart], known: Mapping[int, Part]) -> Part:
    texts: list[str] = []
    fixed = 0
    for part in pieces:
        if isinstance(part.piece, str):
            texts.append(part.piece)
        else:
            fixed += part.piece
            if part.mark:
                texts.append(_mark(part.mark))
    text = "".join(texts)
    return Part(where, text, fixed, _lead(where, text), known)


def _lead(where: str, text: str) -> int:
    """Return the characters of a part before the text of its field: marks, separators, tags."""
    lead = 0
    while text.startswith("\0", lead) and (end := text.find("\1", lead)) >= 0:
        lead = end + 1
    if where.startswith("tools") or not lead:
        lead = len(text) - len(text.lstrip("\n"))
    return lead + len(_RESULT) if text.startswith(_RESULT, lead) and where.endswith("(tool)") else lead


def _mark(mark: str) -> str:
    return f"\0{mark}\1"


def _keys(parts: Iterable[Part]) -> Iterator[tuple[int, float]]:
    key, tokens = 0, 0.0
    step = _CHUNK // STRETCH
    for part in parts:
        share = part.tokens / max(1, part.length)
        for at in range(step, len(part.heads), step):
            key = hash((key, part.heads[at - step : at].tobytes()))
            yield key, tokens + at * STRETCH * share
        tokens += part.tokens
        key = hash((key, part.digest))
        yield key, tokens
