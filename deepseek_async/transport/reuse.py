"""Reuse policy for idle connections of one origin."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

UNSEEN: Final = 2.0
"""Seconds after sending within which the loss of a reused connection means that it was already dead: a peer that
has dropped a connection answers at once. Later, the server may have processed and billed the request."""

_DOUBT: Final = 60.0
"""Seconds for which connections are used once only, after one delivered unsolicited bytes."""

_LOG: Final = logging.getLogger("deepseek_async")


class Reuse:
    """Reuse state shared by all connections to one origin."""

    __slots__ = ("doubted_until", "generation")

    def __init__(self) -> None:
        self.generation = 0
        """Idle connections of an earlier generation are not reused: another one of their age was found dead."""
        self.doubted_until = 0.0
        """Loop time; 0 if there was never a doubt."""

    def found_dead(self) -> None:
        """Record that a request met a connection which the server or an intermediary had dropped while idle."""
        self.generation += 1

    def unasked(self, origin: str, brought: bytes) -> None:
        """Record that a connection delivered unsolicited bytes ``brought``.

        A peer that answers one request twice, or mixes up answers, such as a desynchronised proxy, does so again, and
        bytes right after the next request cannot be distinguished from its response.
        """
        if brought.startswith((b"HTTP/1.1 408", b"HTTP/1.0 408")):
            return  # some servers send 408 when they close an idle connection
        if not self.is_doubtful():
            _LOG.warning(
                "%s sent unsolicited bytes; for %g s each of its connections carries one request only, so that no "
                "response is mistaken for another",
                *(origin, _DOUBT),
            )
        self.doubted_until = asyncio.get_running_loop().time() + _DOUBT

    def is_doubtful(self) -> bool:
        """Whether each connection carries one request only."""
        return self.doubted_until > 0 and asyncio.get_running_loop().time() < self.doubted_until
