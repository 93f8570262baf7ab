"""API keys and other secrets, masked in repr, logs and tracebacks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, Self, TypeVar, cast

from deepseek_async.errors import ConfigurationError
from deepseek_async.text.redaction import MaskedValues

SIMULATED: Final = "sk-simulated"
"""The key printed by ``deepseek-async simulate``. It belongs to no account, so its server is a simulator."""


_PASTED: Final = "\ufeff\u200b\u200c\u200d\u2060"
"""Invisible characters picked up when a key is copied from a page or a file."""

_QUOTES: Final = {"'": "'", '"': '"', "`": "`", "\u201c": "\u201d", "\u2018": "\u2019"}

T = TypeVar("T")


class ApiKey:
    """An API key that masks itself: ``repr``, ``str`` and ``format`` return ``sk-…abcd``; pickling raises TypeError.

    While it is alive, every text of this library masks it. Surrounding white space, quotes and ``Bearer`` are
    removed. Raises ConfigurationError if the key is empty or contains characters not allowed in an HTTP header.
    """

    __slots__ = ("_known", "_secret")

    def __init__(self, secret: str) -> None:
        if not isinstance(secret, str):
            raise ConfigurationError(f"api_key must be a string, got {type(secret).__name__}")
        secret = Secret(_bare(secret))
        if not secret:
            raise ConfigurationError("api_key is empty: pass api_key= or set DEEPSEEK_API_KEY")
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            raise ConfigurationError(
                "api_key must not contain white space, control or non-ASCII characters; check for a comment, a line "
                "break or a name pasted with it",
            )
        if secret[0] in _QUOTES or secret[-1] in _QUOTES:
            raise ConfigurationError("api_key has an unmatched quote at its start or end; check whether it was cut off")
        if "=" in secret.rstrip("=") and secret.partition("=")[0].endswith("API_KEY"):
            raise ConfigurationError("api_key must be the key alone, got NAME=key; remove the name and the = sign")
        self._secret = str.__str__(secret)
        self._known = MaskedValues(self._secret)

    def authorization(self) -> str:
        """Value of the Authorization header; its ``repr`` is masked, so tracebacks with locals are safe."""
        return _MaskedHeader(f"Bearer {self._secret}")

    def fingerprint(self) -> str:
        """Return a one-way identifier of the account behind the key."""
        return hashlib.sha256(b"deepseek_async account\0" + self._secret.encode()).hexdigest()[:32]

    @property
    def is_simulated(self) -> bool:
        """Whether this is the simulator's key, which belongs to no account."""
        return self._secret == SIMULATED

    def __repr__(self) -> str:
        # The last four characters would reveal most of a short key.
        secret = getattr(self, "_secret", "")  # unset if __init__ raised
        tail = secret[-4:] if len(secret) >= 16 else ""
        return f"sk-…{tail}"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("cannot pickle an ApiKey; set DEEPSEEK_API_KEY in the other process")


def _bare(secret: str) -> str:
    """Strip wrapping picked up from a ``.env`` file, a header or a web page."""
    while True:
        bare = secret.strip().strip(_PASTED)
        if len(bare) > 1 and _QUOTES.get(bare[0]) == bare[-1]:
            bare = bare[1:-1]
        if bare[:7].lower() == "bearer ":
            bare = bare[7:]
        if bare == secret:
            return Secret(bare)
        secret = Secret(bare)


class _MaskedHeader(str):
    """A header value that aiohttp can send and that ``repr`` masks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'Bearer sk-…'"


class Secret(str):
    """A string that ``repr`` masks, so tracebacks with locals do not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


class KnownSecret(Secret):
    """A Secret that is masked in every text for its lifetime, together with its ``parts``."""

    __slots__ = ("known",)
    known: MaskedValues

    def __new__(cls, text: str, *parts: str) -> Self:
        made = super().__new__(cls, text)
        made.known = MaskedValues(text, *parts)
        return made


def hidden(given: T) -> T:
    """Wrap a string, or the strings of a mapping, as Secrets; returns other values unchanged."""
    if isinstance(given, str):
        return cast("T", Secret(given))
    if isinstance(given, Mapping):
        return cast("T", {name: hidden(value) for name, value in given.items()})
    return given
