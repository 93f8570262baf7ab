"""One attempt that was admitted, sent, and answered with a good head: its lease, its response, its timers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec

from deepseek_async.admission import Lease
from deepseek_async.call.classification import end
from deepseek_async.codec.refusal import refusal, trace_id
from deepseek_async.errors import APIError, APIResponseValidationError, APIStatusError
from deepseek_async.transport.protocol import HTTPResponse, url_of
from deepseek_async.transport.watchdog import Watchdog
from deepseek_async.types import CompletionUsage

_REFUSAL_BYTES: Final = 64 * 1024


class Exchange(msgspec.Struct, gc=False, eq=False):
    """Reads a body, and ends lease, connection and timers together: exactly one of served, faulted, abandoned."""

    lease: Lease
    response: HTTPResponse
    watchdog: Watchdog

    # A struct's own repr would show what the server sent to whoever prints locals.
    __repr__ = object.__repr__

    @property
    def request_id(self) -> str | None:
        """The name that the server gave to the request: ``x-ds-trace-id``, or ``x-request-id`` of other servers."""
        return trace_id(self.response.headers)

    async def read(self, limit: int) -> bytes:
        """The whole body without the blank lines sent while the request was queued; ``limit`` bytes at most."""
        body = (await self.response.read(limit)).strip()
        if not body:
            # Frequent in overload: a body of white space only, then the end.
            raise APIResponseValidationError("the server sent an empty body instead of an answer", reason="blank")
        return body

    @property
    def open(self) -> bool:
        """Whether the attempt still holds its slot and connection."""
        return self.lease.open

    def served(self, usage: CompletionUsage | None, model: str | None = None) -> None:
        """The answer is complete; ``usage`` is what it was billed for, and ``model`` who gave it."""
        if self.lease.open:
            self.response.release()
            self.lease.served(usage, model)

    def content_began(self) -> None:
        """The first content of a stream arrived."""
        self.lease.content_began()

    def produced(self, characters: Callable[[], int]) -> None:
        """The stream ends early; what of it had come decides what it may have been billed for."""
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
        """The answer broke off or is no answer; ``usage`` is what it was billed for, if the server said so.

        ``worked`` says that it may be billed whatever its status.
        """
        if self.lease.open:
            self.response.close()
            end(self.lease, error, usage, model, worked=worked)

    def abandoned(self, usage: CompletionUsage | None = None, model: str | None = None) -> None:
        """We do not want the rest of the answer; ``usage`` is what it was billed for, if the server has said so."""
        if self.lease.open:
            self.response.close()
            self.lease.abandoned(sent=True, usage=usage, model=model)


async def read_refusal(response: HTTPResponse, base_url: str, path: str) -> APIStatusError:
    """The error of a response to ``path`` with an error status. A body that breaks off does not hide the status."""
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
    return refusal(response.status, response.headers, wire, now=time.time(), asked=asked)
