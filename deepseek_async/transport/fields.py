"""Header fields that a caller adds: which can be written, and which are not a caller's to write. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from deepseek_async.errors import DeepSeekError, InvalidRequestError
from deepseek_async.text.redaction import Known

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A token (RFC 9110, 5.6.2)."""

_VALUE: Final = re.compile(r"[^\r\n\0]*")

_FRAMING: Final = frozenset({"connection", "content-length", "host", "transfer-encoding"})
"""Say where a message ends and who is asked; a second one of these is another request."""

_KEY: Final = "authorization"


_SECRET: Final = re.compile(r"auth|cookie|credential|key|password|secret|session|signature|token", re.IGNORECASE)
"""What is in the name of a header whose value lets somebody in."""


class CallerFields(dict[str, str]):
    """Header fields. Those that let somebody in are masked in every text as long as they are held."""

    __slots__ = ("known",)
    known: Known


def checked(what: str, fields: Any, wrong: type[DeepSeekError] = InvalidRequestError) -> Mapping[str, str]:
    """``fields`` as they may be sent; ``what`` names them. Raises ``wrong`` for what no header can carry.

    A field for the key is refused: it would go out in the place of the client's, and the client would take what
    the server says of it for a word about its own.
    """
    if not isinstance(fields, Mapping):
        raise wrong(f"{what} must be names with texts, for example {{'X-Team': 'search'}}")
    for name, value in fields.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name.lower() in _FRAMING:
            raise wrong(f"{what} holds a header {name!r}, which cannot be sent")
        if name.lower() == _KEY:
            raise wrong(f"{what} must not hold Authorization; the key is the client's, as api_key")
        if not isinstance(value, str):
            raise wrong(f"{what}[{name!r}] must be a text, not {type(value).__name__}")
        if not _VALUE.fullmatch(value):
            raise wrong(f"{what}[{name!r}] holds a line break or NUL and cannot be written as HTTP")
    found = CallerFields(fields)
    secrets = [value for name, value in found.items() if _SECRET.search(name)]
    if secrets:
        found.known = Known(*secrets, *(value.partition(" ")[2] for value in secrets))
    return found


def merged(*several: Mapping[str, str] | None) -> dict[str, str]:
    """Fields, the later ones in the place of earlier ones whose names differ in nothing but case."""
    found: dict[str, tuple[str, str]] = {}
    for fields in several:
        for name, value in (fields or {}).items():
            found[name.lower()] = name, value
    return dict(found.values())
