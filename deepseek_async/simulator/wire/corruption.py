"""Faults in the content of an answer and in its frames. Pure."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING

import orjson

from deepseek_async.simulator.faults import Fault, FaultKind
from deepseek_async.simulator.wire.streaming import DONE, UsagePlace

if TYPE_CHECKING:
    from deepseek_async.simulator.model.answer import GeneratedAnswer

BLANK_LINE = b"\n"
_WHITESPACE_LINES = 4
_COMPLETE = frozenset({"stop", "tool_calls"})
# Line ends for str.splitlines() but not for the event stream format.
_SEPARATORS = "\u2028\u2029\x85"


def altered(answer: GeneratedAnswer, fault: Fault) -> GeneratedAnswer:
    """Return the answer altered by a content fault."""
    match fault.kind:
        case FaultKind.FINISH_REASON:
            content = answer.content if fault.finish_reason in _COMPLETE else answer.content[: fault.after_events]
            return replace(answer, content=content, finish_reason=fault.finish_reason)
        case FaultKind.EMPTY_SUCCESS:
            return replace(answer, content=(), calls=(), finish_reason="stop")
        case FaultKind.BROKEN_ARGUMENTS:
            # About one call in 2500 lacks a closing brace.
            calls = tuple(
                replace(call, fragments=(*call.fragments[:-1], call.fragments[-1][:-1])) if call.fragments else call
                for call in answer.calls
            )
            return replace(answer, calls=calls)
        case FaultKind.LINE_SEPARATOR:
            return replace(answer, content=(*answer.content[:1], _SEPARATORS, *answer.content[1:]))
        case _:
            return answer


def usage_place(fault: Fault | None) -> UsagePlace:
    if fault is None:
        return "last"
    if fault.kind is FaultKind.USAGE_MISSING:
        return "missing"
    return "trailing" if fault.kind is FaultKind.USAGE_ON_TRAILING_CHUNK else "last"


def rewritten(frames: list[bytes], fault: Fault, *, stream: bool) -> list[bytes]:
    """Return the frames altered by a framing fault."""
    first = frames[: fault.after_events]
    rest = frames[fault.after_events :]
    match fault.kind:
        case FaultKind.MALFORMED_EVENT:
            broken = b'data: {"id":"broken","choices":[{"index":0,"delta":{"content":\n\n'
            return [*first, broken, *rest] if stream else [b'{"id":"broken","choices":[}']
        case FaultKind.INVALID_UTF8:
            spoiled = rest[0] if rest else frames[-1]
            return [*first, spoiled.replace(b'":"', b'":"\xff\xfe', 1), *rest[1:]]
        case FaultKind.ERROR_EVENT:
            error = {
                "message": fault.message or "The server had an error while processing your request",
                "type": fault.error_type,
                "param": None,
                "code": fault.error_code,
            }
            body = orjson.dumps({"error": error})
            if stream and frames[0].startswith(b"event: message_start"):
                body = orjson.dumps({"type": "error", "error": {"type": error["type"], "message": error["message"]}})
                return [*first, b"event: error\ndata: " + body + b"\n\n"]
            return [*first, b"data: " + body + b"\n\n", DONE] if stream else [body]
        case FaultKind.CARRIAGE_RETURNS:
            return [frame.replace(b"\n", b"\r\n") for frame in frames]
        case FaultKind.EVENTS_AFTER_DONE:
            return [*frames, frames[min(1, len(frames) - 1)], DONE] if stream else frames
        case FaultKind.WHITESPACE_BODY:
            return list(repeat(BLANK_LINE, _WHITESPACE_LINES))
        case FaultKind.EMPTY_BODY:
            return []
        case FaultKind.TRUNCATED_JSON:
            return [*first, half(rest[0] if rest else frames[-1])]
        case _:
            return frames


def half(frame: bytes) -> bytes:
    return frame[: max(1, len(frame) // 2)]
