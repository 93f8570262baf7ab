"""Responses (``/responses``): assembly of streams, validity checks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from deepseek_async.codec.answer_check import error_in
from deepseek_async.codec.answer_decoder import UNREADABLE, AnswerDecoder, MembersDecoder
from deepseek_async.codec.reader import ReaderState, says_nothing
from deepseek_async.codec.status_errors import status_error_in_stream
from deepseek_async.errors import APIError, APIResponseValidationError, StreamInterruptedError
from deepseek_async.process.tracebacks import without_frames
from deepseek_async.types import (
    CompletionUsage,
    Response,
    ResponseContent,
    ResponseOutputItem,
    ResponseStreamEvent,
)
from deepseek_async.types.json_text import write

_DECODER: Final = AnswerDecoder(ResponseStreamEvent)
decode_event: Final = _DECODER.decode
_decode: Final = _DECODER.decode_strictly
_whole: Final = MembersDecoder(Response, "output")

ENDINGS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""Events that carry the complete response."""
_WHOLE: Final = frozenset({"completed", "incomplete"})
_OVER: Final = _WHOLE | {"failed"}
_UNDER_WAY: Final = frozenset({"response.created", "response.in_progress", "response.queued"})
_UNFINISHED: Final = frozenset({None, "in_progress", "queued", "failed", "cancelled"})
"""Statuses of an unfinished response; an unknown status may be a server's own name for that."""
_TEXTS: Final = ("text", "arguments", "refusal", "input", "content", "message")
"""Name parts of text events; pieces of other events are not part of the text."""
_ITEMS: Final = frozenset({"message", "reasoning", "function_call", ""})
_TYPE_OF_CODE: Final = {
    "rate_limit_exceeded": "rate_limit_error",
    "invalid_prompt": "invalid_request_error",
    "server_error": "server_error",
}


class ResponseReader(ReaderState):
    """Streamed response. Ends with an event that carries the complete response."""

    _begun: Response | None = None
    _final: Response | None = None
    _items: dict[int, ResponseOutputItem] = {}
    _pieces: dict[int, list[str]] = {}

    def feed(self, block: bytes) -> list[ResponseStreamEvent]:
        """See ``StreamReader.feed``."""
        events: list[ResponseStreamEvent] = []
        self.progressed = False
        try:
            for data in self._events.feed_data(block):
                try:
                    event = _decode(data)
                except UNREADABLE:
                    if data.strip() == b"[DONE]":  # not sent by DeepSeek; added by some gateways
                        self.done = self.halted = True
                        break
                    if says_nothing(data):
                        continue
                    event = _DECODER.decode_tolerantly(data)
                    self.note(event)
                event._wire = data  # noqa: SLF001  only decoders write this field
                if self.take(event):
                    events.append(event)
                if self.halted:
                    break
        except APIResponseValidationError as error:
            self.failure, self.halted = without_frames(error), True
        if self.preface is not None:
            if events or self.halted:
                self.preface = None
            else:
                self.keep(block)
        return events

    def take(self, event: ResponseStreamEvent) -> bool:
        """Take one event; False if it is an error."""
        if event.type.endswith(".delta"):
            if any(word in event.type for word in _TEXTS):
                self._pieces.setdefault(event.output_index, []).append(event.delta)
            self.progressed = self.progressed or bool(event.delta)
        elif event.item is not None:
            event.item._origin = (event._wire, ("item",))  # noqa: SLF001
            self._items[event.output_index] = event.item
        elif event.response is not None:
            # A server that names the final event differently marks it by the status.
            if event.type in ENDINGS or (event.type not in _UNDER_WAY and event.response.status in _OVER):
                return self._end(event)
            self._begun = event.response
        elif event.type in {"", "error"}:
            error = event.to_dict().get("error")
            if event.type or error or event.code or event.message:
                self.error = error or _as_error(event.code, event.message)
                self.halted = True
                return False
        return True

    def _end(self, event: ResponseStreamEvent) -> bool:
        said = event.to_dict()["response"]
        if not said.get("output"):
            # Some servers send the items only before it (ChatGPT's own backend, and gateways to it).
            said["output"] = [_told(item) for item in self._came()]
        final = _whole.decode(write(said))
        self.halted = True
        if event.type == "response.failed" or final.status == "failed":
            self._begun = final
            self.error = _as_error(*((final.error.code, final.error.message) if final.error else (None, None)))
            return False
        self._final, self.done = final, True
        return True

    @property
    def usage(self) -> CompletionUsage | None:
        """See ``StreamReader.usage``."""
        return None if self._final is None else self._final.tokens_used()

    @property
    def model(self) -> str | None:
        """See ``StreamReader.model``."""
        response = self._final or self._begun
        return (response.model or None) if response is not None else None

    @property
    def refused(self) -> bool:
        """See ``StreamReader.refused``."""
        return self._final is not None and self._final.refused

    @property
    def whole(self) -> bool:
        """See ``StreamReader.whole``."""
        return self._final is not None

    def answer(self) -> Response:
        """See ``StreamReader.answer``."""
        if self._final is not None:
            self._final.repaired = tuple(dict.fromkeys((*self._final.repaired, *self.notes)))
            return self._final
        head = self._begun or Response()
        came = self._came()
        if not any(item._origin for item in came):  # noqa: SLF001
            return msgspec.structs.replace(head, output=came, _wire=b"", repaired=tuple(self.notes))
        # Decoded as one document, so that undeclared fields of head and items are reachable.
        partial = _whole.decode(write({**head.to_dict(), "output": [_told(item) for item in came]}))
        partial.repaired = tuple(self.notes)
        return partial

    def _came(self) -> list[ResponseOutputItem]:
        """Return the items received so far."""
        return [self._item(index) for index in sorted({*self._items, *self._pieces})]

    @property
    def size(self) -> int:
        """See ``StreamReader.size``."""
        return sum(sum(map(len, pieces)) for pieces in self._pieces.values())

    def _item(self, index: int) -> ResponseOutputItem:
        item = self._items.get(index) or ResponseOutputItem(type="message")
        said = "".join(self._pieces.get(index, ()))
        if item.type == "function_call":
            return msgspec.structs.replace(item, arguments=said or item.arguments)
        kind = "reasoning_text" if item.type == "reasoning" else "output_text"
        content = [ResponseContent(type=kind, text=said)] if said else item.content
        return msgspec.structs.replace(item, content=content)

    def fault(self, *, progressed: bool) -> APIError | None:
        """See ``StreamReader.fault``."""
        del progressed
        if self._final is None:
            return StreamInterruptedError("stream ended before the event that completes the response: it is incomplete")
        return fault_of_response(self._final, {}, now=0.0)

    def leave_in(self, failure: APIError) -> None:
        """See ``StreamReader.leave_in``."""
        failure.received_text = self.answer().output_text

    def ends(self, chunk: ResponseStreamEvent) -> bool:
        """See ``StreamReader.ends``."""
        return chunk.type in ENDINGS

    def says_nothing(self, chunk: ResponseStreamEvent) -> bool:
        """See ``StreamReader.says_nothing``."""
        return not chunk.delta


def _told(item: ResponseOutputItem) -> dict[str, Any]:
    """Return ``item`` with every field of the server, and the text received since."""
    text = {name: getattr(item, name) for name in ("content", "arguments")}
    kept = {name: value for name, value in msgspec.to_builtins(text).items() if value is not None}
    return {**item.to_dict(), **kept}


def fault_of_response(response: Response, headers: Mapping[str, str], *, now: float) -> APIError | None:
    """Return why ``response`` is not a valid answer, or None."""
    if response.error is not None and response.status is not None and (response.error.code or response.error.message):
        error = status_error_in_stream(_as_error(response.error.code, response.error.message), headers, now=now)
        error.received_text = response.output_text
        return error
    if response.status not in _WHOLE:
        return error_in(response, headers, now=now) or StreamInterruptedError(
            f"response incomplete: status {response.status!r}",
            received_text=response.output_text,
            retryable=response.status in _UNFINISHED,
        )
    # An item of unknown type may be the answer.
    called = any(
        item.type == "function_call" or not (item.type in _ITEMS or item.is_message) for item in response.output
    )
    if response.status == "completed" and not called and not response.output_text and not _refuses(response):
        return APIResponseValidationError("the model returned neither text nor a function call", reason="empty")
    return None


def _refuses(response: Response) -> bool:
    return any(part.refusal for item in response.output for part in item.content or ())


def _as_error(code: str | None, message: str | None) -> dict[str, Any]:
    """Convert this format's error object to the common form."""
    kind = _TYPE_OF_CODE.get(code or "", "server_error")
    return {"message": message or "the response failed", "type": kind, "param": None, "code": code}
