"""Rules for messages: pairing of calls and results, replayed reasoning, prefixes, content parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from deepseek_async.lint.finding import Finding, Request
from deepseek_async.lint.unknown import STRANGER

MAX_IMAGE_LINK: Final = 8192
"""Maximum characters of an image URL (DeepSeek docs, Vision guide)."""

LOST_REASONING: Final = " "
"""Sent instead of lost reasoning: the shortest value that the API accepts, and nothing made up."""

Messages = Sequence[dict[str, Any]]


def conversation_findings(request: Request, *, thinking: bool) -> Iterator[Finding]:
    """Yield the findings for messages of valid types."""
    messages: Messages = request["messages"]
    if not messages:
        yield Finding("empty_messages", "messages", "must contain at least one message")
        return
    end = len(messages)
    while end > 1 and _is_blank(messages[end - 1]):
        end -= 1
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            yield from _assistant_findings(message, index, last=index == end - 1)
        if isinstance(message.get("content"), list):
            yield from _part_findings(message, index, sees_images="pro" not in request["model"])
    yield from _pairing_findings(messages)
    if thinking:
        has_tools = any(tool["type"] != STRANGER for tool in request.get("tools") or ())
        yield from _replay_findings(messages, has_tools=has_tools)
    if messages[end - 1].get("prefix") and messages[end - 1]["role"] == "assistant":
        yield from _continuation_findings(request)


def _is_blank(message: dict[str, Any]) -> bool:
    """Whether a system message is empty; the API removes those before its checks."""
    content = message.get("content")
    return message["role"] == "system" and not (
        content if isinstance(content, str) else any(part.get("text") or "text" not in part for part in content or ())
    )


def _assistant_findings(message: dict[str, Any], index: int, *, last: bool) -> Iterator[Finding]:
    where = f"messages[{index}]"
    calls = message.get("tool_calls")
    if calls is None and message.get("content") is None:
        yield Finding(
            "assistant_without_content",
            f"{where}.content",
            "may be null only with tool_calls; send an empty string",
            repair=partial(_set_in_message, index, "content", ""),
        )
    if calls is not None and not calls:
        yield Finding(
            "empty_tool_calls",
            f"{where}.tool_calls",
            "must not be an empty list; omit it",
            repair=partial(_drop_tool_calls, index),
        )
    if message.get("prefix") and not last:
        yield Finding(
            "prefix_not_last",
            f"{where}.prefix",
            "only the last message can be a prefix",
            repair=partial(_set_in_message, index, "prefix", False),
        )


def _set_in_message(index: int, name: str, value: Any, request: Request) -> None:
    request["messages"][index][name] = value


def _drop_tool_calls(index: int, request: Request) -> None:
    message = request["messages"][index]
    del message["tool_calls"]
    message["content"] = message.get("content") or ""


def _part_findings(message: dict[str, Any], index: int, *, sees_images: bool) -> Iterator[Finding]:
    """Yield the findings for parts other than text. A model without vision ignores them."""
    for number, part in enumerate(message["content"]):
        where = f"messages[{index}].content[{number}]"
        if part["type"] in ("text", STRANGER):
            continue
        if not sees_images:
            yield Finding(
                "image_not_seen",
                where,
                "ignored: only the flash model supports images and files",
                refused=False,
            )
        elif message["role"] == "assistant":
            yield Finding("image_from_assistant", where, "an assistant message cannot contain an image")
        elif part["type"] == "file":
            yield from _file_findings(part, where, partial(_file_beside_type, index, number))
        else:
            problem = _link_problem(part["image_url"]["url"])
            if problem is not None:
                yield Finding("image_url", f"{where}.image_url.url", problem)


def _file_findings(part: dict[str, Any], where: str, repair: Callable[[Request], None]) -> Iterator[Finding]:
    if part.get("file_data") is None and part.get("file_id") is None:
        nested = isinstance(part.get("file"), dict)
        said = "must have a file_id or file_data" + (", next to type and not in a nested object" * nested)
        yield Finding("file_without_data", where, said, repair=repair if nested else None)
    elif part.get("file_id") is not None and part.get("filename") is not None:
        yield Finding(
            "file_with_name",
            f"{where}.filename",
            "must be omitted with file_id",
            repair=repair,
        )


def _file_beside_type(index: int, number: int, request: Request) -> None:
    part = request["messages"][index]["content"][number]
    part.update(part.pop("file", None) or {})
    if part.get("file_id") is not None:
        part.pop("filename", None)


def _link_problem(url: str) -> str | None:
    if url.startswith("data:"):
        return None
    if not url.startswith(("http://", "https://")):
        return "must be an http(s) or data URL"
    if len(url) > MAX_IMAGE_LINK:
        return f"must have at most {MAX_IMAGE_LINK} characters, got {len(url)}; send the image as a data URL"
    return None


def _pairing_findings(messages: Messages) -> Iterator[Finding]:
    """Check that tool messages answer every call of the preceding assistant message, exactly once."""
    called: dict[str, int] = {}
    answered: set[str] = set()
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if message["role"] == "tool":
            answer = message["tool_call_id"]
            if answer not in called or answer in answered:
                yield Finding(
                    "tool_pairing",
                    f"{where}.tool_call_id",
                    f"{answer!r} does not match an open call of the preceding assistant message",
                )
                return
            answered.add(answer)
            if len(answered) == len(called):
                called, answered = {}, set()
            continue
        if message["role"] == STRANGER:
            continue
        if called:
            break
        for call in message.get("tool_calls") or () if message["role"] == "assistant" else ():
            if call["type"] == STRANGER:
                continue
            if call["id"] in called:
                yield Finding("tool_pairing", f"{where}.tool_calls", f"two calls have the id {call['id']!r}")
                return
            called[call["id"]] = index
    missing = [call for call in called if call not in answered]
    if missing:
        yield Finding(
            "tool_pairing",
            f"messages[{called[missing[0]]}].tool_calls",
            f"every call must be followed by a tool message with its id; missing: {', '.join(missing)}",
        )


def _replay_findings(messages: Messages, *, has_tools: bool) -> Iterator[Finding]:
    """Check that reasoning of earlier assistant messages is sent back (DeepSeek docs, Thinking Mode).

    Every version of the API checks the messages after the last user message; the documentation requires all.
    """
    checked = True
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message["role"] == "user":
            checked = False
        elif (
            message["role"] == "assistant"
            and message.get("reasoning_content") is None
            and (has_tools or (checked and message.get("tool_calls")))
        ):
            yield Finding(
                "missing_reasoning",
                f"messages[{index}].reasoning_content",
                "thinking with tools requires the verbatim reasoning_content of earlier assistant messages: "
                "append the answer's own message to the conversation",
                refused=checked,
                repair=partial(_set_in_message, index, "reasoning_content", LOST_REASONING),
            )


def _continuation_findings(request: Request) -> Iterator[Finding]:
    where = f"messages[{len(request['messages']) - 1}].prefix"
    if request.get("tools") or any(message.get("tool_calls") for message in request["messages"]):
        yield Finding("prefix_with_tools", where, "prefix completion cannot be combined with tools")
    if (request.get("response_format") or {}).get("type") == "json_object":
        yield Finding("prefix_with_json", where, "prefix completion cannot be combined with JSON mode")


def mentions_json(messages: Messages) -> bool:
    """Whether the messages contain the word "json", as JSON mode requires."""
    for message in messages:
        content = message.get("content")
        texts = [content] if isinstance(content, str) else [part.get("text") or "" for part in content or ()]
        if any("json" in text.lower() for text in texts):
            return True
    return False
