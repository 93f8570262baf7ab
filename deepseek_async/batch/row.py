"""One row of a job: what a user may hand in, brought to one form. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from deepseek_async.errors import ConfigurationError, InputFormatError, InvalidRequestError
from deepseek_async.resources.parameters import chat_parameters
from deepseek_async.structured import Form

DEFAULT_MODEL: Final = "deepseek-flash"

_MAPPINGS: Final = (dict, Mapping)
"""dict first, because to ask an abstract class costs a row half a microsecond."""
_NOT_SENT: Final = ("stream", "stream_options", "prompt")
_CUSTOM_ID: Final = "custom_id"
_REQUESTED: Final = frozenset({"prompt", "messages", "body"})
_REQUESTS: Final = _REQUESTED | {_CUSTOM_ID}
_CAPS: Final = ("max_tokens", "max_completion_tokens")
_TRANSLATED: Final = frozenset({*_NOT_SENT, *_CAPS[1:], "thinking"})
_ENDPOINTS: Final = frozenset({"/v1/chat/completions", "/chat/completions"})


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
    """What could not be read, kept to tell equal bad rows apart."""
    form: Form | None = None
    """What its answer has to fit; ``body`` asks for it."""


class Defaults(msgspec.Struct, frozen=True):
    """What a row that does not say otherwise is sent with."""

    model: str = DEFAULT_MODEL
    parameters: Mapping[str, Any] = {}
    template: str | None = None
    """A prompt with ``{column}`` places, for rows that are records and not requests."""
    id_column: str | None = None
    """The column, or key, that holds each row's id; None for ``custom_id``, in the rows that have one."""
    form: Form | None = None
    """What the answers have to fit, but for rows with a ``response_format`` of their own."""

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model.strip():
            raise ConfigurationError(f"model must be a model's name, for example {DEFAULT_MODEL!r}, not {self.model!r}")


class RowReader:
    """Brings values to rows, in order. ``path`` is named in errors; empty for an iterable.

    With ``wanted``, rows at whose position it holds 0 need not be read: see ``wants_next``.
    """

    def __init__(self, defaults: Defaults, path: str = "", wanted: Sequence[int] | None = None) -> None:
        self._defaults = defaults
        self._path = path
        self._wanted = wanted
        self._index = 0
        self._id_column = defaults.id_column or _CUSTOM_ID

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

    def read(self, value: Any, line: int | None = None, form: Form | None = None) -> Row:
        """The row for a str, a list of messages, a mapping of parameters or an OpenAI Batch line.

        ``form`` is that of its answer, in place of that of all rows. Never raises for a bad value: the row then
        carries the error.
        """
        index, self._index = self._index, self._index + 1
        line = index + 1 if line is None else line
        custom_id = None
        try:
            if isinstance(value, _MAPPINGS) and self._id_column in value:
                custom_id = _identifier(value[self._id_column], self._id_column)
            if custom_id is None and self._defaults.id_column is not None:
                return self._without_id(index, line, value)
            parameters = self._parameters(value)
            body = self._body(parameters)
            form = form or self._defaults.form
            if form is None or parameters.get("response_format") is not None:
                return Row(index, line, custom_id, body)
            return Row(index, line, custom_id, form.adapted(body), form=form)
        except InvalidRequestError as error:
            return self._bad(index, line, error.message, repr(value).encode("utf-8", "replace"), custom_id)

    def unreadable(self, line: int, reason: str, text: bytes) -> Row:
        """The row for a line that could not even be parsed."""
        index, self._index = self._index, self._index + 1
        return self._bad(index, line, reason, text)

    def _without_id(self, index: int, line: int, value: Any) -> Row:
        reason = f"it has no id: there is nothing under {self._id_column!r}"
        return self._bad(index, line, reason, repr(value).encode("utf-8", "replace"))

    def _bad(self, index: int, line: int, reason: str, text: bytes, custom_id: str | None = None) -> Row:
        place = f"{self._path}, line {line}" if self._path else f"request {line}"
        error = InputFormatError(f"{place}: {reason}", path=self._path, line=line)
        return Row(index, line, custom_id, error=error, text=text)

    def _parameters(self, value: Any) -> Mapping[str, Any]:
        if self._defaults.template is not None:
            return self._from_template(value, self._defaults.template)
        if isinstance(value, str):
            return {"prompt": value}
        if isinstance(value, _MAPPINGS):
            return self._from_mapping(value)
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
            return {"messages": _messages(value)}
        raise InvalidRequestError(
            f"expected a prompt, a list of messages or an object with one of them, not {_kind(value)}",
        )

    def _from_mapping(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        if "body" not in value:
            ids = {_CUSTOM_ID, self._id_column}
            if ids.isdisjoint(value):
                return value
            return {name: item for name, item in value.items() if name not in ids or name in _REQUESTED}
        url, method = value.get("url", "/v1/chat/completions"), value.get("method", "POST")
        if url not in _ENDPOINTS:
            raise InvalidRequestError(f"url is {url!r}; a batch sends /v1/chat/completions")
        if method != "POST":
            raise InvalidRequestError(f"method is {method!r}; a batch sends POST")
        body = value["body"]
        if not isinstance(body, _MAPPINGS):
            raise InvalidRequestError(f"body must be an object, not {_kind(body)}")
        return body

    def _from_template(self, value: Any, template: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise InvalidRequestError(f"a template needs an object with named columns, not {_kind(value)}")
        try:
            prompt = template.format_map(value)
        except KeyError as error:
            raise InvalidRequestError(
                f"the template names the column {error}, and the row has: {', '.join(map(str, value))}",
            ) from None
        except (ValueError, IndexError, AttributeError, TypeError) as error:
            raise InvalidRequestError(f"the template cannot be filled: {error}") from None
        return {"prompt": prompt}

    def _body(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        defaults = self._defaults.parameters
        if not defaults:
            merged = {"model": self._defaults.model, **parameters}
        else:
            if any(parameters.get(name) is not None for name in _CAPS):
                # Two names of one thing: the row's wins, whichever of them it uses.
                defaults = {name: value for name, value in defaults.items() if name not in _CAPS}
            merged = {"model": self._defaults.model, **defaults, **parameters}
        if "messages" not in merged:
            merged["messages"] = _prompt_messages(parameters)
            del merged["prompt"]
        return _checked(merged)


def overridden(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The request under other parameters; None takes one away. Raises InvalidRequestError."""
    if any(name in parameters for name in _CAPS):
        body = {name: value for name, value in body.items() if name not in _CAPS}
    return _checked({**body, **parameters})


def _checked(merged: dict[str, Any]) -> dict[str, Any]:
    model, messages = merged["model"], merged["messages"]
    if (
        merged.keys().isdisjoint(_TRANSLATED)
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
    return chat_parameters(model, messages, {}, merged)


def _prompt_messages(parameters: Mapping[str, Any]) -> list[dict[str, str]]:
    """Raises InvalidRequestError if there is no prompt."""
    if "prompt" not in parameters:
        raise InvalidRequestError(
            f"neither messages nor prompt among its keys: {', '.join(map(str, parameters)) or 'none'}",
        )
    prompt = parameters["prompt"]
    if not isinstance(prompt, str):
        raise InvalidRequestError(f"prompt must be a string, not {_kind(prompt)}")
    if not prompt.strip():
        raise InvalidRequestError("the prompt is empty")
    return [{"role": "user", "content": prompt}]


def _messages(value: Sequence[Any]) -> Sequence[Any]:
    """Raises InvalidRequestError for a list of requests, which the API would take for a broken conversation."""
    first = value[0] if value else None
    if isinstance(first, str) or (isinstance(first, Mapping) and not first.keys().isdisjoint(_REQUESTS)):
        raise InvalidRequestError(
            "a list of requests, where one request is expected: give each its own line (jq -c '.[]')",
        )
    return value


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _identifier(value: Any, column: str) -> str | None:
    if value is None:
        return None
    if type(value) is str and value and value.isprintable():
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # data frames make floats of whole numbers where one is missing
    if not isinstance(value, str) or not value:
        raise InvalidRequestError(f"{column} must be a non-empty string, not {value!r}")
    raise InvalidRequestError(f"{column} holds control characters or a lone surrogate")
