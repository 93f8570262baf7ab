"""Reader of a chat stream that is passed on as bytes: events that differ only in their text are not decoded. Pure.

Between its first and its last events, an answer is the same JSON over and over, but for a piece of text. Once one such
event has been decoded, the bytes before and after its text are known, and a block of its like is cut there, its texts
are read as one JSON array, and its bytes are passed on as they are. Anything else is decoded as by ``ChunkReader``.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import orjson

from deepseek_async.codec.answer_decoder import UNREADABLE
from deepseek_async.codec.chunks import ChunkReader
from deepseek_async.types import ChatCompletionChunk

_TEXT: Final = re.compile(rb'"(content|reasoning_content)"\s*:\s*"((?:[^"\\]|\\.)*)"')
_BEFORE: Final = b"data: "
_AFTER: Final = b"\n\n"
_PROBE: Final = "probe"
_MOST_TRIES: Final = 16
"""Events without a like, one after another, after which no more is sought: of some servers every event is different."""


class _Form(msgspec.Struct, frozen=True, gc=False):
    """What the events of one answer have in common."""

    before: bytes
    after: bytes
    index: int
    reasoning: bool

    __repr__ = object.__repr__

    def texts(self, events: bytes) -> list[str] | None:
        """Return the text of each of ``events``; None if one of them has another form."""
        before, after = self.before, self.after
        if events.find(b"\n") == len(events) - len(_AFTER):  # one event a read, as of most servers
            pieces = [events[len(before) : -len(after)]]
        else:
            # Cut at single bytes: a search for all that is between two texts takes ten times as long.
            start, stop = len(before), -len(after) + len(_AFTER)
            pieces = [event[start:stop] for event in events[: -len(_AFTER)].split(b"\n")[::2]]
        if b"%b%b%b" % (before, (after + before).join(pieces), after) != events:
            return None
        listed = b'["%b"]' % b'","'.join(pieces)
        if b'\\","' in listed or listed.endswith(b'\\"]'):
            return None  # the quote after a text may belong to it
        try:
            texts: list[str] = orjson.loads(listed)
        except ValueError:
            return None
        # A quote inside a piece makes more of them.
        return texts if len(texts) == len(pieces) else None


class ForwardedReader(ChunkReader):
    """A ``ChunkReader`` that returns bytes, events as they came, in place of chunks that carry nothing but text."""

    _form: _Form | None = None
    _tries: int = _MOST_TRIES

    def feed(self, block: bytes) -> list[Any]:
        """Return what ``block`` completes: chunks, and blocks of events that were not decoded."""
        form, events = self._form, self._events
        if form is None or self.halted:
            return self._decoded(block)
        if not events.at_boundary:
            end = block.find(_AFTER) + len(_AFTER)
            if end < len(_AFTER) or end == len(block):
                return self._decoded(block)
            first = self._decoded(block[:end])
            return first if self.halted else [*first, *self._going_on(block[end:], progressed=self.progressed)]
        end = block.rfind(form.after) + len(form.after)
        texts = form.texts(block[:end]) if len(form.after) <= end <= events.max_event_bytes else None
        if texts is None:
            return self._decoded(block)
        self._tries = _MOST_TRIES
        self.assembly.extend(form.index, filter(None, texts), reasoning=form.reasoning)
        progressed = any(texts)
        if end < len(block):
            return [block[:end], *self._going_on(block[end:], progressed=progressed)]
        if progressed is not self.progressed:  # a write costs ten times a read
            self.progressed = progressed
        return [block]

    def _going_on(self, block: bytes, *, progressed: bool) -> list[Any]:
        """Return what the rest of a block completes, of whose beginning is known whether it ``progressed``."""
        came = self.feed(block) if self._events.at_boundary else self._decoded(block)
        self.progressed = self.progressed or progressed
        return came

    def _decoded(self, block: bytes) -> list[Any]:
        chunks = super().feed(block)
        if chunks and self._tries and self.preface is None:
            self._learn_from(chunks[-1])
        return chunks

    def _learn_from(self, chunk: ChatCompletionChunk) -> None:
        if len(chunk.choices) != 1 or chunk.choices[0].finish_reason is not None:
            return
        self._tries -= 1
        wire = chunk._wire  # noqa: SLF001
        found = list(_TEXT.finditer(wire))
        if len(found) == 1 and found[0][2] and b"\n" not in wire and b"\r" not in wire:
            form = _Form(
                _BEFORE + wire[: found[0].start(2)],
                wire[found[0].end(2) :] + _AFTER,
                chunk.choices[0].index,
                found[0][1] == b"reasoning_content",
            )
            if self._carries_only_text(form):
                self._form = form

    def _carries_only_text(self, form: _Form) -> bool:
        """Whether an event of this form adds to the assembled answer its text, and nothing else, whatever the text."""
        wire = b"%b%b%b" % (form.before[len(_BEFORE) :], _PROBE.encode(), form.after[: -len(_AFTER)])
        try:
            chunk = self._decode(wire)
        except UNREADABLE:
            return False
        (choice,) = chunk.choices
        delta = choice.delta
        said = (delta.reasoning_content, delta.content) if form.reasoning else (delta.content, delta.reasoning_content)
        others = (delta.tool_calls, delta.refusal, delta.function_call, delta.reasoning, delta.title, chunk.usage)
        return (
            said[0] == _PROBE
            and not said[1]
            and not any(others)
            and choice.finish_reason is None
            and choice.logprobs is None
        )
