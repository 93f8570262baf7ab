"""Text completions: continuation of a prompt, or fill-in-the-middle with a suffix. Names follow openai-python."""

from __future__ import annotations

from deepseek_async.text.html import answer_html
from deepseek_async.types.answer import WHOLE, TokenAnswer
from deepseek_async.types.answer_part import LinkedPart, Part
from deepseek_async.types.usage import CompletionUsage


class CompletionLogprobs(Part):
    """Log probabilities of the tokens, as parallel lists."""

    tokens: list[str] = []
    token_logprobs: list[float | None] = []
    """Natural logarithms of the probabilities."""
    top_logprobs: list[dict[str, float] | None] | None = None
    text_offset: list[int] = []
    """Offset of each token in the text, in characters."""


class CompletionChoice(LinkedPart):
    """One continuation; in a stream, its next piece."""

    index: int = 0
    text: str = ""
    finish_reason: str | None = None
    """``stop``, ``length`` or ``content_filter``; None in a stream before the end."""
    logprobs: CompletionLogprobs | None = None
    native_finish_reason: str | None = None
    """The server's own value, where ``finish_reason`` is its translation, e.g. ``end_turn`` for ``stop``."""


class Completion(TokenAnswer):
    """An answer of ``POST /beta/completions`` or ``/v1/completions``; in a stream, one event of it."""

    id: str = ""
    object: str = "text_completion"
    created: int = 0
    """Unix time in seconds."""
    model: str = ""
    """Model that served the request; for an alias, the model behind it."""
    choices: list[CompletionChoice] = []
    usage: CompletionUsage | None = None
    """In a stream, only on the last event."""
    system_fingerprint: str | None = None

    def _repr_html_(self) -> str:
        """Return what a notebook shows, with everything escaped."""
        tokens = None if self.usage is None else self.usage.total_tokens
        return "".join(
            answer_html(choice.text, self.model, choice.finish_reason, tokens=tokens) for choice in self.choices
        )

    def is_whole(self) -> bool:
        return bool(self.choices) and all(choice.finish_reason in WHOLE for choice in self.choices)
