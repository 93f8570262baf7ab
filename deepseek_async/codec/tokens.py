"""How many tokens a request will use, before it is sent: from its bytes and their scripts. Pure.

Tokens per character, measured with the V4 tokenizer: English prose 0.19, code 0.32, JSON 0.46, Chinese 0.60,
Russian 0.36, digits 0.33, base64 0.66. The weights below were fitted to that tokenizer over texts of these kinds
and come within about a tenth on a page of text; what the API bills corrects the rest (``TokenEstimator``).
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

# Of a character outside ASCII only the first byte is counted; it tells the script.
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
"""Letters that a separator accounts for; letters beyond are base64 or hexadecimal, at four times a letter's price."""
_DENSE: Final = 0.82

_ENVELOPE: Final = 9.0
"""What ``{"role":"user","content":""},`` weighs as text, less the markers that a turn has in the prompt."""
_OUTER_ENVELOPE: Final = 12.0
"""The same for ``{"model":"deepseek-flash","messages":[]}`` and the markers around all turns."""
_IMAGE: Final = 1024
"""Most tokens that an image takes (DeepSeek docs, Vision guide)."""
_INLINE_IMAGE: Final = re.compile(rb"data:[\w/.+-]+;base64,[A-Za-z0-9+/=\\]+")

_SAMPLE: Final = 256 * 1024
_SLICES: Final = 64

_ANSWER_TOKENS: Final = 1024
"""Assumed for an answer without max_tokens; the reservation is settled to the real usage afterwards."""


def weigh_text(text: bytes) -> float:
    """Tokens of a text in UTF-8, about. A few passes at the speed of C: some 5 µs for 4 KB."""
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
    """Tokens of the prompt of a request that is written as JSON."""
    images = 0
    if b";base64," in wire:
        wire, images = _INLINE_IMAGE.subn(b"", wire)
    sample = wire if len(wire) <= _SAMPLE else _sampled(wire)
    tokens = (weigh_text(sample) - _ENVELOPE * sample.count(b'"role":')) * len(wire) / max(len(sample), 1)
    if b'"messages":' in wire:
        tokens -= _OUTER_ENVELOPE
    return max(0, int(tokens)) + images * _IMAGE


def _sampled(wire: bytes) -> bytes:
    """A quarter of a megabyte out of all parts of a longer text: the event loop must not wait for the rest."""
    step = len(wire) // _SLICES
    return b"".join(wire[start : start + _SAMPLE // _SLICES] for start in range(0, step * _SLICES, step))


def estimate_tokens(wire: bytes, max_tokens: Any = None) -> int:
    """Tokens of prompt and answer together, from the request's bytes and its cap."""
    return estimate_prompt_tokens(wire) + _answer_tokens(max_tokens, _ANSWER_TOKENS)


def _answer_tokens(max_tokens: Any, expected: int) -> int:
    return max(0, min(max_tokens if isinstance(max_tokens, int) else expected, expected))


class _Observed(msgspec.Struct):
    """What one model's answers have taught; older ones fade."""

    estimated: float = 0.0
    billed: float = 0.0
    answers: float = 0.0
    weight: float = 0.0


_FADE: Final = 0.98
"""Of the weight of earlier answers, with each new one: about the last fifty count."""
_MOST_CORRECTION: Final = 4
_SMALL_PROMPT: Final = 256
"""Tokens: how far one answer may be from the estimate and still be learned from."""
_PRIOR: Final = 500.0
"""Tokens for which the uncorrected estimate speaks, so that one odd answer does not turn it over."""


class TokenCount(msgspec.Struct, frozen=True):
    """Tokens of a prompt."""

    prompt_tokens: int
    exact: bool
    """Whether a tokenizer counted; otherwise it is an estimate, corrected by what was billed until now."""


class Counts(Protocol):
    """What counts exactly: ``Tokenizer``."""

    def prompt_tokens(self, request: Mapping[str, Any]) -> int:
        """Tokens of the prompt of a request in plain JSON."""
        ...


class TokenEstimator:
    """Estimates, corrected for each model by the usage that came back. One for a client; no clock, no chance.

    With a ``tokenizer`` prompts are counted instead, at about a millisecond for a thousand tokens.
    """

    def __init__(self, tokenizer: Counts | None = None) -> None:
        self._tokenizer = tokenizer
        self._models: dict[str, _Observed] = {}

    def correction(self, model: str) -> float:
        """Billed prompt tokens for an estimated one; 1.0 before anything was observed."""
        seen = self._models.get(model)
        return 1.0 if seen is None else (seen.billed + _PRIOR) / (seen.estimated + _PRIOR)

    def expected_answer(self, model: str) -> int:
        """Tokens that an answer of ``model`` takes on average, reasoning included; 1,024 until known."""
        seen = self._models.get(model)
        if seen is None or seen.weight < 3:
            return _ANSWER_TOKENS
        return round(seen.answers / seen.weight)

    def count(self, wire: bytes, model: str) -> TokenCount:
        """Tokens of the prompt of a request that is written as JSON."""
        if self._tokenizer is not None:
            try:
                return TokenCount(self._tokenizer.prompt_tokens(orjson.loads(wire)), exact=True)
            except (LookupError, TypeError, ValueError, AttributeError):
                pass  # not a request that the API would take: whatever it holds is estimated
        return TokenCount(int(estimate_prompt_tokens(wire) * self.correction(model)), exact=False)

    def prompt_tokens(self, wire: bytes, model: str) -> int:
        """Tokens of the prompt, as the API is likely to count them."""
        return self.count(wire, model).prompt_tokens

    def tokens(self, wire: bytes, model: str, max_tokens: Any = None) -> int:
        """Tokens of prompt and answer together."""
        return self.prompt_tokens(wire, model) + _answer_tokens(max_tokens, self.expected_answer(model))

    def observe(self, wire: bytes, model: str, usage: CompletionUsage) -> None:
        """Learn from what a request cost. ``model`` is the name in the request, not that of the answer."""
        seen = self._models.setdefault(model, _Observed())
        estimated = estimate_prompt_tokens(wire)
        seen.estimated = seen.estimated * _FADE + estimated
        # What others add to a prompt, documents and searches, says nothing of how a text is cut into tokens.
        seen.billed = seen.billed * _FADE + min(usage.prompt_tokens, _MOST_CORRECTION * estimated + _SMALL_PROMPT)
        seen.answers = seen.answers * _FADE + usage.completion_tokens
        seen.weight = seen.weight * _FADE + 1
