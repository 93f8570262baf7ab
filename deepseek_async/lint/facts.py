"""What is known of the service and since when: dates from ``facts.toml``, so that they are data and not code."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from deepseek_async.types.server_tools import WEB_TOOLS


@cache
def _facts() -> Mapping[str, Any]:
    return tomllib.loads(Path(__file__).with_name("facts.toml").read_text(encoding="utf-8"))


def since(code: str) -> date | None:
    """The day since which the rule holds that finds ``code``; None for a rule that nobody dated."""
    found: date | None = _facts()["rules"].get(code.partition(":")[0])
    return found


def without_tools() -> frozenset[str]:
    """Models that have none of the tools that the service runs itself."""
    return frozenset(_facts()["models"]["without_tools"]["names"])


def tools_of_service(request: Mapping[str, Any]) -> list[str]:
    """Which of the service's own tools ``request`` declares."""
    tools = request.get("tools")
    kinds = [tool.get("type") for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, list | tuple) else []
    return [kind for kind in kinds if isinstance(kind, str) and kind in WEB_TOOLS]
