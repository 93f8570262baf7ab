"""Decisions of content checks. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec


class Flag(msgspec.Struct, frozen=True):
    """Let the text pass and count it."""

    reason: str


class Block(msgspec.Struct, frozen=True):
    """Block the text."""

    reason: str


class Replace(msgspec.Struct, frozen=True):
    """Replace the text by ``text``."""

    text: str
    reason: str


Decision: TypeAlias = Flag | Block | Replace | None
"""Decision of a check; None lets the text pass."""

Check: TypeAlias = Callable[[str], Decision | Awaitable[Decision]]
"""Custom check: takes a text and returns a decision; may be async."""

PASSED: Final = "passed"
FLAGGED: Final = "flagged"
REDACTED: Final = "redacted"
BLOCKED: Final = "blocked"

_WORSE: Final = (PASSED, FLAGGED, REDACTED, BLOCKED)


class Verdict(msgspec.Struct):
    """Findings of one call, in request and answer, and the most severe action taken."""

    word: str = PASSED
    kinds: set[str] = msgspec.field(default_factory=set)

    def add(self, word: str, kind: str) -> None:
        """Record a finding of ``kind`` and the action ``word`` taken on it."""
        self.kinds.add(kind)
        if _WORSE.index(word) > _WORSE.index(self.word):
            self.word = word
