"""Why an answer ended, in DeepSeek's words and in those of other services that speak its format. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

COMPLETE: Final = frozenset({"stop", "length", "tool_calls", "content_filter"})
"""Finish reasons of an answer that is whole as far as it goes. Any other value, also an unknown one, is an
error: mapping ``insufficient_system_resource`` to ``stop`` would pass half an answer as a success."""

GAVE_UP: Final = frozenset({"insufficient_system_resource", "aborted"})
"""Finish reasons with which the server says that it stopped in the middle; the request may be sent again."""

ENDED: Final = COMPLETE | GAVE_UP | {None}
"""What needs no more explanation; with any other value, an error may stand beside the choices."""

_SYNONYMS: Final = {
    # Anthropic and Bedrock; Text Generation Inference and Together; Cohere; llama.cpp; Gemini, in capitals.
    "stop": "end_turn stop_sequence eos eos_token complete",
    "length": "max_tokens max_output_tokens max_new_tokens max_length model_length model_context_window_exceeded",
    "tool_calls": "tool_call tool_use function_call function_calls",
    "content_filter": "content_filtered safety refusal recitation blocklist prohibited_content spii sensitive "
    "guardrail_intervened",
}

_MEANT: Final = {word: meant for meant, words in _SYNONYMS.items() for word in (meant, *words.split())}

_NOT_YET: Final = frozenset({"", "null", "none"})
"""What some servers say in each chunk before the last, in the place of null."""


class Ended(Protocol):
    """A choice, whole or of a chunk."""

    finish_reason: str | None
    native_finish_reason: str | None


def known(reason: str | None) -> str | None:
    """DeepSeek's word for ``reason``; the same one if it is DeepSeek's, or nobody's that is known."""
    if reason is None or reason in COMPLETE:
        return reason
    return _MEANT.get(reason.strip().lower().replace("-", "_"), reason)


def name(choices: Iterable[Ended]) -> None:
    """Let ``choices`` say why they ended in DeepSeek's words, and keep the server's own."""
    for choice in choices:
        reason = choice.finish_reason
        if reason is not None and reason not in COMPLETE:
            meant = known(reason)
            if meant != reason:
                choice.finish_reason = meant
                choice.native_finish_reason = choice.native_finish_reason or reason


def ends(choice: Ended) -> bool:
    """Whether a choice of a chunk is the end of it, which it says in DeepSeek's words then; else it says nothing."""
    reason = choice.finish_reason
    if reason is None or reason.strip().lower() in _NOT_YET:
        choice.finish_reason = None
        return False
    name((choice,))
    return True
