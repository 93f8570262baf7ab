"""Dates of known service behaviour, from ``api_facts.toml``."""

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
    return tomllib.loads(Path(__file__).with_name("api_facts.toml").read_text(encoding="utf-8"))


def since(code: str) -> date | None:
    """Return the date since which the behaviour behind ``code`` is known; None if undated."""
    found: date | None = _facts()["rules"].get(code.partition(":")[0])
    return found


def without_tools() -> frozenset[str]:
    """Models that do not support the service's own tools."""
    return frozenset(_facts()["models"]["without_tools"]["names"])


def tools_of_service(request: Mapping[str, Any]) -> list[str]:
    """Return the service's own tools declared in ``request``."""
    tools = request.get("tools")
    kinds = [tool.get("type") for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, list | tuple) else []
    return [kind for kind in kinds if isinstance(kind, str) and kind in WEB_TOOLS]
