"""Keys and bearer tokens taken out of texts that are to be shown."""

from __future__ import annotations

import re
from typing import Final

_SECRETS: Final = re.compile(r"(?i)(bearer\s+)[^\s\"',}]+|\bsk-[A-Za-z0-9_\-]{4,}")


def redact(text: str) -> str:
    """``text`` with everything that looks like a key or a bearer token replaced."""
    return _SECRETS.sub(lambda match: f"{match[1] or ''}sk-…", text)
