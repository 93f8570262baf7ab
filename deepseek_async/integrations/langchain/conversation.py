"""LangChain's messages as a conversation in the API's format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_openai_image_block,
)

from deepseek_async.errors import InvalidRequestError
from deepseek_async.lint.conversation import LOST_REASONING
from deepseek_async.text.unicode import all_encodable, encodable

UNDECLARED: Final = "undeclared"
"""Key of ``additional_kwargs`` with the fields of a message that only the service understands, such as its searches."""

_TEXTS: Final = frozenset({"text", "text-plain"})
_THOUGHTS: Final = frozenset({"reasoning", "thinking", "reasoning_content"})
_CALLS: Final = frozenset({"tool_call", "tool_call_chunk", "tool_use", "invalid_tool_call"})


def conversation(messages: Sequence[BaseMessage], *, thinking_with_tools: bool) -> list[dict[str, Any]]:
    """Convert ``messages``.

    With tools, thinking requires the reasoning of earlier assistant messages (DeepSeek docs, Thinking Mode); elsewhere
    it is ignored, and not sent. One that was lost, or came from another model, becomes the least that is accepted.
    Raises InvalidRequestError for content that DeepSeek does not take.
    """
    return [_message(message, thinking_with_tools=thinking_with_tools) for message in messages]


def _message(message: BaseMessage, *, thinking_with_tools: bool) -> dict[str, Any]:
    if isinstance(message, HumanMessage):
        return _named(message, {"role": "user", "content": _content(message.content)})
    if isinstance(message, AIMessage):
        return _named(message, _assistant(message, thinking_with_tools=thinking_with_tools))
    if isinstance(message, SystemMessage):
        return _named(message, {"role": "system", "content": _text(message.content)})
    if isinstance(message, ToolMessage):
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": _content(message.content)}
    if isinstance(message, ChatMessage):
        role = "system" if message.role == "developer" else message.role
        return _named(message, {"role": role, "content": _content(message.content)})
    raise InvalidRequestError(
        f"messages must be human, AI, system, tool or chat messages, got {type(message).__name__}"
    )


def _named(message: BaseMessage, made: dict[str, Any]) -> dict[str, Any]:
    if message.name:
        made["name"] = message.name
    return made


def _assistant(message: AIMessage, *, thinking_with_tools: bool) -> dict[str, Any]:
    further = message.additional_kwargs
    made: dict[str, Any] = {"role": "assistant", "content": _text(message.content)}
    if calls := [*map(_call, message.tool_calls), *map(_unreadable_call, message.invalid_tool_calls)]:
        made["tool_calls"] = calls
    if thinking_with_tools or further.get("prefix"):
        reasoning = further.get("reasoning_content") or _reasoning(message.content)
        if reasoning or thinking_with_tools:
            made["reasoning_content"] = encodable(reasoning) if reasoning else LOST_REASONING
    if further.get("prefix"):
        made["prefix"] = True
    kept = further.get(UNDECLARED)
    return {**all_encodable(kept), **made} if isinstance(kept, dict) else made


def _call(call: Any) -> dict[str, Any]:
    arguments = json.dumps(call["args"], ensure_ascii=False)
    function = {"name": call["name"], "arguments": encodable(arguments)}
    return {"id": call["id"] or "", "type": "function", "function": function}


def _unreadable_call(call: Any) -> dict[str, Any]:
    function = {"name": call["name"] or "", "arguments": encodable(call["args"] or "")}
    return {"id": call["id"] or "", "type": "function", "function": function}


def _reasoning(content: str | list[Any]) -> str:
    """Return the reasoning that LangChain's standard content holds as blocks."""
    if isinstance(content, str):
        return ""
    blocks = (block for block in content if isinstance(block, dict) and block.get("type") in _THOUGHTS)
    return "".join(block.get("reasoning") or block.get("thinking") or "" for block in blocks)


def _text(content: str | list[Any]) -> str:
    """Return the text of a message whose role takes nothing else."""
    if isinstance(content, str):
        return encodable(content)
    texts = [block if isinstance(block, str) else block.get("text") or "" for block in content if _is_text(block)]
    return encodable("".join(texts))


def _is_text(block: Any) -> bool:
    return isinstance(block, str) or block.get("type") in _TEXTS


def _content(content: str | list[Any]) -> str | list[dict[str, Any]]:
    """Return text, or the parts of a message with images or files."""
    if isinstance(content, str):
        return encodable(content)
    parts = [part for block in content for part in _part(block)]
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return parts or ""


def _part(block: Any) -> list[dict[str, Any]]:
    if isinstance(block, str):
        return [{"type": "text", "text": encodable(block)}]
    kind = block.get("type")
    if kind in _TEXTS:
        return [{"type": "text", "text": encodable(block.get("text") or "")}]
    if kind in _THOUGHTS or kind in _CALLS:
        return []
    if kind == "image_url":
        image = block["image_url"]
        return [{"type": "image_url", "image_url": {"url": image} if isinstance(image, str) else image}]
    if kind in ("image", "file") and (block.get("file_id") or block.get("source_type") == "id"):
        return [{"type": "file", "file_id": block.get("file_id") or block["id"]}]
    if kind == "image":
        return [_image(block)]
    if kind == "json" or kind is None:
        return [{"type": "text", "text": encodable(json.dumps(block.get("json", block), ensure_ascii=False))}]
    raise InvalidRequestError(
        f"content must be text, images or uploaded files (file_id), got a block of type {kind!r}; upload documents "
        "with client.files.create"
    )


def _image(block: dict[str, Any]) -> dict[str, Any]:
    source = block.get("source")
    if isinstance(source, dict):  # Anthropic's format
        return {"type": "image_url", "image_url": {"url": f"data:{source['media_type']};base64,{source['data']}"}}
    try:
        made: dict[str, Any] = convert_to_openai_image_block(block)
    except (KeyError, ValueError) as error:
        raise InvalidRequestError(f"an image block must have a url or base64 with mime_type: {error}") from None
    return made
