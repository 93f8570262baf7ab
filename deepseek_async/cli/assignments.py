"""``NAME=JSON`` on a command line."""

from __future__ import annotations

import json
from typing import Any

from deepseek_async.errors import ConfigurationError


def assignments(texts: list[str], flag: str) -> dict[str, Any]:
    """``NAME=JSON`` texts as a mapping. Raises ConfigurationError for what is no such text."""
    assigned: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigurationError(f"{flag} {text}: write NAME=JSON, for example {flag} top_p=0.9")
        try:
            assigned[name] = json.loads(value)
        except ValueError:
            raise ConfigurationError(
                f"{flag} {name}: {value!r} is not JSON; a string needs its quotes: {flag} '{name}=\"…\"'",
            ) from None
    return assigned
