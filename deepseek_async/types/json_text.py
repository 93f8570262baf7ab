"""Tolerant JSON parser and writer for what orjson rejects."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final, Literal

import orjson

_DIGITS: Final = 20
"""Characters of the longest 64-bit integers: 18446744073709551615 and -9223372036854775808."""


def read(wire: bytes, errors: Literal["strict", "replace"] = "replace") -> Any:
    """Parse ``wire``; also accepts a byte order mark, lone surrogate escapes, NaN, numbers of any length.

    ``errors`` is the handling of invalid UTF-8. Raises ValueError or RecursionError for invalid JSON.
    """
    with suppress(orjson.JSONDecodeError):
        return orjson.loads(wire)
    return json.loads(wire.decode("utf-8-sig", errors), parse_int=_whole_number)


def write(value: Any) -> bytes:
    """Return ``value`` as JSON; a lone surrogate becomes an escape, NaN becomes null."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()


def _whole_number(digits: str) -> int | float:
    # As orjson: int() rejects 4,300 digits, and orjson cannot write more than 64 bits.
    if len(digits) <= _DIGITS and -(2**63) <= (whole := int(digits)) < 2**64:
        return whole
    return float(digits)
