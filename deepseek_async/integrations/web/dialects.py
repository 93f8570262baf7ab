"""Answers as server-sent events in the words of three kinds of readers. Pure.

- ``openai``: the chunks as the API sent them, which every OpenAI client reads;
- ``text``: named events for a page of one's own;
- ``ui``: the UI message stream of Vercel's AI SDK, version 1, which ``useChat`` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, Protocol, get_args

from deepseek_async.call.stream.deltas import AnswerEnd, ReasoningDelta, TextDelta, ToolArgumentsDelta
from deepseek_async.call.stream.service_steps import AnswerWithdrawn, Reading, Reviewing, Searching, TitleGiven
from deepseek_async.errors import ConfigurationError
from deepseek_async.integrations.web import sse
from deepseek_async.integrations.web.ending import ending_facts, sources_of
from deepseek_async.integrations.web.error_replies import ErrorReply
from deepseek_async.integrations.web.ui_messages import UIMessages
from deepseek_async.types import Answer
from deepseek_async.types.json_text import write

DialectName = Literal["openai", "text", "ui"]
"""``openai``, ``text`` or ``ui``."""


class Dialect(Protocol):
    """Encoder of one answer. Every method returns frames in the order in which they are sent."""

    headers: Mapping[str, str]
    """Headers beside those of every event stream."""
    typed: bool
    """Whether it encodes the typed events of ``stream.events()``, and not the chunks of the API."""

    def begin(self) -> Iterator[bytes]:
        """Return the frames before the first event."""
        ...

    def event(self, came: Any) -> Iterator[bytes]:
        """Return the frames of one event or chunk."""
        ...

    def end(self, whole: Any, facts: Mapping[str, Any]) -> Iterator[bytes]:
        """Return the frames after the last event. ``whole`` is the complete answer, ``facts`` are the service's own."""
        ...

    def stopped(self, facts: Mapping[str, Any]) -> Iterator[bytes]:
        """Return the frames after which an answer that was stopped ends."""
        ...

    def failed(self, reply: ErrorReply) -> Iterator[bytes]:
        """Return the frames after which an answer that failed ends."""
        ...


class OpenAIChunks:
    """The chunks as they came; those of messages and responses with the names of their events."""

    headers: Mapping[str, str] = {}
    typed = False

    def __init__(self) -> None:
        self._named = False

    def begin(self) -> Iterator[bytes]:
        yield from ()

    def event(self, came: Any) -> Iterator[bytes]:
        if not isinstance(came, Answer):
            raise ConfigurationError(
                f"dialect 'openai' relays chunks of the API, got {type(came).__name__}; use dialect='text' or 'ui'"
            )
        kind = getattr(came, "type", None)
        self._named = isinstance(kind, str)
        yield sse.frame(came.encoded(), kind if self._named else None)

    def end(self, whole: Any, facts: Mapping[str, Any]) -> Iterator[bytes]:
        del whole, facts
        if not self._named:
            yield sse.frame(b"[DONE]")

    def stopped(self, facts: Mapping[str, Any]) -> Iterator[bytes]:
        yield from self.end(None, facts)

    def failed(self, reply: ErrorReply) -> Iterator[bytes]:
        # A field ``error`` is what openai-python raises APIError for; Anthropic's clients look at the event's name.
        error = {**reply.body["error"], "code": reply.status, "param": None}
        yield sse.frame(write({"type": "error", "error": error}), "error" if self._named else None)


class TextEvents:
    """``message`` events with text, and named ones for all else; each datum is one JSON value."""

    headers: Mapping[str, str] = {}
    typed = True

    def __init__(self) -> None:
        self._ending: AnswerEnd | None = None

    def begin(self) -> Iterator[bytes]:
        yield from ()

    def event(self, came: Any) -> Iterator[bytes]:
        match came:
            case str(text) | TextDelta(text):
                yield sse.frame(write(text))
            case ReasoningDelta(text):
                yield sse.frame(write(text), "reasoning")
            case ToolArgumentsDelta(index, id_, name, arguments):
                yield sse.frame(write({"index": index, "id": id_, "name": name, "arguments": arguments}), "tool")
            case AnswerEnd():
                self._ending = came
            case Searching(queries):
                yield sse.frame(write({"queries": queries}), "searching")
            case Reading(url):
                yield sse.frame(write({"url": url}), "reading")
            case Reviewing():
                yield sse.frame(b"{}", "reviewing")
            case TitleGiven(title):
                yield sse.frame(write(title), "title")
            case AnswerWithdrawn():
                yield sse.frame(b"{}", "withdrawn")
            case _:  # of no use to a page
                pass

    def end(self, whole: Any, facts: Mapping[str, Any]) -> Iterator[bytes]:
        sources = [{"url": source.url, "title": source.title} for source in sources_of(whole)]
        yield sse.frame(write({**ending_facts(self._ending, whole), "sources": sources, **facts}), "end")

    def stopped(self, facts: Mapping[str, Any]) -> Iterator[bytes]:
        yield sse.frame(write({**facts}), "stopped")

    def failed(self, reply: ErrorReply) -> Iterator[bytes]:
        yield sse.frame(write({"status": reply.status, **reply.body["error"]}), "failed")


_DIALECTS: Final[dict[str, Callable[[], Dialect]]] = {"openai": OpenAIChunks, "text": TextEvents, "ui": UIMessages}


def dialect_named(name: str) -> Dialect:
    """Return a new encoder. Raises ConfigurationError for an unknown name."""
    if name not in _DIALECTS:
        raise ConfigurationError(f"dialect must be one of {', '.join(get_args(DialectName))}, got {name!r}")
    return _DIALECTS[name]()
