"""What a call consumed, in tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from deepseek_async.types.answer import Answer, Part

P = TypeVar("P", bound=Part)


class PromptTokensDetails(Part):
    """OpenAI's name for the cached part of the prompt."""

    cached_tokens: int | None = None


class CompletionTokensDetails(Part):
    """Absent when thinking was off."""

    reasoning_tokens: int | None = None


class CompletionUsage(Part):
    """Tokens of one call, as the server billed them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Answer and reasoning together."""
    total_tokens: int = 0
    prompt_cache_hit_tokens: int | None = None
    """Part of ``prompt_tokens`` served from the prefix cache, at 1/50 (flash) or 1/30 (pro) of the price."""
    prompt_cache_miss_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens served from the cache, whichever of the two names the server used."""
        if self.prompt_cache_hit_tokens is not None:
            return self.prompt_cache_hit_tokens
        details = self.prompt_tokens_details
        return (details.cached_tokens or 0) if details else 0

    @property
    def reasoning_tokens(self) -> int:
        """The part of ``completion_tokens`` spent on reasoning; 0 when thinking was off."""
        details = self.completion_tokens_details
        return (details.reasoning_tokens or 0) if details else 0


class BilledAttempt(msgspec.Struct, frozen=True, gc=False):
    """One of the requests of a call, and what it was billed for."""

    model: str
    """The model that served it, or that was asked if the server named none."""
    usage: CompletionUsage
    at: float
    """When it was sent, in seconds since 1970: its price is that of its own hour."""
    failure: str | None = None
    """Why it gave no answer, as the name of an error's class; None for the one that did."""


def bills_of(answer: Answer) -> tuple[BilledAttempt, ...]:
    """Every request that was billed for ``answer``: those that it names, else its own."""
    usage = answer.tokens_used()
    if answer.billed_attempts or answer.cached is not None or usage is None:
        return answer.billed_attempts
    at = getattr(answer, "created", None) or getattr(answer, "created_at", None) or 0.0
    return (BilledAttempt(getattr(answer, "model", ""), usage, float(at)),)


def added(usages: Iterable[CompletionUsage]) -> CompletionUsage:
    """The sum of all counters. One that the server named in none of them stays None."""
    total, cached = CompletionUsage(), 0
    for usage in usages:
        total = _sum(total, usage)
        cached += usage.cached_tokens
    if total.prompt_cache_hit_tokens is not None:
        # One may have named them by OpenAI's name only.
        total.prompt_cache_hit_tokens, total.prompt_cache_miss_tokens = cached, total.prompt_tokens - cached
    return total


def _sum(one: P, other: P) -> P:
    sums: dict[str, Any] = {}
    for name in one.__struct_fields__:
        first, second = getattr(one, name), getattr(other, name)
        if first is None or second is None:
            sums[name] = second if first is None else first
        else:
            sums[name] = _sum(first, second) if isinstance(first, Part) else first + second
    return type(one)(**sums)
