"""What is known of an origin that forbids to send another request over its idle connections."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

UNSEEN: Final = 2.0
"""Seconds after a request within which the loss of a kept connection says that it had been dead before: whoever has
forgotten a connection says so at once. Later the server may have been at work on the request, and have billed it."""

_DOUBT: Final = 60.0
"""Seconds for which connections serve once only, after one brought what nobody had asked for."""

_LOG: Final = logging.getLogger("deepseek_async")


class Reuse:
    """Shared by all connections to one origin."""

    __slots__ = ("doubted_until", "generation")

    def __init__(self) -> None:
        self.generation = 0
        """Connections idle in an earlier one are not used again: another that was idle then has been found dead."""
        self.doubted_until = 0.0
        """In the loop's time; 0 if there never was a doubt."""

    def found_dead(self) -> None:
        """A request met a connection that the server, or a box in between, had forgotten while it was idle."""
        self.generation += 1

    def unasked(self, origin: str, brought: bytes) -> None:
        """A connection ``brought`` what nobody had asked for.

        Who sends two answers to one request, or mixes up whose answer is whose, does so again: a desynchronised proxy,
        for one. What it sends right after the next request cannot be told from the answer to that.
        """
        if brought.startswith((b"HTTP/1.1 408", b"HTTP/1.0 408")):
            return  # some say so when they close an idle connection
        if not self.is_doubtful():
            _LOG.warning(
                "%s sent bytes that nobody had asked for; for %g s each of its connections serves one request only, so "
                "that no answer is taken for another's",
                *(origin, _DOUBT),
            )
        self.doubted_until = asyncio.get_running_loop().time() + _DOUBT

    def is_doubtful(self) -> bool:
        """Whether each connection serves one request only."""
        return self.doubted_until > 0 and asyncio.get_running_loop().time() < self.doubted_until
