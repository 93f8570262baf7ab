"""The UI message stream of Vercel's AI SDK, version 1. Pure.

The parts and their fields are those of ``uiMessageChunkSchema`` (vercel/ai, ui-message-chunks.ts). The schema is
strict, so a field that only newer versions know would be an error in older ones: the finish reason goes into the
metadata.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from deepseek_async.call.stream.deltas import AnswerEnd, ReasoningDelta, TextDelta, ToolArgumentsDelta
from deepseek_async.call.stream.service_steps import AnswerWithdrawn, Reading, Searching, TitleGiven
from deepseek_async.integrations.web import sse
from deepseek_async.integrations.web.ending import ending_facts, sources_of
from deepseek_async.integrations.web.error_replies import ErrorReply
from deepseek_async.types.json_text import read, write

_DONE: Final = sse.frame(b"[DONE]")
_CUT: Final = "The call is incomplete."


@dataclass(slots=True)
class _Call:
    """A tool call that grows."""

    id: str
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])
    """Fragments; those that came before the name are sent after it."""
    shown: bool = False


class UIMessages:
    """Encoder of one message: text, reasoning, tool input and sources as parts, each begun and ended."""

    headers: Mapping[str, str] = {"x-vercel-ai-ui-message-stream": "v1"}
    typed = True

    def __init__(self) -> None:
        self._open: tuple[str, str] | None = None
        """Kind and id of the part that grows."""
        self._parts = 0
        self._calls: dict[int, _Call] = {}
        self._ending: AnswerEnd | None = None

    def begin(self) -> Iterator[bytes]:
        yield _part("start")
        yield _part("start-step")

    def event(self, came: Any) -> Iterator[bytes]:
        match came:
            case str(text) | TextDelta(text):
                yield from self._grow("text", text)
            case ReasoningDelta(text):
                yield from self._grow("reasoning", text)
            case ToolArgumentsDelta():
                yield from self._close()
                yield from self._call(came)
            case AnswerEnd():
                self._ending = came
            case Searching(queries):
                yield _part("data-searching", data={"queries": queries}, transient=True)
            case Reading(url):
                yield _part("data-reading", data={"url": url}, transient=True)
            case TitleGiven(title):
                yield _part("data-title", data=title)
            case AnswerWithdrawn():
                yield _part("data-withdrawn", data={})
            case _:  # of no use to a page
                pass

    def end(self, whole: Any, facts: Mapping[str, Any]) -> Iterator[bytes]:
        yield from self._close()
        for call in self._calls.values():
            yield self._whole_call(call)
        for number, source in enumerate(sources_of(whole), 1):
            titled = {} if source.title is None else {"title": source.title}
            yield _part("source-url", sourceId=f"source-{number}", url=source.url, **titled)
        yield _part("finish-step")
        known = ending_facts(self._ending, whole)
        yield _part(
            "finish", messageMetadata={"finishReason": known["finish_reason"], "usage": known["usage"], **facts}
        )
        yield _DONE

    def stopped(self, facts: Mapping[str, Any]) -> Iterator[bytes]:
        yield from self._close()
        if facts:
            yield _part("message-metadata", messageMetadata={**facts})
        yield _part("abort")
        yield _DONE

    def failed(self, reply: ErrorReply) -> Iterator[bytes]:
        yield from self._close()
        yield _part("error", errorText=reply.message)
        yield _DONE

    def _grow(self, kind: str, text: str) -> Iterator[bytes]:
        if self._open is None or self._open[0] != kind:
            yield from self._close()
            self._parts += 1
            self._open = kind, f"{kind}-{self._parts}"
            yield _part(f"{kind}-start", id=self._open[1])
        yield _part(f"{kind}-delta", id=self._open[1], delta=text)

    def _close(self) -> Iterator[bytes]:
        if self._open is not None:
            kind, name = self._open
            self._open = None
            yield _part(f"{kind}-end", id=name)

    def _call(self, came: ToolArgumentsDelta) -> Iterator[bytes]:
        call = self._calls.get(came.index)
        if call is None:
            # Some servers send no id; a page needs one to tell calls apart.
            call = self._calls[came.index] = _Call(came.id or f"call-{came.index}")
        call.name = call.name or came.name or ""
        call.arguments.append(came.arguments)
        if not call.shown:
            if not call.name:
                return
            call.shown = True
            yield _part("tool-input-start", toolCallId=call.id, toolName=call.name)
            text = "".join(call.arguments)
        else:
            text = came.arguments
        if text:
            yield _part("tool-input-delta", toolCallId=call.id, inputTextDelta=text)

    @staticmethod
    def _whole_call(call: _Call) -> bytes:
        text = "".join(call.arguments)
        facts: dict[str, Any] = {"toolCallId": call.id, "toolName": call.name}
        try:
            return _part("tool-input-available", **facts, input=read((text or "{}").encode("utf-8", "surrogatepass")))
        except (ValueError, RecursionError):  # cut off by max_tokens, or written badly by the model
            return _part("tool-input-error", **facts, input=text, errorText=_CUT)


def _part(kind: str, **fields: Any) -> bytes:
    return sse.frame(write({"type": kind, **fields}))
