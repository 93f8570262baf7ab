"""What a check may say of a text. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec


class Flag(msgspec.Struct, frozen=True):
    """Let it pass, and count it."""

    reason: str


class Block(msgspec.Struct, frozen=True):
    """Do not let it pass."""

    reason: str


class Replace(msgspec.Struct, frozen=True):
    """Let ``text`` pass in its place."""

    text: str
    reason: str


Decision: TypeAlias = Flag | Block | Replace | None
"""None lets a text pass."""

Check: TypeAlias = Callable[[str], Decision | Awaitable[Decision]]
"""A program's own check: takes a text, returns a decision; may be async."""

PASSED: Final = "passed"
FLAGGED: Final = "flagged"
REDACTED: Final = "redacted"
BLOCKED: Final = "blocked"

_WORSE: Final = (PASSED, FLAGGED, REDACTED, BLOCKED)


class Verdict(msgspec.Struct):
    """What was found in a call, both ways, and how bad the worst of it is."""

    word: str = PASSED
    kinds: set[str] = msgspec.field(default_factory=set)

    def add(self, word: str, kind: str) -> None:
        """Something of this kind was found and dealt with in this way."""
        self.kinds.add(kind)
        if _WORSE.index(word) > _WORSE.index(self.word):
            self.word = word
