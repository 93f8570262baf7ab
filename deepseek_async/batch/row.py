"""One row of a job: what a user may hand in, brought to one form. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from deepseek_async.batch.cells import WRITTEN_EMPTY, Empty, EmptyCellError, checked_empty, is_missing
from deepseek_async.batch.endpoints import CHAT, BatchEndpoint, endpoint_of, is_other_endpoint
from deepseek_async.batch.record import PARAMETERS, Values, divided, prompt_messages, unpacked
from deepseek_async.batch.template import Template
from deepseek_async.codec.limits import ACCEPTED_BYTES
from deepseek_async.errors import ConfigurationError, DeepSeekError, InputFormatError, InvalidRequestError
from deepseek_async.resources.parameters import chat_parameters
from deepseek_async.structured import AnswerForm

DEFAULT_MODEL: Final = "deepseek-flash"
MAX_ROW_BYTES: Final = ACCEPTED_BYTES
"""No request that DeepSeek takes is longer."""

_MAPPINGS: Final = (dict, Mapping)
"""dict first, because to ask an abstract class takes time."""
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
    """A request, or the reason why this row is none."""

    index: int
    """Position among the rows, from 0."""
    line: int
    """Line of the file, or position in the iterable, from 1."""
    custom_id: str | None = None
    body: Mapping[str, Any] | None = None
    """The request in the API's form; None when ``error`` is set."""
    error: InputFormatError | None = None
    text: bytes = b""
    """What could not be read, kept to tell equal bad rows apart; or what a row is known by in place of its request."""
    form: AnswerForm | None = None
    """What its answer has to fit; ``body`` asks for it."""
    columns: Mapping[str, Any] | None = None
    """What stands beside the request, for who joins the answers with it; it is not sent."""
    endpoint: BatchEndpoint | None = None
    """Where it goes; None for chat."""


class Defaults(msgspec.Struct, frozen=True):
    """What a row that does not say otherwise is sent with."""

    model: str = DEFAULT_MODEL
    parameters: Mapping[str, Any] = {}
    template: str | None = None
    """A prompt with ``{column}`` places, for rows that are records and not requests."""
    id_column: str | None = None
    """The column, or key, that holds each row's id; None for ``custom_id``, in the rows that have one."""
    form: AnswerForm | None = None
    """What the answers have to fit, but for rows with a ``response_format`` of their own."""

    empty: Empty = "refuse"
    """What becomes of rows that would ask about an empty, null or NaN cell."""
    max_row_bytes: int = MAX_ROW_BYTES
    """A line, or record, of a file that is longer is a bad row, and is never held in memory."""

    def __post_init__(self) -> None:
        checked_empty(self.empty)
        if type(self.max_row_bytes) is not int or self.max_row_bytes < 1:
            raise ConfigurationError(
                f"max_row_bytes must be a whole number of bytes above 0, not {self.max_row_bytes!r}",
            )
        if not isinstance(self.model, str) or not self.model.strip():
            raise ConfigurationError(f"model must be a model's name, for example {DEFAULT_MODEL!r}, not {self.model!r}")

    def leaves_out(self, error: DeepSeekError | None) -> bool:
        """Whether a row with that error is to be passed over."""
        return self.empty == "skip" and isinstance(error, InputFormatError) and error.column is not None


class RowReader:
    """Brings values to rows, in order. ``path`` is named in errors; empty for an iterable.

    With ``wanted``, rows at whose position it holds 0 need not be read: see ``wants_next``.
    Raises ConfigurationError for a template that is none.
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
        """The keys that the template asks about."""

    def reads_table(self, columns: Sequence[str], *, typed: bool) -> None:
        """Every value that comes is a row of a table with these columns. Raises ConfigurationError."""
        self._values = "table" if typed else "text"
        if self._defaults.template is not None:
            self._template = Template(self._defaults.template, columns, frozenset() if typed else WRITTEN_EMPTY)
            asked = {*self._template.columns, self._id_column}
            self._others = [name for name in columns if name not in asked]

    @property
    def id_column(self) -> str:
        """The key that holds the ids."""
        return self._id_column

    @property
    def wants_all(self) -> bool:
        """Whether ``wants_next`` need not be asked."""
        return self._wanted is None

    def wants_next(self) -> bool:
        """Whether the next row is to be read. If not, it is passed over."""
        wanted = self._wanted
        if wanted is None or (self._index < len(wanted) and wanted[self._index]):
            return True
        self._index += 1
        return False

    def read(self, value: Any, line: int | None = None, form: AnswerForm | None = None) -> Row:
        """The row for a str, a list of messages, a mapping of parameters or an OpenAI Batch line.

        ``form`` is that of its answer, in place of that of all rows. Never raises for a bad value: the row then
        carries the error.
        """
        index, self._index = self._index, self._index + 1
        line = index + 1 if line is None else line
        custom_id = None
        try:
            if type(value) is str:
                pass  # a prompt, which has no id; to ask an abstract class costs a row half a microsecond
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
            row = self._bad(index, line, error, repr(value).encode("utf-8", "replace"))
            return msgspec.structs.replace(row, custom_id=custom_id, columns=self._beside(value))

    def unreadable(self, line: int, reason: str, text: bytes) -> Row:
        """The row for a line that could not even be parsed."""
        index, self._index = self._index, self._index + 1
        return self._bad(index, line, InvalidRequestError(reason), text)

    def too_long(self, line: int, size: int | None = None, text: bytes = b"") -> Row:
        """The row for a line of more bytes than a row may have."""
        most = self._defaults.max_row_bytes
        has = f"more than {most:,} bytes" if size is None else f"{size:,} bytes, and may have {most:,}"
        return self.unreadable(line, f"it has {has}: split it, or allow more (max_row_bytes, --max-row-bytes)", text)

    def _without_id(self, index: int, line: int, value: Any) -> Row:
        reason = f"it has no id: there is nothing under {self._id_column!r}"
        return self._bad(index, line, InvalidRequestError(reason), repr(value).encode("utf-8", "replace"))

    def _bad(self, index: int, line: int, reason: InvalidRequestError, text: bytes) -> Row:
        return Row(index, line, error=placed(reason, self._path, line), text=text)

    def _request(self, value: Any) -> tuple[Mapping[str, Any], Mapping[str, Any] | None, BatchEndpoint | None]:
        """The parameters, what stands beside them, and where they go. Raises InvalidRequestError."""
        if self._template is not None:
            if not isinstance(value, _MAPPINGS):
                raise InvalidRequestError(f"a template needs an object with named columns, not {_kind(value)}")
            return {"prompt": self._template.fill(value, self._defaults.empty)}, self._beside(value), None
        if isinstance(value, str):
            return {"prompt": value}, None, None
        if isinstance(value, _MAPPINGS):
            if "body" in value:
                # OpenAI's own line has no other keys.
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
            return self._request(value.as_py())  # of pyarrow
        raise InvalidRequestError(
            f"expected a prompt, a list of messages or an object with one of them, not {_kind(value)}",
        )

    def _beside(self, value: Any) -> Mapping[str, Any] | None:
        """What stands beside the request, under the names there; None if there is nothing."""
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
                f"the answers are to fit a schema, and {endpoint.url} cannot be told: give them a job of their own",
            )
        # No model of vectors is one of chat, so a row of theirs has to name its own where the job names none.
        named = endpoint.answers_in_text or self._model != DEFAULT_MODEL
        return endpoint.body(given, self._model if named else None, self._parameters)

    def _body(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        defaults = self._parameters
        if not defaults:
            merged = {"model": self._model, **parameters}
        else:
            if any(parameters.get(name) is not None for name in _CAPS):
                # Two names of one thing: the row's wins, whichever of them it uses.
                defaults = {name: value for name, value in defaults.items() if name not in _CAPS}
            merged = {"model": self._model, **defaults, **parameters}
        if "messages" not in merged:
            merged["messages"] = prompt_messages(parameters, self._values, self._defaults.empty)
            del merged["prompt"]
        return _checked(merged)


def _enclosed(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request in a line of OpenAI's Batch. Raises InvalidRequestError."""
    body = line["body"]
    if line.get("method", "POST") != "POST":
        raise InvalidRequestError(f"method is {line['method']!r}; a batch sends POST")
    if not isinstance(body, _MAPPINGS):
        raise InvalidRequestError(f"body must be an object, not {_kind(body)}")
    return body


def _refuse_flat(url: Any) -> None:
    """Raise InvalidRequestError for a record that names another endpoint than chat, to which it would be sent.

    Only for urls as OpenAI writes them: a column ``url`` is the user's, and shorter paths are those of web pages too.
    """
    if isinstance(url, str) and url.startswith("/v1/") and is_other_endpoint(url):
        raise InvalidRequestError(
            f"url is {url!r}, and there is no body: put what is asked there into an object of that name, or give the "
            "column another name if it is no address of a request",
        )


def placed(reason: InvalidRequestError, path: str, line: int) -> InputFormatError:
    """``reason`` with where the row stands; without a ``path`` it is one of an iterable."""
    place = f"{path}, line {line}" if path else f"request {line}"
    column = reason.column if isinstance(reason, EmptyCellError) else None
    return InputFormatError(f"{place}: {reason.message}", path=path, line=line, column=column)


def is_id(text: str) -> bool:
    """Whether ``text`` can be a row's id: control characters would come to a terminal with it."""
    return bool(text) and (text.isprintable() or _NO_ID.search(text) is None)


def check_columns(
    defaults: Defaults,
    columns: Sequence[str],
    table: str,
    written: Sequence[str] | None = None,
) -> None:
    """Raise ConfigurationError for a table that has not what is asked for.

    ``table`` says what it has; ``written`` are the names of its columns before they were told apart.
    """
    wanted = [] if defaults.template is None else Template(defaults.template, columns).columns
    for name in wanted:
        if name not in columns:
            raise ConfigurationError(f"the template names the column {name!r}; {table}")
    if defaults.id_column is not None and defaults.id_column not in columns:
        raise ConfigurationError(f"the ids are to be in the column {defaults.id_column!r}; {table}")
    if not wanted and _REQUESTED.isdisjoint(columns):
        raise ConfigurationError(
            f"without a column prompt or messages a table needs a template, for example 'Summarise: {{text}}'; {table}",
        )
    asked = {*(wanted or PARAMETERS), defaults.id_column or _CUSTOM_ID}
    for name in written or columns:
        if name in asked and (written or columns).count(name) > 1:
            raise ConfigurationError(f"there is more than one column {name!r}; {table}")


def overridden(row: Row, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The row's request under other parameters; None takes one away. Raises InvalidRequestError."""
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
        return merged  # nothing to translate or to leave out
    if "max_completion_tokens" in merged:
        # It is compared with max_tokens, which therefore has to come first.
        merged["max_completion_tokens"] = merged.pop("max_completion_tokens")
    del merged["model"], merged["messages"]
    # A batch reads whole answers; the answer is the same.
    for name in _NOT_SENT:
        merged.pop(name, None)
    return chat_parameters(model, messages, merged)


def _messages(value: Sequence[Any]) -> Sequence[Any]:
    """Raises InvalidRequestError for a list of requests, which the API would take for a broken conversation."""
    for item in value:
        if isinstance(value, tuple) and not isinstance(item, Mapping):
            raise InvalidRequestError(
                f"a tuple of {', '.join(map(_kind, value))} does not say what of it is asked: give an object, for "
                'example {"custom_id": …, "prompt": …}, and a data frame as it is',
            )
        if isinstance(item, _NO_MESSAGES) or (isinstance(item, Mapping) and not item.keys().isdisjoint(_REQUESTS)):
            raise InvalidRequestError(
                "a list of requests, where one request is expected: give each its own line (jq -c '.[]'); a list is a "
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
        return str(int(value))  # data frames make floats of whole numbers where one is missing
    if not isinstance(value, str) or not value:
        raise InvalidRequestError(f"{column} must be a non-empty string, not {value!r}")
    raise InvalidRequestError(f"{column} holds control characters or a lone surrogate")
