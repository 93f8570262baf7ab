"""Chat and text completion encoder: one JSON body, or a list of server-sent events. Pure.

Events are assembled from encoded parts, because a benchmark requests millions of them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import orjson

from deepseek_async.simulator.wire import web_tool_results as web_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deepseek_async.simulator.model.answer import GeneratedAnswer

DONE = b"data: [DONE]\n\n"
UsagePlace = Literal["last", "trailing", "missing"]

_OUTSIDE_TOP = -9999.0


@dataclass(frozen=True, slots=True)
class Envelope:
    """Fields common to every chunk of an answer."""

    id: str
    created: int
    model: str
    fingerprint: str
    logprobs: bool = False
    top_logprobs: int = 0


def usage_of(answer: GeneratedAnswer, prompt_tokens: int, hit_tokens: int) -> dict[str, Any]:
    """Return the usage: prompt = hit + miss; completion details are absent with thinking disabled."""
    completion = answer.completion_tokens
    usage: dict[str, Any] = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": prompt_tokens + completion,
        "prompt_tokens_details": {"cached_tokens": hit_tokens},
    }
    if answer.reasoning is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": len(answer.reasoning)}
    usage["prompt_cache_hit_tokens"] = hit_tokens
    usage["prompt_cache_miss_tokens"] = prompt_tokens - hit_tokens
    if answer.web is not None and answer.web.steps and answer.web.counted:
        usage |= web_shapes.counters(answer.web)
    return usage


def usage_said(usage: dict[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the usage with scripted fields replaced; dependent sums are adjusted unless scripted too."""
    told = {**usage, **said}
    with suppress(TypeError):  # scripted values need not be numbers
        hit = min(told["prompt_cache_hit_tokens"], told["prompt_tokens"])
        follows = {
            "total_tokens": told["prompt_tokens"] + told["completion_tokens"],
            "prompt_cache_hit_tokens": hit,
            "prompt_cache_miss_tokens": told["prompt_tokens"] - hit,
            "prompt_tokens_details": {"cached_tokens": hit},
        }
        told = {**told, **follows, **said}
    return told


def completion_body(envelope: Envelope, answer: GeneratedAnswer, usage: dict[str, Any] | None) -> bytes:
    """Encode a plain chat answer."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(answer.content)}
    if answer.reasoning is not None:
        message["reasoning_content"] = "".join(answer.reasoning)
    if answer.calls:
        message["tool_calls"] = [
            {
                "index": index,
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(answer.calls)
        ]
    if answer.web is not None:
        message |= web_shapes.in_message(answer, answer.web)
    if answer.title is not None:
        message["title"] = answer.title
    message |= answer.fields
    logprobs = None
    if envelope.logprobs:
        logprobs = {"content": [_logprob(piece, envelope.top_logprobs) for piece in answer.content]}
        if answer.reasoning is not None:
            logprobs["reasoning_content"] = [_logprob(p, envelope.top_logprobs) for p in answer.reasoning]
    body: dict[str, Any] = {
        "id": envelope.id,
        "object": "chat.completion",
        "created": envelope.created,
        "model": envelope.model,
        "choices": [{"index": 0, "message": message, "logprobs": logprobs, "finish_reason": answer.finish_reason}],
    }
    if usage is not None:
        body["usage"] = usage
    body["system_fingerprint"] = envelope.fingerprint
    return orjson.dumps(body)


def completion_events(
    envelope: Envelope,
    answer: GeneratedAnswer,
    usage: dict[str, Any],
    *,
    include_usage: bool,
    usage_place: UsagePlace = "last",
) -> list[bytes]:
    """Encode every event of a streamed chat answer, including `[DONE]`."""
    head = _head(envelope, "chat.completion.chunk") + b'"delta":'
    tail = b'},"logprobs":null,"finish_reason":null}]' + _null_usage(include_usage) + b"}\n\n"
    thinking = answer.reasoning is not None
    close = b',"reasoning_content":null' if thinking else b""
    opening = b'{"role":"assistant","content":' + (b'null,"reasoning_content":""' if thinking else b'""')
    events = [head + opening + tail]
    before, after = ([], []) if answer.web is None else web_shapes.deltas(answer.web)
    events += [head + orjson.dumps(delta)[:-1] + tail for delta in before]
    if envelope.logprobs:
        events += _with_logprobs(envelope, answer, head, close, tail)
    else:
        start = head + b'{"content":null,"reasoning_content":'
        events += [start + _encoded(piece) + tail for piece in answer.reasoning or ()]
        start, end = head + b'{"content":', close + tail
        events += [start + _encoded(piece) + end for piece in answer.content]
    for index, call in enumerate(answer.calls):
        start = head + b'{"tool_calls":[{"index":%d,' % index
        function = orjson.dumps({"name": call.name, "arguments": ""})
        events.append(start + b'"id":"%b","type":"function","function":%b}]' % (call.id.encode(), function) + tail)
        start += b'"function":{"arguments":'
        events += [start + _encoded(fragment) + b"}}]" + tail for fragment in call.fragments]
    further: list[dict[str, Any]] = [*after, *({name: value} for name, value in answer.fields.items())]
    events += [head + orjson.dumps(delta)[:-1] + tail for delta in further]
    title = b"" if answer.title is None else b',"title":' + orjson.dumps(answer.title)
    closing = close + title + b'},"logprobs":null,"finish_reason":%b}]' % _encoded(answer.finish_reason)
    finish = b'{"content":""' + closing
    events += _endings(
        envelope,
        "chat.completion.chunk",
        head + finish,
        usage,
        include_usage=include_usage,
        usage_place=usage_place,
    )
    return events


def fim_body(envelope: Envelope, answer: GeneratedAnswer, usage: dict[str, Any] | None) -> bytes:
    """Encode a plain fill-in-the-middle answer."""
    logprobs = _legacy_logprobs(answer.content, envelope.top_logprobs) if envelope.logprobs else None
    body: dict[str, Any] = {
        "id": envelope.id,
        "object": "text_completion",
        "created": envelope.created,
        "model": envelope.model,
        "choices": [
            {
                "index": 0,
                "text": "".join(answer.content),
                "logprobs": logprobs,
                "finish_reason": answer.finish_reason,
            }
        ],
    }
    if usage is not None:
        body["usage"] = usage
    body["system_fingerprint"] = envelope.fingerprint
    return orjson.dumps(body)


def fim_events(
    envelope: Envelope,
    answer: GeneratedAnswer,
    usage: dict[str, Any],
    *,
    include_usage: bool,
    usage_place: UsagePlace = "last",
) -> list[bytes]:
    """Encode every event of a streamed fill-in-the-middle answer."""
    head = _head(envelope, "text_completion") + b'"text":'
    tail = b',"finish_reason":null}]' + _null_usage(include_usage) + b"}\n\n"
    events: list[bytes] = []
    offset = 0
    for piece in answer.content:
        logprobs = b"null"
        if envelope.logprobs:
            logprobs = orjson.dumps(_legacy_logprobs((piece,), envelope.top_logprobs, offset))
            offset += len(piece)
        events.append(head + _encoded(piece) + b',"logprobs":' + logprobs + tail)
    finish = b'"","logprobs":null,"finish_reason":%b}]' % _encoded(answer.finish_reason)
    events += _endings(
        envelope,
        "text_completion",
        head + finish,
        usage,
        include_usage=include_usage,
        usage_place=usage_place,
    )
    return events


def _head(envelope: Envelope, kind: str) -> bytes:
    common = {
        "id": envelope.id,
        "object": kind,
        "created": envelope.created,
        "model": envelope.model,
        "system_fingerprint": envelope.fingerprint,
    }
    return b"data: " + orjson.dumps(common)[:-1] + b',"choices":[{"index":0,'


def _null_usage(include_usage: bool) -> bytes:
    return b',"usage":null' if include_usage else b""


def _endings(
    envelope: Envelope,
    kind: str,
    finish: bytes,
    usage: dict[str, Any],
    *,
    include_usage: bool,
    usage_place: UsagePlace,
) -> list[bytes]:
    encoded = b',"usage":' + orjson.dumps(usage)
    if usage_place == "last":
        return [finish + encoded + b"}\n\n", DONE]
    last = finish + _null_usage(include_usage) + b"}\n\n"
    if usage_place == "missing":
        return [last, DONE]
    # Older documentation and OpenAI-style gateways put usage on a separate chunk without choices.
    common = _head(envelope, kind).rpartition(b"[")[0] + b"[]"
    return [last, common + encoded + b"}\n\n", DONE]


@lru_cache(maxsize=4096)
def _encoded(piece: str) -> bytes:
    return orjson.dumps(piece)


def _with_logprobs(envelope: Envelope, answer: GeneratedAnswer, head: bytes, close: bytes, tail: bytes) -> list[bytes]:
    events: list[bytes] = []
    end = tail.replace(b'},"logprobs":null', b"", 1)
    for piece in answer.reasoning or ():
        logprobs = orjson.dumps({"reasoning_content": [_logprob(piece, envelope.top_logprobs)]})
        delta = b'{"content":null,"reasoning_content":' + _encoded(piece)
        events.append(head + delta + b'},"logprobs":' + logprobs + end)
    for piece in answer.content:
        logprobs = orjson.dumps({"content": [_logprob(piece, envelope.top_logprobs)]})
        events.append(head + b'{"content":' + _encoded(piece) + close + b'},"logprobs":' + logprobs + end)
    return events


def _logprob(piece: str, top: int) -> dict[str, Any]:
    """Return a log probability that depends only on the bytes of the piece, so that it is reproducible."""
    data = piece.encode()
    chosen = {"token": piece, "logprob": -(sum(data) % 97) / 32, "bytes": list(data)}
    others = [
        {"token": f"#{rank}", "logprob": _OUTSIDE_TOP, "bytes": list(f"#{rank}".encode())} for rank in range(1, top)
    ]
    return {**chosen, "top_logprobs": [chosen, *others] if top else []}


def _legacy_logprobs(pieces: tuple[str, ...], top: int, offset: int = 0) -> dict[str, Any]:
    block: dict[str, Any] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    for piece in pieces:
        entry = _logprob(piece, top)
        block["tokens"].append(piece)
        block["token_logprobs"].append(entry["logprob"])
        block["top_logprobs"].append({other["token"]: other["logprob"] for other in entry["top_logprobs"]})
        block["text_offset"].append(offset)
        offset += len(piece)
    return block
