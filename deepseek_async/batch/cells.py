"""The values in a table or a JSON object: which say nothing, and how the others are written. Pure."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import date, time, timedelta
from typing import Any, Final, Literal, get_args

import orjson

from deepseek_async.errors import ConfigurationError, InvalidRequestError

Empty = Literal["refuse", "send", "skip"]
"""What becomes of a row whose prompt, or a place of whose template, is empty, null or NaN."""

WRITTEN_EMPTY: Final = frozenset({"NaN", "nan", "NaT", "<NA>", "None", "NULL", "null", "\\N", "#N/A"})
"""How programs write a missing value into a file that has texts only. Words of people, such as NA, are none."""
LONGEST_EMPTY: Final = max(map(len, WRITTEN_EMPTY))
"""No longer text is one of them, and to look a long one up would take as long as to read it."""

_BYTES: Final = (bytes, bytearray, memoryview)
_CONTAINERS: Final = (list, tuple, dict)
_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
_JSON_TEXT: Final = ("{", "[")
_EXACT: Final = 1 << 53


class EmptyCellError(InvalidRequestError):
    """A cell that would be asked about has nothing in it."""

    column: str = ""


def checked_empty(empty: str) -> None:
    """Raise ConfigurationError for a word that is none."""
    if empty not in get_args(Empty):
        raise ConfigurationError(f"empty must be refuse, send or skip, not {empty!r}")


def emptiness(value: Any) -> str:
    """The word for a value that is empty."""
    if isinstance(value, str):
        return repr(value) if value.strip() else "empty"
    if value is None:
        return "null"
    return "NaN" if is_missing(value) else "empty"


def is_missing(value: Any) -> bool:
    """Whether ``value`` is null: None, or what numbers, decimals and data frames have in its place."""
    if value is None:
        return True
    if isinstance(value, float):
        return value != value  # noqa: PLR0124
    if isinstance(value, str | int | Mapping | list | tuple | bytes):
        return False
    try:
        return bool(value != value)  # noqa: PLR0124  true of every NaN, and of NaT
    except (ArithmeticError, TypeError, ValueError):
        # pandas.NA and a signalling NaN cannot be compared, and an array has no one truth.
        return type(value).__name__ in {"NAType", "Decimal"}


def is_empty(value: Any, written: frozenset[str] = frozenset()) -> bool:
    """Whether ``value`` has nothing to ask about; ``written`` are texts that stand for null where all is text."""
    if isinstance(value, str):
        return not value or value.isspace() or (len(value) <= LONGEST_EMPTY and value in written)
    if isinstance(value, Mapping | list | tuple | bytes):
        return not value
    return is_missing(value)


def whole(value: Any) -> Any:
    """``value``, a whole number as an int: tables have floats where one cell of a column of numbers is missing."""
    return int(value) if isinstance(value, float) and abs(value) < _EXACT and value.is_integer() else value


def as_text(value: Any) -> Any:
    """``value`` as a prompt shows it: truth as JSON has it; what Python itself writes as people do is left as it is.

    Raises InvalidRequestError for bytes that are no text.
    """
    if isinstance(value, _BYTES):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            raise InvalidRequestError("bytes that are no UTF-8 text") from None
    if isinstance(value, _CONTAINERS):
        return as_json(value).decode()
    if isinstance(value, bool) or type(value).__name__ == "bool_":  # of numpy before its version 2
        return "true" if value else "false"
    return whole(value)


def from_text(text: str, *, number: bool) -> Any:
    """The value of a parameter in a file that has texts only: a number, or JSON; else the text as it is."""
    if number or text.lstrip().startswith(_JSON_TEXT) or text in {"true", "false"}:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def without_nulls(value: Any) -> Any:
    """``value`` without the fields that a column of structs gives to every row; a message keeps its content."""
    if isinstance(value, Mapping):
        return {name: without_nulls(item) for name, item in value.items() if name == "content" or not is_missing(item)}
    if isinstance(value, list | tuple):
        return [without_nulls(item) for item in value]
    return whole(value)


def as_json(value: Any) -> bytes:
    """``value`` as JSON, whatever it is: decimals and durations as texts, NaN as null, bytes as text or base64."""
    try:
        return orjson.dumps(value, default=_carried, option=_OPTIONS)
    except TypeError:
        # A lone surrogate, a whole number of more than 64 bits, or too deep.
        return _tolerant(value)


def _tolerant(value: Any) -> bytes:
    try:
        text = json.dumps(_plain(value), ensure_ascii=True)
    except (RecursionError, TypeError, ValueError):
        text = json.dumps(well_formed(repr(value)))
    return text.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {well_formed(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return well_formed(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return _plain(orjson.loads(orjson.dumps(value, default=_carried, option=_OPTIONS)))


def well_formed(text: str) -> str:
    """``text`` with a question mark for each lone surrogate, which no file in UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()


def _carried(value: Any) -> Any:
    """What JSON has no form for."""
    if is_missing(value):
        return None
    if isinstance(value, _BYTES):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return b64encode(value).decode()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, date | time):
        return value.isoformat()  # of a subclass, as pandas has one; JSON has the others in this form already
    if isinstance(value, timedelta):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return well_formed(str(value))
