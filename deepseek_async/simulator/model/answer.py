"""Generated answers: pieces, each of which is one token, and in a stream one event. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepseek_async.simulator.model.web import Web

CALL_OPENING_TOKENS = 4


@dataclass(frozen=True, slots=True)
class GeneratedCall:
    """One tool call; its arguments are streamed in fragments that may end anywhere."""

    id: str
    name: str
    fragments: tuple[str, ...]

    @property
    def arguments(self) -> str:
        return "".join(self.fragments)


@dataclass(frozen=True, slots=True)
class GeneratedAnswer:
    reasoning: tuple[str, ...] | None  # None with thinking disabled
    content: tuple[str, ...]
    calls: tuple[GeneratedCall, ...]
    finish_reason: str
    web: Web | None = None
    title: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)  # additional, unknown message fields

    @property
    def reasoning_tokens(self) -> int:
        return len(self.reasoning or ())

    @property
    def completion_tokens(self) -> int:
        spoken = len(self.content) + len(self.reasoning or ())
        if not self.calls:
            return spoken
        return spoken + sum(len(call.fragments) + CALL_OPENING_TOKENS for call in self.calls)
