"""Base of streamed answers: retries, timers and endings; a reader decodes and assembles the chunks."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import dropwhile
from typing import Any, ClassVar, Final, Generic, Self

from deepseek_async.call.exchange import Exchange
from deepseek_async.call.lifecycle import Attempts
from deepseek_async.call.replayed import events_of
from deepseek_async.call.stream.observer import StreamObserver
from deepseek_async.call.usage_check import is_plain, metered
from deepseek_async.codec.answer_check import fault_of_no_stream
from deepseek_async.codec.reader import ChunkT, StreamReader, WholeT, is_json
from deepseek_async.codec.sse import SSEDecoder
from deepseek_async.codec.status_errors import status_error_in_stream
from deepseek_async.errors import (
    APIError,
    APIResponseValidationError,
    APIStatusError,
    DeepSeekError,
    ReasoningBudgetExhaustedError,
    StreamInterruptedError,
)
from deepseek_async.process.closing import AsyncClosedOnExit
from deepseek_async.process.tracebacks import without_frames

MAX_TEXT: Final = 32 * 1024 * 1024
"""Maximum characters kept of one answer: 80 per token of the API's longest answer (393,216; DeepSeek docs)."""

_EVENT_FOR_BYTES: Final = 8
"""Approximate ratio of stream bytes to plain answer bytes: every token is wrapped in an event."""

_LOOK: Final = 32 * 1024 * 1024
_MOST_HELD: Final = 10_000
"""Maximum chunks held back until the answer is known to be non-empty; normally one or two."""


class AnswerStream(AsyncClosedOnExit, Generic[ChunkT, WholeT]):
    """Asynchronous iterator over the chunks of a streamed answer, one per SSE event, in order.

    Use it in ``async with``: leaving early, by ``break``, return or an exception, releases connection and slot
    immediately. A fault before the first content is retried transparently; after it the iteration raises
    StreamInterruptedError, because a restart would repeat text already shown.
    """

    __slots__ = (
        "__weakref__",
        "_call",
        "_ended",
        "_exchange",
        "_failure",
        "_held",
        "_hidden",
        "_left",
        "_limits",
        "_observer",
        "_pending",
        "_progressed",
        "_reader",
        "_reading",
        "_received",
        "_response",
        "_shown",
        "_unchecked",
        "_watchdog",
    )

    _reader_type: ClassVar[type[StreamReader[Any, Any]]]

    def __init__(self, call: Attempts, exchange: Exchange) -> None:
        self._call = call
        self._limits = call.target.limits
        self._read_from(exchange, self._reader_type(SSEDecoder(self._limits.event)))
        self._progressed = False
        self._shown = False  # whether any chunk was yielded
        self._hidden = False  # whether this attempt repeats chunks that an earlier one yielded
        self._held: list[ChunkT] = []
        self._ended = False
        self._left = False  # whether the caller closed the stream
        self._failure: APIError | None = None
        self._pending: Iterator[ChunkT] = iter(())  # chunks of the last block, not yet yielded
        self._reading = False
        self._observer: StreamObserver | None = None

    def _read_from(self, exchange: Exchange, reader: StreamReader[ChunkT, WholeT]) -> None:
        self._exchange = exchange
        self._response = exchange.response
        self._watchdog = exchange.watchdog
        self._reader = reader
        reader.usage_asked = self._call.request.asks_usage
        self._received = 0
        # Received bytes at which the size is checked next.
        self._unchecked = min(_LOOK, self._limits.body)

    def attend(self, observer: StreamObserver) -> None:
        """Attach ``observer``, which filters the chunks and is notified of the end."""
        self._observer = observer

    @property
    def request_id(self) -> str | None:
        """``x-ds-trace-id`` of the response."""
        return self._exchange.request_id

    @property
    def attempts(self) -> int:
        """Number of requests sent so far."""
        return self._call.attempts

    @property
    def fallback(self) -> str | None:
        """Model or endpoint that answers instead of the requested one; None without a fallback."""
        return self._call.fallback

    @property
    def refused(self) -> bool:
        """Whether the service's moderation ended the answer; the caller should withdraw what it showed."""
        return self._reader.refused

    @property
    def partial(self) -> WholeT:
        """The answer assembled from the chunks so far; possibly incomplete."""
        answer = self.unfiltered()
        return answer if self._observer is None else self._observer.whole(answer)

    def unfiltered(self) -> WholeT:
        """Return what the server sent, before any content filter."""
        answer = self._reader.answer()
        if self._call.bill is not None:
            self._call.bill.leave_in(answer)
        return answer

    def _whole(self) -> WholeT:
        if not self._ended:
            raise DeepSeekError(
                "the stream has not ended: iterate to the end first, or use .partial for what has arrived so far",
            )
        answer = self.unfiltered()
        answer.fallback = self._call.fallback
        answer._sent_at = self._call.sent_at or 0.0  # noqa: SLF001
        return answer if self._observer is None else self._observer.whole(answer)

    async def aclose(self) -> None:
        """Close the stream. Connection and slot are released on return."""
        self._leave()
        self._pending = iter(())

    def shut(self) -> None:
        """End the request at the server; it is accounted for when the reader is cancelled, or closes the stream."""
        self._response.close()

    # Its own iterator: a generator and its frame would refer to each other and be freed only by the garbage collector.
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChunkT:
        """Return the next chunk, from the last block or from the next one that contains any."""
        for chunk in self._pending:
            return chunk
        if self._reading:
            raise RuntimeError("cannot iterate: another task is already reading this stream")
        self._reading = True
        try:
            # Inlined: runs for each block, often with a single chunk in it.
            while True:
                if self._failure is not None:
                    # An error keeps this frame alive, and with it server data that may echo the key.
                    block, chunks = b"", []
                    await self._recover(self._failure)
                if self._ended or self._left:
                    break
                try:
                    block = await self._response.read_available()
                except Exception as error:  # noqa: BLE001  explain re-raises errors that are not the transport's
                    chunks = self._broken(error)
                else:
                    chunks = self._take(block)
                if self._observer is not None:
                    await self._observer.pass_on(self, chunks, progressed=self._progressed, ended=self._ended)
                if len(chunks) == 1:
                    return chunks[0]
                self._pending = iter(chunks)
                for chunk in self._pending:
                    return chunk
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            self._reading = False
        # Still open if the stream was closed during a retry.
        self._abandon()
        raise StopAsyncIteration

    def arrived(self) -> list[ChunkT]:
        """Return the chunks that came with the last one, which the iteration then skips."""
        return list(self._pending)

    def __del__(self) -> None:
        if self._exchange.open:
            # May run at any time and in any thread: leave the work to the event loop.
            with suppress(RuntimeError):  # the loop is closed
                self._call.target.loop.call_soon_threadsafe(self._leave)
            warnings.warn(
                "stream was not closed; use 'async with' so that its connection is released",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    def _leave(self) -> None:
        """End the stream for the caller."""
        if self._ended:
            self._left = True
            self._abandon()
        else:
            self._fail(GeneratorExit())

    def _fail(self, error: BaseException) -> None:
        """End the iteration with ``error``."""
        self._left = True
        self._abandon()
        if self._observer is not None:
            self._observer.failed(self, error)

    def _abandon(self) -> None:
        if self._exchange.open:
            self.shut()  # the server is not to go on while it is reckoned what it did
        self._exchange.produced(lambda: self._reader.size)
        # Usage may have arrived before the end.
        usage = None
        if self._exchange.open and (self._reader.whole or self._reader.counted):
            usage = self._call.counted(self._reader.answer(), estimate=False)
        self._exchange.abandoned(usage, self._reader.model)
        self._call.lose(self._exchange.lease, None)

    def _take(self, block: bytes) -> list[ChunkT]:
        """Return the chunks that ``block`` completes. A fault in it is raised after the chunks before it."""
        if not block:
            return self._end()
        reader = self._reader
        chunks = reader.feed(block)
        self._watchdog.alive(progressed=reader.progressed)
        if not self._progressed:
            if reader.progressed:
                chunks = self._from_content_on(chunks)
                self._progressed = True
                self._exchange.content_began()
            else:
                chunks = self._before_content(chunks)
        self._received += len(block)
        if reader.halted:
            chunks += self._halt()
        elif self._received > self._unchecked:
            self._look_at_size()
        return chunks

    def _look_at_size(self) -> None:
        """Check, once per _LOOK bytes, that stream and assembled answer are within their limits."""
        most = self._limits.body
        self._unchecked = min(most, self._unchecked + _LOOK)
        if self._received > most:
            limit = f"{most:,} bytes (limits.body)"
        elif self._reader.size > MAX_TEXT:
            limit = f"{MAX_TEXT:,} characters"
        elif len(self._held) > _MOST_HELD:
            limit = f"{_MOST_HELD:,} chunks without content"
        else:
            return
        self._failure = APIResponseValidationError(f"streamed answer exceeds {limit}", retryable=False)

    def _halt(self) -> list[ChunkT]:
        """Handle the last chunk: end of stream, or a fault in it."""
        reader = self._reader
        if reader.done:
            return self._end()
        if reader.error is not None:
            self._failure = status_error_in_stream(reader.error, self._exchange.response.headers, now=time.time())
        else:
            self._failure = reader.failure
        return []

    def _before_content(self, chunks: list[ChunkT]) -> list[ChunkT]:
        """Return the chunks to yield before the first content, while the attempt may still be retried.

        The opening chunk of the first attempt is yielded at once. A final chunk is held back until the answer is known
        to be non-empty.
        """
        if self._held or any(map(self._reader.ends, chunks)):
            self._held += chunks
            return []
        if self._hidden:
            return []
        self._shown = self._shown or bool(chunks)
        return chunks

    def _from_content_on(self, chunks: list[ChunkT]) -> list[ChunkT]:
        """Return the chunks to yield with the first content: all, but the opening chunk only once."""
        chunks, self._held = self._held + chunks, []
        return list(dropwhile(self._reader.says_nothing, chunks)) if self._hidden else chunks

    def _broken(self, error: Exception) -> list[ChunkT]:
        """Handle a broken connection. An answer that was already complete is kept."""
        failure = self._exchange.response.explain(error)
        if not self._exchange.open:
            self._left = True  # closed concurrently by aclose()
            return []
        if self._reader.whole:
            return self._end()
        self._failure = without_frames(failure)
        return []

    def _end(self) -> list[ChunkT]:
        """Handle the end of the stream (``[DONE]`` or end of body) and return the chunks held back.

        A missing ``[DONE]`` after a finish reason is accepted; an end of body without a finish reason means a broken
        connection.
        """
        preface = self._reader.preface
        if preface is not None:
            return self._end_of_no_stream(preface)
        held, self._held = self._held, []
        self._failure = self._reader.fault(progressed=self._progressed)
        if isinstance(self._failure, ReasoningBudgetExhaustedError):
            # The answer is complete and billed: the model used its token limit for reasoning.
            answer = self._reader.answer()
            usage = metered(answer, self._call.request)
            self._exchange.served(usage, self._reader.model)
        if self._failure is not None:
            return []
        self._ended = True
        usage = self._reader.usage
        sent, came = len(self._call.request.wire), self._received // _EVENT_FOR_BYTES
        odd = usage is None or self._call.bill is not None or self._call.request.fees is not None
        if odd or usage is None or not is_plain(usage, sent, came):
            usage = self._call.counted(self._reader.answer())
        self._exchange.served(usage, self._reader.model)
        if usage is not None and self._call.observe is not None:
            self._call.observe(usage)
        return held

    def _end_of_no_stream(self, body: bytearray) -> list[ChunkT]:
        """Handle a body without events. A complete non-streamed answer is accepted, because it was billed."""
        try:
            events = events_of(bytes(body)) if is_json(body) else None
        except APIResponseValidationError as error:
            self._failure = without_frames(error)
            return []
        if events is None:
            self._failure = fault_of_no_stream(bytes(body), self._exchange.response.headers, now=time.time())
            return []
        self._reader = self._reader_type(SSEDecoder(len(events)))
        return self._take(events)

    async def _recover(self, failure: APIError) -> None:
        """Retry if no content was yielded yet; otherwise raise the failure with the partial answer."""
        self._exchange.produced(lambda: self._reader.size)
        self._call.fault(self._exchange, failure, self._reader.answer())
        self._failure = None
        if self._progressed:
            if await self._goes_on(failure):
                return
            raise self._interrupted(failure)
        self._read_from(await self._call.again(failure), self._reader_type(SSEDecoder(self._limits.event)))
        self._held = []
        self._hidden = self._shown

    async def _goes_on(self, failure: APIError) -> bool:  # noqa: ARG002  used by subclasses
        """Whether the rest of the answer comes in a second response, from which the iteration continues."""
        return False

    def _interrupted(self, failure: APIError) -> APIError:
        self._reader.leave_in(failure)
        self._call.given_up(failure)
        if isinstance(failure, APIStatusError | StreamInterruptedError | ReasoningBudgetExhaustedError):
            return failure
        interrupted = StreamInterruptedError(
            f"stream interrupted after {len(failure.text):,} characters: {failure.message}",
            request_id=failure.request_id,
            attempts=failure.attempts,
            billed_attempts=failure.billed_attempts,
            partial=failure.partial,
            received_text=failure.received_text,
        )
        interrupted.__cause__ = failure
        return interrupted
