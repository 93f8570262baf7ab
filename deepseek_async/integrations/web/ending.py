"""What is known at the end of a relayed answer. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deepseek_async.call.stream.deltas import AnswerEnd
from deepseek_async.types import Answer, Source


@dataclass(frozen=True, slots=True)
class Ending:
    """How a relayed answer ended; every answer that was begun has one, whether or not anybody still reads."""

    stream: Any
    """The stream; None if it could not be opened."""
    answer: Any = None
    """The complete answer, or what has arrived of it; None without any, or of a generator of the program's own."""
    error: BaseException | None = None
    """Why it failed; None if it did not."""
    stopped: bool = False
    """Whether it was stopped, or its reader left."""


AtEnd = Callable[[Ending], Mapping[str, Any] | None]
"""Called once at the end of an answer. What it returns is sent to the reader with the end: JSON values by name."""


def sources_of(answer: Any) -> list[Source]:
    """Return the sources of an answer, one for each page."""
    found: dict[str, Source] = {}
    for source in getattr(answer, "sources", None) or ():
        found.setdefault(source.url, source)
    return list(found.values())


def ending_facts(end: AnswerEnd | None, answer: Any) -> dict[str, Any]:
    """Return finish reason and usage, as far as they are known."""
    usage = end.usage if end is not None else None
    if usage is None and isinstance(answer, Answer):
        usage = answer.tokens_used()
    reason = end.finish_reason if end is not None else None
    return {"finish_reason": reason, "usage": None if usage is None else usage.counters()}
