"""Billed requests of a row, as a field of its output line. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deepseek_async.batch.cells import as_json
from deepseek_async.batch.line_format import fact
from deepseek_async.text.redaction import mask_known
from deepseek_async.types import BilledAttempt
from deepseek_async.types.answer_part import counters_in
from deepseek_async.types.usage import SentUsage


def billed(attempts: Iterable[BilledAttempt]) -> bytes:
    """Encode the fact: see ``fact``."""
    said = as_json([_said_of(attempt) for attempt in attempts]).decode()
    return fact("billed", mask_known(said).encode())


def _said_of(attempt: BilledAttempt) -> dict[str, Any]:
    """Return a billed attempt with its usage in the API's format; ``failure`` is why it returned no answer.

    ``asked`` is the requested model, whose price applies if the serving model has none. ``corrected`` marks a usage
    that was not reported by the server.
    """
    usage = attempt.usage
    counted = counters_in(usage.counters(), SentUsage) or {}
    said = {
        "model": attempt.model,
        "asked": attempt.asked if attempt.asked != attempt.model else None,
        "at": attempt.at,
        "failure": attempt.failure,
        "response_id": attempt.response_id,
        "corrected": usage.corrected,
        "fees": usage.fees or None,
        # All counters from the server; the parsed ones come last, under one name.
        "usage": {
            **counted,
            "prompt_tokens": usage.prompt_tokens,
            "prompt_cache_hit_tokens": usage.cached_tokens,
            "completion_tokens": usage.completion_tokens,
            "completion_tokens_details": {
                **counted.get("completion_tokens_details", {}),
                "reasoning_tokens": usage.reasoning_tokens,
            },
        },
    }
    return {name: value for name, value in said.items() if value is not None}
