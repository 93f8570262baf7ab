"""Rules for DeepSeek's extensions of 2026-11-13: web tools, moderation, reminders. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from typing import Any, Final

from deepseek_async.lint.api_facts import tools_of_service
from deepseek_async.lint.finding import Finding, Request
from deepseek_async.lint.rules import is_thinking

_WEEKDAYS: Final = {
    "English": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "中文": ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"),
}
_FORM: Final = "<date>,<weekday>,<location>,<platform>,<language>, e.g. 2026-11-09,Monday,,Web,English"
_LEVELS: Final = ("high", "low")


def extension_findings(request: Request, known: Request) -> Iterator[Finding]:
    """Yield the findings for extensions in ``request``; ``known`` is its part with known values only."""
    yield from _safety_findings(known)
    asked = tools_of_service(request)
    if asked:
        if is_thinking(known):
            yield search_while_thinking(asked[0], "thinking=False")
        if (known.get("response_format") or {}).get("type") == "json_object":
            yield Finding(
                "web_tools_with_json",
                "response_format",
                f"{asked[0]} in JSON mode is undocumented; request JSON in a second call",
                refused=False,
            )
    for index, message in enumerate(known["messages"]):
        if message["role"] == "latest_reminder":
            yield from _reminder_findings(known["messages"], index)


def search_while_thinking(tool: str, switch: str) -> Finding:
    """Return the finding for an expensive search while thinking; ``switch`` disables thinking."""
    return Finding(
        "web_search_while_thinking",
        "tools",
        f"{tool} with thinking, which is the default, starts a multi-step search: about 20 billed calls per "
        f"request (USD 0.015). For a single search pass {switch}; to keep it, pass lint='off'",
        refused=False,
    )


def _safety_findings(known: Request) -> Iterator[Finding]:
    level = (known.get("safety_check") or {}).get("level")
    if level is not None and level not in _LEVELS:
        yield Finding("safety_check", "safety_check.level", f"must be high or low, got {level[:200]!r}")
    choice = known.get("tool_choice")
    if level == "high" and choice not in (None, "auto", "none"):
        yield Finding(
            "safety_check_with_choice",
            "tool_choice",
            "must be auto or none with safety_check 'high', which does not allow forced calls",
        )


def _reminder_findings(messages: list[dict[str, Any]], index: int) -> Iterator[Finding]:
    place = f"messages[{index}]"
    content = messages[index]["content"]
    first, _, rest = content.partition(",")
    weekday, _, rest = rest.partition(",")
    where, _, language = rest.rpartition(",")
    _, comma, platform = where.rpartition(",")
    day = None
    with suppress(ValueError):
        day = date.fromisoformat(first) if len(first) == 10 else None
    if day is None:
        text = f"must begin with a date, else DeepSeek answers 400: {_FORM}, got {content[:200]!r}"
        yield Finding("latest_reminder", f"{place}.content", text, refused=False)
    else:
        names = _WEEKDAYS.get(language)
        wrong = [
            *([f"the weekday must be {names[day.weekday()]}"] if names and weekday != names[day.weekday()] else []),
            *(["the platform must be App or Web"] if platform not in ("App", "Web") or not comma else []),
            *([] if language else ["the language must come last"]),
        ]
        if wrong:
            text = f"must be {_FORM}; {', '.join(wrong)}, got {content[:200]!r}"
            yield Finding("latest_reminder:form", f"{place}.content", text, refused=False)
    if index + 1 == len(messages) or messages[index + 1]["role"] != "user":
        yield Finding(
            "latest_reminder_place",
            f"{place}.role",
            "a reminder must directly precede its user message",
            refused=False,
        )
