"""Maximum cost of a call before it is sent. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from deepseek_async.types import CompletionUsage
from deepseek_async.types.operation import CHAT, Operation, effort_of

# Answer tokens without max_tokens (DeepSeek docs, create-chat-completion, as of 2026-11).
_PLAIN: Final = 8_192
_THINKING: Final = 65_536
_THINKING_MOST: Final = 131_072

_TOKENS_PER_IMAGE: Final = 1_024
"""Maximum tokens per image, however short its URL (DeepSeek docs, Vision guide)."""

_LONGEST_PROMPT: Final = 1_048_576
_IMAGES_OF_A_DOCUMENT: Final = _LONGEST_PROMPT // _TOKENS_PER_IMAGE
"""An uploaded document of unknown length may fill the context (DeepSeek docs, Models & Pricing)."""

_DOCUMENTS: Final = frozenset({"file", "input_file", "document"})
"""Content parts that may refer to a document, in chat, responses and messages. Chat uses the same for images."""

_TOKENS_PER_PICTURE: Final = 6_240
"""Maximum tokens per generated image (OpenAI docs, image generation: high quality, 1024 x 1536)."""

_UNSEEN: Final = 256
"""Tokens that the server may have generated but not delivered when a stream ends early."""

_TEXT_PARTS: Final = frozenset(
    {
        "text",
        "input_text",
        "output_text",
        "reasoning_text",
        "summary_text",
        "refusal",
        "thinking",
        "tool_use",
        "server_tool_use",
    },
)


def most_tokens(request: Mapping[str, Any], operation: Operation = CHAT) -> int:
    """Return the maximum number of answer tokens, reasoning included."""
    number = request.get("n", request.get("num_images"))
    answers = number if isinstance(number, int) and number > 0 else 1
    if operation.output == "pictures":
        return answers * _TOKENS_PER_PICTURE
    return answers * _most_text(request, operation) if operation.output == "text" else 0


def most_usage(request: Mapping[str, Any], request_bytes: int, operation: Operation = CHAT) -> CompletionUsage:
    """Return the maximum usage of a call: no cached prompt tokens, an answer of maximum length.

    A token has at least one byte, so the request has no more tokens than bytes. The cost of training cannot be
    derived from its request, which is counted as a prompt: little, but too much for a spent budget.
    """
    if operation.output in {"nothing", "service"}:
        return CompletionUsage()
    return CompletionUsage(
        prompt_tokens=request_bytes + min(_TOKENS_PER_IMAGE * _images(request), _LONGEST_PROMPT),
        completion_tokens=most_tokens(request, operation),
    )


def perhaps_used(most: CompletionUsage, produced: int | None) -> CompletionUsage:
    """Return the usage assumed for an attempt without reported usage: the maximum, or an estimate from ``produced``.

    ``produced`` is the number of characters of a stream that had arrived when it ended early.
    """
    if produced is None:
        return most
    # A token may be less than a character, in scripts with multi-byte characters.
    completion = min(most.completion_tokens, 2 * produced + _UNSEEN)
    return CompletionUsage(prompt_tokens=most.prompt_tokens, completion_tokens=completion, fees=most.fees)


def _most_text(request: Mapping[str, Any], operation: Operation) -> int:
    cap = request.get("max_tokens", request.get("max_output_tokens"))
    if isinstance(cap, int) and cap > 0:
        return cap
    effort = effort_of(request) if operation.thinks else "none"
    if effort == "none":
        return _PLAIN
    return _THINKING_MOST if effort in ("max", "ultra") else _THINKING


def _images(request: Mapping[str, Any]) -> int:
    number = 0
    for items in (request.get("messages"), request.get("input")):
        for item in items if isinstance(items, list | tuple) else ():
            # Objects are answers of the model, without images; checking for a dict is ten times faster.
            content = item.get("content") if isinstance(item, dict) else None
            if isinstance(content, list):
                number += sum(map(_images_in, content))
    return number


def _images_in(part: Any) -> int:
    if not isinstance(part, dict) or part.get("type") in _TEXT_PARTS:
        return 0
    if part.get("type") == "tool_result":
        results = part.get("content")
        return sum(map(_images_in, results)) if isinstance(results, list) else 0
    if part.get("type") in _DOCUMENTS:
        source = part.get("source")
        return _IMAGES_OF_A_DOCUMENT if "file_id" in (source if isinstance(source, dict) else part) else 1
    return 1
