"""Validity checks of decoded answers: a 200 can contain an error, nothing, or half of an answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from deepseek_async.codec.finish_reason import COMPLETE, GAVE_UP
from deepseek_async.codec.sse import FIELDS
from deepseek_async.codec.status_errors import error_object, status_error_in_stream
from deepseek_async.errors import (
    APIError,
    APIResponseValidationError,
    ContentRefusedError,
    ReasoningBudgetExhaustedError,
    StreamInterruptedError,
)
from deepseek_async.text.quoting import quote
from deepseek_async.types import Answer, ChatCompletion, ChatCompletionMessage, Message, Response
from deepseek_async.types.json_text import read
from deepseek_async.types.server_tools import holds_block

_WITHOUT_DATA: Final = tuple(field for field in FIELDS if field != b"data:")
"""Line prefixes of an event stream other than data."""


def error_in(answer: Answer, headers: Mapping[str, str], *, now: float) -> APIError | None:
    """Return the error in an answer without choices, if any."""
    # Some servers send an empty one beside every answer.
    error = error_object(answer.to_dict())
    return status_error_in_stream(error, headers, now=now) if error else None


def error_beside(answer: Answer) -> Any:
    """Return the error that the server sent beside or in a choice that ended abnormally (OpenRouter), if any."""
    said = answer.to_dict()
    choices = said.get("choices")
    inside = (
        [choice.get("error") for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    )
    return next(filter(None, (said.get("error"), *inside)), None)


def fault_of(completion: ChatCompletion, headers: Mapping[str, str], *, now: float) -> APIError | None:
    """Return why ``completion`` is not a valid answer, or None."""
    if not completion.choices:
        return error_in(completion, headers, now=now) or APIResponseValidationError(
            f"the server's answer has no choices: {quote(completion.encoded())}",
        )
    for choice in completion.choices:
        fault = None if choice.finish_reason in COMPLETE else fault_of_ending(choice.finish_reason)
        if fault is not None:
            error = None if choice.finish_reason in GAVE_UP else error_beside(completion)
            fault = fault if error is None else status_error_in_stream(error, headers, now=now)
            fault.partial = completion
            return fault
    return fault_of_emptiness(completion)


def fault_of_emptiness(completion: ChatCompletion) -> APIError | None:
    """Return the error for a completed but empty answer, or None."""
    for choice in completion.choices:
        message = choice.message
        if message.content or message.tool_calls or message.refusal or message.function_call or _says_more(message):
            return None
    reasons = [choice.finish_reason for choice in completion.choices]
    if all(reason in {"stop", "tool_calls"} for reason in reasons):
        return APIResponseValidationError(
            "the model returned neither content nor a tool call",
            partial=completion,
            reason="empty",
        )
    if all(reason == "length" for reason in reasons):
        spent = completion.usage.completion_tokens if completion.usage else "all"
        return ReasoningBudgetExhaustedError(
            f"reasoning used up max_tokens ({spent} tokens) before the answer began; "
            "raise max_tokens or lower reasoning_effort",
            partial=completion,
        )
    return None


def _says_more(message: ChatCompletionMessage) -> bool:
    """Whether it has undeclared blocks: an unknown block may be the answer."""
    further = message.undeclared() if message._origin is not None else {}  # noqa: SLF001  cheap to ask
    return holds_block(further)


def fault_of_stream(reasons: Sequence[str | None]) -> APIError | None:
    """Return why a stream whose choices ended with ``reasons`` is incomplete, or None."""
    if not reasons:
        return StreamInterruptedError("stream ended without an answer")
    return next((fault for reason in reasons if (fault := fault_of_ending(reason)) is not None), None)


def fault_of_ending(finish_reason: str | None) -> APIError | None:
    """Return why an answer with ``finish_reason`` is incomplete, or None."""
    if finish_reason in COMPLETE:
        return None
    if finish_reason is None:
        return StreamInterruptedError("the answer ended without a finish_reason: it is incomplete")
    if finish_reason in GAVE_UP:
        return StreamInterruptedError(
            f"the server aborted the answer ({finish_reason})",
            gave_up=True,
        )
    return StreamInterruptedError(
        f"the answer has the unknown finish_reason {finish_reason!r}; it may be incomplete",
        retryable=False,
    )


def fault_of_no_stream(body: bytes, headers: Mapping[str, str], *, now: float) -> APIError:
    """Return the error for a streaming request answered by ``body`` without a single event."""
    said = b"\n".join(line for line in body.splitlines() if not line.startswith(_WITHOUT_DATA)).strip()
    if not said:
        return APIResponseValidationError("the server sent an empty stream", reason="blank")
    if said.startswith(b"data:"):
        return StreamInterruptedError("stream ended inside its first event")
    try:
        loaded = read(said)
    except (ValueError, RecursionError):
        loaded = None
    if isinstance(loaded, dict) and (error := error_object(loaded)):
        return status_error_in_stream(error, headers, now=now)
    return APIResponseValidationError(f"the server's answer is not an event stream: {quote(said)}")


def refusal_of(answer: ChatCompletion | Response | Message) -> ContentRefusedError:
    """Build the error for an answer ended by the service's moderation, for callers that want one."""
    response = isinstance(answer, Response)
    return ContentRefusedError(
        "the service's content filter refused the answer (content_filter); not retried: it would refuse it again",
        partial=None if response else answer,
        received_text=answer.output_text if response else "",
    )
