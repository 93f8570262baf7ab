"""Uploaded files in messages: replaces file ids with text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepseek_async.simulator.services.files import pages_of
from deepseek_async.simulator.services.request import WrongRequestError

Read = Callable[[str], tuple[dict[str, Any], bytes] | None]

# Format of ids; other names are left to the validator.
_ID = "file-"
_TEXTS = {"file": "text", "input_file": "input_text", "document": "text"}


def with_files(body: Any, read: Read) -> Any:
    """Return a chat, responses or messages request with the text of documents that `read` finds."""
    if not isinstance(body, dict):
        return body
    return {
        name: [_message(each, read) for each in value]
        if name in ("messages", "input") and type(value) is list
        else value
        for name, value in body.items()
    }


def _message(message: Any, read: Read) -> Any:
    if not isinstance(message, dict) or message.get("role") != "user" or not isinstance(message.get("content"), list):
        return message
    return {**message, "content": [_part(part, read) for part in message["content"]]}


def _part(part: Any, read: Read) -> Any:
    kind = str(part.get("type")) if isinstance(part, dict) else ""
    source = part.get("source") if kind == "document" else part
    name = source.get("file_id") if kind in _TEXTS and isinstance(source, dict) else None
    if not isinstance(name, str) or not name.startswith(_ID):
        return part
    if "filename" in part:
        raise WrongRequestError("filename is not allowed together with file_id")
    found = read(name)
    if found is None:
        raise WrongRequestError(f"File {name} does not exist or has expired")
    return {"type": _TEXTS[kind], "text": _text(*found)}


def _text(described: dict[str, Any], content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return f"A page of {described['filename']}.\n" * pages_of(content)
