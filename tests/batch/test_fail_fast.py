"""A job that cannot succeed stops early: its first rows all fail for one and the same reason."""

from __future__ import annotations

import inspect
import random

import pytest
from bulk import Bulk, Start, numbered
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async import BadRequestError, InputFormatError, ServerOverloadedError
from deepseek_async.batch import BatchResult, ExitCode
from deepseek_async.batch.fail_fast import FIRST_ROWS, FailFast
from deepseek_async.cli.job_flags import JobFlags
from deepseek_async.errors import DeepSeekError

REFUSED = {"temperature": 7}
LINT_OFF = {"client": {"lint": "off", "max_concurrency": 4}}


def ended(error: DeepSeekError | None) -> BatchResult:
    return BatchResult(index=0, error=error)


def refused(message: str = "temperature must be at most 2") -> BadRequestError:
    return BadRequestError(message, status_code=400)


ENDS = {
    "answered": lambda: None,
    "refused": refused,
    "refused otherwise": lambda: refused("too long"),
    "unreadable": lambda: InputFormatError("line 3 is no request", line=3),
    "overloaded": lambda: ServerOverloadedError("busy", status_code=503, retryable=True),
}


@given(st.lists(st.sampled_from(sorted(ENDS)), max_size=12), st.integers(0, 6))
def test_only_rows_that_all_failed_alike_from_the_first_on_stop_a_job(ends: list[str], rows: int):
    fail_fast = FailFast(rows)
    stopped_at = next((n for n, end in enumerate(ends, 1) if fail_fast.add(ended(ENDS[end]()))), None)

    readable = [(n, end) for n, end in enumerate(ends, 1) if end != "unreadable"]
    kinds = {end for _, end in readable[:rows]}
    alike = len(readable) >= rows > 0 and kinds in ({"refused"}, {"refused otherwise"})
    assert stopped_at == (readable[rows - 1][0] if alike else None)


def test_the_id_of_a_request_is_no_part_of_the_reason():
    chance = random.Random(1)
    fail_fast = FailFast(3)
    messages = [f"bad schema (request id: {chance.getrandbits(128):032x})" for _ in range(3)]
    assert [fail_fast.add(ended(refused(message))) is not None for message in messages] == [False, False, True]


def test_a_number_that_differs_from_row_to_row_is_part_of_the_reason():
    fail_fast = FailFast(3)
    assert not any(
        fail_fast.add(ended(refused(f"your prompt has {size} tokens"))) for size in (140_000, 150_000, 160_000)
    )


def test_the_command_line_has_the_same_default():
    assert inspect.signature(JobFlags).parameters["fail_fast"].default == FIRST_ROWS


async def test_a_job_whose_parameter_is_refused_stops_after_fifty_rows_and_says_so(start: Start):
    bulk = await start(**LINT_OFF)
    bulk.ask(numbered(2000))
    report = await bulk.run(**REFUSED)

    assert FIRST_ROWS <= bulk.requests < FIRST_ROWS + 2 * 4
    assert report.exit_code == ExitCode.STOPPED
    assert not report.complete
    assert "the first 50 rows all failed with the same error" in str(report.stopped)
    assert "BadRequestError" in str(report.stopped)
    assert len(bulk.lines()) == report.failed == bulk.requests


async def test_a_stopped_job_goes_on_when_the_cause_is_mended(start: Start):
    bulk = await start(**LINT_OFF)
    bulk.ask([{"prompt": f"Question {number}"} for number in range(200)])
    await bulk.run(**REFUSED)
    report = await bulk.run()

    assert report.ok == 200
    assert report.exit_code == ExitCode.OK


async def test_a_job_told_not_to_stop_sends_every_row(start: Start):
    bulk = await start(**LINT_OFF)
    bulk.ask(numbered(120))
    report = await bulk.run(fail_fast=0, **REFUSED)

    assert bulk.requests == report.failed == 120
    assert report.exit_code == ExitCode.ROWS_FAILED


async def test_one_answer_among_the_first_rows_is_reason_enough_to_go_on(start: Start):
    bulk = await start(**LINT_OFF)
    rows = [{**row, "temperature": 7} for row in numbered(200)]
    del rows[30]["temperature"]
    bulk.ask(rows)
    report = await bulk.run()

    assert (report.ok, report.failed) == (1, 199)


async def test_rows_that_cannot_be_read_stop_no_job(bulk: Bulk):
    bulk.ask(["no JSON"] * 60 + numbered(10))
    report = await bulk.run()

    assert (report.ok, report.failed) == (10, 60)


async def test_fail_fast_must_be_a_number_of_rows(bulk: Bulk):
    bulk.ask(numbered(1))
    with pytest.raises(ValueError, match="fail_fast must be a number of rows, or 0 to disable it, got -1"):
        await bulk.run(fail_fast=-1)
