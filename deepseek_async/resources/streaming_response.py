"""``with_streaming_response``: the response as a context manager that is read piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, TypeVar, overload

from deepseek_async.call.caller import Call
from deepseek_async.resources.raw import RawResponse, Recordable, answered, read_into
from deepseek_async.types import Answer
from deepseek_async.types.json_text import read

P = ParamSpec("P")
T = TypeVar("T")

_PIECE: Final = 64 * 1024


class StreamingResponse(RawResponse[T]):
    """A response whose body is read by awaiting ``parse``, ``read``, ``text`` or ``json``, or by iterating.

    A streamed answer iterates as the lines of its server-sent events, each encoded afresh from its chunk.
    """

    def __init__(self, answer: T, call: Call) -> None:
        super().__init__(answer, call)
        self._body: bytes | None = None

    @overload  # type: ignore[override]  # coroutines, as in openai-python
    async def parse(self) -> T: ...
    @overload
    async def parse(self, *, to: Any) -> Any: ...
    async def parse(self, *, to: Any = None) -> Any:
        """Return the answer, as the method without ``with_streaming_response`` does; ``to``: see RawResponse."""
        return self._answer if to is None else read_into(await self.read(), to)

    async def read(self) -> bytes:
        """Return the whole body."""
        if self._body is None:
            self._body = b"".join([piece async for piece in self._pieces()])
        return self._body

    async def text(self) -> str:  # type: ignore[override]
        """Return the whole body as text."""
        return (await self.read()).decode("utf-8", "replace")

    async def json(self) -> Any:
        """Return the whole body as plain JSON values. Raises ValueError for a streamed answer."""
        return read(await self.read())

    async def iter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Iterate over the body, at most ``chunk_size`` bytes at a time."""
        async for piece in self._pieces():
            size = chunk_size or max(1, len(piece))
            for at in range(0, len(piece), size):
                yield piece[at : at + size]

    async def iter_text(self, chunk_size: int | None = None) -> AsyncIterator[str]:
        """Iterate over the body as text, at most ``chunk_size`` characters at a time."""
        async for piece in self._pieces():
            text = piece.decode("utf-8", "replace")
            size = chunk_size or max(1, len(text))
            for at in range(0, len(text), size):
                yield text[at : at + size]

    async def iter_lines(self) -> AsyncIterator[str]:
        """Iterate over the lines of the body, without their ends."""
        async for piece in self._pieces():
            for line in piece.decode("utf-8", "replace").removesuffix("\n").split("\n"):
                yield line

    async def close(self) -> None:
        """Release the connection."""
        if not isinstance(self._answer, Answer):
            answer: Any = self._answer
            await answer.aclose()

    async def _pieces(self) -> AsyncIterator[bytes]:
        if self._body is not None:
            yield self._body
        elif isinstance(self._answer, Answer):
            wire = self._answer.encoded()
            for at in range(0, len(wire), _PIECE):
                yield wire[at : at + _PIECE]
        else:
            events: Any = self._answer
            async for chunk in events:
                yield b"data: " + chunk.encoded().replace(b"\n", b" ") + b"\n\n"
            yield b"data: [DONE]\n\n"


class Opening(Generic[T]):
    """``async with`` it: the request is sent on entering, and the connection is released on leaving."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, RawResponse[T]]]) -> None:
        self._ask = ask
        self._opened: StreamingResponse[T] | None = None

    async def __aenter__(self) -> StreamingResponse[T]:
        got = await self._ask()
        self._opened = StreamingResponse(got.parse(), got.call)
        return self._opened

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            await self._opened.close()


def streaming(resource: Recordable, method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Opening[T]]:
    """Return ``method`` of ``resource`` with its parameters, returning a StreamingResponse to enter."""

    def open_(*arguments: P.args, **parameters: P.kwargs) -> Opening[T]:
        return Opening(lambda: answered(resource, method.__name__, *arguments, **parameters))

    return open_
