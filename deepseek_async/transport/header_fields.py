"""Validation of header fields that a caller adds. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from deepseek_async.errors import DeepSeekError, InvalidRequestError
from deepseek_async.text.redaction import MaskedValues

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""Field name: a token (RFC 9110, 5.6.2)."""

_VALUE: Final = re.compile(r"[^\r\n\0]*")

_FRAMING: Final = frozenset({"connection", "content-length", "host", "transfer-encoding"})
"""Framing and routing fields; a second one would change the request (request smuggling)."""

_KEY: Final = "authorization"

USER_AGENT: Final = "deepseek-async"


_SECRET: Final = re.compile(r"auth|cookie|credential|key|password|secret|session|signature|token", re.IGNORECASE)
"""Header names whose values are credentials."""


class CallerFields(dict[str, str]):
    """Header fields whose credentials are masked in every text for the lifetime of this object."""

    __slots__ = ("known",)
    known: MaskedValues


def checked(what: str, fields: Any, wrong: type[DeepSeekError] = InvalidRequestError) -> Mapping[str, str]:
    """Return ``fields`` if they can be sent; ``what`` names them. Raises ``wrong`` if a header is invalid.

    Authorization is refused: it would replace the client's key, and the client would attribute the server's
    responses about that key to its own.
    """
    if not isinstance(fields, Mapping):
        raise wrong(f"{what} must be a mapping of strings, for example {{'X-Team': 'search'}}")
    for name, value in fields.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name.lower() in _FRAMING:
            raise wrong(f"{what} must not contain the header {name!r}: invalid or set by the client")
        if name.lower() == _KEY:
            raise wrong(f"{what} must not contain Authorization; pass the key as api_key")
        if not isinstance(value, str):
            raise wrong(f"{what}[{name!r}] must be a string, got {type(value).__name__}")
        if not _VALUE.fullmatch(value):
            raise wrong(f"{what}[{name!r}] must not contain line breaks or NUL")
    found = CallerFields(fields)
    secrets = secrets_in(found)
    if secrets:
        found.known = MaskedValues(*secrets)
    return found


def secrets_in(fields: Mapping[str, str]) -> list[str]:
    """Return the values that are credentials by the name of their header, each also without its scheme."""
    found = [value for name, value in fields.items() if _SECRET.search(name)]
    return found + [bare for value in found if (bare := value.partition(" ")[2])]


def merged(*several: Mapping[str, str] | None) -> dict[str, str]:
    """Merge header fields; later ones replace earlier ones of the same name, ignoring case."""
    found: dict[str, tuple[str, str]] = {}
    for fields in several:
        for name, value in (fields or {}).items():
            found[name.lower()] = name, value
    return dict(found.values())
