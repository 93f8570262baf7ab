"""Token estimates for a request before it is sent, from its bytes and their scripts. Pure.

Tokens per character, measured with the V4 tokenizer: English prose 0.19, code 0.32, JSON 0.46, Chinese 0.60, Russian
0.36, digits 0.33, base64 0.66. The weights below were fitted to that tokenizer over texts of these kinds and are
accurate to about 10% on a page of text; the billed usage corrects the rest (``TokenEstimator``).
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec
import orjson

from deepseek_async.types import CompletionUsage

_LOWER: Final = string.ascii_lowercase.encode()
_UPPER: Final = string.ascii_uppercase.encode()
_DIGITS: Final = string.digits.encode()
_MARKS: Final = string.punctuation.encode()
_BREAKS: Final = b"\n\r\t"

# Only the first byte of a character outside ASCII is counted; it identifies the script.
_SCRIPTS: Final[tuple[tuple[bytes, float], ...]] = (
    (bytes(range(0xC2, 0xD0)), 1.25),  # Latin with marks, Greek
    (bytes(range(0xD0, 0xD4)), 0.33),  # Cyrillic
    (bytes(range(0xD4, 0xE0)), 0.52),  # Hebrew, Arabic
    (b"\xe0\xe1\xe2", 0.66),  # Indic scripts, typographic signs
    (b"\xe3", 0.70),  # kana
    (bytes(range(0xE4, 0xEA)), 0.60),  # Han
    (bytes(range(0xEA, 0xEE)), 0.86),  # Hangul
    (b"\xee\xef", 0.60),  # full-width forms
    (bytes(range(0xF0, 0xF5)), 2.0),  # emoji
)
_WORD: Final = 12
"""Letters per separator; letters beyond are taken for base64 or hexadecimal, at four times the weight."""
_DENSE: Final = 0.82

_ENVELOPE: Final = 9.0
"""Weight of ``{"role":"user","content":""},`` as text, less the tokens around a turn in the prompt."""
_OUTER_ENVELOPE: Final = 12.0
"""The same for ``{"model":"deepseek-flash","messages":[]}`` and the tokens around all turns."""
_IMAGE: Final = 1024
"""Maximum tokens of an image (DeepSeek docs, Vision guide)."""
_INLINE_IMAGE: Final = re.compile(rb"data:[\w/.+-]+;base64,[A-Za-z0-9+/=\\]+")

_SAMPLE: Final = 256 * 1024
_SLICES: Final = 64

_ANSWER_TOKENS: Final = 1024
"""Assumed for an answer without max_tokens; the reservation is corrected to the actual usage afterwards."""


def weigh_text(text: bytes) -> float:
    """Estimate the tokens of a UTF-8 text. A few passes in C: about 5 µs for 4 KB."""
    size = len(text)

    def counted(members: bytes) -> int:
        return size - len(text.translate(None, members))

    letters, capitals, marks = counted(_LOWER), counted(_UPPER), counted(_MARKS)
    spaces, breaks = text.count(b" "), counted(_BREAKS)
    tokens = 0.17 * letters + 0.36 * capitals + 0.40 * counted(_DIGITS) + 0.80 * marks + 0.15 * spaces + 0.51 * breaks
    tokens += _DENSE * max(0, letters + capitals - _WORD * (1 + spaces + breaks + marks))
    if not text.isascii():
        tokens += sum(weight * counted(members) for members, weight in _SCRIPTS)
    return tokens


def estimate_prompt_tokens(wire: bytes) -> int:
    """Estimate the prompt tokens of a request in JSON."""
    images = 0
    if b";base64," in wire:
        wire, images = _INLINE_IMAGE.subn(b"", wire)
    sample = wire if len(wire) <= _SAMPLE else _sampled(wire)
    tokens = (weigh_text(sample) - _ENVELOPE * sample.count(b'"role":')) * len(wire) / max(len(sample), 1)
    if b'"messages":' in wire:
        tokens -= _OUTER_ENVELOPE
    return max(0, int(tokens)) + images * _IMAGE


def _sampled(wire: bytes) -> bytes:
    """Sample 256 KB from all parts of a longer text, so that the event loop is not blocked."""
    step = len(wire) // _SLICES
    return b"".join(wire[start : start + _SAMPLE // _SLICES] for start in range(0, step * _SLICES, step))


def estimate_tokens(wire: bytes, max_tokens: Any = None) -> int:
    """Estimate the tokens of prompt and answer, from the request's bytes and its max_tokens."""
    return estimate_prompt_tokens(wire) + _answer_tokens(max_tokens, _ANSWER_TOKENS)


def _answer_tokens(max_tokens: Any, expected: int) -> int:
    return max(0, min(max_tokens if isinstance(max_tokens, int) else expected, expected))


class _Observed(msgspec.Struct):
    """Billed and estimated tokens of one model; older answers fade."""

    estimated: float = 0.0
    billed: float = 0.0
    answers: float = 0.0
    weight: float = 0.0


_FADE: Final = 0.98
"""Factor on the weight of earlier answers per new one: about the last 50 count."""
_MOST_CORRECTION: Final = 4
_SMALL_PROMPT: Final = 256
"""Tokens by which one answer may exceed the estimate before its usage is clipped."""
_PRIOR: Final = 500.0
"""Weight of the uncorrected estimate, in tokens, so that one outlier does not dominate."""


class TokenCount(msgspec.Struct, frozen=True):
    """Prompt token count."""

    prompt_tokens: int
    exact: bool
    """Whether a tokenizer counted; otherwise an estimate, corrected by the usage billed so far."""


class Counts(Protocol):
    """Exact counter: ``Tokenizer``."""

    def prompt_tokens(self, request: Mapping[str, Any]) -> int:
        """Return the prompt tokens of a request in plain JSON."""
        ...


class TokenEstimator:
    """Token estimates, corrected per model by the reported usage. One per client; no clock, no randomness.

    With a ``tokenizer`` prompts are counted instead, at about 1 ms per 1,000 tokens.
    """

    def __init__(self, tokenizer: Counts | None = None) -> None:
        self._tokenizer = tokenizer
        self._models: dict[str, _Observed] = {}

    def correction(self, model: str) -> float:
        """Ratio of billed to estimated prompt tokens; 1.0 before the first observation."""
        seen = self._models.get(model)
        return 1.0 if seen is None else (seen.billed + _PRIOR) / (seen.estimated + _PRIOR)

    def expected_answer(self, model: str) -> int:
        """Average tokens of an answer of ``model``, reasoning included; 1,024 until known."""
        seen = self._models.get(model)
        if seen is None or seen.weight < 3:
            return _ANSWER_TOKENS
        return round(seen.answers / seen.weight)

    def count(self, wire: bytes, model: str) -> TokenCount:
        """Count, or estimate, the prompt tokens of a request in JSON."""
        if self._tokenizer is not None:
            try:
                return TokenCount(self._tokenizer.prompt_tokens(orjson.loads(wire)), exact=True)
            except (LookupError, TypeError, ValueError, AttributeError):
                pass  # not a valid request: estimated instead
        return TokenCount(int(estimate_prompt_tokens(wire) * self.correction(model)), exact=False)

    def prompt_tokens(self, wire: bytes, model: str) -> int:
        """Estimate the prompt tokens as the API counts them."""
        return self.count(wire, model).prompt_tokens

    def tokens(self, wire: bytes, model: str, max_tokens: Any = None) -> int:
        """Estimate the tokens of prompt and answer."""
        return self.prompt_tokens(wire, model) + _answer_tokens(max_tokens, self.expected_answer(model))

    def observe(self, wire: bytes, model: str, usage: CompletionUsage) -> None:
        """Learn from the reported usage. ``model`` is the name in the request, not in the answer."""
        seen = self._models.setdefault(model, _Observed())
        estimated = estimate_prompt_tokens(wire)
        seen.estimated = seen.estimated * _FADE + estimated
        # Clipped: documents and searches added by the server say nothing about tokenization.
        seen.billed = seen.billed * _FADE + min(usage.prompt_tokens, _MOST_CORRECTION * estimated + _SMALL_PROMPT)
        seen.answers = seen.answers * _FADE + usage.completion_tokens
        seen.weight = seen.weight * _FADE + 1
