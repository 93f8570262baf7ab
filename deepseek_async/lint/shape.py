"""Types of a chat request's fields, and a fast check for requests that need no rules.

The types are those accepted by DeepSeek's official request reader (deepseek-recipe 0.2.0).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from deepseek_async.lint.unknown import STRANGER

_Name = str | None
_Unsigned = Annotated[int, Meta(ge=0, lt=2**32)] | None
_Byte = Annotated[int, Meta(ge=0, lt=256)] | None


class _TextPart(msgspec.Struct, tag_field="type", tag="text"):
    text: str


class _ImageLink(msgspec.Struct):
    url: str
    detail: Literal["low", "high", "original", "auto"] | None = None


class _ImagePart(msgspec.Struct, tag_field="type", tag="image_url"):
    image_url: _ImageLink


class _FilePart(msgspec.Struct, tag_field="type", tag="file"):
    file_id: str | None = None
    file_data: str | None = None


class _OtherPart(msgspec.Struct, tag_field="type", tag=STRANGER):
    pass


_Content = str | list[_TextPart | _ImagePart | _FilePart | _OtherPart]


class _OtherMessage(msgspec.Struct, tag_field="role", tag=STRANGER):
    pass


class _System(msgspec.Struct, tag_field="role", tag="system"):
    content: _Content
    name: _Name = None


class _User(msgspec.Struct, tag_field="role", tag="user"):
    content: _Content
    name: _Name = None


class _Reminder(msgspec.Struct, tag_field="role", tag="latest_reminder"):
    content: str
    name: _Name = None


class _FunctionCall(msgspec.Struct):
    name: str
    arguments: str


class _ToolCall(msgspec.Struct, tag_field="type", tag="function"):
    id: str
    function: _FunctionCall


class _OtherTool(msgspec.Struct, tag_field="type", tag=STRANGER):
    pass


class _Assistant(msgspec.Struct, tag_field="role", tag="assistant"):
    content: _Content | None = None
    name: _Name = None
    reasoning_content: str | None = None
    prefix: bool | None = None
    tool_calls: list[_ToolCall | _OtherTool] | None = None


class _ToolResult(msgspec.Struct, tag_field="role", tag="tool"):
    content: _Content
    tool_call_id: str


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: Any = None
    strict: bool | None = None


class _Tool(msgspec.Struct, tag_field="type", tag="function"):
    function: _Function


class _ChosenFunction(msgspec.Struct):
    name: str


class _ChosenTool(msgspec.Struct):
    type: Literal["function"]
    function: _ChosenFunction


class _Thinking(msgspec.Struct):
    type: Literal["enabled", "disabled", "adaptive"]


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Schema(msgspec.Struct):
    schema: Any


class _TextFormat(msgspec.Struct, tag_field="type", tag="text"):
    pass


class _JsonFormat(msgspec.Struct, tag_field="type", tag="json_object"):
    pass


class _SchemaFormat(msgspec.Struct, tag_field="type", tag="json_schema"):
    json_schema: _Schema


class _RegexFormat(msgspec.Struct, tag_field="type", tag="regex"):
    regex: str


class _SafetyCheck(msgspec.Struct):
    level: str | None = None


class _Title(msgspec.Struct):
    enabled: bool | None = None


class _ChatShape(msgspec.Struct):
    model: str
    messages: list[_System | _User | _Assistant | _ToolResult | _Reminder | _OtherMessage]
    thinking: _Thinking | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "ultra", "max"] | None = None
    max_tokens: _Unsigned = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    n: _Byte = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    response_format: _TextFormat | _JsonFormat | _SchemaFormat | _RegexFormat | None = None
    tools: list[_Tool | _OtherTool] | None = None
    tool_choice: str | _ChosenTool | None = None
    logprobs: bool | None = None
    top_logprobs: _Byte = None
    seed: int | None = None
    parallel_tool_calls: bool | None = None
    safety_check: _SafetyCheck | None = None
    title: _Title | None = None


def shape_problem(request: dict[str, Any]) -> tuple[str, str] | None:
    """Return (field, problem) of the first field of a wrong type, or None."""
    try:
        msgspec.convert(request, _ChatShape)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `$")
        return place.rstrip("`").lstrip(".") or "request", said
    return None


_Text = Annotated[str, Meta(min_length=1)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)] | UnsetType


class _Turn(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "user", "assistant"]
    content: str


class _PlainThinking(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["enabled", "disabled"]


class _Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    model: _Text
    messages: Annotated[list[_Turn], Meta(min_length=1)]
    thinking: _PlainThinking | UnsetType = UNSET
    reasoning_effort: Literal["none", "low", "high", "max"] | UnsetType = UNSET
    max_tokens: Annotated[int, Meta(ge=1, le=393_216)] | UnsetType = UNSET
    temperature: Annotated[float, Meta(ge=0, le=2)] | UnsetType = UNSET
    top_p: Annotated[float, Meta(gt=0, le=1)] | UnsetType = UNSET
    frequency_penalty: _Penalty = UNSET
    presence_penalty: _Penalty = UNSET
    stop: _Text | Annotated[list[_Text], Meta(min_length=1, max_length=16)] | UnsetType = UNSET
    stream: bool | UnsetType = UNSET
    stream_options: _StreamOptions | UnsetType = UNSET


def is_beyond_doubt(body: Any) -> bool:
    """Whether a request is so plain that no rule can apply: text messages, parameters in range.

    True for most requests, at about 1 µs per check. Does not check the length.
    """
    try:
        plain = msgspec.convert(body, _Plain)
    except msgspec.ValidationError:
        return False
    return (plain.thinking is UNSET or plain.reasoning_effort is UNSET) and (
        plain.stream_options is UNSET or plain.stream is True
    )
