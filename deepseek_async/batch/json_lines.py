"""Rows of JSON lines: one request a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import nan
from typing import Any, Final

import msgspec
import orjson

from deepseek_async.batch.row import Row, RowReader, is_id
from deepseek_async.batch.text_lines import Line, not_utf8
from deepseek_async.files.bounded_lines import LongLine

_DEEPEST: Final = 200
"""Maximum nesting of a row; JSON encoders stop at 254."""
_EXACT: Final = 1 << 63
TOO_DEEP: Final = f"nested more than {_DEEPEST} levels deep"


def json_rows(lines: Iterator[tuple[int, Line]], reader: RowReader) -> Iterator[Row]:
    """Yield the row of each line. A line that is not JSON becomes a row that carries the error."""
    all_wanted = reader.wants_all
    for number, line in lines:
        if all_wanted or reader.wants_next():
            yield _json_row(number, line, reader)


def _json_row(number: int, line: Line, reader: RowReader) -> Row:
    if isinstance(line, LongLine):
        return reader.too_long(number, line.size, line.digest)
    try:
        value = _parse(line)
    except UnicodeDecodeError as error:
        return reader.unreadable(number, not_utf8(error), line)
    except json.JSONDecodeError as error:
        return reader.unreadable(number, f"not JSON: {error.msg} at character {error.pos + 1}", line)
    except ValueError as error:
        return reader.unreadable(number, f"not JSON: {error}", line)
    except RecursionError:
        return reader.unreadable(number, f"not JSON: {TOO_DEEP}", line)
    if type(value) is dict and (
        type(value.get(reader.id_column)) is float
        or (reader.shown and any(type(value.get(name)) is float for name in reader.shown))
    ):
        value = json.loads(line)  # orjson turns an integer beyond 64 bits into a float
    row = reader.read(value, number)
    if row.columns is not None and any(type(item) is float and abs(item) >= _EXACT for item in row.columns.values()):
        exact = json.loads(line)
        return msgspec.structs.replace(row, columns={name: exact[name] for name in row.columns})
    return row


class _Identified(msgspec.Struct, gc=False):
    custom_id: str | int | None = None


_decode_id = msgspec.json.Decoder(_Identified).decode


def json_ids(lines: Iterator[tuple[int, Line]], reader: RowReader) -> Iterator[tuple[int, str | None]]:
    """Yield number and ``custom_id`` of each line, without parsing the request."""
    for number, line in lines:
        if isinstance(line, LongLine) or line[:1] != b"{":
            yield number, None  # an invalid row, a prompt or a list of messages
            continue
        try:
            custom_id = _decode_id(line).custom_id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield number, _json_row(number, line, reader).custom_id
            continue
        if custom_id is not None:
            custom_id = str(custom_id)
            if not is_id(custom_id):
                custom_id = None  # an invalid row has no id
        yield number, custom_id


def _parse(line: bytes) -> Any:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        # json also accepts lone surrogates and NaN; a request with one is rejected later with its location.
        value = json.loads(line.decode(), parse_constant=_constant)
    if is_too_deep(line, value):
        raise ValueError(TOO_DEEP)
    return value


def is_too_deep(line: bytes, value: Any) -> bool:
    """Whether ``value``, parsed from ``line``, is nested too deeply to be a row."""
    # Each level takes two bytes.
    return len(line) > 2 * _DEEPEST and _brackets(line) > _DEEPEST and _depth(value) > _DEEPEST


def _brackets(line: bytes) -> int:
    # Removing the few brackets and comparing lengths takes a third of the time of count.
    return 2 * len(line) - len(line.replace(b"[", b"")) - len(line.replace(b"{", b""))


def _constant(name: str) -> float:
    """Accept NaN, which programs write for a missing number; a request may contain neither NaN nor infinity."""
    if name == "NaN":
        return nan
    raise ValueError(f"{name} is not a JSON value")


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [item for outer in level for item in (outer.values() if isinstance(outer, dict) else outer)]
    return depth
