"""Schema of request fields, with the error messages of a typed deserializer. Pure.

The live application server is written in Rust with serde; the wording follows its error messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Check = Callable[[Any], None]


class WrongShapeError(Exception):
    """A deserializer error."""


class Field(NamedTuple):
    check: Check
    required: bool = False


Fields = Mapping[str, Field]


def check_fields(body: Any, fields: Fields, struct: str) -> None:
    """Check keys in the order of the body, as a deserializer does; unknown ones are skipped."""
    if not isinstance(body, dict):
        raise WrongShapeError(f"invalid type: {unexpected(body)}, expected struct {struct}")
    for key, value in body.items():
        field = fields.get(key)
        if field is not None and (value is not None or field.required):
            field.check(value)
    for key, field in fields.items():
        if field.required and key not in body:
            raise WrongShapeError(f"missing field `{key}`")


def unexpected(value: Any) -> str:
    """Describe a JSON value as serde does."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"boolean `{str(value).lower()}`"
    if isinstance(value, int):
        return f"integer `{value}`"
    if isinstance(value, float):
        return f"floating point `{value!r}`"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'string "{escaped}"'
    return "map" if isinstance(value, dict) else "sequence"


def _typed(accepted: type | tuple[type, ...], expected: str) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, accepted) or (isinstance(value, bool) and accepted is not bool):
            raise WrongShapeError(f"invalid type: {unexpected(value)}, expected {expected}")

    return check


def _unsigned(bits: int) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise WrongShapeError(f"invalid type: {unexpected(value)}, expected u{bits}")
        if not 0 <= value < 1 << bits:
            raise WrongShapeError(f"invalid value: {unexpected(value)}, expected u{bits}")

    return check


def _variant(*known: str) -> Check:
    listed = ", ".join(f"`{name}`" for name in known)
    expected = f"one of {listed}" if len(known) > 2 else " or ".join(f"`{name}`" for name in known)

    def check(value: Any) -> None:
        if not isinstance(value, str):
            raise WrongShapeError(f"invalid type: {unexpected(value)}, expected string or map")
        if value not in known:
            raise WrongShapeError(f"unknown variant `{value}`, expected {expected}")

    return check


def _struct(name: str, fields: Fields) -> Check:
    def check(value: Any) -> None:
        check_fields(value, fields, name)

    return check


def _sequence_of(item: Check) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, list):
            raise WrongShapeError(f"invalid type: {unexpected(value)}, expected a sequence")
        for entry in value:
            item(entry)

    return check


def _tagged(enum: str, tag: str, variants: Mapping[str, Fields]) -> Check:
    """Check an enum whose variant is named by one of the object's keys."""
    known = _variant(*variants)

    def check(value: Any) -> None:
        if not isinstance(value, dict):
            raise WrongShapeError(f"invalid type: {unexpected(value)}, expected internally tagged enum {enum}")
        if tag not in value:
            raise WrongShapeError(f"missing field `{tag}`")
        known(value[tag])
        check_fields(value, variants[value[tag]], enum)

    return check


def _anything(_value: Any) -> None:
    """Accept any value."""


_text = _typed(str, "a string")
_flag = _typed(bool, "a boolean")
_number = _typed((int, float), "f32")

_PARTS = _tagged(
    "ChatCompletionRequestContentBlock",
    "type",
    {
        "text": {"text": Field(_text, required=True)},
        "image_url": {
            "image_url": Field(
                _struct(
                    "ChatCompletionImageUrl",
                    {
                        "url": Field(_text, required=True),
                        "detail": Field(_variant("low", "high", "original", "auto")),
                    },
                ),
                required=True,
            )
        },
        "file": {"file_id": Field(_text), "file_data": Field(_text)},
    },
)


def _content(value: Any) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        raise WrongShapeError("content should be a string or a list")
    for part in value:
        _PARTS(part)


_REQUIRED_CONTENT: Fields = {"content": Field(_content, required=True), "name": Field(_text)}
_TOOL_CALL = _struct(
    "ChatCompletionRequestToolCall",
    {
        "id": Field(_text, required=True),
        "type": Field(_variant("function"), required=True),
        "function": Field(
            _struct(
                "ChatCompletionRequestFunctionCall",
                {"name": Field(_text, required=True), "arguments": Field(_text, required=True)},
            ),
            required=True,
        ),
    },
)
_MESSAGE = _tagged(
    "ChatCompletionRequestMessage",
    "role",
    {
        "system": _REQUIRED_CONTENT,
        "user": _REQUIRED_CONTENT,
        "assistant": {
            "content": Field(_content),
            "name": Field(_text),
            "reasoning_content": Field(_text),
            "prefix": Field(_flag),
            "tool_calls": Field(_sequence_of(_TOOL_CALL)),
        },
        "tool": {"content": Field(_content, required=True), "tool_call_id": Field(_text, required=True)},
        "latest_reminder": _REQUIRED_CONTENT,
    },
)
_TOOL = _struct(
    "ChatCompletionTool",
    {
        "type": Field(_variant("function"), required=True),
        "function": Field(
            _struct(
                "ChatCompletionFunction",
                {
                    "name": Field(_text, required=True),
                    "description": Field(_text),
                    "parameters": Field(_anything),
                    "strict": Field(_flag),
                },
            ),
            required=True,
        ),
    },
)


def _tool_choice(value: Any) -> None:
    if value in ("none", "auto", "required"):
        return
    if not isinstance(value, dict) or "type" not in value:
        raise WrongShapeError("expected one of `none`, `auto`, `required` or a tool")
    if value["type"] != "function":
        raise WrongShapeError(f"field `type`: unknown variant `{value['type']}`, expected `function`")
    function = value.get("function")
    try:
        check_fields(function, {"name": Field(_text, required=True)}, "ChatCompletionToolChoiceFunction")
    except WrongShapeError as wrong:
        raise WrongShapeError(f"field `function`: {wrong}") from None


def _stop(value: Any) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        raise WrongShapeError("expected a string or a list")
    for text in value:
        _text(text)


_SHARED_FIELDS: Fields = {
    "model": Field(_text, required=True),
    "max_tokens": Field(_unsigned(32)),
    "temperature": Field(_number),
    "top_p": Field(_number),
    "frequency_penalty": Field(_number),
    "presence_penalty": Field(_number),
    "stop": Field(_stop),
    "stream": Field(_flag),
    "stream_options": Field(_struct("ChatCompletionStreamOptions", {"include_usage": Field(_flag)})),
}
CHAT_FIELDS: Fields = {
    "messages": Field(_sequence_of(_MESSAGE), required=True),
    **_SHARED_FIELDS,
    "thinking": Field(
        _struct(
            "ChatCompletionThinking",
            {"type": Field(_variant("adaptive", "enabled", "disabled"), required=True)},
        )
    ),
    "reasoning_effort": Field(_variant("none", "minimal", "low", "medium", "high", "xhigh", "ultra", "max")),
    "response_format": Field(
        _tagged(
            "ChatCompletionResponseFormat",
            "type",
            {
                "json_object": {},
                "json_schema": {
                    "json_schema": Field(
                        _struct(
                            "ChatCompletionResponseFormatJsonSchema",
                            {"schema": Field(_anything, required=True)},
                        ),
                        required=True,
                    )
                },
                "regex": {"regex": Field(_text, required=True)},
                "text": {},
            },
        )
    ),
    "tools": Field(_sequence_of(_TOOL)),
    "tool_choice": Field(_tool_choice),
    "logprobs": Field(_flag),
    "top_logprobs": Field(_unsigned(8)),
    "n": Field(_unsigned(8)),
    "seed": Field(_unsigned(64)),
    "parallel_tool_calls": Field(_flag),
    "safety_check": Field(_struct("ChatCompletionSafetyCheck", {"level": Field(_text)})),
    "title": Field(_struct("ChatCompletionTitle", {"enabled": Field(_flag)})),
}
FIM_FIELDS: Fields = {
    "prompt": Field(_text, required=True),
    **_SHARED_FIELDS,
    "suffix": Field(_text),
    "echo": Field(_flag),
    "logprobs": Field(_unsigned(8)),
}
