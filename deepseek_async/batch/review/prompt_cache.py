"""Why a job's prompts missed the service's prefix cache, from its input and its output."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

import orjson

from deepseek_async.batch.review.row_selection import AskedRow, SelectedRows
from deepseek_async.pricing.prices import Meter, PriceTable
from deepseek_async.prompt_cache.history import AnsweredPrompt, PromptHistory
from deepseek_async.prompt_cache.report import CacheReport
from deepseek_async.types.json_text import read

_PROMPTS: Final = 4_096
_MEMORY: Final = 64 << 20
_AHEAD: Final = 2_048
_AHEAD_BYTES: Final = 32 << 20
"""Rows, and bytes of their prompts, put in the order in which they were sent. A job sends rows out of order to let one
bring the prefix of others, and holds no more of them."""


def cache_report(rows: SelectedRows, prices: PriceTable, *, keep_texts: bool = True) -> CacheReport | None:
    """Return the report for the rows of an input; None without an input, which has the prompts.

    Rows are compared in the order in which they were sent, as far as they lie within 2,048 rows of each other.
    """
    if rows.total is None:
        return None
    history = PromptHistory(prompts=_PROMPTS, memory_bytes=_MEMORY, keep_texts=keep_texts)
    meter = Meter(prices)
    for asked in _in_order(rows, meter):
        history.add(asked)
    return history.report()


def _in_order(rows: SelectedRows, meter: Meter) -> Iterator[AnsweredPrompt]:
    waiting: list[tuple[float, int, int, AnsweredPrompt]] = []
    held, number = 0, count()
    for row in rows.rows():
        size = 0 if row.body is None else len(orjson.dumps(row.body, default=str))
        for asked in _requests(row, meter):
            heappush(waiting, (asked.started, next(number), size, asked))
            held += size
        while len(waiting) > _AHEAD or held > _AHEAD_BYTES:
            _, _, size, first = heappop(waiting)
            held -= size
            yield first
    while waiting:
        yield heappop(waiting)[-1]


def _requests(row: AskedRow, meter: Meter) -> Iterator[AnsweredPrompt]:
    """Yield the billed requests of a row."""
    line, body = row.line, row.body
    if line is None or not body or not line.facts.attempts:
        return
    request: dict[str, Any] = read(orjson.dumps(body, default=str))
    answer = line.body.text if line.body.finish_reason == "stop" else None
    for bill in line.bills:
        usage, at = bill.usage, bill.at or line.started
        if at is None or bill.corrected is not None or not usage.prompt_tokens:
            continue
        asked = bill.asked or str(request.get("model") or "")
        yield AnsweredPrompt(
            {**request, "model": asked or bill.model or ""},
            bill.model or asked,
            at,
            (line.started or at) + line.facts.latency,
            usage.prompt_tokens,
            usage.cached_tokens,
            meter.rate_of(bill.model, asked, at),
            row.custom_id,
            answer,
        )
