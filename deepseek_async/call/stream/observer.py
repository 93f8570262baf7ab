"""Interface between a stream and its observer."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from deepseek_async.types import Answer

T = TypeVar("T", bound=Answer)


class ObservedStream(Protocol):
    """The stream as its observer sees it."""

    @property
    def request_id(self) -> str | None:
        """``x-ds-trace-id`` of the response."""
        ...

    def unfiltered(self) -> Any:
        """Return what the server sent so far."""
        ...


class StreamObserver(Protocol):
    """Filters the chunks of a stream and is notified of its end."""

    async def pass_on(self, stream: ObservedStream, chunks: list[Any], *, progressed: bool, ended: bool) -> None:
        """Inspect or change ``chunks`` in place before they are yielded. An exception ends the stream."""

    def whole(self, answer: T) -> T:
        """Return ``answer`` as the caller may see it."""
        ...

    def failed(self, stream: ObservedStream, error: BaseException) -> None:
        """Handle a stream that was closed, or broke, before its end."""
