"""Types of what a chat request contains, by openai-python's names, for annotations. A dict is what is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict


class FunctionDefinition(TypedDict):
    """A function that the model may call; ``strict`` has the service enforce the schema (beta)."""

    name: str
    description: NotRequired[str]
    parameters: NotRequired[dict[str, Any]]
    strict: NotRequired[bool | None]


class ChatCompletionFunctionToolParam(TypedDict):
    """A tool of type function."""

    type: Literal["function"]
    function: FunctionDefinition


ChatCompletionToolParam: TypeAlias = ChatCompletionFunctionToolParam
ChatCompletionToolUnionParam: TypeAlias = ChatCompletionFunctionToolParam | Mapping[str, Any]
"""A function, or a tool of the service's own: ``{"type": "deepseek_web_search"}``."""


class ChatCompletionContentPartTextParam(TypedDict):
    """Text."""

    type: Literal["text"]
    text: str


class ImageURL(TypedDict):
    """The address of an image, or a data URL."""

    url: str
    detail: NotRequired[Literal["auto", "low", "high", "original"]]


class ChatCompletionContentPartImageParam(TypedDict):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageURL


class ChatCompletionContentPartRefusalParam(TypedDict):
    """A refusal of the model."""

    type: Literal["refusal"]
    refusal: str


class File(TypedDict):
    """A file uploaded before: DeepSeek's form."""

    type: Literal["file"]
    file_id: str


ChatCompletionContentPartParam: TypeAlias = (
    ChatCompletionContentPartTextParam | ChatCompletionContentPartImageParam | File
)


class FunctionCall(TypedDict):
    """The function that the model called."""

    name: str
    arguments: str


class ChatCompletionMessageFunctionToolCallParam(TypedDict):
    """A call in the history."""

    id: str
    type: Literal["function"]
    function: FunctionCall


ChatCompletionMessageToolCallParam: TypeAlias = ChatCompletionMessageFunctionToolCallParam
ChatCompletionMessageToolCallUnionParam: TypeAlias = ChatCompletionMessageFunctionToolCallParam


class ChatCompletionSystemMessageParam(TypedDict):
    """Instructions."""

    role: Literal["system"]
    content: str | Iterable[ChatCompletionContentPartTextParam]
    name: NotRequired[str]


class ChatCompletionDeveloperMessageParam(TypedDict):
    """Instructions, by OpenAI's newer name of the role."""

    role: Literal["developer"]
    content: str | Iterable[ChatCompletionContentPartTextParam]
    name: NotRequired[str]


class ChatCompletionUserMessageParam(TypedDict):
    """What the user says."""

    role: Literal["user"]
    content: str | Iterable[ChatCompletionContentPartParam]
    name: NotRequired[str]


class ChatCompletionAssistantMessageParam(TypedDict):
    """What the model has said."""

    role: Literal["assistant"]
    content: NotRequired[
        str | Iterable[ChatCompletionContentPartTextParam | ChatCompletionContentPartRefusalParam] | None
    ]
    reasoning_content: NotRequired[str | None]
    """DeepSeek's; it must be sent back while thinking with tools."""
    tool_calls: NotRequired[Iterable[ChatCompletionMessageToolCallUnionParam]]
    refusal: NotRequired[str | None]
    name: NotRequired[str]
    prefix: NotRequired[bool]
    """DeepSeek's: the answer continues this text (beta)."""


class ChatCompletionToolMessageParam(TypedDict):
    """The result of a call."""

    role: Literal["tool"]
    content: str | Iterable[ChatCompletionContentPartTextParam]
    tool_call_id: str


class ChatCompletionFunctionMessageParam(TypedDict):
    """The result of a call, by OpenAI's older name of the role."""

    role: Literal["function"]
    content: str | None
    name: str


ChatCompletionMessageParam: TypeAlias = (
    ChatCompletionDeveloperMessageParam
    | ChatCompletionSystemMessageParam
    | ChatCompletionUserMessageParam
    | ChatCompletionAssistantMessageParam
    | ChatCompletionToolMessageParam
    | ChatCompletionFunctionMessageParam
)


class _NamedFunction(TypedDict):
    name: str


class ChatCompletionNamedToolChoiceParam(TypedDict):
    """The function that the model must call."""

    type: Literal["function"]
    function: _NamedFunction


ChatCompletionToolChoiceOptionParam: TypeAlias = (
    Literal["none", "auto", "required"] | ChatCompletionNamedToolChoiceParam
)


class ChatCompletionStreamOptionsParam(TypedDict, total=False):
    """Options of a stream."""

    include_usage: bool


ChatCompletionRole: TypeAlias = Literal["developer", "system", "user", "assistant", "tool", "function"]
ChatCompletionReasoningEffort: TypeAlias = str | None


class ResponseFormatText(TypedDict):
    """Plain text, the default."""

    type: Literal["text"]


class ResponseFormatJSONObject(TypedDict):
    """A JSON object; the messages must contain the word "json"."""

    type: Literal["json_object"]


ResponseFormat: TypeAlias = ResponseFormatText | ResponseFormatJSONObject
