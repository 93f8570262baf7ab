"""Batch rows: user input normalized to one form. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from deepseek_async.batch.cells import WRITTEN_EMPTY, Empty, EmptyCellError, checked_empty, is_missing, shown
from deepseek_async.batch.endpoints import CHAT, BatchEndpoint, endpoint_of, is_other_endpoint
from deepseek_async.batch.input_record import PARAMETERS, Values, divided, prompt_messages, unpacked
from deepseek_async.batch.template import Template
from deepseek_async.codec.size_limits import ACCEPTED_BYTES
from deepseek_async.errors import ConfigurationError, DeepSeekError, InputFormatError, InvalidRequestError
from deepseek_async.resources.parameters import chat_parameters
from deepseek_async.structured import AnswerForm

DEFAULT_MODEL: Final = "deepseek-flash"
MAX_ROW_BYTES: Final = ACCEPTED_BYTES
"""Longer than any request DeepSeek accepts."""

_MAPPINGS: Final = (dict, Mapping)
"""dict first, because an isinstance check against an abstract class is slow."""
_NOT_SENT: Final = ("stream", "stream_options", "prompt")
_CUSTOM_ID: Final = "custom_id"
_REQUESTED: Final = frozenset({"prompt", "messages", "body"})
_NO_MESSAGES: Final = (str, int, float, bytes, list, tuple, type(None))
_REQUESTS: Final = _REQUESTED | {_CUSTOM_ID}
_NO_ID: Final = re.compile("[\x00-\x08\n-\x1f\x7f-\x9f\ud800-\udfff]")
_CAPS: Final = ("max_tokens", "max_completion_tokens")
_TRANSLATED: Final = frozenset({*_NOT_SENT, *_CAPS[1:]})
_ENVELOPE: Final = frozenset({_CUSTOM_ID, "method", "url", "body"})


class Row(msgspec.Struct, frozen=True, gc=False):
    """A request, or the error that prevents it."""

    index: int
    """Position among the rows, from 0."""
    line: int
    """Line of the file, or position in the iterable, from 1."""
    custom_id: str | None = None
    body: Mapping[str, Any] | None = None
    """Request in the API's format; None if ``error`` is set."""
    error: InputFormatError | None = None
    text: bytes = b""
    """Unreadable text, to distinguish bad rows; or the identity of a row that is not its request."""
    form: AnswerForm | None = None
    """Structured output of the answer; ``body`` requests it."""
    columns: Mapping[str, Any] | None = None
    """Columns that are not part of the request, carried to the output; not sent."""
    endpoint: BatchEndpoint | None = None
    """Non-chat endpoint; None for chat."""


class Defaults(msgspec.Struct, frozen=True):
    """Request parameters of rows that do not set their own."""

    model: str = DEFAULT_MODEL
    parameters: Mapping[str, Any] = {}
    template: str | None = None
    """Prompt template with ``{column}`` placeholders, for rows that are records."""
    id_column: str | None = None
    """Column, or key, of the row id; None for ``custom_id``, where present."""
    form: AnswerForm | None = None
    """Structured output of the answers, except for rows with their own ``response_format``."""

    empty: Empty = "refuse"
    """Handling of rows whose prompt depends on an empty, null or NaN cell."""
    max_row_bytes: int = MAX_ROW_BYTES
    """A longer line or record is a bad row, and is never held in memory."""

    def __post_init__(self) -> None:
        checked_empty(self.empty)
        if type(self.max_row_bytes) is not int or self.max_row_bytes < 1:
            raise ConfigurationError(
                f"max_row_bytes must be an integer number of bytes greater than 0, got {self.max_row_bytes!r}",
            )
        if not isinstance(self.model, str) or not self.model.strip():
            raise ConfigurationError(f"model must be a model name, for example {DEFAULT_MODEL!r}, got {self.model!r}")

    def leaves_out(self, error: DeepSeekError | None) -> bool:
        """Whether a row with that error is skipped."""
        return self.empty == "skip" and isinstance(error, InputFormatError) and error.column is not None


class RowReader:
    """Parses values into rows, in order. ``path`` appears in errors; empty for an iterable.

    With ``wanted``, rows whose entry is 0 need not be read: see ``wants_next``.
    Raises ConfigurationError for an invalid template.
    """

    def __init__(self, defaults: Defaults, path: str = "", wanted: Sequence[int] | None = None) -> None:
        self._defaults = defaults
        self._path = path
        self._wanted = wanted
        self._index = 0
        self._model = defaults.model
        self._values: Values = "json"
        self._others: list[str] | None = None
        self._template = None if defaults.template is None else Template(defaults.template)
        self._parameters = unpacked(defaults.parameters)
        self._id_column = defaults.id_column or _CUSTOM_ID
        self._envelope = _ENVELOPE - {_CUSTOM_ID} | {self._id_column}
        self.shown = () if self._template is None else tuple(self._template.columns)
        """Keys used by the template."""

    def reads_table(self, columns: Sequence[str], *, typed: bool) -> None:
        """Declare that all values are rows of a table with these columns. Raises ConfigurationError."""
        self._values = "table" if typed else "text"
        if self._defaults.template is not None:
            self._template = Template(self._defaults.template, columns, frozenset() if typed else WRITTEN_EMPTY)
            self.shown = tuple(self._template.columns)
            asked = {*self.shown, self._id_column}
            self._others = [name for name in columns if name not in asked]

    @property
    def id_column(self) -> str:
        """Key of the row id."""
        return self._id_column

    @property
    def wants_all(self) -> bool:
        """Whether ``wants_next`` need not be called."""
        return self._wanted is None

    def wants_next(self) -> bool:
        """Whether the next row must be read. If not, it is skipped."""
        wanted = self._wanted
        if wanted is None or (self._index < len(wanted) and wanted[self._index]):
            return True
        self._index += 1
        return False

    def read(self, value: Any, line: int | None = None, form: AnswerForm | None = None) -> Row:
        """Parse a str, a list of messages, a mapping of parameters or an OpenAI Batch line.

        ``form`` is the structured output of its answer, overriding the default. Never raises for an invalid value: the
        row then carries the error.
        """
        index, self._index = self._index, self._index + 1
        line = index + 1 if line is None else line
        custom_id = None
        try:
            if type(value) is str:
                pass  # a prompt has no id; an abstract isinstance check costs 0.5 µs a row
            elif isinstance(value, _MAPPINGS):
                if self._id_column in value:
                    custom_id = _identifier(value[self._id_column], self._id_column)
            elif hasattr(value, "_asdict"):
                self._index = index
                return self.read(value._asdict(), line)  # a named tuple is a record
            if custom_id is None and self._defaults.id_column is not None:
                return self._without_id(index, line, value)
            parameters, columns, endpoint = self._request(value)
            form = form or self._defaults.form
            if endpoint is not None:
                body = self._body_for(endpoint, parameters, form)
                return Row(index, line, custom_id, body, columns=columns, endpoint=endpoint)
            body = self._body(parameters)
            if form is None or parameters.get("response_format") is not None:
                if columns is None:
                    return Row(index, line, custom_id, body)
                return Row(index, line, custom_id, body, columns=columns)
            return Row(index, line, custom_id, form.adapted(body), columns=columns, form=form)
        except InvalidRequestError as error:
            return self._unread(index, line, error, value, custom_id)
        except DeepSeekError:
            raise
        except Exception as error:  # noqa: BLE001  of a method of the user's object, which takes no other row with it
            reason = InvalidRequestError(f"the row cannot be read: {type(error).__name__}: {error}")
            return self._unread(index, line, reason, value, custom_id)

    def _unread(self, index: int, line: int, error: InvalidRequestError, value: Any, custom_id: str | None) -> Row:
        row = self._bad(index, line, error, shown(value).encode("utf-8", "replace"))
        columns = None
        with suppress(Exception):  # of a mapping that cannot be read at all
            columns = self._beside(value)
        return msgspec.structs.replace(row, custom_id=custom_id, columns=columns)

    def unreadable(self, line: int, reason: str, text: bytes) -> Row:
        """Return the row for a line that could not be parsed."""
        index, self._index = self._index, self._index + 1
        return self._bad(index, line, InvalidRequestError(reason), text)

    def too_long(self, line: int, size: int | None = None, text: bytes = b"") -> Row:
        """Return the row for a line over the size limit."""
        most = self._defaults.max_row_bytes
        has = "" if size is None else f"has {size:,} bytes and "
        return self.unreadable(
            line,
            f"row {has}exceeds {most:,} bytes: split it, or raise the limit (max_row_bytes, --max-row-bytes)",
            text,
        )

    def _without_id(self, index: int, line: int, value: Any) -> Row:
        reason = f"{self._id_column!r} is empty, but every row needs an id"
        return self._bad(index, line, InvalidRequestError(reason), shown(value).encode("utf-8", "replace"))

    def _bad(self, index: int, line: int, reason: InvalidRequestError, text: bytes) -> Row:
        return Row(index, line, error=placed(reason, self._path, line), text=text)

    def _request(self, value: Any) -> tuple[Mapping[str, Any], Mapping[str, Any] | None, BatchEndpoint | None]:
        """Return parameters, carried columns and endpoint. Raises InvalidRequestError."""
        if self._template is not None:
            if not isinstance(value, _MAPPINGS):
                raise InvalidRequestError(f"a template needs an object with named columns, got {_kind(value)}")
            return {"prompt": self._template.fill(value, self._defaults.empty)}, self._beside(value), None
        if isinstance(value, str):
            return {"prompt": value}, None, None
        if isinstance(value, _MAPPINGS):
            if "body" in value:
                # An OpenAI Batch line has no other keys.
                columns = None if value.keys() <= self._envelope else self._beside(value)
                url = value.get("url", CHAT)
                return _enclosed(value), columns, None if url == CHAT else endpoint_of(url)
            if len(value) == 1 and "prompt" in value:
                return value, None, None
            if "url" in value:
                _refuse_flat(value["url"])
            return *divided(value, self._values, self._id_column), None
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
            return {"messages": _messages(value)}, None, None
        if is_missing(value):
            return {"prompt": value}, None, None
        if hasattr(value, "as_py"):
            return self._request(value.as_py())  # a pyarrow scalar
        raise InvalidRequestError(
            f"row must be a prompt, a list of messages or an object with one of them, got {_kind(value)}",
        )

    def _beside(self, value: Any) -> Mapping[str, Any] | None:
        """Return the carried columns under their own names, or None."""
        if self._others is not None:
            return {name: value[name] for name in self._others} if self._others else None
        if not isinstance(value, _MAPPINGS):
            return None
        asked: Collection[str] = _ENVELOPE if "body" in value else PARAMETERS
        if self._template is not None:
            asked = self._template.columns
        return {name: item for name, item in value.items() if name not in asked and name != self._id_column} or None

    def _body_for(self, endpoint: BatchEndpoint, given: Mapping[str, Any], form: AnswerForm | None) -> dict[str, Any]:
        if form is not None:
            raise InvalidRequestError(
                f"{endpoint.url} does not support a response schema: run its rows as a separate job",
            )
        # Embedding models are not chat models, so such a row must name its model if the job names none.
        named = endpoint.answers_in_text or self._model != DEFAULT_MODEL
        return endpoint.body(given, self._model if named else None, self._parameters)

    def _body(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        defaults = self._parameters
        if not defaults:
            merged = {"model": self._model, **parameters}
        else:
            if any(parameters.get(name) is not None for name in _CAPS):
                # Two names for one parameter: the row's value wins, whichever name it uses.
                defaults = {name: value for name, value in defaults.items() if name not in _CAPS}
            merged = {"model": self._model, **defaults, **parameters}
        if "messages" not in merged:
            merged["messages"] = prompt_messages(parameters, self._values, self._defaults.empty)
            del merged["prompt"]
        return _checked(merged)


def _enclosed(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the request in an OpenAI Batch line. Raises InvalidRequestError."""
    body = line["body"]
    if line.get("method", "POST") != "POST":
        raise InvalidRequestError(f"method must be 'POST', got {line['method']!r}")
    if not isinstance(body, _MAPPINGS):
        raise InvalidRequestError(f"body must be an object, got {_kind(body)}")
    return body


def _refuse_flat(url: Any) -> None:
    """Raise InvalidRequestError for a record without a body that names a non-chat endpoint; it would be sent to chat.

    Only for full OpenAI URLs: a column ``url`` belongs to the user, and shorter paths may be those of web pages.
    """
    if isinstance(url, str) and url.startswith("/v1/") and is_other_endpoint(url):
        raise InvalidRequestError(
            f"url is {url!r}, but there is no body: put the request into an object named body, or rename the column "
            "if it is not the URL of a request",
        )


def placed(reason: InvalidRequestError, path: str, line: int) -> InputFormatError:
    """Return ``reason`` prefixed with the row's location; without a ``path`` it is a row of an iterable."""
    place = f"{path}, line {line}" if path else f"request {line}"
    column = reason.column if isinstance(reason, EmptyCellError) else None
    return InputFormatError(f"{place}: {reason.message}", path=path, line=line, column=column)


def is_id(text: str) -> bool:
    """Whether ``text`` can be a row id; control characters would reach a terminal."""
    return bool(text) and (text.isprintable() or _NO_ID.search(text) is None)


def check_columns(
    defaults: Defaults,
    columns: Sequence[str],
    table: str,
    written: Sequence[str] | None = None,
) -> None:
    """Raise ConfigurationError for a table that lacks a required column.

    ``table`` describes the table; ``written`` are its column names before they were made unique.
    """
    wanted = [] if defaults.template is None else Template(defaults.template, columns).columns
    for name in wanted:
        if name not in columns:
            raise ConfigurationError(f"unknown column {name!r} in the template; {table}")
    if defaults.id_column is not None and defaults.id_column not in columns:
        raise ConfigurationError(f"unknown id column {defaults.id_column!r}; {table}")
    if not wanted and _REQUESTED.isdisjoint(columns):
        raise ConfigurationError(
            f"a table without a column prompt or messages needs a template, for example 'Summarise: {{text}}'; {table}",
        )
    asked = {*(wanted or PARAMETERS), defaults.id_column or _CUSTOM_ID}
    for name in written or columns:
        if name in asked and (written or columns).count(name) > 1:
            raise ConfigurationError(f"the column {name!r} is ambiguous; {table}")


def overridden(row: Row, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row's request with parameters replaced; None removes one. Raises InvalidRequestError."""
    body = row.body or {}
    if row.endpoint is not None:
        return row.endpoint.overridden(body, parameters)
    if any(name in parameters for name in _CAPS):
        body = {name: value for name, value in body.items() if name not in _CAPS}
    return _checked({**body, **parameters})


def _checked(merged: dict[str, Any]) -> dict[str, Any]:
    model, messages = merged["model"], merged["messages"]
    if (
        ("thinking" not in merged or (type(merged["thinking"]) is dict and "reasoning_effort" not in merged))
        and merged.keys().isdisjoint(_TRANSLATED)
        and None not in merged.values()
        and type(messages) is list
        and messages
        and type(model) is str
        and model
    ):
        return merged  # nothing to translate or remove
    if "max_completion_tokens" in merged:
        # It is compared with max_tokens, which must precede it.
        merged["max_completion_tokens"] = merged.pop("max_completion_tokens")
    del merged["model"], merged["messages"]
    # A batch reads complete answers; the answer is the same.
    for name in _NOT_SENT:
        merged.pop(name, None)
    return chat_parameters(model, messages, merged)


def _messages(value: Sequence[Any]) -> Sequence[Any]:
    """Return the messages. Raises InvalidRequestError for a list of requests, which is not a conversation."""
    for item in value:
        if isinstance(value, tuple) and not isinstance(item, Mapping):
            raise InvalidRequestError(
                f"a tuple of {', '.join(map(_kind, value))} does not identify the prompt: pass an object, for example "
                '{"custom_id": …, "prompt": …}, and a data frame unchanged',
            )
        if isinstance(item, _NO_MESSAGES) or (isinstance(item, Mapping) and not item.keys().isdisjoint(_REQUESTS)):
            raise InvalidRequestError(
                "expected one request, got a list of requests: put each on its own line (jq -c '.[]'); a list is a "
                "conversation, of which each message is an object",
            )
    return value


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _identifier(value: Any, column: str) -> str | None:
    if value is None:
        return None
    if type(value) is str and value and (value.isprintable() or is_id(value)):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # data frames store integers as floats if one is missing
    if not isinstance(value, str) or not value:
        raise InvalidRequestError(f"{column} must be a non-empty string, got {value!r}")
    raise InvalidRequestError(f"{column} must not contain control characters or lone surrogates")
