"""The API key, wrapped so that printing it by accident shows four characters at most."""

from __future__ import annotations

import hashlib
from typing import Final

from deepseek_async.errors import ConfigurationError

SIMULATED: Final = "sk-simulated"
"""The key that ``deepseek-async simulate`` names: who has it has no account, so whoever answers is a simulator."""


class ApiKey:
    """A key that does not show itself: ``repr``, ``str``, ``format`` and pickling give ``sk-…abcd``.

    Raises ConfigurationError for an empty key or one with characters that no HTTP header may carry.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: str) -> None:
        if not isinstance(secret, str):
            raise ConfigurationError(f"api_key must be a text, not {type(secret).__name__}")
        secret = secret.strip()
        if not secret:
            raise ConfigurationError("api_key is empty: pass api_key= or set DEEPSEEK_API_KEY")
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            del secret  # a traceback with locals must not show it
            raise ConfigurationError(
                "api_key holds characters that no key has (white space, control or non-ASCII characters); "
                "was it pasted with its quotes or a line break?",
            )
        self._secret = secret

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


class _MaskedHeader(str):
    """A header value that aiohttp can send and that ``repr`` does not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'Bearer sk-…'"


class Secret(str):
    """A text from a settings file that ``repr`` does not show, and so no traceback with locals."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"
