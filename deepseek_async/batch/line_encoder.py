"""Output lines of rows: answered, failed, still pending, or copied from another line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from deepseek_async.batch.billed_attempts import billed
from deepseek_async.batch.cells import as_json
from deepseek_async.batch.failed_row import error_of, refusal_of
from deepseek_async.batch.line_format import fact, text_of, written_line
from deepseek_async.batch.output_line import OutputFacts, decode_finished
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.strict_json import one_line, presentable
from deepseek_async.text.quoting import plain

PENDING: Final = "pending"
"""Error code of a row that has not ended."""

_RESPONSE: Final = b'{"status_code":200,"request_id":%b,"body":%b}'
_FACTS: Final = b',"index":%d,"attempts":%d,"started":%b,"latency":%.4f,"cost":%b'
_KNOWN_FACTS: Final = b',"index":%d,"attempts":%d,"started":%.3f,"latency":%.4f,"cost":%.10f'
"""Those of most lines, in one piece: three take twice as long."""


def encode_line(
    result: BatchResult,
    custom_id: str,
    hashed: int,
    origin: Mapping[str, Any] | None = None,
    record: bytes = b"",
) -> bytes:
    """Return the line of a finished row, with its line feed. Its last field is a CRC-32 of the rest.

    ``origin`` holds further facts: why a row was run again, and with which parameters. ``record`` is the run record.
    The line is assembled by hand, because the answer is already JSON.
    """
    facts = _facts(result)
    if result.predicted_cached_tokens is not None:
        facts += fact("predicted_cached_tokens", b"%d" % result.predicted_cached_tokens)
    if result.billed_attempts:
        facts += billed(result.billed_attempts)
    if result.columns:
        facts += fact("columns", as_json(result.columns))
    if origin:
        facts += b"," + orjson.dumps(presentable(origin))[1:-1]
    if result.answer is None:
        response, error = orjson.dumps(presentable(refusal_of(result))), orjson.dumps(presentable(error_of(result)))
    else:
        response, error = _RESPONSE % (_request_id(result), one_line(result.answer.encoded())), b"null"
    return written_line(custom_id, hashed, response, error, facts + record)


def pending_line(result: BatchResult, custom_id: str, hashed: int, record: bytes = b"") -> bytes:
    """Return a line recording what was billed for a row that has not ended, so that later runs include the cost.

    Readers of OpenAI's format see a failed row; the row's own line comes later.
    """
    why = "the job was cancelled" if result.error is None else plain(result.error.message)
    message = f"row has not ended, but its requests were billed: {why}"
    error = presentable({**(error_of(result) or {}), "code": PENDING, "message": message})
    facts = _facts(result) + fact("pending", b"true") + billed(result.billed_attempts) + record
    return written_line(custom_id, hashed, b"null", orjson.dumps(error), facts)


def copied_line(
    line: bytes,
    custom_id: str,
    hashed: int,
    index: int,
    *,
    columns: Mapping[str, Any] | None = None,
    record: bytes = b"",
) -> bytes:
    """Return the line of a row whose answer is copied from another row's ``line``: no request sent, no cost."""
    source = decode_finished(text_of(line))
    facts = _FACTS % (index, 0, b"null", 0.0, b"0.0") + fact("copy_of", orjson.dumps(source.custom_id))
    if columns:
        facts += fact("columns", as_json(columns))
    facts += record
    if source.facts is not None:
        facts += source.facts.mark
    return written_line(custom_id, hashed, bytes(source.response) or b"null", bytes(source.error) or b"null", facts)


def restated_line(line: bytes, record: bytes) -> bytes:
    """Repeat ``line`` with the run's ``record``, for a run that has no row to write."""
    row = decode_finished(text_of(line))
    facts = row.facts or OutputFacts()
    position = 0 if facts.index is None else facts.index
    if bytes(facts.columns):
        record = fact("columns", bytes(facts.columns)) + record
    return copied_line(line, row.custom_id, facts.hashed or 0, position, record=record)


def _facts(result: BatchResult) -> bytes:
    if result.started is not None and result.cost is not None:
        return _KNOWN_FACTS % (result.index, result.attempts, result.started, result.latency, result.cost)
    started = b"null" if result.started is None else b"%.3f" % result.started
    cost = b"null" if result.cost is None else b"%.10f" % result.cost
    return _FACTS % (result.index, result.attempts, started, result.latency, cost)


def _request_id(result: BatchResult) -> bytes:
    try:
        return orjson.dumps(result.request_id)
    except TypeError:
        return orjson.dumps(presentable(result.request_id))  # a header may contain a lone surrogate
