"""Rules for the fields of a chat request of valid types, from DeepSeek's documentation or its validator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from deepseek_async.lint.conversation import conversation_findings, mentions_json
from deepseek_async.lint.finding import Finding, Request
from deepseek_async.lint.schemas import parameters_problem, strict_problem

MAX_TOKENS: Final = 393_216
"""Maximum tokens of an answer, reasoning included (DeepSeek docs, Models & Pricing)."""
CONTEXT_WINDOW: Final = 1_048_576
"""Maximum tokens of prompt and ``max_tokens`` together (DeepSeek docs, Models & Pricing)."""
MAX_STOP_STRINGS: Final = 16
MAX_TOOL_NAME: Final = 128

TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]+")
_USER_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_MAX_USER_ID: Final = 512
"""Bytes in UTF-8 (DeepSeek docs, Rate limits, November 2026; before that the pattern was required)."""
_NEVER_THINKS: Final = frozenset({"deepseek-chat"})
"""Legacy name of the flash model without thinking."""

# Minimum and maximum accepted by the API, whether or not the parameter has an effect.
_RANGES: Final[dict[str, tuple[float, float]]] = {
    "temperature": (0, 2),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "top_logprobs": (0, 20),
    "max_tokens": (1, MAX_TOKENS),
}


def is_thinking(request: Request) -> bool:
    """Whether the model will think: the default, and ``thinking`` overrides the effort."""
    thinking, effort = request.get("thinking"), request.get("reasoning_effort")
    if thinking is not None:
        return bool(thinking["type"] != "disabled")
    return effort != "none" and (effort is not None or request["model"] not in _NEVER_THINKS)


def rule_findings(request: Request, prompt_tokens: int) -> Iterator[Finding]:
    """Yield the findings for a request whose fields have valid types.

    ``prompt_tokens`` is an estimate.
    """
    thinking = is_thinking(request)
    yield from conversation_findings(request, thinking=thinking)
    yield from _range_findings(request)
    yield from _stop_findings(request.get("stop"))
    yield from _switch_findings(request)
    if request.get("tools"):
        yield from _tool_findings(request, thinking=thinking)
    yield from _option_findings(request)
    yield from _context_findings(request, prompt_tokens)
    # Last, because its repair inserts a message, and other repairs index messages.
    yield from _json_findings(request)


def _range_findings(request: Request) -> Iterator[Finding]:
    for name, (lowest, highest) in _RANGES.items():
        value = request.get(name)
        if value is not None and not lowest <= value <= highest:
            yield Finding(
                f"range:{name}",
                name,
                f"must be from {lowest} to {highest}, got {value}",
                repair=partial(_set, name, min(max(value, lowest), highest)),
            )
    top_p = request.get("top_p")
    if top_p is not None and not 0 < top_p <= 1:
        yield Finding(
            "range:top_p",
            "top_p",
            f"must be above 0 and at most 1, got {top_p}",
            repair=partial(_set, "top_p", 1) if top_p > 1 else None,
        )
    if request.get("n") not in (None, 1):
        yield Finding(
            "n",
            "n",
            f"must be 1 in a request, got {request['n']}: DeepSeek returns one answer per request. Pass n to "
            "chat.completions.create or set it in a row, where each choice becomes a request",
        )
    if not 0 <= (request.get("seed") or 0) < 2**63:
        yield Finding("range:seed", "seed", "must be from 0 to 2**63 - 1", repair=partial(_drop, "seed"))


def _set(name: str, value: Any, request: Request) -> None:
    request[name] = value


def _drop(name: str, request: Request) -> None:
    request.pop(name, None)


def _stop_findings(stop: str | list[str] | None) -> Iterator[Finding]:
    if stop is None:
        return
    if not all([stop] if isinstance(stop, str) else stop):
        kept = [text for text in stop if text] if isinstance(stop, list) else []
        yield Finding(
            "empty_stop",
            "stop",
            "must not contain an empty string",
            repair=partial(_set, "stop", kept) if kept else partial(_drop, "stop"),
        )
    if isinstance(stop, list) and len(stop) > MAX_STOP_STRINGS:
        yield Finding("too_many_stops", "stop", f"must have at most {MAX_STOP_STRINGS} strings, got {len(stop)}")


def _switch_findings(request: Request) -> Iterator[Finding]:
    if request.get("thinking") is not None and request.get("reasoning_effort") is not None:
        yield Finding(
            "two_thinking_switches",
            "reasoning_effort",
            "thinking overrides reasoning_effort; send only one of them",
            refused=False,
            repair=_keep_one_switch,
        )


def _keep_one_switch(request: Request) -> None:
    del request["thinking" if is_thinking(request) and request["reasoning_effort"] != "none" else "reasoning_effort"]


def _tool_findings(request: Request, *, thinking: bool) -> Iterator[Finding]:
    tools, choice = request["tools"], request.get("tool_choice")
    numbered = [(at, tool["function"]) for at, tool in enumerate(tools) if tool["type"] == "function"]
    functions = [function for _, function in numbered]
    for index, function in numbered:
        name = function["name"]
        if len(name.encode()) > MAX_TOOL_NAME or not TOOL_NAME.fullmatch(name):
            yield Finding(
                "tool_name",
                f"tools[{index}].function.name",
                f"must be 1 to {MAX_TOOL_NAME} of A-Z, a-z, 0-9, _ and -, got {name[:200]!r}",
            )
    if choice == "none":
        # tool_choice none: the tools are omitted from the prompt and not checked by the API.
        return
    yield from _schema_findings(numbered)
    names = {function["name"] for function in functions}
    if len(names) != len(functions):
        yield Finding("tool_names_not_unique", "tools", "two tools have the same name")
    if isinstance(choice, dict) and choice["function"]["name"] not in names:
        yield Finding("tool_choice_unknown", "tool_choice", f"{choice['function']['name']!r} is not among the tools")
    if thinking and choice not in (None, "auto"):
        yield Finding(
            "tool_choice_while_thinking",
            "tool_choice",
            "a tool cannot be forced with thinking; pass thinking=False, or tool_choice='auto'",
            repair=_stop_thinking,
        )
    yield from _strictness_findings(request, functions)


def _schema_findings(functions: list[tuple[int, dict[str, Any]]]) -> Iterator[Finding]:
    for index, function in functions:
        parameters = function.get("parameters")
        if parameters is not None:
            problem = (strict_problem if function.get("strict") else parameters_problem)(parameters)
            if problem is not None:
                yield Finding("tool_schema", f"tools[{index}].function.parameters", problem)


def _strictness_findings(request: Request, functions: list[dict[str, Any]]) -> Iterator[Finding]:
    strict = [bool(function.get("strict")) for function in functions]
    if any(strict) and not all(strict):
        yield Finding("mixed_strictness", "tools", "tools must be all strict or all not strict")
    elif any(strict) and request.get("response_format") is not None:
        yield Finding(
            "strict_with_format",
            "response_format",
            "cannot be combined with strict tools",
            repair=partial(_drop, "response_format"),
        )


def _stop_thinking(request: Request) -> None:
    request.pop("reasoning_effort", None)
    request["thinking"] = {"type": "disabled"}


def _option_findings(request: Request) -> Iterator[Finding]:
    if request.get("stream_options") is not None and not request.get("stream"):
        yield Finding(
            "stream_options_without_stream",
            "stream_options",
            "requires stream=True",
            repair=partial(_drop, "stream_options"),
        )
    if request.get("top_logprobs") is not None and not request.get("logprobs"):
        yield Finding(
            "top_logprobs_without_logprobs",
            "top_logprobs",
            "requires logprobs=True",
            repair=partial(_set, "logprobs", True),
        )
    yield from user_findings("user_id", request.get("user_id"))


def user_findings(field: str, user: Any) -> Iterator[Finding]:
    """Yield the findings for a user id in ``field``."""
    if user is None:
        return
    if not isinstance(user, str):
        yield Finding("user_id", field, f"must be a string, got {user!r:.200}")
    elif len(user.encode("utf-8", "replace")) > _MAX_USER_ID:
        yield Finding(
            "user_id", field, f"must have at most {_MAX_USER_ID} bytes, got {len(user.encode('utf-8', 'replace'))}"
        )
    elif not _USER_ID.fullmatch(user):
        text = f"should consist of A-Z, a-z, 0-9, _ and -, got {user[:200]!r}"
        yield Finding("user_id:form", field, text, refused=False)


def _context_findings(request: Request, prompt_tokens: int) -> Iterator[Finding]:
    asked = request.get("max_tokens") or 0
    if prompt_tokens + asked <= CONTEXT_WINDOW:
        return
    room = int(CONTEXT_WINDOW - prompt_tokens * _SURE)
    yield Finding(
        "context_overflow",
        "messages",
        f"about {prompt_tokens:,} prompt tokens and max_tokens {asked:,} exceed the context window of "
        f"{CONTEXT_WINDOW:,}; shorten the prompt, or lower max_tokens, which counts in full",
        refused=prompt_tokens / _SURE + asked > CONTEXT_WINDOW,
        repair=partial(_set, "max_tokens", min(asked, room)) if asked and room > 0 else None,
    )


_SURE: Final = 1.5
"""Factor by which an estimate may be off before an overflow is certain."""


def _json_findings(request: Request) -> Iterator[Finding]:
    if (request.get("response_format") or {}).get("type") == "json_object" and not mentions_json(request["messages"]):
        yield Finding(
            "json_word_missing",
            "response_format",
            'json_object requires the word "json" in the messages; without instructions the model may write '
            "whitespace until max_tokens",
            repair=_ask_for_json,
        )


def _ask_for_json(request: Request) -> None:
    request["messages"] = [{"role": "system", "content": "Answer with one JSON object."}, *request["messages"]]
