"""Numbers sent as strings."""

from __future__ import annotations

import math
import re
from typing import Final

_NUMBER: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")


def number_in(text: str) -> int | float | None:
    """Return the number in ``text``, in JSON syntax, surrounding whitespace allowed; None for anything else.

    Unlike ``int`` and ``float``, accepts no underscores, plus signs, digits of other scripts, infinity or NaN.
    """
    found = _NUMBER.fullmatch(text.strip(" \t"))
    if found is None:
        return None
    if found[1] is None and found[2] is None:
        return int(found[0])
    number = float(found[0])
    return number if math.isfinite(number) else None
