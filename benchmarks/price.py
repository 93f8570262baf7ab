"""What tokens cost at a given hour."""

from __future__ import annotations

from datetime import UTC, datetime

from deepseek_async.batch import Progress
from deepseek_async.pricing.prices import price_table
from deepseek_async.types import CompletionUsage

PEAK = datetime(2026, 11, 24, 2, tzinfo=UTC).timestamp()
"""Tuesday, ten in the morning in Beijing."""
OFF_PEAK = datetime(2026, 11, 24, 4, tzinfo=UTC).timestamp()
"""Noon of that day."""


def dollars(used: Progress | CompletionUsage, at: float) -> float:
    """US dollars for the tokens of a job, or of one answer, of deepseek-flash."""
    usage = CompletionUsage(
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        prompt_cache_hit_tokens=used.cached_tokens,
    )
    cost = price_table().cost(usage, "deepseek-flash", at)
    assert cost is not None
    return cost
