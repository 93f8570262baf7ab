"""Patterns for secrets and personal data. Pure.

Every pattern is recognised within 256 characters, however long the match becomes; a stream is held back by that
length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

LONGEST_START: Final = 256
"""Characters after the start of a match within which it is recognised."""


_TWO_DIGITS: Final = re.compile(r"\d\d")
_DIGITS: Final = ()
"""No marker: patterns whose matches contain two adjacent digits."""


class PatternMatch(msgspec.Struct, frozen=True):
    """One match."""

    kind: str
    start: int
    end: int


class Pattern(msgspec.Struct, frozen=True):
    """One kind of finding: a regular expression and a validation of its matches."""

    kind: str
    expression: re.Pattern[str]
    proof: Callable[[str], bool] | None = None
    mark: tuple[str, ...] = ()
    """Every match contains one of these, or else two adjacent digits; the search costs 1 % of the expression's time."""

    def may_be_in(self, text: str) -> bool:
        """Whether the text may contain a match."""
        for mark in self.mark:  # noqa: SIM110  a generator costs more than the search
            if mark in text:
                return True
        return False


def _passes_luhn(text: str) -> bool:
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1


def _passes_iban(text: str) -> bool:
    code = text.replace(" ", "").upper()
    if not 15 <= len(code) <= 34:
        return False
    return int("".join(str(int(character, 36)) for character in code[4:] + code[:4])) % 97 == 1


_RESIDENT_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def _passes_resident(text: str) -> bool:
    """Check the check character of a Chinese identity card number (GB 11643-1999)."""
    total = sum(int(digit) * weight for digit, weight in zip(text[:17], _RESIDENT_WEIGHTS, strict=True))
    return "10X98765432"[total % 11] == text[17].upper()


SECRETS: Final = (
    Pattern(
        "private_key",
        re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:(?!-----END)[\s\S])*(?:-----END [A-Z ]{0,40}-----)?"),
        mark=("PRIVATE KEY-----",),
    ),
    Pattern("api_key", re.compile(r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}"), mark=("sk-", "pk-", "rk-")),
    Pattern("api_key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), mark=("AKIA", "ASIA")),
    Pattern("api_key", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}"), mark=("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    Pattern("api_key", re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"), mark=("xox",)),
    Pattern("api_key", re.compile(r"\bAIza[0-9A-Za-z_-]{30,}"), mark=("AIza",)),
    Pattern("token", re.compile(r"\beyJ[A-Za-z0-9_-]{10,200}\.eyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)?"), mark=(".eyJ",)),
    Pattern(
        "token",
        re.compile(r"\b(?:[Bb]earer|BEARER)\s{1,4}[A-Za-z0-9._~+/=-]{20,}"),
        mark=("earer", "EARER"),
    ),
    Pattern(
        "password",
        re.compile(
            r"\b(?:[Pp]assword|[Pp]asswd|[Pp]wd|[Ss]ecret|PASSWORD|PASSWD|PWD|SECRET)\s{0,4}[:=]\s{0,4}[^\s'\",;]{6,}",
        ),
        mark=("assw", "pwd", "Pwd", "ecret", "ASSW", "PWD", "SECRET"),
    ),
)
"""Secrets: keys, tokens and passwords."""

PERSONAL: Final = (
    Pattern(
        "email",
        re.compile(r"\b[A-Za-z0-9](?:[A-Za-z0-9._%+-]{0,63})@(?:[A-Za-z0-9-]{1,63}\.){1,3}[A-Za-z]{2,24}\b"),
        mark=("@",),
    ),
    Pattern("card_number", re.compile(r"(?<![\d.-])(?<!\d )\d(?:[ -]?\d){12,18}(?![\d-])"), _passes_luhn, _DIGITS),
    Pattern("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"), _passes_iban, _DIGITS),
    Pattern("identity_number", re.compile(r"(?<!\d)[1-9]\d{5}(?:19|20)\d{9}[\dXx](?!\w)"), _passes_resident, _DIGITS),
    Pattern(
        "identity_number",
        re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])"),
        mark=_DIGITS,
    ),
    Pattern("phone_number", re.compile(r"(?<![\w+])\+[1-9]\d{0,2}(?:[ .-]?\(?\d{1,4}\)?){2,6}(?!\d)"), mark=("+",)),
    Pattern("phone_number", re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)"), mark=_DIGITS),
)
"""Personal data."""


def likely(text: str, patterns: tuple[Pattern, ...]) -> tuple[Pattern, ...]:
    """Return the ``patterns`` that may match ``text`` or a part of it."""
    numbers = _TWO_DIGITS.search(text) is not None
    return tuple([pattern for pattern in patterns if (pattern.may_be_in(text) if pattern.mark else numbers)])


def find(text: str, patterns: tuple[Pattern, ...], start: int = 0) -> Iterator[PatternMatch]:
    """Yield matches of ``patterns`` in ``text`` from ``start``, left to right; at equal starts the first pattern wins.

    The search continues at the end of each match, so that no match hides a later one.
    """
    patterns = likely(text, patterns)
    ahead = [_next(text, pattern, start) for pattern in patterns]
    while found := [finding for finding in ahead if finding is not None]:
        first = min(found, key=lambda finding: finding.start)
        yield first
        ahead = [
            finding if finding is None or finding.start >= first.end else _next(text, pattern, first.end)
            for pattern, finding in zip(patterns, ahead, strict=True)
        ]


def _next(text: str, pattern: Pattern, start: int) -> PatternMatch | None:
    while (match := pattern.expression.search(text, start)) is not None:
        if pattern.proof is None or pattern.proof(match[0]):
            return PatternMatch(pattern.kind, match.start(), match.end())
        start = match.start() + 1
    return None


def masked(text: str, findings: list[PatternMatch]) -> str:
    """Replace each finding in ``text`` by its kind in brackets."""
    pieces, at = [], 0
    for finding in findings:
        pieces += [text[at : finding.start], f"[{finding.kind}]"]
        at = finding.end
    return "".join([*pieces, text[at:]])
