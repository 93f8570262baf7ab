"""Is a decoded answer an answer? A 200 can hold an error, nothing, or half of something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from deepseek_async.codec.finish_reason import COMPLETE, GAVE_UP
from deepseek_async.codec.refusal import error_object, refusal_in_stream
from deepseek_async.codec.sse import FIELDS
from deepseek_async.errors import (
    APIError,
    APIResponseValidationError,
    ContentRefusedError,
    ReasoningBudgetExhaustedError,
    StreamInterruptedError,
)
from deepseek_async.text.quotation import quote
from deepseek_async.types import Answer, ChatCompletion, ChatCompletionMessage, Message, Response
from deepseek_async.types.json_text import read
from deepseek_async.types.server_tools import holds_block

_WITHOUT_DATA: Final = tuple(field for field in FIELDS if field != b"data:")
"""How lines of an event stream begin that bring no data."""


def error_in(answer: Answer, headers: Mapping[str, str], *, now: float) -> APIError | None:
    """The error that an answer without choices carries, if it does."""
    # Some servers send an empty one beside every answer.
    error = error_object(answer.to_dict())
    return refusal_in_stream(error, headers, now=now) if error else None


def error_beside(answer: Answer) -> Any:
    """Why choices did not end in order, if the server says so beside them or in one of them (OpenRouter); or None."""
    said = answer.to_dict()
    choices = said.get("choices")
    inside = (
        [choice.get("error") for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    )
    return next(filter(None, (said.get("error"), *inside)), None)


def fault_of(completion: ChatCompletion, headers: Mapping[str, str], *, now: float) -> APIError | None:
    """Why ``completion`` must not be returned as an answer; None when it is one."""
    if not completion.choices:
        return error_in(completion, headers, now=now) or APIResponseValidationError(
            f"the server's answer has no choices: {quote(completion.to_json())}",
        )
    for choice in completion.choices:
        fault = None if choice.finish_reason in COMPLETE else fault_of_ending(choice.finish_reason)
        if fault is not None:
            error = None if choice.finish_reason in GAVE_UP else error_beside(completion)
            fault = fault if error is None else refusal_in_stream(error, headers, now=now)
            fault.partial = completion
            return fault
    return fault_of_emptiness(completion)


def fault_of_emptiness(completion: ChatCompletion) -> APIError | None:
    """Why a completion that ended in order is no answer: it says nothing at all. None when it says something."""
    for choice in completion.choices:
        message = choice.message
        if message.content or message.tool_calls or message.refusal or message.function_call or _says_more(message):
            return None
    reasons = [choice.finish_reason for choice in completion.choices]
    if all(reason in {"stop", "tool_calls"} for reason in reasons):
        return APIResponseValidationError(
            "the model ended its answer without content or tool call",
            partial=completion,
            reason="empty",
        )
    if all(reason == "length" for reason in reasons):
        spent = completion.usage.completion_tokens if completion.usage else "all"
        return ReasoningBudgetExhaustedError(
            f"max_tokens ended the answer before its first word: {spent} tokens went into reasoning. "
            "Give a larger max_tokens or a lower reasoning_effort",
            partial=completion,
        )
    return None


def _says_more(message: ChatCompletionMessage) -> bool:
    """Whether it holds blocks that nobody declared: what is not known here may be all of an answer."""
    further = message.undeclared() if message._origin is not None else {}  # noqa: SLF001  cheap to ask
    return holds_block(further)


def fault_of_stream(reasons: Sequence[str | None]) -> APIError | None:
    """Why a stream whose choices ended with ``reasons`` holds no whole answer; None when it does."""
    if not reasons:
        return StreamInterruptedError("the stream ended without any answer in it")
    return next((fault for reason in reasons if (fault := fault_of_ending(reason)) is not None), None)


def fault_of_ending(finish_reason: str | None) -> APIError | None:
    """Why an answer that ended with ``finish_reason`` is not whole; None when it is."""
    if finish_reason in COMPLETE:
        return None
    if finish_reason is None:
        return StreamInterruptedError("the answer ended without a finish_reason: it is cut off")
    if finish_reason in GAVE_UP:
        return StreamInterruptedError(
            f"the server gave up in the middle of the answer ({finish_reason})",
            gave_up=True,
        )
    return StreamInterruptedError(
        f"the answer ended with the unknown finish_reason {finish_reason!r}; it may be incomplete",
        retryable=False,
    )


def fault_of_no_stream(body: bytes, headers: Mapping[str, str], *, now: float) -> APIError:
    """Why a request for a stream got no event at all; ``body`` is what came instead."""
    said = b"\n".join(line for line in body.splitlines() if not line.startswith(_WITHOUT_DATA)).strip()
    if not said:
        return APIResponseValidationError("the server ended the stream without an event in it", reason="blank")
    if said.startswith(b"data:"):
        return StreamInterruptedError("the stream ended inside its first event")
    try:
        loaded = read(said)
    except (ValueError, RecursionError):
        loaded = None
    if isinstance(loaded, dict) and (error := error_object(loaded)):
        return refusal_in_stream(error, headers, now=now)
    return APIResponseValidationError(f"the server's answer is no event stream: {quote(said)}")


def refusal_of(answer: ChatCompletion | Response | Message) -> ContentRefusedError:
    """The error for an answer that the service's check of contents ended, for those who want one."""
    response = isinstance(answer, Response)
    return ContentRefusedError(
        "the service's check of contents refused the answer (content_filter); it would again, so it is not asked again",
        partial=None if response else answer,
        received_text=answer.output_text if response else "",
    )
