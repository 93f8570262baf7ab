"""Continuation of an interrupted chat answer from where it stopped. Pure.

Off by default. A continuation is a new request, billed for prompt and partial answer; the joint may fall inside a word,
and new sampling may continue differently. Limited to plain text, where the rest of a sentence serves a waiting reader
better than an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from deepseek_async.codec.tokens import weigh_text
from deepseek_async.errors import APIConnectionError, APIError, APITimeoutError, StreamInterruptedError
from deepseek_async.types import ChatCompletion

LEAST_CHARACTERS: Final = 64
"""Minimum partial answer, in characters; below it a restart loses little."""

_NOT_CONTINUED: Final = ("tools", "stop", "logprobs", "top_logprobs")
"""Parameters whose guarantees a joint could break."""


def continuation_of(body: Mapping[str, Any], failure: APIError, partial: ChatCompletion) -> dict[str, Any] | None:
    """Return the request for the rest of ``partial``, or None if it cannot be continued."""
    if not _was_cut_by_transport(failure) or not _is_plain(body) or len(partial.choices) != 1:
        return None
    choice = partial.choices[0]
    text = choice.message.content or ""
    if choice.finish_reason is not None or choice.message.tool_calls or len(text) < LEAST_CHARACTERS:
        return None
    prefix: dict[str, Any] = {"role": "assistant", "content": text, "prefix": True}
    reasoning = choice.message.reasoning_content
    if reasoning:
        prefix["reasoning_content"] = reasoning
    further = {**body, "messages": [*body["messages"], prefix]}
    if body.get("max_tokens") is not None:
        spent = weigh_text((text + (reasoning or "")).encode("utf-8", "replace"))
        further["max_tokens"] = max(1, body["max_tokens"] - int(spent))
    return further


def _was_cut_by_transport(failure: APIError) -> bool:
    """Whether the transport broke, not the service: a service that ended the answer would end it again."""
    if isinstance(failure, APITimeoutError):
        return failure.phase in {"idle", "stall"}
    if isinstance(failure, StreamInterruptedError):
        return failure.retryable and not failure.gave_up
    return isinstance(failure, APIConnectionError) and failure.reason != "closed"


def _is_plain(body: Mapping[str, Any]) -> bool:
    form = body.get("response_format")
    if any(body.get(name) for name in _NOT_CONTINUED) or (form is not None and form.get("type") != "text"):
        return False
    last = body["messages"][-1]
    return body.get("n") in (None, 1) and not (isinstance(last, Mapping) and last.get("prefix"))
