"""Token usage of a call, and sums of usages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from deepseek_async.types.answer_part import Counters, Part, counters_in
from deepseek_async.types.unsent import Unsent

_YEAR_9999: Final = 253_370_764_800


class PromptTokensDetails(Part):
    """OpenAI's breakdown of prompt tokens."""

    cached_tokens: int | None = None
    audio_tokens: int | None = None

    cache_write_tokens = Unsent()
    image_tokens = Unsent()
    text_tokens = Unsent()


class CompletionTokensDetails(Part):
    """Absent if thinking was off."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None

    text_tokens = Unsent()


class CompletionUsage(Counters):
    """Billed tokens, over all attempts of a call; undeclared counters are attributes."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Tokens of answer and reasoning."""
    total_tokens: int = 0
    prompt_cache_hit_tokens: int | None = None
    """Part of ``prompt_tokens`` served from the prefix cache, at 1/50 (flash) or 1/30 (pro) of the price."""
    prompt_cache_miss_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens served from the cache, under either of the two names."""
        if self.prompt_cache_hit_tokens is not None:
            return self.prompt_cache_hit_tokens
        details = self.prompt_tokens_details
        return (details.cached_tokens or 0) if details else 0

    @property
    def reasoning_tokens(self) -> int:
        """Part of ``completion_tokens`` spent on reasoning; 0 if thinking was off."""
        details = self.completion_tokens_details
        return (details.reasoning_tokens or 0) if details else 0


class SentUsage(msgspec.Struct, gc=False):
    """A usage under every name that servers give its counters; ``read`` normalizes them.

    Chat completions and responses use different names for the same counters, DeepSeek has its own names for the prefix
    cache beside OpenAI's, and gateways forward one or both. The ``input_tokens`` of messages exclude cached tokens
    (DeepSeek docs, Anthropic API).
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
        """Return the usage under chat's names; cached tokens are clipped to the prompt, negative figures to 0."""
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
    """Return ``usage``, normalized if its server used the names of another kind of answer."""
    if usage.prompt_tokens or usage.completion_tokens:
        return usage
    sent = counters_in(usage.to_dict(), SentUsage)
    read = msgspec.convert(sent, SentUsage).read()
    if not (read.prompt_tokens or read.completion_tokens):
        return usage
    read.fees = usage.fees
    read._origin = usage._origin  # noqa: SLF001  undeclared counters keep their names
    return read


class BilledAttempt(msgspec.Struct, frozen=True, gc=False):
    """One request of a call and its billed usage."""

    model: str
    """Model that served it, or the requested one if the server reported none."""
    usage: CompletionUsage
    at: float
    """Unix time at which it was sent; it decides the price."""
    failure: str | None = None
    """Name of the error class of a failed attempt; None for the successful one."""
    response_id: str | None = None
    """``id`` of the answer, if the server sent one."""
    asked: str = ""
    """The requested model."""


def moment(seconds: float | None) -> float | None:
    """Return the Unix time ``seconds`` if it is a valid calendar time, else None."""
    return float(seconds) if seconds is not None and 0 <= seconds < _YEAR_9999 else None


def added(usages: Iterable[CompletionUsage]) -> CompletionUsage:
    """Return the sum over all counters, nested and undeclared ones included; 0 for an empty sum.

    A counter absent from all usages stays None. A value that is not a number is taken from the last usage.
    """
    terms = list(usages)
    if len(terms) == 1:
        return terms[0]
    sums: dict[str, Any] = {}
    for term in terms:
        _add(sums, term.counters())
    if "prompt_cache_hit_tokens" in sums:
        # One of them may have only OpenAI's name.
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
