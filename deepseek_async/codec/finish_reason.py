"""Finish reasons: DeepSeek's own, and the mapping from those of compatible services. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

COMPLETE: Final = frozenset({"stop", "length", "tool_calls", "content_filter"})
"""Finish reasons of a complete answer. Any other value, unknown ones included, is an error: mapping
``insufficient_system_resource`` to ``stop`` would report half an answer as a success."""

GAVE_UP: Final = frozenset({"insufficient_system_resource", "aborted"})
"""Finish reasons with which the server reports that it stopped midway; the request may be retried."""

ENDED: Final = COMPLETE | GAVE_UP | {None}
"""Values that need no explanation; with any other, the server may have sent an error beside the choices."""

_SYNONYMS: Final = {
    # Anthropic and Bedrock; Text Generation Inference and Together; Cohere; llama.cpp; Gemini (upper case).
    "stop": "end_turn stop_sequence eos eos_token complete",
    "length": "max_tokens max_output_tokens max_new_tokens max_length model_length model_context_window_exceeded",
    "tool_calls": "tool_call tool_use function_call function_calls",
    "content_filter": "content_filtered safety refusal recitation blocklist prohibited_content spii sensitive "
    "guardrail_intervened",
}

_MEANT: Final = {word: meant for meant, words in _SYNONYMS.items() for word in (meant, *words.split())}

_NOT_YET: Final = frozenset({"", "null", "none"})
"""Sent by some servers instead of null in each chunk before the last."""


class Ended(Protocol):
    """A choice of an answer or of a chunk."""

    finish_reason: str | None
    native_finish_reason: str | None


def known(reason: str | None) -> str | None:
    """Return DeepSeek's finish reason for ``reason``; unchanged if it is DeepSeek's or unknown."""
    if reason is None or reason in COMPLETE:
        return reason
    return _MEANT.get(reason.strip().lower().replace("-", "_"), reason)


def name(choices: Iterable[Ended]) -> None:
    """Map the finish reasons of ``choices`` to DeepSeek's, and keep the server's own."""
    for choice in choices:
        reason = choice.finish_reason
        if reason is not None and reason not in COMPLETE:
            meant = known(reason)
            if meant != reason:
                choice.finish_reason = meant
                choice.native_finish_reason = choice.native_finish_reason or reason


def ends(choice: Ended) -> bool:
    """Whether a choice of a chunk is its last one; maps its finish reason to DeepSeek's."""
    reason = choice.finish_reason
    if reason is None or reason.strip().lower() in _NOT_YET:
        choice.finish_reason = None
        return False
    name((choice,))
    return True
