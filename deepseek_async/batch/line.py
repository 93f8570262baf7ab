"""One line of the output file: an OpenAI Batch output line, with our own facts under one extra key. Pure."""

from __future__ import annotations

import json
import re
import zlib
from contextlib import suppress
from typing import Any, Final

import msgspec
import orjson

from deepseek_async.batch.result import BatchResult
from deepseek_async.quotation import plain

FACTS: Final = "deepseek_async"
"""The extra key; readers of OpenAI's format ignore it."""

_CHECKSUM: Final = re.compile(rb',"crc32":"([0-9a-f]{8})"\}\}$')


class FinishedRow(msgspec.Struct, gc=False):
    """What a resume needs of a line."""

    custom_id: str
    error: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def failed(self) -> bool:
        """Whether the row ended with an error."""
        return bytes(self.error) != b"null"


_decode_finished = msgspec.json.Decoder(FinishedRow).decode


def encode_line(result: BatchResult, custom_id: str, hashed: int) -> bytes:
    """The line for a finished row, with its line feed. A CRC-32 of the rest of the line is its last field."""
    record: dict[str, Any] = {
        "id": f"batch_req_{hashed:016x}",
        "custom_id": custom_id,
        "response": _response(result),
        "error": _error(result),
        FACTS: {
            "hash": f"{hashed:016x}",
            "index": result.index,
            "attempts": result.attempts,
            "started": None if result.started is None else round(result.started, 3),
            "latency": round(result.latency, 4),
            "cost": None if result.cost is None else round(result.cost, 10),
        },
    }
    if result.predicted_cached_tokens is not None:
        record[FACTS]["predicted_cached_tokens"] = result.predicted_cached_tokens
    try:
        text = orjson.dumps(record)
    except TypeError:
        # A lone surrogate, from a header or an error body.
        text = orjson.dumps(_presentable(record))
    text = text[: -len("}}")]
    return b'%b,"crc32":"%08x"}}\n' % (text, zlib.crc32(text))


def decode_line(line: bytes) -> FinishedRow | None:
    """The row that ``line`` (without its line feed) finishes; None if the line is damaged.

    Lines without a checksum, written by another program, are taken as they are.
    """
    checksum = _CHECKSUM.search(line[-24:])
    if checksum and zlib.crc32(line[: -len(checksum[0])]) != int(checksum[1], 16):
        return None
    try:
        return _decode_finished(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _response(result: BatchResult) -> dict[str, Any] | None:
    if result.completion is not None:
        body = _one_line(result.completion.to_json())
        return {"status_code": 200, "request_id": result.request_id, "body": orjson.Fragment(body)}
    error = result.error
    if error is None or error.status_code is None:
        return None
    return {"status_code": error.status_code, "request_id": error.request_id, "body": {"error": error.body}}


def _one_line(wire: bytes) -> bytes:
    """The server's own bytes, so that nothing is lost; written anew only if no line of strict JSON can hold them.

    The client takes more than that: JSON on several lines, with a byte order mark, a lone surrogate, a NaN.
    As they are, such bytes would be a damaged line to the next run, and paid for in each.
    """
    if b"\n" not in wire:
        with suppress(orjson.JSONDecodeError):
            orjson.loads(wire)
            return wire
    return orjson.dumps(_presentable(json.loads(wire.decode("utf-8-sig", "replace"))))


def _presentable(value: Any) -> Any:
    """``value`` with what UTF-8 cannot carry replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_presentable(name): _presentable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_presentable(item) for item in value]
    return value


def _error(result: BatchResult) -> dict[str, Any] | None:
    if result.error is None:
        return None
    return {
        "code": type(result.error).__name__,
        "message": plain(result.error.message),
        "retryable": result.error.retryable,
    }
