"""pydantic-ai's message history as a conversation in the API's format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import BaseModel
from pydantic_ai.messages import (
    BinaryContent,
    CachePoint,
    ImageUrl,
    InstructionPart,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RetryPromptPart,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UploadedFile,
    UserPromptPart,
)
from pydantic_core import PydanticSerializationError, to_json

from deepseek_async.errors import InvalidRequestError
from deepseek_async.lint.conversation import LOST_REASONING
from deepseek_async.text.unicode import all_encodable, encodable
from deepseek_async.types.json_text import write

SYSTEM: Final = "deepseek"
"""Provider name of messages and their parts."""
UNWRITABLE: Final = (PydanticSerializationError, UnicodeEncodeError)
"""What pydantic raises for text with a lone surrogate, among other things."""
UNDECLARED: Final = "undeclared"
"""Key of ``provider_details`` with the fields of a message that only the service understands."""


def conversation(
    messages: Sequence[ModelMessage], instructions: Sequence[InstructionPart] | None, *, thinking_with_tools: bool
) -> list[dict[str, Any]]:
    """Convert ``messages``, with the instructions after the leading system prompts.

    With tools, thinking requires the reasoning of earlier answers (DeepSeek docs, Thinking Mode); elsewhere it is
    ignored, and not sent. One that was lost, or came from another model, becomes the least that is accepted. Raises
    InvalidRequestError for content that DeepSeek does not take.
    """
    made: list[dict[str, Any]] = []
    for message in messages:
        if isinstance(message, ModelResponse):
            made.append(_answer(message, thinking_with_tools=thinking_with_tools))
        elif isinstance(message, ModelRequest):
            made.extend(_request(message))
    if instructions:
        leading = next((at for at, one in enumerate(made) if one["role"] != "system"), len(made))
        made[leading:leading] = [{"role": "system", "content": encodable(part.content)} for part in instructions]
    return made


def _answer(message: ModelResponse, *, thinking_with_tools: bool) -> dict[str, Any]:
    texts = [part.content for part in message.parts if isinstance(part, TextPart)]
    made: dict[str, Any] = {"role": "assistant", "content": encodable("\n\n".join(texts))}
    if calls := [_call(part) for part in message.parts if isinstance(part, ToolCallPart)]:
        made["tool_calls"] = calls
    if thinking_with_tools:
        thoughts = (part for part in message.parts if isinstance(part, ThinkingPart) and part.provider_name == SYSTEM)
        made["reasoning_content"] = encodable("".join(part.content for part in thoughts)) or LOST_REASONING
    kept = (message.provider_details or {}).get(UNDECLARED) if message.provider_name == SYSTEM else None
    return {**all_encodable(kept), **made} if isinstance(kept, dict) else made


def _call(part: ToolCallPart) -> dict[str, Any]:
    try:
        arguments = part.args_as_json_str()
    except UNWRITABLE:
        arguments = write(all_encodable(part.args)).decode()
    function = {"name": part.tool_name, "arguments": encodable(arguments)}
    return {"id": part.tool_call_id, "type": "function", "function": function}


def _request(message: ModelRequest) -> Iterator[dict[str, Any]]:
    files: list[Any] = []
    for part in message.parts:
        if isinstance(part, SystemPromptPart):
            yield {"role": "system", "content": encodable(part.content)}
        elif isinstance(part, UserPromptPart):
            yield {"role": "user", "content": _content(part.content)}
        elif isinstance(part, ToolReturnPart):
            text, further = part.model_response_str_and_user_content()
            files += further
            yield {"role": "tool", "tool_call_id": part.tool_call_id, "content": encodable(text)}
        elif isinstance(part, RetryPromptPart):
            yield _retry(part)
        else:
            raise InvalidRequestError(
                f"message parts must be prepared by an agent before a model gets them, got {type(part).__name__}"
            )
    if files:
        yield {"role": "user", "content": _content(files)}


def sendable(messages: Sequence[ModelMessage]) -> list[ModelMessage]:
    """Replace lone surrogates, as file names have, in what tools returned: pydantic-ai cannot write them as JSON."""
    made: list[ModelMessage] = []
    for message in messages:
        if isinstance(message, ModelRequest):
            parts = [_sendable(part) if isinstance(part, ToolReturnPart) else part for part in message.parts]
            made.append(replace(message, parts=parts))
        else:
            made.append(message)
    return made


def _sendable(part: ToolReturnPart) -> ToolReturnPart:
    try:
        to_json(part.content)
    except UNWRITABLE:
        # What is not JSON for another reason fails again.
        whole = part.content.model_dump() if isinstance(part.content, BaseModel) else part.content
        return replace(part, content=all_encodable(whole))
    return part


def _retry(part: RetryPromptPart) -> dict[str, Any]:
    text = encodable(part.model_response())
    if part.tool_name is None:
        return {"role": "user", "content": text}
    return {"role": "tool", "tool_call_id": part.tool_call_id, "content": text}


def _content(content: str | Sequence[Any]) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return encodable(content)
    parts = [_part(item) for item in content if not isinstance(item, CachePoint)]
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return parts or ""


def _part(item: Any) -> dict[str, Any]:
    if isinstance(item, str | TextContent):
        return {"type": "text", "text": encodable(item if isinstance(item, str) else item.content)}
    if isinstance(item, ImageUrl):
        return {"type": "image_url", "image_url": {"url": item.url}}
    if isinstance(item, BinaryContent) and item.is_image:
        return {"type": "image_url", "image_url": {"url": item.data_uri}}
    if isinstance(item, UploadedFile):
        return {"type": "file", "file_id": item.file_id}
    raise InvalidRequestError(
        f"content must be text, images or files uploaded to DeepSeek (UploadedFile), got {type(item).__name__}"
    )
