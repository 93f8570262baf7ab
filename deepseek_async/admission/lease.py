"""One word for how an attempt ended. What each ending means to each limit is written here only."""

from __future__ import annotations

import msgspec

from deepseek_async.admission.rate import RateLimits
from deepseek_async.admission.slots import Slots
from deepseek_async.types import CompletionUsage


class Lease(msgspec.Struct, gc=False, eq=False):
    """The right to make one attempt. Ends exactly once; a second ending does nothing.

    | ending | slot | reserved tokens |
    |---|---|---|
    | ``served(usage)`` | free | settled to the real usage |
    | ``refused()``: 429, overload before any work | free | given back |
    | ``faulted()``: 5xx, reset, timeout | free | kept: the server may have worked |
    | ``abandoned(sent=…)``: we gave up | free | given back only if nothing was sent |
    """

    _slots: Slots
    _rates: RateLimits | None
    _tokens: int
    open: bool = True
    """Whether the attempt is still running."""

    # A struct's own repr would show what the server sent to whoever prints locals.
    __repr__ = object.__repr__

    def served(self, usage: CompletionUsage | None) -> None:
        """The attempt gave an answer."""
        self._end(usage.total_tokens if usage is not None else self._tokens)

    def refused(self) -> None:
        """The server refused the attempt without doing anything for it."""
        self._end(0)

    def faulted(self) -> None:
        """The attempt failed after the server may have begun."""
        self._end(self._tokens)

    def abandoned(self, *, sent: bool) -> None:
        """We gave the attempt up ourselves."""
        self._end(self._tokens if sent else 0)

    def _end(self, used: int) -> None:
        if not self.open:
            return
        self.open = False
        if self._rates is not None:
            self._rates.settle(self._tokens, used)
        self._slots.give_back()
