"""Body of a request from the arguments of a call, for every endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deepseek_async.errors import InvalidRequestError
from deepseek_async.text.omitted import is_omitted

Check = Callable[[dict[str, Any]], object]
"""Converts a body to the API's format, in place. Raises InvalidRequestError for one that would be refused."""


def request_body(
    check: Check,
    required: Mapping[str, Any],
    parameters: Mapping[str, Any],
    extra_body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what is ``required`` and those ``parameters`` that are given, checked, and ``extra_body``, unchecked."""
    body = {**required, **given(parameters)}
    check(body)
    if extra_body is not None:
        body.update(further(extra_body))
    return body


def given(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that are given: strict servers reject nulls."""
    # Falsy values only are looked at closely: the marks of openai-python are falsy too.
    return {name: value for name, value in parameters.items() if value or (value is not None and not is_omitted(value))}


def further(extra_body: Any) -> Mapping[str, Any]:
    """Return the fields of ``extra_body``. Raises InvalidRequestError if it is not a mapping."""
    if extra_body is not None and not isinstance(extra_body, Mapping) and not is_omitted(extra_body):
        raise InvalidRequestError(f"extra_body must be a mapping, got {type(extra_body).__name__}")
    return extra_body or {}
