"""Rules about what DeepSeek added on 2026-11-13: its own web tools, the check of contents, reminders. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from typing import Any, Final

from deepseek_async.lint.facts import tools_of_service
from deepseek_async.lint.finding import Finding, Request
from deepseek_async.lint.rules import is_thinking

_WEEKDAYS: Final = {
    "English": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "中文": ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"),
}
_FORM: Final = "<date>,<weekday>,<location>,<platform>,<language>, for example 2026-11-09,Monday,,Web,English"
_LEVELS: Final = ("high", "low")


def extension_findings(request: Request, known: Request) -> Iterator[Finding]:
    """What is wrong with the extensions in ``request``, of which ``known`` is the part in known words."""
    yield from _safety_findings(known)
    asked = tools_of_service(request)
    if asked:
        if is_thinking(known):
            yield search_while_thinking(asked[0], "thinking=False")
        if (known.get("response_format") or {}).get("type") == "json_object":
            yield Finding(
                "web_tools_with_json",
                "response_format",
                f"whether {asked[0]} keeps to JSON mode is not documented; ask for JSON in a second request",
                refused=False,
            )
    for index, message in enumerate(known["messages"]):
        if message["role"] == "latest_reminder":
            yield from _reminder_findings(known["messages"], index)


def search_while_thinking(tool: str, switch: str) -> Finding:
    """That a search while the model thinks is the expensive one; ``switch`` is what turns thinking off."""
    return Finding(
        "web_search_while_thinking",
        "tools",
        f"{tool} while the model thinks, which is the default, starts a search of many steps: about 20 paid calls a "
        f"request (USD 0.015). For a single search pass {switch}; to mean it, lint='off'",
        refused=False,
    )


def _safety_findings(known: Request) -> Iterator[Finding]:
    level = (known.get("safety_check") or {}).get("level")
    if level is not None and level not in _LEVELS:
        yield Finding("safety_check", "safety_check.level", f"must be high or low, not {level[:200]!r}")
    choice = known.get("tool_choice")
    if level == "high" and choice not in (None, "auto", "none"):
        yield Finding(
            "safety_check_with_choice",
            "tool_choice",
            "may only be auto or none beside safety_check 'high': a call cannot be forced then",
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
        text = f"must begin with a date, or DeepSeek answers 400: it is {_FORM}, not {content[:200]!r}"
        yield Finding("latest_reminder", f"{place}.content", text, refused=False)
    else:
        names = _WEEKDAYS.get(language)
        wrong = [
            *([f"the weekday is {names[day.weekday()]}"] if names and weekday != names[day.weekday()] else []),
            *(["the platform is App or Web"] if platform not in ("App", "Web") or not comma else []),
            *([] if language else ["the language is named last"]),
        ]
        if wrong:
            text = f"is {_FORM}; {', '.join(wrong)}, not {content[:200]!r}"
            yield Finding("latest_reminder:form", f"{place}.content", text, refused=False)
    if index + 1 == len(messages) or messages[index + 1]["role"] != "user":
        yield Finding(
            "latest_reminder_place",
            f"{place}.role",
            "a reminder stands directly before the message of the user to which it belongs",
            refused=False,
        )
