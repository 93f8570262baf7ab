"""JSON as servers really send it, read and written where orjson refuses it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final, Literal

import orjson

_DIGITS: Final = 20
"""Characters of the longest whole numbers of 64 bits: 18446744073709551615 and -9223372036854775808."""


def read(wire: bytes, errors: Literal["strict", "replace"] = "replace") -> Any:
    """``wire`` as Python values: also with a byte order mark, a lone surrogate escape, NaN, numbers of any length.

    ``errors`` says what becomes of bytes that are no UTF-8. Raises ValueError or RecursionError for what is no JSON.
    """
    with suppress(orjson.JSONDecodeError):
        return orjson.loads(wire)
    return json.loads(wire.decode("utf-8-sig", errors), parse_int=_whole_number)


def write(value: Any) -> bytes:
    """``value`` as JSON, a lone surrogate as an escape and NaN as null."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()


def _whole_number(digits: str) -> int | float:
    # As orjson reads it: int() would refuse 4,300 digits, and orjson to write more than 64 bits.
    if len(digits) <= _DIGITS and -(2**63) <= (whole := int(digits)) < 2**64:
        return whole
    return float(digits)
