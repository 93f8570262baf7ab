"""What goes along with a stream, as the stream sees it."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from deepseek_async.types import Answer

T = TypeVar("T", bound=Answer)


class ObservedStream(Protocol):
    """A stream, as its observer sees it."""

    @property
    def request_id(self) -> str | None:
        """``x-ds-trace-id`` of the response."""
        ...

    def unfiltered(self) -> Any:
        """What came from the server so far."""
        ...


class StreamObserver(Protocol):
    """Filters what a stream hands out, and is told how it ended."""

    async def pass_on(self, stream: ObservedStream, chunks: list[Any], *, progressed: bool, ended: bool) -> None:
        """Look at ``chunks``, which are about to be handed out, and change them in place. An error ends the stream."""

    def whole(self, answer: T) -> T:
        """``answer`` as the caller may have it."""
        ...

    def failed(self, stream: ObservedStream, error: BaseException) -> None:
        """The stream is left, or broken before its end."""
