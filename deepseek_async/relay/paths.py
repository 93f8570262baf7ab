"""Paths of foreign clients. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from deepseek_async.configuration.endpoint import Family
from deepseek_async.errors import InvalidRequestError
from deepseek_async.types.operation import Operation

_SAFE: Final = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+/?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?\[\]-]*)?")
_STEP: Final = re.compile(r"(?:/|%2f|%5c|^)(?:\.|%2e){1,2}(?:/|%2f|%5c|$)", re.IGNORECASE)
"""A step up, also where a server takes an escaped slash or backslash for a slash."""
_BASES: Final = ("/v1/", "/beta/")

_KNOWN: Final[dict[tuple[str, str, bool], tuple[str, Family | None]]] = {
    ("GET", "models", False): ("models.list", None),
    ("GET", "models", True): ("models.retrieve", None),
    ("GET", "user", True): ("user.balance", None),
    ("GET", "files", False): ("files.list", "files"),
    ("GET", "files", True): ("files.retrieve", "files"),
    ("DELETE", "files", True): ("files.delete", "files"),
    ("GET", "fine_tuning", True): ("fine_tunes.retrieve", "fine_tunes"),
}
"""Operation and family of the free requests, by method, first segment, and whether there are more."""

OTHER: Final = Operation("other")
"""A request that the client has no method for."""


@lru_cache(256)
def normalized(path: str) -> str:
    """Return ``path`` without the base that SDKs put before it. Raises InvalidRequestError for one that may lead
    elsewhere."""
    route = path.partition("?")[0]
    if not _SAFE.fullmatch(path) or _STEP.search(route):
        raise InvalidRequestError(f"path must be a plain path below the base URL, e.g. /models, got {path!r:.200}")
    for base in _BASES:
        if path.startswith(base):
            return path[len(base) - 1 :]
    return path


def meaning_of(method: str, path: str) -> tuple[Operation, Family | None]:
    """Return operation and family of a request without a method of its own."""
    first, _, rest = path.partition("?")[0].strip("/").partition("/")
    name, family = _KNOWN.get((method, first, bool(rest)), ("", None))
    return (Operation(name), family) if name else (OTHER, family)
