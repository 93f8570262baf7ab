"""Request parameters in the API's format: checks, translation, choice of path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from deepseek_async.codec.request import BETA_CHAT, CHAT
from deepseek_async.errors import InvalidRequestError
from deepseek_async.resources.chat_extensions import EXTENSIONS, check_extensions
from deepseek_async.resources.request_body import request_body
from deepseek_async.types import Message

Thinking = bool | Literal["enabled", "disabled"] | Mapping[str, Any]
"""Reasoning switch; True and "enabled" stand for ``{"type": "enabled"}``."""

_LISTS: Final = (list, tuple)
_TRANSLATED: Final = EXTENSIONS | {"max_completion_tokens", "thinking"}


def chat_parameters(
    model: str,
    messages: Sequence[Mapping[str, Any]],
    parameters: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the body of a chat request. Raises InvalidRequestError: see ``check_chat``."""
    return request_body(check_chat, {"model": model, "messages": messages}, parameters)


def check_chat(body: dict[str, Any]) -> None:
    """Convert parameters to the API's format. Raises InvalidRequestError for an empty model or list of messages.

    ``max_completion_tokens`` becomes ``max_tokens``, because DeepSeek ignores it, and a limit that is silently dropped
    costs money.
    """
    check_model(body.get("model"))
    messages = body.get("messages")
    if isinstance(messages, Iterator):
        messages = body["messages"] = [*messages]  # read once, and sent by every attempt
    if isinstance(messages, str | Mapping) or not messages:
        raise InvalidRequestError(
            f"messages must be a non-empty list, e.g. [{{'role': 'user', 'content': 'Hi'}}], got {_seen(messages)}",
        )
    if _TRANSLATED.isdisjoint(body):
        return
    if "max_completion_tokens" in body:
        _keep_one_cap(body)
    if "thinking" in body:
        keep_one_switch(body)
    if not EXTENSIONS.isdisjoint(body):
        check_extensions(body)


def _seen(value: Any) -> str:
    """Return the value if it is empty, else its type: it may be a long text."""
    return type(value).__name__ if value else repr(value)


def check_model(model: Any, example: str = "deepseek-flash") -> None:
    """Raise InvalidRequestError for an invalid model name."""
    if not model or not isinstance(model, str):
        raise InvalidRequestError(f"model must be a model name, e.g. {example!r}, got {model!r}")


def check_completion(body: Mapping[str, Any]) -> None:
    """Raise InvalidRequestError for a completion request without a prompt."""
    check_model(body.get("model"), "deepseek-v4-pro")
    prompt = body.get("prompt")
    if not isinstance(prompt, str):
        raise InvalidRequestError(f"prompt must be a string, got {type(prompt).__name__}; send one call per prompt")


def check_response(body: dict[str, Any]) -> None:
    """Convert extensions to the API's format. Raises InvalidRequestError for a response request without input."""
    check_model(body.get("model"))
    if not body.get("input") or isinstance(body["input"], Mapping):
        raise InvalidRequestError(
            f"input must be a non-empty string or list of items, got {_seen(body.get('input'))}",
        )
    if isinstance(body["input"], _LISTS) and any(map(_is_reminder, body["input"])):
        raise InvalidRequestError(
            "responses do not support the role 'latest_reminder': DeepSeek answers 400 (DeepSeek docs, Latest "
            "reminder, 2026-11-13). Use chat.completions or messages, or pass input in extra_body to send it anyway",
        )
    check_extensions(body)


def _is_reminder(item: Any) -> bool:
    return isinstance(item, Mapping) and item.get("role") == "latest_reminder"


def check_message(body: dict[str, Any]) -> None:
    """Convert extensions to the API's format. Raises InvalidRequestError for a message request without messages."""
    check_model(body.get("model"))
    messages = body.get("messages")
    if isinstance(messages, str | Mapping | Message) or not messages:
        raise InvalidRequestError(
            f"messages must be a non-empty list, e.g. [{{'role': 'user', 'content': 'Hi'}}], got {_seen(messages)}",
        )
    check_extensions(body)


def check_embedding(body: Mapping[str, Any]) -> None:
    """Raise InvalidRequestError for an embedding request without input."""
    check_model(body.get("model"), "text-embedding-3-small")
    if not body.get("input") or isinstance(body["input"], Mapping):
        raise InvalidRequestError(
            f"input must be a non-empty string or list of strings, got {_seen(body.get('input'))}",
        )


def _keep_one_cap(body: dict[str, Any]) -> None:
    cap = body.pop("max_completion_tokens")
    if body.setdefault("max_tokens", cap) != cap:
        raise InvalidRequestError(
            f"max_tokens ({body['max_tokens']}) and max_completion_tokens ({cap}) differ; pass one of them "
            "(DeepSeek supports only max_tokens)",
        )


def keep_one_switch(body: dict[str, Any]) -> None:
    """Keep whichever of ``thinking`` and ``reasoning_effort`` implies the other.

    An effort implies thinking, and ``none`` disables it; "disabled" with an effort, or "enabled" with ``none``, is a
    contradiction that the API would resolve silently. Raises InvalidRequestError for it.
    """
    effort = body.get("reasoning_effort")
    if "thinking" not in body:
        return
    thinking = body["thinking"] = as_thinking(body["thinking"])
    if effort is None:
        return
    on = thinking.get("type") != "disabled"
    if on == (effort == "none"):
        raise InvalidRequestError(
            f"thinking={thinking.get('type')!r} and reasoning_effort={effort!r} contradict each other; pass one",
        )
    del body["thinking" if on else "reasoning_effort"]


def as_thinking(thinking: Any) -> Mapping[str, Any]:
    if isinstance(thinking, bool):
        return {"type": "enabled" if thinking else "disabled"}
    if isinstance(thinking, str):
        return {"type": thinking}
    if isinstance(thinking, Mapping):
        return thinking
    raise InvalidRequestError(f"thinking must be a bool, 'enabled', 'disabled' or an object, got {thinking!r}")


def path_of(body: Mapping[str, Any]) -> str:
    """Return the path of a chat request: the beta base if it uses beta features."""
    messages = body.get("messages")
    if messages and isinstance(messages, _LISTS):
        last = messages[-1]
        if type(last) is dict and last.get("prefix"):
            return BETA_CHAT
    tools = body.get("tools")
    if tools and isinstance(tools, _LISTS) and any(map(_is_strict, tools)):
        return BETA_CHAT
    return CHAT


def _is_strict(tool: Any) -> bool:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    return isinstance(function, Mapping) and bool(function.get("strict"))
