"""Parser of ``NAME=JSON`` options."""

from __future__ import annotations

import json
from typing import Any

from deepseek_async.errors import ConfigurationError


def assignments(texts: list[str], flag: str) -> dict[str, Any]:
    """Parse ``NAME=JSON`` texts into a dict. Raises ConfigurationError for an invalid one."""
    assigned: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigurationError(f"{flag} must be NAME=JSON, for example {flag} top_p=0.9, got {text!r}")
        try:
            assigned[name] = json.loads(value)
        except ValueError:
            raise ConfigurationError(
                f"{flag} {name} must be JSON, got {value!r}; quote a string: {flag} '{name}=\"…\"'",
            ) from None
    return assigned
