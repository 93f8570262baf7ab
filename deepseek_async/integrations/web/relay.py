"""One request to relay an answer: a new one, or the rest of one that runs. Knows no web framework."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

from deepseek_async.errors import ConfigurationError
from deepseek_async.integrations.web import sse
from deepseek_async.integrations.web.dialects import dialect_named
from deepseek_async.integrations.web.ending import AtEnd
from deepseek_async.integrations.web.heartbeat import Heartbeat
from deepseek_async.integrations.web.live_answer import LiveAnswer
from deepseek_async.integrations.web.resumable import ResumableAnswers
from deepseek_async.integrations.web.source import Source, discard

ANSWER_ID: Final = "x-answer-id"
"""Header with the id of a resumable answer."""

_LINE_END: Final = re.compile(r"[\r\n\0]")


class Reader(Protocol):
    """Iterates over what a response writes; ``with`` lets it leave."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the dialect."""
        ...

    @property
    def answer_id(self) -> str | None:
        """Id of a resumable answer."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *raised: object) -> None: ...
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> bytes:
        """Return the next bytes to write, once the last ones are written."""
        ...

    async def left(self) -> None:
        """Wait, after leaving, until nothing of the answer runs on behalf of this reader alone."""
        ...


@dataclass(slots=True)
class Relay:
    """What a response relays."""

    source: Source | None
    """A new answer; None for the rest of ``answer_id`` only."""
    dialect: str = "openai"
    resumable: ResumableAnswers | None = None
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    at_end: AtEnd | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the response, beside those of an event stream."""
    answer_id: str | None = None
    after: int = 0

    def __post_init__(self) -> None:
        # What is wrong is told where it was written, before anything is sent.
        dialect_named(self.dialect)
        if inspect.iscoroutinefunction(self.at_end):
            raise ConfigurationError(
                "at_end must be a plain function, got a coroutine function: let it create a task for slow work"
            )
        for name, value in self.headers.items():
            if _LINE_END.search(name) or _LINE_END.search(value):
                raise ConfigurationError(f"headers must not contain line ends, got {name!r}: {value!r}")

    async def unread(self) -> dict[str, str]:
        """Return the headers for a request of nothing else (HEAD): the model is not asked."""
        source, self.source = self.source, None
        if source is not None:
            await discard(source)
        return {**sse.HEADERS, **dialect_named(self.dialect).headers, **self.headers}

    async def reader(self, last_event_id: str | None) -> Reader | None:
        """Return the reader of this request; None if the answer to resume is not known, or no longer.

        A ``last_event_id`` of ours is the browser's own attempt to continue: the new answer is given up unsent.
        """
        resumed = sse.parsed_id(last_event_id) if self.resumable is not None else None
        if self.resumable is not None and (resumed is not None or self.source is None):
            source, self.source = self.source, None
            if source is not None:
                await discard(source)
            answer_id, after = resumed or (self.answer_id or "", self.after)
            if self.answer_id is not None and answer_id != self.answer_id:
                answer_id, after = self.answer_id, self.after
            return await self.resumable.reader(answer_id, after, self.heartbeat)
        source, self.source = self.source, None
        assert source is not None  # noqa: S101  for the type checker: a response is sent once
        if self.resumable is not None:
            live = self.resumable.begin(source, self.dialect, self.at_end)
        else:
            live = LiveAnswer(source, dialect_named(self.dialect), at_end=self.at_end)
        return live.reader(0, self.heartbeat)

    def headers_of(self, reader: Reader) -> dict[str, str]:
        """Return the headers of a response to ``reader``."""
        named = {} if reader.answer_id is None else {ANSWER_ID: reader.answer_id}
        return {**sse.HEADERS, **reader.headers, **named, **self.headers}
