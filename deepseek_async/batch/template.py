"""Prompt templates with a placeholder per column: ``"Summarise: {text}"``. Pure."""

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
    """Literal text before the placeholder."""
    written: str
    """The full text between the braces: a column name may contain dots, colons and brackets."""
    field: str
    conversion: str | None
    form: str
    """Python's format specification."""

    @property
    def column(self) -> str:
        """The column name, if no column matches the whole placeholder."""
        return self.field.split(".")[0].split("[")[0]


class Template:
    """Fills placeholders from rows. Raises ConfigurationError for an invalid template.

    A placeholder is a column name, ignoring surrounding blanks, or a Python format field: fields of a column
    (``{review[text]}``) and formats (``{score:.1f}``). ``columns`` are those of a table; None if each row has its own.
    ``written_empty`` are texts that mean null.
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
            raise ConfigurationError(
                f"the template {text!r} has no placeholder, so all rows would be equal: add one, for example {{text}}"
            )
        for place in self._places:
            name = None if columns is None else _called(place.written, columns)
            if name is not None:
                place.written = name
        known = columns or ()
        self.columns = [place.written if place.written in known else place.column for place in self._places]
        """Columns used by the template."""
        self._names = [place.written for place in self._places]
        pieces = [*(place.before for place in self._places), self._end]
        self._form = "%s".join(piece.replace("%", "%%") for piece in pieces)

    def check_names(self) -> None:
        """Raise ConfigurationError for an unnamed placeholder; only a table column may have a number as its name."""
        if not all(self.columns) or any(name.isdigit() for name in self.columns):
            raise ConfigurationError("the template has an unnamed placeholder, {} or {0}: name a column")

    def fill(self, row: Mapping[str, Any], empty: Empty) -> str:
        """Return the prompt for a row.

        Raises EmptyCellError for a cell that is empty, null or NaN, unless empty cells are sent, and
        InvalidRequestError for a row without the column, or with a value the placeholder cannot format.
        """
        try:
            cells = [row[name] for name in self._names]
        except KeyError:
            cells = [None]  # a placeholder with a field or a format
        # Nearly all rows have texts in all columns; filling them one by one takes twice as long.
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
                    f"the column {column!r} is {emptiness(value)}, but the template uses it",
                    column=column,
                )
            return value if isinstance(value, str) and value not in self._written_empty else ""
        try:
            return str(as_text(value))
        except InvalidRequestError as error:
            raise InvalidRequestError(f"the column {column!r} contains {error.message}") from None

    def _formatted(self, place: _Place, row: Mapping[str, Any], empty: Empty) -> str:
        column = place.column
        if column not in row:
            raise InvalidRequestError(
                f"the template refers to column {column!r}, but the row has: {', '.join(map(str, row))}",
            )
        try:
            # Null has no fields, so it is empty whichever field is named.
            value = None if is_missing(row[column]) else _FORMATTER.get_field(place.field, (), row)[0]
            if is_empty(value, self._written_empty) or not (place.conversion or place.form):
                return self._shown(value, column, empty)
            value = _FORMATTER.convert_field(whole(value), place.conversion)
            return str(format(value, _FORMATTER.vformat(place.form, (), row)))
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            if isinstance(error, InvalidRequestError):
                raise
            raise InvalidRequestError(f"cannot fill the template: {error}") from None


def _pieces(text: str) -> tuple[list[_Place], str]:
    """Split into placeholders and the text after the last one."""
    places, before = [], ""
    try:
        for literal, field, form, conversion in _FORMATTER.parse(text):
            before += literal
            if field is not None:
                written = f"{field}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}"
                places.append(_Place(before, written, field, conversion, form or ""))
                before = ""
    except ValueError as error:
        raise ConfigurationError(f"invalid template: {error}; double a literal brace") from None
    return places, before


def _called(written: str, columns: Sequence[str]) -> str | None:
    """Return the only column with that name, ignoring surrounding blanks, or None."""
    if written in columns:
        return written
    alike = [name for name in columns if name.strip() == written.strip()]
    return alike[0] if len(alike) == 1 else None
