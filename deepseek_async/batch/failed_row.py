"""What an output line says of a row that failed. Pure."""

from __future__ import annotations

from typing import Any

from deepseek_async.batch.result import BatchResult
from deepseek_async.errors import APIError, DeepSeekError
from deepseek_async.text.quoting import plain
from deepseek_async.text.redaction import mask_known
from deepseek_async.types import ChatCompletion
from deepseek_async.types.json_text import read, write


def refusal_of(result: BatchResult) -> dict[str, Any] | None:
    """Return the ``response`` of a row that the server refused; None if it sent none."""
    error = result.error
    if error is None or error.status_code is None:
        return None
    return {"status_code": error.status_code, "request_id": error.request_id, "body": {"error": error.body}}


def error_of(result: BatchResult) -> dict[str, Any] | None:
    """Return the ``error`` of a row; None if it was answered."""
    if result.error is None:
        return None
    return {
        "code": type(result.error).__name__,
        "message": plain(result.error.message),
        "retryable": result.error.retryable,
        **({"text": mask_known(text)} if (text := rejected_content(result.error)) else {}),
        **({"choices": choices} if (choices := _choices(result.error)) else {}),
    }


def _choices(error: DeepSeekError) -> list[Any]:
    """Return the choices of an answer of which one failed; the others were paid for."""
    partial = error.partial
    if error.choices_asked == 1 or not isinstance(partial, ChatCompletion):
        return []
    choices: list[Any] = read(mask_known(write(partial.to_dict()["choices"]).decode()).encode())
    return choices


def rejected_content(error: DeepSeekError) -> str:
    """Describe the content of a rejected answer, which was paid for."""
    if error.partial is None or not error.partial.choices:
        return error.text if isinstance(error, APIError) else ""
    message = error.partial.choices[0].message
    return message.content or (message.tool_calls[0].function.arguments if message.tool_calls else "")
