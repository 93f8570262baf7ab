"""What a row was billed, request by request, among the facts of its line. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deepseek_async.batch.cells import as_json
from deepseek_async.text.redaction import mask_known
from deepseek_async.types import BilledAttempt
from deepseek_async.types.part import counters_in
from deepseek_async.types.usage import SentUsage


def billed(attempts: Iterable[BilledAttempt]) -> bytes:
    """The fact that says it."""
    said = as_json([_said_of(attempt) for attempt in attempts]).decode()
    return b',"billed":%b' % mask_known(said).encode()


def _said_of(attempt: BilledAttempt) -> dict[str, Any]:
    """An attempt that was billed, with its usage in the API's form; ``failure`` says why it gave no answer.

    ``asked`` is the model whose price is taken if the one that served it has none, and ``corrected`` says of a usage
    that it is not the server's.
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
        # All that the server counted; what is read of it comes last, under one name.
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
