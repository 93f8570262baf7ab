"""One attempt that was admitted, sent, and answered with a good head: its lease, its response, its timers."""

from __future__ import annotations

from collections.abc import Mapping

from deepseek_async.admission import Lease
from deepseek_async.codec.body import MAX_BODY_BYTES
from deepseek_async.errors import APIResponseValidationError
from deepseek_async.transport.protocol import Response
from deepseek_async.transport.watchdog import Watchdog
from deepseek_async.types import CompletionUsage


class Exchange:
    """Reads a body, and ends lease, connection and timers together: exactly one of served, faulted, abandoned."""

    __slots__ = ("_lease", "_received", "_response", "_watchdog", "headers", "read_available")

    def __init__(self, lease: Lease, response: Response, watchdog: Watchdog) -> None:
        self._lease = lease
        self._response = response
        self._watchdog = watchdog
        self.headers: Mapping[str, str] = response.headers
        self.read_available = response.read_available
        self._received = 0

    async def read(self) -> bytes:
        """The whole body, without the blank lines that the server sends while a request is queued."""
        body = (await self._response.read(MAX_BODY_BYTES)).strip()
        if not body:
            # Frequent in overload: a body of white space only, then the end.
            raise APIResponseValidationError("the server sent an empty body instead of an answer")
        return body

    def count(self, received: int) -> None:
        """Add to the bytes of a streamed body. Raises APIResponseValidationError past the limit."""
        self._received += received
        if self._received > MAX_BODY_BYTES:
            raise APIResponseValidationError(
                f"the streamed answer is larger than {MAX_BODY_BYTES:,} bytes",
                retryable=False,
            )

    def progressed(self) -> None:
        """Content arrived, not only a sign of life."""
        self._watchdog.progressed()

    @property
    def open(self) -> bool:
        """Whether the attempt still holds its slot and connection."""
        return self._lease.open

    def served(self, usage: CompletionUsage | None) -> None:
        """The answer is complete."""
        if self._lease.open:
            self._response.release()
            self._lease.served(usage)

    def faulted(self) -> None:
        """The answer broke off or is no answer."""
        if self._lease.open:
            self._response.close()
            self._lease.faulted()

    def abandoned(self) -> None:
        """We do not want the rest of the answer."""
        if self._lease.open:
            self._response.close()
            self._lease.abandoned(sent=True)
