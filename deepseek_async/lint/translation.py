"""Translation of OpenAI's parameters to DeepSeek's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from deepseek_async.codec.schema_prompt import schema_in, with_schema_in_prompt
from deepseek_async.lint.finding import Finding, Request

# Accepted with a 200 and ignored (DeepSeek's official request validator, and a public probe of 2026-09-23).
IGNORED: Final = frozenset(
    {
        "best_of",
        "enable_thinking",
        "logit_bias",
        "max_tool_calls",
        "metadata",
        "modalities",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "seed",
        "service_tier",
        "store",
        "top_k",
        "user",
        "verbosity",
        "web_search_options",
    },
)
KNOWN: Final = frozenset(
    {
        "frequency_penalty",
        "logprobs",
        "max_completion_tokens",  # has its own finding
        "max_tokens",
        "messages",
        "model",
        "n",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "safety_check",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "thinking",
        "title",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user_id",
    },
)


def foreign_findings(request: Request, deliberate: frozenset[str]) -> Iterator[Finding]:
    """Yield the findings for OpenAI's parameters in ``request``, except those in ``deliberate``."""
    if isinstance(request.get("thinking"), bool) or request.get("thinking") in ("enabled", "disabled"):
        yield Finding(
            "thinking_not_object",
            "thinking",
            'must be {"type": "enabled"} or {"type": "disabled"}',
            repair=_thinking_as_object,
        )
    if "max_completion_tokens" in request and "max_completion_tokens" not in deliberate:
        yield Finding(
            "max_completion_tokens",
            "max_completion_tokens",
            "is ignored by DeepSeek, and a dropped limit costs money; use max_tokens",
            refused=False,
            repair=_cap_under_its_name,
        )
    developers = [message for message in _messages(request) if message.get("role") == "developer"]
    if developers:
        yield Finding(
            "developer_role",
            f"messages[{request['messages'].index(developers[0])}].role",
            "DeepSeek does not support the role developer; use system",
            repair=_developer_as_system,
        )
    yield from _schema_findings(request)
    yield from _ignored_findings(request, deliberate)


def _messages(request: Request) -> list[dict[str, Any]]:
    """Return the messages without relying on their type: nothing has been checked yet."""
    messages = request.get("messages")
    return [message for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []


def _thinking_as_object(request: Request) -> None:
    request["thinking"] = {"type": "enabled" if request["thinking"] in (True, "enabled") else "disabled"}


def _cap_under_its_name(request: Request) -> None:
    request.setdefault("max_tokens", request.pop("max_completion_tokens"))


def _developer_as_system(request: Request) -> None:
    for message in _messages(request):
        if message.get("role") == "developer":
            message["role"] = "system"


def _schema_findings(request: Request) -> Iterator[Finding]:
    form = request.get("response_format")
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "json_schema":
        yield Finding(
            "json_schema",
            "response_format.type",
            "json_schema is not supported by chat completions; pass a class as response_format, "
            "or use json_object with the schema in the prompt",
            repair=_schema_into_prompt if schema_in(form) is not None and _messages(request) else None,
        )
    elif kind == "regex":
        yield Finding("regex_format", "response_format.type", "regex is not supported by chat completions")


def _schema_into_prompt(request: Request) -> None:
    request.update(with_schema_in_prompt(request))


def _ignored_findings(request: Request, deliberate: frozenset[str]) -> Iterator[Finding]:
    for name in request.keys() - KNOWN - deliberate:
        if name in IGNORED:
            yield Finding(
                f"ignored_parameter:{name}",
                name,
                f"DeepSeek ignores the parameter {name!r}; sent unchanged. Pass it in extra_body to silence this "
                "warning",
                refused=False,
                repair=lambda request, name=name: request.pop(name),  # type: ignore[misc]
            )
        else:
            # New or misspelt: it is sent, with a warning.
            yield Finding(
                f"ignored_parameter:{name}",
                name,
                f"the parameter {name!r} is unknown to this version; sent unchanged, but DeepSeek ignores unknown "
                "parameters. Pass it in extra_body to silence this warning",
                refused=False,
                known=False,
            )
