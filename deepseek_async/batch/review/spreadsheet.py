"""Escaping of spreadsheet formulas in CSV. Pure.

A program that opens a CSV file executes text that starts like a formula, even in untrusted input or in an answer
influenced by it (OWASP, CSV Injection).
"""

from __future__ import annotations

import re
from typing import Final

_FORMULA: Final = re.compile(r"[\s\ufeff\u200b-\u200f\u2060]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
"""Start of a formula, also in full-width characters, which some programs normalize, and after ignored characters. A
tab or a line break may end the cell before the rest."""

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

_TEXT: Final = "'"
"""Prefix that makes the rest text in every spreadsheet."""


def harmless(cell: str) -> str:
    """Prefix ``cell`` with an apostrophe if it starts like a formula and is not a number."""
    return _TEXT + cell if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell
