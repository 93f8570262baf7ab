"""Stream of several choices: one stream for each, read concurrently, as the chunks of one."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, NoReturn

import msgspec

from deepseek_async.call.stream.stream_head import StreamHead
from deepseek_async.call.stream.streams import ChatCompletionStream
from deepseek_async.codec.choices import failed_choices, together
from deepseek_async.errors import DeepSeekError, InvalidRequestError
from deepseek_async.types import ChatCompletion, ChatCompletionChunk, ChoiceDelta, ChunkChoice
from deepseek_async.types.json_text import write

_AHEAD: Final = 64
"""Chunks read ahead of the caller; more would hide from the servers that nobody reads."""

OpenChoice = Callable[[int], Awaitable[ChatCompletionStream]]


class _Intake:
    """What the reading tasks share. They know nothing of the stream, so that a forgotten one can be collected."""

    def __init__(self, first: ChatCompletionStream) -> None:
        self.chunks: asyncio.Queue[tuple[int, ChatCompletionChunk | None]] = asyncio.Queue(_AHEAD)
        """Chunks in order of arrival, each with its choice; None ends a choice."""
        self.streams: dict[int, ChatCompletionStream] = {0: first}
        self.failures: dict[int, BaseException] = {}
        self.first_ended = asyncio.Event()

    async def read(self, index: int, open_choice: OpenChoice, *, waits: bool) -> None:
        """Read the stream of one choice to its end."""
        try:
            if waits:
                await self.first_ended.wait()
            if not (waits and self.failures):
                await self._read(index, open_choice)
        except Exception as error:  # noqa: BLE001  raised to the reader once the other choices have ended
            self.failures[index] = error
        finally:
            if index == 0:
                self.first_ended.set()
        await self.chunks.put((index, None))

    async def _read(self, index: int, open_choice: OpenChoice) -> None:
        if index not in self.streams:
            self.streams[index] = await open_choice(index)
        async with self.streams[index] as stream:
            async for chunk in stream:
                await self.chunks.put((index, chunk))


class ChoicesStream(ChatCompletionStream):
    """Streamed chat completion with ``n`` above 1: the chunks of all choices, as they arrive, each with its ``index``.

    The usage of all choices comes in one last chunk. A choice that fails does not end the others: its error is raised
    after their last chunk, with all that arrived as ``partial``.
    """

    __slots__ = ("_intake", "_last", "_loop", "_n", "_open", "_tasks")

    def __init__(self, first: ChatCompletionStream, open_choice: OpenChoice, n: int, *, one_ahead: bool) -> None:
        # Everything of the base that works on one exchange is replaced below.
        self._call = first._call  # noqa: SLF001  events() looks at its request
        self._n = self._open = n
        self._ended = self._left = self._reading = self.resumed = False
        self._last: ChatCompletionChunk | None = None
        self._loop = asyncio.get_running_loop()
        intake = self._intake = _Intake(first)
        self._tasks = [
            asyncio.create_task(intake.read(index, open_choice, waits=one_ahead and index > 0)) for index in range(n)
        ]

    @property
    def request_id(self) -> str | None:
        """``x-ds-trace-id`` of the response with the first choice."""
        return self._intake.streams[0].request_id

    @property
    def response(self) -> StreamHead:
        """Status and headers of the response with the first choice."""
        return self._intake.streams[0].response

    @property
    def attempts(self) -> int:
        """Number of requests sent so far, for all choices."""
        return sum(stream.attempts for stream in self._intake.streams.values())

    @property
    def fallback(self) -> str | None:
        """Model or endpoint that answers a choice instead of the requested one; None without a fallback."""
        return next((stream.fallback for stream in self._intake.streams.values() if stream.fallback is not None), None)

    @property
    def refused(self) -> bool:
        """Whether the service's moderation ended one of the choices."""
        return any(stream.refused for stream in self._intake.streams.values())

    @property
    def partial(self) -> ChatCompletion:
        """What has arrived so far of all choices."""
        return together({index: stream.partial for index, stream in sorted(self._intake.streams.items())})

    def unfiltered(self) -> ChatCompletion:
        """Return what the servers sent, before any content filter."""
        return together({index: stream.unfiltered() for index, stream in sorted(self._intake.streams.items())})

    @property
    def completion(self) -> ChatCompletion:
        """The complete answer with all choices; its usage is their sum. Raises DeepSeekError before the end."""
        if not self._ended:
            raise DeepSeekError(
                "the stream has not ended: iterate to the end first, or use .partial for what has arrived so far",
            )
        return together({index: stream.completion for index, stream in sorted(self._intake.streams.items())})

    async def __anext__(self) -> ChatCompletionChunk:
        """Return the next chunk of any choice."""
        if self._reading:
            raise RuntimeError("cannot iterate: another task is already reading this stream")
        self._reading = True
        try:
            while self._open and not self._left:
                index, chunk = await self._intake.chunks.get()
                if chunk is not None:
                    return self._numbered(index, chunk)
                self._open -= 1
        except BaseException:
            self._leave()
            raise
        finally:
            self._reading = False
        if self._ended or self._left:
            raise StopAsyncIteration
        return self._last_chunk()

    def arrived(self) -> list[ChatCompletionChunk]:
        """Return the chunks that came with the last one, which the iteration then skips."""
        chunks = []
        while self._open and not self._left and not self._intake.chunks.empty():
            index, chunk = self._intake.chunks.get_nowait()
            if chunk is None:
                self._open -= 1
            else:
                chunks.append(self._numbered(index, chunk))
        return chunks

    def shut(self) -> None:
        """End the requests at the servers; they are accounted for when the stream is closed."""
        for stream in self._intake.streams.values():
            stream.shut()

    def _numbered(self, index: int, chunk: ChatCompletionChunk) -> ChatCompletionChunk:
        """Return ``chunk`` as one of the choice ``index``; its usage is held back for the sum."""
        if chunk.usage is None and not index:
            return chunk
        sent = {**chunk.to_dict()}
        if chunk.usage is not None:
            chunk.usage = None
            sent.pop("usage", None)
            self._last = chunk
        for choice, said in zip(chunk.choices, sent.get("choices") or (), strict=False):
            choice.index = said["index"] = index
        chunk._wire = write(sent)  # noqa: SLF001  as if it had been received so
        return chunk

    def _last_chunk(self) -> ChatCompletionChunk:
        """Return the last chunk, with the usage of all choices. Raises what a choice failed with."""
        failures = self._intake.failures
        if failures:
            self._left = True
            raise self._failed(failures)
        self._ended = True
        self.resumed = any(stream.resumed for stream in self._intake.streams.values())
        usage, last = self.completion.usage, self._last
        if usage is None or last is None:
            raise StopAsyncIteration
        asked = "stream_options" in self._call.request.parameters
        # As with one choice: readers of ``chunk.choices[0]`` must not fail because we asked for usage.
        choices = [] if asked else [ChunkChoice(delta=ChoiceDelta(content=""))]
        made = msgspec.structs.replace(last, choices=choices, usage=usage, undeclared=None, repaired=(), _wire=b"")
        made._wire = write({**made.to_dict(), "usage": usage.counters()})  # noqa: SLF001
        return made

    def _failed(self, failures: dict[int, BaseException]) -> BaseException:
        known = {index: error for index, error in failures.items() if isinstance(error, DeepSeekError)}
        if len(known) < len(failures):
            return next(error for error in failures.values() if not isinstance(error, DeepSeekError))
        streams = self._intake.streams
        whole = {index: stream.completion for index, stream in sorted(streams.items()) if index not in failures}
        return failed_choices(known, whole, self._n)

    def _leave(self) -> None:
        self._left = True
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """Close the streams of all choices. Connections and slots are released on return."""
        self._leave()
        with suppress(asyncio.QueueFull):
            self._intake.chunks.put_nowait((0, None))  # wakes a concurrent reader
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stream in self._intake.streams.values():
            await stream.aclose()

    def __del__(self) -> None:
        if any(not task.done() for task in self._tasks):
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(_cancel, self._tasks)
            warnings.warn(
                "stream was not closed; use 'async with' so that its connections are released",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    def text_deltas(self) -> AsyncGenerator[str, None]:
        """Not for several choices, whose pieces would be mixed: raises InvalidRequestError."""
        self._refuse("text_deltas")

    def reasoning_deltas(self) -> AsyncGenerator[str, None]:
        """Not for several choices, whose pieces would be mixed: raises InvalidRequestError."""
        self._refuse("reasoning_deltas")

    def _refuse(self, name: str) -> NoReturn:
        raise InvalidRequestError(
            f"{name}() has no place for the choice, and this stream has {self._n}: iterate over the stream or over "
            "events(), whose chunks and events name their choice",
        )


def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
