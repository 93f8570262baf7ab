"""The most that a call can cost, before it is sent. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from deepseek_async.pricing import PriceTable, Rate
from deepseek_async.types import CompletionUsage

# Tokens of an answer without max_tokens (DeepSeek docs, create-chat-completion, as of 2026-11).
_PLAIN: Final = 8_192
_THINKING: Final = 65_536
_THINKING_MOST: Final = 131_072

_TOKENS_PER_IMAGE: Final = 1_024
"""DeepSeek docs, Vision guide: an image takes at most so many, however short its address is."""


def most_tokens(request: Mapping[str, Any]) -> int:
    """Tokens that the answer can have at most, reasoning included."""
    cap = request.get("max_tokens")
    if isinstance(cap, int) and cap > 0:
        return cap
    thinking = request.get("thinking")
    effort = request.get("reasoning_effort")
    if effort == "none" or (isinstance(thinking, Mapping) and thinking.get("type") == "disabled"):
        return _PLAIN
    return _THINKING_MOST if effort == "max" else _THINKING


def most_usage(request: Mapping[str, Any], request_bytes: int) -> CompletionUsage:
    """What the call can use at most: nothing of the prompt cached, the answer as long as it may be.

    A token is at least a byte long, so the request has no more tokens than bytes.
    """
    return CompletionUsage(
        prompt_tokens=request_bytes + _TOKENS_PER_IMAGE * _images(request),
        completion_tokens=most_tokens(request),
    )


def dearest_rate(prices: PriceTable, at: float) -> Rate:
    """The rate of the model whose answers cost most: for one whose price is not known."""
    rates = [rate for model in prices.prices if (rate := prices.rate(model, at)) is not None]
    return max(rates, key=lambda rate: rate.output * rate.factor)


def _images(request: Mapping[str, Any]) -> int:
    number = 0
    for message in request.get("messages") or ():
        # Objects are answers of the model, which hold no images; and a look at a dict is ten times quicker.
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            number += sum(isinstance(part, dict) and part.get("type") != "text" for part in content)
    return number
