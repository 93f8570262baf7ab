"""Paid answers that a framework has no form for."""

from __future__ import annotations

from deepseek_async.errors import APIResponseValidationError
from deepseek_async.types import ChatCompletion
from deepseek_async.types.answer import bills_of


def unconvertible(completion: ChatCompletion, form: str, error: Exception) -> APIResponseValidationError:
    """Return the error for a paid answer that cannot be converted to ``form``; it holds the answer."""
    return APIResponseValidationError(
        f"the answer cannot be converted to a {form} ({type(error).__name__}); it is in .partial",
        reason="form",
        retryable=False,
        partial=completion,
        billed_attempts=bills_of(completion),
    )
