"""Cell values of tables and JSON objects: null detection and conversion to text. Pure."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import date, time, timedelta
from typing import Any, Final, Literal, get_args

import orjson

from deepseek_async.errors import ConfigurationError, InvalidRequestError

Empty = Literal["refuse", "send", "skip"]
"""Handling of a row whose prompt, or a template column, is empty, null or NaN."""

WRITTEN_EMPTY: Final = frozenset({"NaN", "nan", "NaT", "<NA>", "None", "NULL", "null", "\\N", "#N/A"})
"""Spellings of a missing value in text-only files. Human spellings such as NA are not included."""
LONGEST_EMPTY: Final = max(map(len, WRITTEN_EMPTY))
"""Longer texts need no lookup; hashing one costs as much as reading it."""

_BYTES: Final = (bytes, bytearray, memoryview)
_CONTAINERS: Final = (list, tuple, dict)
_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
_JSON_TEXT: Final = ("{", "[")
_EXACT: Final = 1 << 53


class UnreadableCell:
    """A cell that its library cannot return as a Python value, for example a date after the year 9999."""

    def __init__(self, error: BaseException) -> None:
        self.reason: Final = f"{type(error).__name__}: {error}"

    def __repr__(self) -> str:
        return f"<unreadable: {self.reason}>"


class EmptyCellError(InvalidRequestError):
    """A cell needed for the prompt is empty."""

    column: str = ""


def checked_empty(empty: str) -> None:
    """Raise ConfigurationError unless ``empty`` is a known policy."""
    if empty not in get_args(Empty):
        raise ConfigurationError(f"empty must be refuse, send or skip, got {empty!r}")


def emptiness(value: Any) -> str:
    """Describe an empty value: its text, ``empty``, ``null`` or ``NaN``."""
    if isinstance(value, str):
        return repr(value) if value.strip() else "empty"
    if value is None:
        return "null"
    return "NaN" if is_missing(value) else "empty"


def is_missing(value: Any) -> bool:
    """Whether ``value`` is null: None, or the null of floats, decimals and data frames."""
    if value is None:
        return True
    if isinstance(value, float):
        return value != value  # noqa: PLR0124
    if isinstance(value, str | int | Mapping | list | tuple | bytes):
        return False
    try:
        return bool(value != value)  # noqa: PLR0124  true for every NaN, and for NaT
    except (ArithmeticError, TypeError, ValueError):
        # pandas.NA and a signalling NaN cannot be compared, and an array has no single truth value.
        return type(value).__name__ in {"NAType", "Decimal"}


def is_empty(value: Any, written: frozenset[str] = frozenset()) -> bool:
    """Whether ``value`` is empty or null; ``written`` are texts that mean null in text-only files."""
    if isinstance(value, str):
        return not value or value.isspace() or (len(value) <= LONGEST_EMPTY and value in written)
    if isinstance(value, Mapping | list | tuple | bytes):
        return not value
    return is_missing(value)


def whole(value: Any) -> Any:
    """Return ``value``, as an int if integral: tables store floats where an integer column has a missing cell."""
    return int(value) if isinstance(value, float) and abs(value) < _EXACT and value.is_integer() else value


def as_text(value: Any) -> Any:
    """Return ``value`` as text for a prompt: booleans as in JSON; numbers and strings unchanged.

    Raises InvalidRequestError for bytes that are not UTF-8, and for a cell that cannot be read.
    """
    if isinstance(value, UnreadableCell):
        raise InvalidRequestError(f"a value that Python cannot hold ({value.reason})")
    if isinstance(value, _BYTES):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            raise InvalidRequestError("bytes that are not UTF-8") from None
    if isinstance(value, _CONTAINERS):
        return as_json(value).decode()
    if isinstance(value, bool) or type(value).__name__ == "bool_":  # NumPy before version 2
        return "true" if value else "false"
    return whole(value)


def from_text(text: str, *, number: bool) -> Any:
    """Parse a parameter from a text-only file as a number or JSON, otherwise return the text unchanged."""
    if number or text.lstrip().startswith(_JSON_TEXT) or text in {"true", "false"}:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def without_nulls(value: Any) -> Any:
    """Remove null fields, which struct columns add to every row; a message keeps its content."""
    if isinstance(value, Mapping):
        return {name: without_nulls(item) for name, item in value.items() if name == "content" or not is_missing(item)}
    if isinstance(value, list | tuple):
        return [without_nulls(item) for item in value]
    return whole(value)


def as_json(value: Any) -> bytes:
    """Encode any ``value`` as JSON: decimals and durations as text, NaN as null, bytes as text or base64."""
    try:
        return orjson.dumps(value, default=_carried, option=_OPTIONS)
    except TypeError:
        # A lone surrogate, an integer beyond 64 bits, or nesting too deep for orjson.
        return _tolerant(value)


def _tolerant(value: Any) -> bytes:
    try:
        text = json.dumps(_plain(value), ensure_ascii=True)
    except (RecursionError, TypeError, ValueError):
        text = json.dumps(well_formed(shown(value)))
    return text.encode()


def shown(value: Any) -> str:
    """Return ``repr(value)``, or the name of its class if that fails."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  of the user's class, or nested too deep
        return f"<{type(value).__name__}>"


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
    """Replace each lone surrogate with a question mark; UTF-8 cannot encode it."""
    return text.encode("utf-8", "replace").decode()


def _carried(value: Any) -> Any:
    """Convert a type that JSON does not support."""
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
        return value.isoformat()  # a subclass, as in pandas; orjson encodes datetime itself
    if isinstance(value, timedelta):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return well_formed(str(value))
