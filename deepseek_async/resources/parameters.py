"""The parameters of a chat request: what is sent, what is translated, what DeepSeek would silently drop."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

from deepseek_async.errors import InvalidRequestError

# Accepted with a 200 and ignored (DeepSeek's official request validator, and a public probe of 2026-09-23).
IGNORED: Final = frozenset(
    {
        "enable_thinking",
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "seed",
        "service_tier",
        "store",
        "user",
    },
)
KNOWN: Final = frozenset(
    {
        "frequency_penalty",
        "logprobs",
        "max_tokens",
        "messages",
        "model",
        "n",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user_id",
    },
)


class IgnoredParameterWarning(UserWarning):
    """DeepSeek takes this parameter without an error and does nothing with it."""


def chat_parameters(
    model: str,
    messages: Sequence[Mapping[str, Any]],
    named: Mapping[str, Any],
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """The body of a chat request, without the parameters left at None: strict servers refuse nulls.

    ``max_completion_tokens`` becomes ``max_tokens``, because DeepSeek ignores it and a cap that is silently
    dropped costs money. Other parameters that it ignores are sent and warned about.
    Raises InvalidRequestError for an empty model or an empty list of messages.
    """
    if not model or not isinstance(model, str):
        raise InvalidRequestError(f"model must be a model's name, for example 'deepseek-flash', not {model!r}")
    if isinstance(messages, str | Mapping) or not messages:
        raise InvalidRequestError(
            "messages must be a list of at least one message, "
            "for example [{'role': 'user', 'content': 'Hi'}]" + (", and is empty" if not messages else ""),
        )
    body = {"model": model, "messages": messages}
    body.update({name: value for name, value in named.items() if value is not None})
    if extra:
        _add_extra(body, extra)
    return body


def _add_extra(body: dict[str, Any], extra: Mapping[str, Any]) -> None:
    for name, value in extra.items():
        if value is None:
            continue
        if name == "max_completion_tokens":
            if body.setdefault("max_tokens", value) != value:
                raise InvalidRequestError(
                    f"max_tokens ({body['max_tokens']}) and max_completion_tokens ({value}) contradict each other; "
                    "DeepSeek knows only max_tokens",
                )
            continue
        if name not in KNOWN:
            warn_of(name)
        body[name] = value


def warn_of(name: str) -> None:
    """Say that a parameter will have no effect."""
    known = "DeepSeek ignores" if name in IGNORED else "the DeepSeek API does not describe, and ignores,"
    warnings.warn(
        f"{known} the parameter {name!r}; it is sent as it is. Use extra_body to send it without this warning",
        IgnoredParameterWarning,
        # warn_of, _add_extra, chat_parameters, create: the caller's line is what helps.
        stacklevel=5,
    )
