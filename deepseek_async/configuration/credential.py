"""The API key, wrapped so that printing it by accident shows four characters at most."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, Self, TypeVar, cast

from deepseek_async.errors import ConfigurationError
from deepseek_async.text.redaction import Known

SIMULATED: Final = "sk-simulated"
"""The key that ``deepseek-async simulate`` names: who has it has no account, so whoever answers is a simulator."""


_PASTED: Final = "\ufeff\u200b\u200c\u200d\u2060"
"""Invisible characters that come along when a key is copied out of a page or a file."""

_QUOTES: Final = {"'": "'", '"': '"', "`": "`", "\u201c": "\u201d", "\u2018": "\u2019"}

T = TypeVar("T")


class ApiKey:
    """A key that does not show itself: ``repr``, ``str``, ``format`` and pickling give ``sk-…abcd``.

    While it lives it is masked in every text of this library. White space, quotes and ``Bearer`` around a key are taken
    off. Raises ConfigurationError for an empty key or one with characters that no HTTP header may carry.
    """

    __slots__ = ("_known", "_secret")

    def __init__(self, secret: str) -> None:
        if not isinstance(secret, str):
            raise ConfigurationError(f"api_key must be a text, not {type(secret).__name__}")
        secret = Secret(_bare(secret))
        if not secret:
            raise ConfigurationError("api_key is empty: pass api_key= or set DEEPSEEK_API_KEY")
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            raise ConfigurationError(
                "api_key holds characters that no key has (white space, control or non-ASCII characters) between its "
                "first and its last; was it pasted with a comment, another line or a name before it?",
            )
        if secret[0] in _QUOTES or secret[-1] in _QUOTES:
            raise ConfigurationError("api_key begins or ends with a quote that has no other one; was it cut off?")
        if "=" in secret.rstrip("=") and secret.partition("=")[0].endswith("API_KEY"):
            raise ConfigurationError("api_key holds a variable's name and = before the key; leave both out")
        self._secret = str.__str__(secret)
        self._known = Known(self._secret)

    def authorization(self) -> str:
        """The value of the Authorization header; its ``repr`` is masked, so locals in a traceback are safe."""
        return _MaskedHeader(f"Bearer {self._secret}")

    def fingerprint(self) -> str:
        """A name for the account behind the key, from which the key cannot be found."""
        return hashlib.sha256(b"deepseek_async account\0" + self._secret.encode()).hexdigest()[:32]

    @property
    def is_simulated(self) -> bool:
        """Whether it is the key of simulators, and of no account."""
        return self._secret == SIMULATED

    def __repr__(self) -> str:
        # A short key would be shown almost whole by its last four characters.
        secret = getattr(self, "_secret", "")  # none yet in the traceback of a key that was refused
        tail = secret[-4:] if len(secret) >= 16 else ""
        return f"sk-…{tail}"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("an ApiKey is not pickled; give the other process its own environment variable")


def _bare(secret: str) -> str:
    """``secret`` without what stands around a key: in a ``.env`` file, in a header, in a page it was copied from."""
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
    """A header value that aiohttp can send and that ``repr`` does not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'Bearer sk-…'"


class Secret(str):
    """A text that ``repr`` does not show, and so no traceback with locals."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


class KnownSecret(Secret):
    """A Secret that is masked in every text while somebody holds it, and so are its ``parts``."""

    __slots__ = ("known",)
    known: Known

    def __new__(cls, text: str, *parts: str) -> Self:
        made = super().__new__(cls, text)
        made.known = Known(text, *parts)
        return made


def hidden(given: T) -> T:
    """``given`` with its texts, also those inside of a mapping, as Secrets; anything else as it is."""
    if isinstance(given, str):
        return cast("T", Secret(given))
    if isinstance(given, Mapping):
        return cast("T", {name: hidden(value) for name, value in given.items()})
    return given
