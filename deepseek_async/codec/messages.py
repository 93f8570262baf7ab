"""Messages (``/anthropic/v1/messages``): decoding, assembly of streams, validity checks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from deepseek_async.codec.answer_check import error_in
from deepseek_async.codec.answer_decoder import UNREADABLE, AnswerDecoder
from deepseek_async.codec.finish_reason import GAVE_UP
from deepseek_async.codec.message_blocks import GrowingBlock, block_of, growing_block
from deepseek_async.codec.reader import ReaderState, says_nothing
from deepseek_async.codec.sse import SSEDecoder
from deepseek_async.codec.text_buffer import MOST_APART
from deepseek_async.errors import APIError, APIResponseValidationError, StreamInterruptedError
from deepseek_async.process.tracebacks import without_frames
from deepseek_async.text.quoting import quote
from deepseek_async.types import (
    CompletionUsage,
    ContentBlock,
    EventDelta,
    Message,
    MessageStreamEvent,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
)
from deepseek_async.types.answer_part import fields_of
from deepseek_async.types.json_text import write

_DELTA: Final = "content_block_delta"
_SAYING: Final = frozenset({"end_turn", "tool_use"})
"""Stop reasons that require content. A stop sequence may be the first thing that a model generates."""
_BEGINNINGS: Final = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking"}
"""Block type implied by a delta without an open block; any other delta implies a tool call."""


class _EventDecoder(AnswerDecoder[MessageStreamEvent]):
    """Event decoder with a slow path for events with undeclared fields."""

    def _repaired(self, wire: bytes, notes: list[str]) -> dict[str, Any]:
        made: dict[str, Any] = _declared(super()._repaired(wire, notes), MessageStreamEvent)
        if "delta" in made:
            made["delta"] = _declared(made["delta"], EventDelta)
        return made

    def decode(self, wire: bytes) -> MessageStreamEvent:
        try:
            event = self.decode_strictly(wire)
        except UNREADABLE:
            event = self.decode_tolerantly(wire)
            if event.delta is not None:
                event.delta._origin = (wire, ("delta",))  # noqa: SLF001
        event._wire = wire  # noqa: SLF001  only decoders write this field
        return event


_EVENTS: Final = _EventDecoder(MessageStreamEvent)
_decode: Final = _EVENTS.decode_strictly


def _declared(sent: Any, kind: type[msgspec.Struct]) -> Any:
    return {name: value for name, value in sent.items() if name in fields_of(kind)} if sent is not None else None


def decode_event(wire: bytes) -> MessageStreamEvent:
    """Decode one event, with a typed block. Raises APIResponseValidationError."""
    event = _EVENTS.decode(wire)
    if event.content_block is not None:
        event.content_block = block_of(event.to_dict().get("content_block"))
    if event.message is not None:
        event.message = decode_message(write(event.to_dict().get("message")))
    return event


class MessageReader(ReaderState):
    """Streamed message. Complete only with ``message_stop``, and no block open."""

    _head: dict[str, Any] = {}
    """The message without its content."""
    _blocks: dict[int, GrowingBlock] = {}
    _usage: dict[str, Any] = {}
    _stopped: bool = False
    _final: Message | None = None

    def feed(self, block: bytes) -> list[MessageStreamEvent]:
        """See ``StreamReader.feed``."""
        events: list[MessageStreamEvent] = []
        append = events.append
        decode = _decode
        blocks: dict[Any, GrowingBlock] = self._blocks
        growing = None
        progressed = self.progressed = False
        try:
            for data in self._events.feed_data(block):
                try:
                    event = decode(data)
                except UNREADABLE:
                    if not self._take_otherwise(data, events):
                        break
                    continue
                event._wire = data  # noqa: SLF001  only decoders write this field
                delta = event.delta
                if delta is not None and event.type == _DELTA and (known := blocks.get(event.index)) is not None:
                    growing = known
                    if growing.goes_on(delta):
                        progressed = True
                        append(event)
                        continue
                if self.take(event):
                    append(event)
                if self.halted:
                    break
        except APIResponseValidationError as error:
            self.failure, self.halted = without_frames(error), True
        self.progressed = self.progressed or progressed
        if growing is not None and len(growing.latest) > MOST_APART:
            growing.main.pack()
        self._keep_preface(block, begun=bool(events))
        return events

    def _keep_preface(self, block: bytes, *, begun: bool) -> None:
        if self.preface is not None:
            if begun or self.halted:
                self.preface = None
            else:
                self.keep(block)

    def _take_otherwise(self, data: bytes, events: list[MessageStreamEvent]) -> bool:
        """Take an event that the strict decoder rejects; False ends the stream."""
        if data.strip() == b"[DONE]":  # not an end marker of this format: what came before must be complete
            self.done = self.halted = True
        elif not says_nothing(data):
            event = _EVENTS.decode(data)
            self.note(event)
            if self.take(event):
                events.append(event)
        return not self.halted

    def take(self, event: MessageStreamEvent) -> bool:
        """Take one event; False if it is an error."""
        match event.type:
            case "content_block_delta":
                self._delta(event)
            case "content_block_start":
                self._start(event)
            case "content_block_stop":
                if (growing := self._blocks.get(self._place(event))) is not None:
                    growing.open = False
            case "message_start":
                self._begin(event)
            case "message_delta":
                self._end(event)
            case "message_stop":
                self._stopped = self.done = self.halted = True
            case "error" | "" if event.type or event.error:
                self.error, self.halted = event.error or event.to_dict(), True
                return False
        return True

    def _place(self, event: MessageStreamEvent) -> int:
        return event.index if event.index is not None else max(self._blocks, default=0)

    def _begin(self, event: MessageStreamEvent) -> None:
        sent = self._said(event).get("message")
        if not isinstance(sent, dict):
            return
        self._head = {name: value for name, value in sent.items() if name not in {"content", "usage"}}
        self._usage = sent["usage"] if isinstance(sent.get("usage"), dict) else {}
        content = sent.get("content")
        for place, block in enumerate(content if isinstance(content, list) else ()):
            if isinstance(block, dict):
                self._blocks[place] = growing_block(block)
                self._blocks[place].open = False
        event.message = decode_message(write(sent))

    def _start(self, event: MessageStreamEvent) -> None:
        sent = self._said(event).get("content_block")
        if not isinstance(sent, dict):
            return
        place = event.index if event.index is not None else max(self._blocks, default=-1) + 1
        self._blocks[place] = growing_block(sent)
        block = event.content_block = block_of(sent)
        self.progressed = self.progressed or _says(block) or bool(getattr(block, "thinking", ""))

    def _delta(self, event: MessageStreamEvent) -> None:
        delta = event.to_dict().get("delta")
        if not isinstance(delta, dict):
            return
        place = self._place(event)
        growing = self._blocks.get(place)
        if growing is None:
            kind = _BEGINNINGS.get(str(delta.get("type")), "tool_use")
            growing = self._blocks[place] = growing_block({"type": kind})
            growing.open = False  # it was not opened
        growing.merge(delta)
        self.progressed = self.progressed or any(value for name, value in delta.items() if name != "type")

    def _end(self, event: MessageStreamEvent) -> None:
        said = event.to_dict()
        delta, usage = said.get("delta"), said.get("usage")
        self._head.update((name, value) for name, value in said.items() if name not in {"type", "delta", "usage"})
        if isinstance(delta, dict):
            self._head.update((name, value) for name, value in delta.items() if name != "type")
        if isinstance(usage, dict):
            self._usage = {**self._usage, **{name: value for name, value in usage.items() if value is not None}}
            self.counted = True

    @staticmethod
    def _said(event: MessageStreamEvent) -> dict[str, Any]:
        """Return all fields of an event. Raises APIResponseValidationError for invalid UTF-8."""
        _EVENTS.check_unread(event._wire)  # noqa: SLF001
        return event.to_dict()

    @property
    def usage(self) -> CompletionUsage | None:
        """See ``StreamReader.usage``."""
        return self.answer().tokens_used() if self.counted else None

    @property
    def model(self) -> str | None:
        """See ``StreamReader.model``."""
        model = self._head.get("model")
        return model if isinstance(model, str) and model else None

    @property
    def refused(self) -> bool:
        """See ``StreamReader.refused``."""
        return self._head.get("stop_reason") == "refusal"

    @property
    def whole(self) -> bool:
        """See ``StreamReader.whole``."""
        return self._stopped and not any(block.open for block in self._blocks.values())

    def answer(self) -> Message:
        """See ``StreamReader.answer``."""
        if self._final is not None:
            return self._final
        content = [self._blocks[place].finished() for place in sorted(self._blocks)]
        # The usage in message_start counts no output (official chunk generator): it must not be taken for the bill.
        sent = {**self._head, "content": content, **({"usage": self._usage} if self.counted else {})}
        message = decode_message(write(sent))
        message.repaired = tuple(dict.fromkeys((*message.repaired, *self.notes)))
        if self.halted:
            self._final = message
        return message

    @property
    def size(self) -> int:
        """See ``StreamReader.size``."""
        return sum(block.size for block in self._blocks.values())

    def fault(self, *, progressed: bool) -> APIError | None:
        """See ``StreamReader.fault``."""
        del progressed
        if not self._stopped:
            return StreamInterruptedError("stream ended before message_stop: the answer is incomplete")
        if not self.whole:
            return StreamInterruptedError("stream ended inside a content block: the answer is incomplete")
        return fault_of_message(self.answer(), {}, now=0.0)

    def leave_in(self, failure: APIError) -> None:
        """See ``StreamReader.leave_in``."""
        failure.partial = self.answer()

    def ends(self, chunk: MessageStreamEvent) -> bool:  # noqa: ARG002
        """See ``StreamReader.ends``. Opening events are held back too: a retry must not yield them twice with another
        id."""
        return True

    def says_nothing(self, chunk: MessageStreamEvent) -> bool:
        """See ``StreamReader.says_nothing``."""
        return chunk.type == "ping"


class _MessageDecoder(AnswerDecoder[Message]):
    """Decoder of a complete message, with typed blocks."""

    def decode(self, wire: bytes) -> Message:
        message = super().decode(wire)
        try:
            content = message.to_dict().get("content")
        except (ValueError, RecursionError):
            content = None  # nested too deeply to be decoded
        if isinstance(content, str) and content:
            content = [{"type": "text", "text": content}]
        if isinstance(content, list):
            message.content = [block_of(block) for block in content if isinstance(block, dict)]
        return message


class _UnaskedReader(MessageReader):
    """Stream sent instead of a message; without its end it has no stop reason."""

    def answer(self) -> Message:
        message = super().answer()
        if not self.whole:
            message.stop_reason = None
        return message


def _reader(events: SSEDecoder) -> MessageReader:
    return _UnaskedReader(events)


decode_message: Final = _MessageDecoder(Message, _reader).decode


def fault_of_message(message: Message, headers: Mapping[str, str], *, now: float) -> APIError | None:
    """Return why ``message`` is not a valid answer, or None.

    An unknown stop reason is accepted: it marks the end of the message.
    """
    fault: APIError | None = None
    if message.stop_reason is None:
        if not message.content:
            return error_in(message, headers, now=now) or APIResponseValidationError(
                f"the server's answer is not a message: {quote(message.encoded())}",
            )
        fault = StreamInterruptedError("the message has no stop_reason: it is incomplete")
    elif message.stop_reason in GAVE_UP:
        fault = StreamInterruptedError(
            f"the server aborted the answer ({message.stop_reason})",
            gave_up=True,
        )
    elif message.stop_reason in _SAYING and not any(map(_says, message.content)):
        fault = APIResponseValidationError("the model returned neither text nor a tool call", reason="empty")
    if fault is not None and message.stop_reason not in GAVE_UP:
        fault = error_in(message, headers, now=now) or fault
    if fault is not None:
        fault.partial = message
    return fault


def _says(block: ContentBlock) -> bool:
    """Whether a block contains more than reasoning and empty text."""
    if isinstance(block, TextBlock):
        return bool(block.text)
    return not isinstance(block, ThinkingBlock | RedactedThinkingBlock)
