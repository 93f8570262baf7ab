"""Numbers that somebody else wrote as text."""

from __future__ import annotations

import math
import re
from typing import Final

_NUMBER: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")


def number_in(text: str) -> int | float | None:
    """The number that ``text`` is, as JSON writes them, with blanks around it or not; None for everything else.

    ``int`` and ``float`` also read underscores, plus signs, digits of every script, infinity and NaN.
    """
    found = _NUMBER.fullmatch(text.strip(" \t"))
    if found is None:
        return None
    if found[1] is None and found[2] is None:
        return int(found[0])
    number = float(found[0])
    return number if math.isfinite(number) else None
