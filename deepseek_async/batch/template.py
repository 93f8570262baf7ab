"""A prompt with a place for each column: ``"Summarise: {text}"``. Pure."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from deepseek_async.batch.cells import (
    LONGEST_EMPTY,
    Empty,
    EmptyCellError,
    as_text,
    emptiness,
    is_empty,
    is_missing,
    whole,
)
from deepseek_async.errors import ConfigurationError, InvalidRequestError

_FORMATTER: Final = string.Formatter()


class _Place(msgspec.Struct):
    before: str
    """The text in front of it."""
    written: str
    """All that stands between the braces: a column may be called so, with dots, colons and brackets."""
    field: str
    conversion: str | None
    form: str
    """What Python calls the format specification."""

    @property
    def column(self) -> str:
        """The column, if none is called as the place is written."""
        return self.field.split(".")[0].split("[")[0]


class Template:
    """Fills its places from rows. Raises ConfigurationError for a text that is no template.

    A place is a column's name, but for blanks around it, or else what Python's format strings take: fields of a column
    (``{review[text]}``) and formats (``{score:.1f}``). ``columns`` are those of a table; None if each row has its own.
    ``written_empty`` are texts that stand for null.
    """

    def __init__(
        self,
        text: str,
        columns: Sequence[str] | None = None,
        written_empty: frozenset[str] = frozenset(),
    ) -> None:
        self._written_empty = written_empty
        self._places, self._end = _pieces(text)
        if not self._places:
            raise ConfigurationError(f"the template {text!r} names no column, so all rows would ask the same: {{text}}")
        for place in self._places:
            name = None if columns is None else _called(place.written, columns)
            if name is not None:
                place.written = name
        known = columns or ()
        self.columns = [place.written if place.written in known else place.column for place in self._places]
        """The columns that it names."""
        self._names = [place.written for place in self._places]
        pieces = [*(place.before for place in self._places), self._end]
        self._form = "%s".join(piece.replace("%", "%%") for piece in pieces)

    def check_names(self) -> None:
        """Raise ConfigurationError for a place that has no name; a column of a table may be called as a number is."""
        if not all(self.columns) or any(name.isdigit() for name in self.columns):
            raise ConfigurationError("the template has a place without a name, {} or {0}; name a column in it")

    def fill(self, row: Mapping[str, Any], empty: Empty) -> str:
        """The prompt of a row.

        Raises EmptyCellError for a cell that is empty, null or NaN, unless such are sent, and InvalidRequestError for
        a row without the column, or with what the place cannot show.
        """
        try:
            cells = [row[name] for name in self._names]
        except KeyError:
            cells = [None]  # a place is more than a name
        # Nearly all rows have texts in all places; to fill them one by one would take twice as long.
        for cell in cells:
            if type(cell) is not str or cell.isspace():
                break
            if len(cell) <= LONGEST_EMPTY and (not cell or cell in self._written_empty):
                break
        else:
            return self._form % tuple(cells)
        parts = []
        for place in self._places:
            parts.append(place.before)
            if place.written in row:
                parts.append(self._shown(row[place.written], place.written, empty))
            else:
                parts.append(self._formatted(place, row, empty))
        parts.append(self._end)
        return "".join(parts)

    def _shown(self, value: Any, column: str, empty: Empty) -> str:
        if is_empty(value, self._written_empty):
            if empty != "send":
                raise EmptyCellError(
                    f"the column {column!r} is {emptiness(value)}, and the template asks about it",
                    column=column,
                )
            return value if isinstance(value, str) and value not in self._written_empty else ""
        try:
            return str(as_text(value))
        except InvalidRequestError as error:
            raise InvalidRequestError(f"the column {column!r} holds {error.message}") from None

    def _formatted(self, place: _Place, row: Mapping[str, Any], empty: Empty) -> str:
        column = place.column
        if column not in row:
            raise InvalidRequestError(
                f"the template names the column {column!r}, and the row has: {', '.join(map(str, row))}",
            )
        try:
            # A null has no fields, and is empty whichever of them is named.
            value = None if is_missing(row[column]) else _FORMATTER.get_field(place.field, (), row)[0]
            if is_empty(value, self._written_empty) or not (place.conversion or place.form):
                return self._shown(value, column, empty)
            value = _FORMATTER.convert_field(whole(value), place.conversion)
            return str(format(value, _FORMATTER.vformat(place.form, (), row)))
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            if isinstance(error, InvalidRequestError):
                raise
            raise InvalidRequestError(f"the template cannot be filled: {error}") from None


def _pieces(text: str) -> tuple[list[_Place], str]:
    """The places, and the text behind the last of them."""
    places, before = [], ""
    try:
        for literal, field, form, conversion in _FORMATTER.parse(text):
            before += literal
            if field is not None:
                written = f"{field}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}"
                places.append(_Place(before, written, field, conversion, form or ""))
                before = ""
    except ValueError as error:
        raise ConfigurationError(f"the template cannot be read: {error}. Write a literal brace twice") from None
    return places, before


def _called(written: str, columns: Sequence[str]) -> str | None:
    """The one column that is called so, but for blanks around its name; None if there is none."""
    if written in columns:
        return written
    alike = [name for name in columns if name.strip() == written.strip()]
    return alike[0] if len(alike) == 1 else None
