"""What a call consumed, in tokens, and the sum of what several consumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from deepseek_async.types.part import Counters, Part, counters_in

_YEAR_9999: Final = 253_370_764_800


class PromptTokensDetails(Part):
    """OpenAI's name for the cached part of the prompt."""

    cached_tokens: int | None = None


class CompletionTokensDetails(Part):
    """Absent when thinking was off."""

    reasoning_tokens: int | None = None


class CompletionUsage(Counters):
    """Tokens as the server billed them, over all attempts of a call; counters that nobody declared are attributes."""

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


class SentUsage(msgspec.Struct, gc=False):
    """A usage under every name that servers give its counters; ``read`` is the one reading of them.

    Chat completions and responses name the same counters otherwise, and DeepSeek names its prefix cache in a way of
    its own beside OpenAI's; what stands in front of it passes on one, or the other, or both. Of messages the
    ``input_tokens`` are those alone that were not cached (DeepSeek docs, Anthropic API).
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: PromptTokensDetails | None = None
    output_tokens_details: CompletionTokensDetails | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None

    def read(self) -> CompletionUsage:
        """The same in chat's terms; of the prompt no more is cached than it has, and a negative figure is 0."""
        prompt, cached = max(0, self.prompt_tokens or self.input_tokens or 0), self.prompt_cache_hit_tokens
        if not self.prompt_tokens and self.cache_read_input_tokens is not None:
            cached = max(0, self.cache_read_input_tokens)
            prompt += cached + max(0, self.cache_creation_input_tokens or 0)
        completion = max(0, self.completion_tokens or self.output_tokens or 0)
        prompt_details = self.prompt_tokens_details or self.input_tokens_details
        completion_details = self.completion_tokens_details or self.output_tokens_details
        usage = CompletionUsage(
            prompt,
            completion,
            self.total_tokens or prompt + completion,
            cached,
            prompt_tokens_details=prompt_details,
            completion_tokens_details=completion_details,
        )
        if usage.cached_tokens or cached is not None:
            usage.prompt_cache_hit_tokens = min(max(0, usage.cached_tokens), prompt)
            usage.prompt_cache_miss_tokens = prompt - usage.prompt_cache_hit_tokens
        return usage


def in_chat_terms(usage: CompletionUsage) -> CompletionUsage:
    """``usage``, or what it says if its server named prompt and completion otherwise than this kind of answer does."""
    if usage.prompt_tokens or usage.completion_tokens:
        return usage
    sent = counters_in(usage.to_dict(), SentUsage)
    read = msgspec.convert(sent, SentUsage).read()
    if not (read.prompt_tokens or read.completion_tokens):
        return usage
    read.fees = usage.fees
    read._origin = usage._origin  # noqa: SLF001  what nobody declared has one name everywhere
    return read


class BilledAttempt(msgspec.Struct, frozen=True, gc=False):
    """One of the requests of a call, and what it was billed for."""

    model: str
    """The model that served it, or that was asked if the server named none."""
    usage: CompletionUsage
    at: float
    """When it was sent, in seconds since 1970: its price is that of its own hour."""
    failure: str | None = None
    """Why it gave no answer, as the name of an error's class; None for the one that did."""
    response_id: str | None = None
    """``id`` of the answer, if the server gave it one."""
    asked: str = ""
    """The model that was asked."""


def moment(seconds: float | None) -> float | None:
    """Seconds since 1970 that a server named, as far as a calendar has such a moment; else None."""
    return float(seconds) if seconds is not None and 0 <= seconds < _YEAR_9999 else None


def added(usages: Iterable[CompletionUsage]) -> CompletionUsage:
    """The sum over all counters, those inside them and those that nobody declared too; of none, all are 0.

    A counter that the server named in none of them stays None. What is no number is that of the last.
    """
    terms = list(usages)
    if len(terms) == 1:
        return terms[0]
    sums: dict[str, Any] = {}
    for term in terms:
        _add(sums, term.counters())
    if "prompt_cache_hit_tokens" in sums:
        # One may have named them by OpenAI's name only.
        cached = sum(term.cached_tokens for term in terms)
        sums["prompt_cache_hit_tokens"] = cached
        sums["prompt_cache_miss_tokens"] = sums["prompt_tokens"] - cached
    total = CompletionUsage.counting(sums)
    total.corrected = next((term.corrected for term in terms if term.corrected is not None), None)
    if any(term.fees for term in terms):
        fees: Counter[str] = Counter()
        for term in terms:
            fees.update(term.fees or {})
        total.fees = dict(fees)
    return total


def _add(sums: dict[str, Any], counters: Mapping[str, Any]) -> None:
    for name, value in counters.items():
        so_far = sums.get(name)
        if isinstance(value, Mapping):
            inner = sums[name] = dict(so_far) if isinstance(so_far, Mapping) else {}
            _add(inner, value)
        elif _is_number(value) and _is_number(so_far):
            sums[name] = so_far + value
        else:
            sums[name] = value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
