"""Encoding of request parameters to JSON, once per call; a retry sends the same bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

import orjson

from deepseek_async.codec.size_limits import ACCEPTED_BYTES, MAX_REQUEST_BYTES
from deepseek_async.errors import InvalidRequestError
from deepseek_async.types import ChatCompletionMessage, ContentBlock, Message, ResponseOutputItem

CHAT: Final = "/chat/completions"
BETA: Final = "/beta/"
"""Path prefix of DeepSeek's beta base; no other server has one."""
MESSAGES: Final = "/anthropic/v1/messages"
MESSAGES_ELSEWHERE: Final = "/messages"
"""Path of messages at a server that offers only Anthropic's format."""
BETA_CHAT: Final = "/beta/chat/completions"
"""Serves the same as CHAT, plus prefix completion and strict tools (DeepSeek docs, Chat Prefix Completion)."""

_OF_ANSWERS: Final = (ChatCompletionMessage, ContentBlock, Message, ResponseOutputItem)
"""Parts of an answer that may be sent back in the conversation."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def encode_request(parameters: Mapping[str, Any], limit: int = MAX_REQUEST_BYTES) -> bytes:
    """Return ``parameters`` as JSON, at most ``limit`` bytes.

    Raises InvalidRequestError, naming the place, for values that JSON, or a name, cannot represent.
    """
    model = parameters.get("model")
    if model.__class__ is not str or not model.isprintable():
        _check_name("model", model)
    if "user_id" in parameters or "user" in parameters:
        _check_name("user_id", parameters.get("user_id"))
        _check_name("user", parameters.get("user"))
    try:
        # Copied: orjson's bytes keep their working buffer, 8 KB for a short request, which a stream would hold as long
        # as it may have to be retried.
        body = memoryview(orjson.dumps(parameters, _as_sent)).tobytes()
    except TypeError as error:
        try:
            explanation = _explain(parameters) or f"cannot encode the request as JSON: {error}"
        except RecursionError:
            explanation = "cannot encode the request as JSON: it is recursive or nested too deeply"
        raise InvalidRequestError(explanation) from None
    if body.find(b"null") >= 0 and (place := _not_finite(parameters, "")):
        raise InvalidRequestError(place)  # would be encoded as null and change the request
    if len(body) > limit:
        raise InvalidRequestError(
            f"request too large: {len(body):,} bytes, limits.request is {limit:,}, and DeepSeek accepts at most "
            f"{ACCEPTED_BYTES:,}. Send large images as file references, or split the prompt",
        )
    return body


def _check_name(field: str, name: Any) -> None:
    """Reject control characters: names reappear in logs, errors and other requests. Raises InvalidRequestError."""
    if isinstance(name, str) and not name.isprintable():
        raise InvalidRequestError(f"{field} must not contain control characters, got {name!r:.200}")


def _as_sent(value: Any) -> Any:
    """Convert a part of an answer in the conversation to the form that the API accepts."""
    if isinstance(value, _OF_ANSWERS):
        return value.to_request()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


def _explain(value: Any, path: str = "") -> str | None:
    """Return the place and kind of the first value that JSON cannot represent, or None."""
    if isinstance(value, _OF_ANSWERS):
        value = value.to_request()
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                return f"keys of {path or 'the request'} must be strings, got {name!r:.80} ({type(name).__name__})"
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
            return f"{path} must fit into 64 bits, got {value!r:.30}"
        instead = "; pass model_dump(exclude_none=True) of it" if hasattr(value, "model_dump") else ""
        return f"{path} must be a JSON value, got {type(value).__name__}{instead}"
    return None


def _not_finite(value: Any, path: str) -> str | None:
    """Return the place of a NaN or an infinity, or None."""
    if isinstance(value, float):
        return None if isfinite(value) else f"{path} must be a finite number, got {value}"
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
        f"{place} contains a lone surrogate (U+{ord(surrogate[0]):04X}) at character {surrogate.start()}, "
        "which UTF-8 cannot encode: half of an emoji, usually from cutting a string in a UTF-16 "
        "language. Replace it, for example with text.encode('utf-16', 'surrogatepass')"
        ".decode('utf-16', 'replace')"
    )
