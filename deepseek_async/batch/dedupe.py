"""Rows that ask the same and must get the same answer: one is sent, the others get a copy of its line. Pure."""

from __future__ import annotations

import msgspec

from deepseek_async import errors
from deepseek_async.batch.digests import DigestMap
from deepseek_async.batch.journal import Written
from deepseek_async.batch.line import hash_in
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.row import Row

_UNDER_WAY = 0


class Copies:
    """Knows which requests of a job are answered, and where; as 22 to 54 bytes each."""

    def __init__(self, places: DigestMap) -> None:
        self._places = places
        self.put_off = 0
        """Rows that wait for an equal one under way, and are looked at again in the next round."""

    def place(self, row: Row, hashed: int) -> int | None:
        """Offset of the line to copy; -1 if it is still being written; None if the row is to be sent."""
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
        """Remember where lines are that have reached the disk. One that ends no row has no mark, and no answer."""
        offset = written.offset
        for line, mark in zip(written.lines, written.marks, strict=True):
            hashed = hash_in(line)
            if mark is not None and self._places.get(hashed) == _UNDER_WAY:
                self._places.put(hashed, offset + 1)
            offset += len(line)


def is_deterministic(row: Row) -> bool:
    """Whether the API is asked for the likeliest answer: temperature 0, and no thinking, which ignores it."""
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
    """What counts of a row that got a copy of ``line``: nothing was sent, and an error is the same error."""
    result = BatchResult(index=index, custom_id=custom_id, cost=0.0)
    failed = _decode(line).error
    if failed is not None:
        kind = getattr(errors, failed.code, errors.DeepSeekError)
        result.error = kind(failed.message, retryable=failed.retryable)
    return result
