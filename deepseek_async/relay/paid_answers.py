"""Answers inside errors: complete for a foreign client, though not for our own callers. Pure."""

from __future__ import annotations

from typing import Any

from deepseek_async.errors import (
    APIResponseValidationError,
    DeepSeekError,
    ReasoningBudgetExhaustedError,
    StreamInterruptedError,
)
from deepseek_async.types import Answer


def answer_in(error: DeepSeekError) -> Answer | None:
    """Return the complete answer that ``error`` holds; None if it holds none.

    An answer without content (all tokens went into reasoning), or with an ending that the engine does not take for an
    answer's, is an error for our own callers. A foreign client knows it as an answer, and it was paid for.
    """
    unusual = isinstance(error, ReasoningBudgetExhaustedError | APIResponseValidationError | StreamInterruptedError)
    answer = error.partial if unusual else None
    return answer if answer is not None and has_ended(answer) else None


def has_ended(answer: Any) -> bool:
    """Whether the server ended ``answer`` itself: every choice has a finish reason."""
    choices = getattr(answer, "choices", None)
    if choices is None:
        return bool(getattr(answer, "stop_reason", None))
    return bool(choices) and all(choice.finish_reason for choice in choices)
