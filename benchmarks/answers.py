"""What the reference server sends, in the exact shape of DeepSeek's answers, as bytes built once."""

from __future__ import annotations

import json
from typing import Any

ID = "5f0c8a52-3b1e-4d77-9c40-7e2d1f6a9b03"
FINGERPRINT = "fp_8802369eaa_prod0820_fp8_kvcache"
CREATED = 1795450000
MODEL = "deepseek-flash"
USAGE = {
    "prompt_tokens": 306,
    "completion_tokens": 364,
    "total_tokens": 670,
    "prompt_tokens_details": {"cached_tokens": 256},
    "prompt_cache_hit_tokens": 256,
    "prompt_cache_miss_tokens": 50,
}
PLAIN_CONTENT = "The quick brown fox jumps over the lazy dog, and the dog does not mind. " * 21
CONTENT_LENGTH = 9
STAMP_DIGITS = 19


def plain_response() -> bytes:
    """The response to a request that does not stream: about 2 kB of JSON."""
    body = _json(
        {
            "id": ID,
            "object": "chat.completion",
            "created": CREATED,
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": PLAIN_CONTENT},
                    "logprobs": None,
                    "finish_reason": "stop",
                },
            ],
            "usage": USAGE,
            "system_fingerprint": FINGERPRINT,
        },
    )
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"x-ds-trace-id: 0123456789abcdef\r\nConnection: keep-alive\r\n\r\n" + body


def stream_head() -> bytes:
    """The headers of a streamed response."""
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"
        b"Cache-Control: no-cache\r\nx-ds-trace-id: 0123456789abcdef\r\nConnection: keep-alive\r\n\r\n"
    )


def opening_event() -> bytes:
    """The first chunk of a stream, which carries only the role."""
    return _event({"role": "assistant", "content": ""})


def finite_blocks(chunks: int, events_a_write: int) -> list[bytes]:
    """What follows the opening event in a stream of so many chunks, cut into writes; ``[DONE]`` is in the last."""
    # No two contents alike, because litellm ends a stream that repeats itself.
    events = [_event({"content": f" part{number:04}"}) for number in range(chunks - 2)]
    events.append(_event({"content": ""}, finish_reason="stop", usage=USAGE))
    blocks = [b"".join(events[at : at + events_a_write]) for at in range(0, len(events), events_a_write)]
    blocks[-1] += _http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    return blocks


def stamped_halves() -> tuple[bytes, bytes]:
    """An event of an endless stream, without the time of its sending, ``STAMP_DIGITS`` long, in its middle."""
    mark = "0" * STAMP_DIGITS
    before, after = _event({"content": mark}).split(mark.encode())
    return before, after


def not_found() -> bytes:
    """The response to any other path."""
    return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def _event(delta: dict[str, str], *, finish_reason: str | None = None, usage: dict[str, Any] | None = None) -> bytes:
    chunk = {
        "id": ID,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": MODEL,
        "system_fingerprint": FINGERPRINT,
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
    }
    if usage is not None:
        chunk["usage"] = usage
    return _http_chunk(b"data: " + _json(chunk) + b"\n\n")


def _http_chunk(data: bytes) -> bytes:
    # The API sends every event as an HTTP chunk of its own, also when several share a packet.
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
