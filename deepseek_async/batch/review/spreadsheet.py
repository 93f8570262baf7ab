"""Texts that a spreadsheet would take for formulas, made harmless. Pure.

A program that opens a CSV file runs what begins like a formula, whoever wrote it: a question of a stranger, or an
answer that a stranger's text has led the model to (OWASP, CSV Injection).
"""

from __future__ import annotations

import re
from typing import Final

_FORMULA: Final = re.compile(r"[\s\ufeff\u200b-\u200f\u2060]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
"""How it begins: also in full width, which some programs take for the same, and behind what they pass over. A tab or a
line break may end the cell before the rest."""

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

_TEXT: Final = "'"
"""What makes the rest a text to every spreadsheet."""


def harmless(cell: str) -> str:
    """``cell``, with an apostrophe before it if it begins like a formula and is no number."""
    return _TEXT + cell if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell
