"""Rows that are paid by the piece: what they took is in their line, and every sum has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deepseek_async.batch.line_encoder import encode_line
from deepseek_async.batch.progress import JobEnding, Tally
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.review.job_summary import JobSummary
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.row_executor import RowExecutor
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.pricing.prices import Meter, PriceTable, price_table
from deepseek_async.types import BilledAttempt, CompletionUsage, RecognizedDocument
from deepseek_async.types.json_text import write

OCR = "/v1/tools/ocr"
AT = 1_795_600_000.0
PAGES = {"pages": [{"index": index, "text": "x", "finish_reason": "stop"} for index in range(3)], "page_count": 3}


def read(prices: PriceTable, *lost: int) -> BatchResult:
    """A document of three pages, perhaps after attempts that were lost with so many."""
    answer = RecognizedDocument(_wire=write(PAGES), page_count=3)
    attempts = tuple(
        BilledAttempt(OCR, CompletionUsage(fees={"page": pages}, corrected="lost"), AT, "APITimeoutError")
        for pages in lost
    )
    if lost:
        attempts += (BilledAttempt(OCR, CompletionUsage(fees={"page": 3}), AT),)
    result = BatchResult(index=0, answer=answer, attempts=1, started=AT, model=OCR, billed_attempts=attempts)
    client: Any = None
    RowExecutor(client, RetryPolicy(), Meter(prices)).price(result)
    return result


def account_of(result: BatchResult, prices: PriceTable, path: Path) -> JobSummary:
    path.write_bytes(encode_line(result, "a", 1))
    output = OutputReader(path)
    output.read()
    account = JobSummary(prices)
    for _, line, latest in output.lines():
        account.add(line, latest=latest)
    return account


@pytest.mark.parametrize("lost", [(), (1_000,)])
def test_yuan_are_shown_and_nothing_is_made_of_them_without_a_rate(tmp_path: Path, lost: tuple[int, ...]):
    prices = price_table()
    result = read(prices, *lost)
    pages = 3 + sum(lost)
    (fee,) = result.fees
    assert (fee.kind, fee.count, fee.cny, fee.usd) == ("page", pages, pytest.approx(pages * 0.0015), None)
    assert result.cost is None
    tally = Tally()
    tally.add(JobEnding.of(result))
    progress = tally.snapshot(total=1, in_flight=0, elapsed=1.0)
    account = account_of(result, prices, tmp_path / "out.jsonl")
    assert progress.fees == account.fees == result.fees
    assert (progress.cost, account.cost, account.unpriced) == (0.0, 0.0, 0)
    assert account.estimated == len(lost)
    assert account.tokens.total == 0


def test_a_rate_makes_dollars_of_them_in_the_line_and_in_the_account(tmp_path: Path):
    prices = price_table().with_rates({"CNY": 0.1})
    result = read(prices)
    assert result.cost == pytest.approx(3 * 0.00015)
    account = account_of(result, prices, tmp_path / "out.jsonl")
    assert account.cost == pytest.approx(result.cost)
    # Whoever has no rate later takes the run's word for it.
    assert account_of(result, price_table(), tmp_path / "again.jsonl").cost == pytest.approx(result.cost)
