"""Records (table rows or JSON objects) split into request parameters and carried columns. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import isnan
from typing import Any, Final, Literal

from deepseek_async.batch.cells import (
    LONGEST_EMPTY,
    WRITTEN_EMPTY,
    Empty,
    EmptyCellError,
    UnreadableCell,
    as_text,
    emptiness,
    from_text,
    is_empty,
    is_missing,
    whole,
    without_nulls,
)
from deepseek_async.errors import InvalidRequestError
from deepseek_async.lint.translation import KNOWN

Values = Literal["json", "table", "text"]
"""Source of a record's values: JSON or Python, a typed table, or a text-only table."""

EXTRA_BODY: Final = "extra_body"
PARAMETERS: Final = KNOWN | {"prompt", EXTRA_BODY}
"""Keys that belong to the request. All others are the user's columns and are not sent."""

_ASKING: Final = frozenset({"prompt", "messages"})
_AS_IT_IS: Final = frozenset({str, int, bool, list, dict})
"""Types whose values need no conversion."""
_WHOLE: Final = frozenset({"max_tokens", "max_completion_tokens", "n", "top_logprobs"})
_TEXTS: Final = frozenset({"model", "prompt", "reasoning_effort", "stop", "user_id"})
"""Parameters that stay text, even if they look like a number or JSON."""
_NOTHING: Final = frozenset[str]()


def divided(
    record: Mapping[str, Any],
    values: Values,
    id_column: str,
) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """Split a record into parameters and carried columns, or None if there are none.

    Null and NaN count as absent, because a table cannot omit a value. Raises InvalidRequestError.
    """
    given, beside = dict[str, Any](), dict[str, Any]()
    typed = values == "json"
    for name, value in record.items():
        if name == id_column and name not in _ASKING:
            continue
        if name not in PARAMETERS:
            beside[name] = value
        elif name == "prompt" or (typed and _is_as_it_is(name, value)):
            given[name] = value
        elif not (is_missing(value) or (values == "text" and is_empty(value, WRITTEN_EMPTY))):
            given[name] = _parameter(name, value, values)
    if "messages" not in given and "prompt" not in given:
        if "messages" in record:
            word = emptiness(record["messages"])
            raise EmptyCellError(f"messages is {word}, and there is no prompt", column="messages")
        names = ", ".join(map(str, record)) or "none"
        raise InvalidRequestError(f"messages or prompt required, got keys: {names}")
    if "messages" in given and "prompt" in given:
        beside["prompt"] = given.pop("prompt")  # messages take precedence; the prompt is carried
    return unpacked(given), beside or None


def _is_as_it_is(name: str, value: Any) -> bool:
    """Whether a parameter needs no conversion; true of most."""
    kind = type(value)
    return (kind in _AS_IT_IS and name != "user_id") or (kind is float and not isnan(value) and name not in _WHOLE)


def unpacked(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``parameters`` with those in ``extra_body`` merged in. Raises InvalidRequestError."""
    if EXTRA_BODY not in parameters:
        return parameters
    extra = parameters[EXTRA_BODY]
    if not isinstance(extra, Mapping | None):
        raise InvalidRequestError(f"{EXTRA_BODY} must be an object of further parameters, got {type(extra).__name__}")
    return {name: value for name, value in parameters.items() if name != EXTRA_BODY} | dict(extra or {})


def prompt_messages(record: Mapping[str, Any], values: Values, empty: Empty) -> list[dict[str, str]]:
    """Return the messages for a prompt. Raises InvalidRequestError, and EmptyCellError for an empty prompt."""
    if "prompt" not in record:
        names = ", ".join(map(str, record)) or "none"
        raise InvalidRequestError(f"messages or prompt required, got keys: {names}")
    prompt = record["prompt"]
    if type(prompt) is str and len(prompt) > LONGEST_EMPTY and not prompt.isspace():
        return [{"role": "user", "content": prompt}]
    written_empty = WRITTEN_EMPTY if values == "text" else _NOTHING
    if is_empty(prompt, written_empty):
        if empty != "send":
            raise EmptyCellError(f"the prompt is {emptiness(prompt)}", column="prompt")
        prompt = prompt if isinstance(prompt, str) and prompt not in written_empty else ""
    elif isinstance(prompt, bytes | UnreadableCell):
        try:
            prompt = as_text(prompt)
        except InvalidRequestError as error:
            raise InvalidRequestError(f"prompt contains {error.message}") from None
    elif not isinstance(prompt, str):
        raise InvalidRequestError(f"prompt must be a string, got {type(prompt).__name__}")
    return [{"role": "user", "content": prompt}]


def _parameter(name: str, value: Any, values: Values) -> Any:
    if isinstance(value, UnreadableCell):
        raise InvalidRequestError(f"{name} cannot be read ({value.reason})")
    if values != "json":
        if isinstance(value, str) and (values == "text" or name == "messages"):
            value = from_text(value, number=name not in _TEXTS)
        elif hasattr(value, "tolist"):
            value = value.tolist()  # a NumPy array
        value = without_nulls(value)
    if name in _WHOLE:
        return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else whole(value)
    if isinstance(value, Decimal):
        return float(value)
    if name == "user_id" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(whole(value))
    return value
