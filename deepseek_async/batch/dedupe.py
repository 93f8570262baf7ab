"""Deduplication of deterministic rows: one is sent, equal rows get a copy of its line. Pure."""

from __future__ import annotations

import msgspec

from deepseek_async import errors
from deepseek_async.batch.digests import DigestMap
from deepseek_async.batch.journal import Written
from deepseek_async.batch.line_format import hash_in
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.row import Row

_UNDER_WAY = 0


class AnsweredRequests:
    """Index of answered requests and the offsets of their lines; 22 to 54 bytes each."""

    def __init__(self, places: DigestMap) -> None:
        self._places = places
        self.put_off = 0
        """Rows waiting for an equal row in flight; checked again in the next round."""

    def place(self, row: Row, hashed: int) -> int | None:
        """Return the offset of the line to copy, -1 if it is still being written, or None if the row must be sent."""
        if not is_deterministic(row):
            return None
        place = self._places.get(hashed)
        if place is None:
            self._places.put(hashed, _UNDER_WAY)
            return None
        if place == _UNDER_WAY:
            self.put_off += 1
        return place - 1

    def written(self, written: Written) -> None:
        """Record the offsets of durable lines. A line that ends no row has no mark and no answer."""
        offset = written.offset
        for line, mark in zip(written.lines, written.marks, strict=True):
            hashed = hash_in(line)
            if mark is not None and self._places.get(hashed) == _UNDER_WAY:
                self._places.put(hashed, offset + 1)
            offset += len(line)


def is_deterministic(row: Row) -> bool:
    """Whether the request is deterministic: temperature 0 and no thinking, which ignores temperature."""
    body = row.body
    if row.endpoint is not None:
        return body is not None and row.endpoint.is_deterministic(body)
    if body is None or body.get("temperature") != 0:
        return False
    thinking = body.get("thinking")
    return body.get("reasoning_effort") == "none" or (isinstance(thinking, dict) and thinking.get("type") == "disabled")


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""
    retryable: bool = False


class _Ended(msgspec.Struct):
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Ended).decode


def copied_result(line: bytes, index: int, custom_id: str) -> BatchResult:
    """Return the result of a row that received a copy of ``line``: no request sent, same error."""
    result = BatchResult(index=index, custom_id=custom_id, cost=0.0)
    failed = _decode(line).error
    if failed is not None:
        kind = getattr(errors, failed.code, errors.DeepSeekError)
        result.error = kind(failed.message, retryable=failed.retryable)
    return result
