"""What can be relayed, opened: a stream, the call that opens one, or a generator of the program's own."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from typing import Any, Final, get_args

from deepseek_async.call.stream import deltas, response_deltas
from deepseek_async.call.stream.completion_events import ChunkEvent
from deepseek_async.call.stream.deltas import StreamEvent
from deepseek_async.errors import ConfigurationError
from deepseek_async.types import Answer, ChatCompletionChunk, Part, ResponseStreamEvent

Source = AbstractAsyncContextManager[Any] | Awaitable[Any] | AsyncIterable[Any]
"""``client.chat.completions.stream(…)``, ``client.chat.completions.create(…, stream=True)`` awaited or not, the same of
``completions``, ``responses`` and ``messages``, or an async generator of text, events or chunks."""

_TYPED: Final = (str, *get_args(StreamEvent))


@asynccontextmanager
async def opened(source: Source) -> AsyncGenerator[Any]:
    """Open ``source`` and close it on leaving. Raises the errors of the call."""
    if inspect.isawaitable(source):
        source = await source
    if isinstance(source, AbstractAsyncContextManager):
        async with source as stream:
            yield stream
    elif isinstance(source, AsyncGenerator):
        async with aclosing(source):
            yield source
    elif isinstance(source, AsyncIterable):
        yield source
    else:
        raise ConfigurationError(
            f"cannot relay {type(source).__name__}: pass client.chat.completions.stream(…), or an async generator"
        )


@asynccontextmanager
async def pieces_of(stream: Any, *, typed: bool) -> AsyncGenerator[AsyncIterator[Any]]:
    """Iterate over the typed events or the chunks of an open stream. Text completions have only text."""
    events = getattr(stream, "events", None)
    if not typed:
        yield aiter(getattr(stream, "chunks", stream))
    elif events is not None:
        async with aclosing(events()) as typed_events:
            yield typed_events
    elif hasattr(stream, "completion"):
        async with aclosing(_texts_of(stream)) as texts:
            yield texts
    else:
        async with aclosing(_events_of(stream)) as typed_events:
            yield typed_events


async def _events_of(stream: AsyncIterable[Any]) -> AsyncGenerator[str | StreamEvent]:
    """Yield the typed events of a program's own generator. What is none would be missing from the page unnoticed."""
    async for came in stream:
        if isinstance(came, _TYPED):
            yield came
        elif isinstance(came, ChunkEvent | ChatCompletionChunk):
            for event in deltas.events_of(came.chunk if isinstance(came, ChunkEvent) else came):
                yield event
        elif isinstance(came, ResponseStreamEvent):
            for event in response_deltas.events_of(came):
                yield event
        elif came is not None and (isinstance(came, Answer) or not isinstance(came, Part)):
            raise ConfigurationError(
                f"cannot relay {type(came).__name__}: a generator yields text, events of stream.events(), or chunks"
            )


async def _texts_of(stream: Any) -> AsyncGenerator[str]:
    async for chunk in stream:
        for choice in chunk.choices:
            if choice.text:
                yield choice.text


def answer_of(stream: Any, *, whole: bool) -> Any:
    """Return the answer of a stream, or what has arrived of it; None for a generator of the program's own."""
    for name in ("completion", "response", "message") if whole else ():
        if hasattr(type(stream), name):
            return getattr(stream, name)
    with suppress(Exception):  # of a stream that failed, and must not hide why
        return getattr(stream, "partial", None)
    return None


async def discard(source: Source) -> None:
    """Give up a source that is not needed: an unopened one is never sent, an open one is closed."""
    if inspect.iscoroutine(source):
        source.close()
    elif (close := getattr(source, "aclose", None)) is not None:
        await close()
