"""A request's parameters to the bytes that are sent, once; a retry sends the same bytes again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

import orjson

from deepseek_async.codec.limits import ACCEPTED_BYTES, MAX_REQUEST_BYTES
from deepseek_async.errors import InvalidRequestError
from deepseek_async.types import ChatCompletionMessage, ContentBlock, Message, ResponseOutputItem

CHAT: Final = "/chat/completions"
BETA: Final = "/beta/"
"""How the paths below DeepSeek's beta base begin; no other server has one."""
MESSAGES: Final = "/anthropic/v1/messages"
MESSAGES_ELSEWHERE: Final = "/messages"
"""Below the base URL of a server that has nothing but Anthropic's format."""
BETA_CHAT: Final = "/beta/chat/completions"
"""Serves what CHAT serves, and prefix completion and strict tools (DeepSeek docs, Chat Prefix Completion)."""

_OF_ANSWERS: Final = (ChatCompletionMessage, ContentBlock, Message, ResponseOutputItem)
"""What an answer holds that goes back as a part of the conversation."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def encode_request(parameters: Mapping[str, Any], limit: int = MAX_REQUEST_BYTES) -> bytes:
    """``parameters`` as JSON, ``limit`` bytes at most.

    Raises InvalidRequestError, naming the place, for what JSON or a name cannot carry.
    """
    model = parameters.get("model")
    if model.__class__ is not str or not model.isprintable():
        _check_name("model", model)
    if "user_id" in parameters or "user" in parameters:
        _check_name("user_id", parameters.get("user_id"))
        _check_name("user", parameters.get("user"))
    try:
        # Copied, because orjson's bytes keep their working buffer: 8 KB for a short request, which a stream
        # would hold as long as it may have to be sent again.
        body = memoryview(orjson.dumps(parameters, _as_sent)).tobytes()
    except TypeError as error:
        try:
            explanation = _explain(parameters) or f"the request cannot be written as JSON: {error}"
        except RecursionError:
            explanation = "the request cannot be written as JSON: it holds itself, or is nested too deeply"
        raise InvalidRequestError(explanation) from None
    if body.find(b"null") >= 0 and (place := _not_finite(parameters, "")):
        raise InvalidRequestError(place)  # written as null, and so asked for something else
    if len(body) > limit:
        raise InvalidRequestError(
            f"the request is {len(body):,} bytes, limits.request is {limit:,} and DeepSeek takes {ACCEPTED_BYTES:,} "
            "at most. Send large images as file references, or split the prompt",
        )
    return body


def _check_name(field: str, name: Any) -> None:
    """Names come back in logs, in errors and in other requests. Raises InvalidRequestError."""
    if isinstance(name, str) and not name.isprintable():
        raise InvalidRequestError(f"{field} holds a line break, a NUL or another control character: {name!r:.200}")


def _as_sent(value: Any) -> Any:
    """What an answer holds, appended to the conversation, in the form in which the API takes it back."""
    if isinstance(value, _OF_ANSWERS):
        return value.to_request()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _explain(value: Any, path: str = "") -> str | None:
    """Where in ``value`` the first thing stands that JSON cannot carry, and what it is."""
    if isinstance(value, _OF_ANSWERS):
        value = value.to_request()
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                return (
                    f"{path or 'the request'} has the key {name!r:.80}, a {type(name).__name__}: JSON has strings only"
                )
            explanation = _surrogate_in(name, f"a key of {path or 'the request'}") or _explain(
                item,
                f"{path}.{name}" if path else name,
            )
            if explanation:
                return explanation
        return None
    if isinstance(value, list | tuple):
        parts = (_explain(item, f"{path}[{index}]") for index, item in enumerate(value))
        return next((explanation for explanation in parts if explanation), None)
    if isinstance(value, str):
        return _surrogate_in(value, path)
    try:
        orjson.dumps(value)
    except TypeError:
        if isinstance(value, int):
            return f"{path} is {value!r:.30}, more than the 64 bits of a number in JSON"
        return f"{path} is a {type(value).__name__}, which JSON cannot carry"
    return None


def _not_finite(value: Any, path: str) -> str | None:
    """Where a number stands that is none: NaN or an infinity."""
    if isinstance(value, float):
        return None if isfinite(value) else f"{path} is {value}, which JSON cannot carry"
    if isinstance(value, Mapping):
        parts = (_not_finite(item, f"{path}.{name}" if path else str(name)) for name, item in value.items())
    elif isinstance(value, list | tuple):
        parts = (_not_finite(item, f"{path}[{index}]") for index, item in enumerate(value))
    else:
        return None
    return next((place for place in parts if place), None)


def _surrogate_in(text: str, place: str) -> str | None:
    surrogate = _SURROGATE.search(text)
    if not surrogate:
        return None
    return (
        f"{place} holds a lone surrogate (U+{ord(surrogate[0]):04X}) at character {surrogate.start()}, "
        "which UTF-8 cannot carry: half of an emoji, usually from cutting a string in a UTF-16 "
        "language. Replace it, for example with text.encode('utf-16', 'surrogatepass')"
        ".decode('utf-16', 'replace')"
    )
