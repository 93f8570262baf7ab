"""An accepted attempt (2xx head received): its lease, response and timers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec

from deepseek_async.admission import Lease
from deepseek_async.call.classification import end
from deepseek_async.codec.status_errors import status_error
from deepseek_async.errors import APIError, APIResponseValidationError, APIStatusError
from deepseek_async.transport.protocol import HTTPResponse, url_of
from deepseek_async.transport.watchdog import Watchdog
from deepseek_async.types import CompletionUsage
from deepseek_async.types.request_id import trace_id

_REFUSAL_BYTES: Final = 64 * 1024


class Exchange(msgspec.Struct, gc=False, eq=False):
    """Read the body and end lease, connection and timers together, exactly once: served, faulted or abandoned."""

    lease: Lease
    response: HTTPResponse
    watchdog: Watchdog

    # The struct's default repr would print what the server sent.
    __repr__ = object.__repr__

    @property
    def request_id(self) -> str | None:
        """Request id assigned by the server: ``x-ds-trace-id``, or ``x-request-id`` of other servers."""
        return trace_id(self.response.headers)

    async def read(self, limit: int) -> bytes:
        """Return the complete body, at most ``limit`` bytes, without the blank keep-alive lines before it."""
        body = (await self.response.read(limit)).strip()
        if not body:
            # Common under overload: whitespace only, then end of body.
            raise APIResponseValidationError("the server sent an empty body instead of an answer", reason="blank")
        return body

    @property
    def open(self) -> bool:
        """Whether the attempt still holds its slot and connection."""
        return self.lease.open

    def served(self, usage: CompletionUsage | None, model: str | None = None) -> None:
        """End after a complete answer by ``model``, billed for ``usage``."""
        if self.lease.open:
            self.response.release()
            self.lease.served(usage, model)

    def content_began(self) -> None:
        """Record that the first content of a stream arrived."""
        self.lease.content_began()

    def produced(self, characters: Callable[[], int]) -> None:
        """Record the characters received of a stream that ends early; they bound what it may be billed for."""
        if self.lease.open:
            self.lease.produced = characters()

    def faulted(
        self,
        error: APIError,
        usage: CompletionUsage | None = None,
        model: str | None = None,
        *,
        worked: bool = False,
    ) -> None:
        """End after a truncated or invalid answer; ``usage`` is what the server reported as billed, if anything.

        ``worked``: the attempt may be billed whatever its status.
        """
        if self.lease.open:
            self.response.close()
            end(self.lease, error, usage, model, worked=worked)

    def abandoned(self, usage: CompletionUsage | None = None, model: str | None = None) -> None:
        """Discard the rest of the answer; ``usage`` is what the server reported as billed, if anything."""
        if self.lease.open:
            self.response.close()
            self.lease.abandoned(sent=True, usage=usage, model=model)


async def read_refusal(response: HTTPResponse, base_url: str, path: str) -> APIStatusError:
    """Build the error of a response to ``path`` with an error status. A truncated body does not hide the status."""
    wire = b""
    try:
        wire = await response.read(_REFUSAL_BYTES)
    except APIError:
        response.close()
    except BaseException:
        response.close()
        raise
    else:
        response.release()
    asked = str(url_of(base_url, path)) if response.status in {404, 405} else ""
    return status_error(response.status, response.headers, wire, now=time.time(), asked=asked)
