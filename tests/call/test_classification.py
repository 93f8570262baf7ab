"""What each way to fail means: to the next attempt, to the window, to the breaker. The contract's table, row by row."""

from __future__ import annotations

import pytest

from deepseek_async import errors
from deepseek_async.admission import Blame
from deepseek_async.call.classification import _TABLE, AttemptEnding, RetryMode, kind_of, rule_of
from deepseek_async.codec.status_errors import status_error
from deepseek_async.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APITimeoutError,
    StreamInterruptedError,
)

NUMBERS = b"Your current concurrency is 26, which exceeds your concurrency limit of 25"


def status(code: int, body: bytes = b"") -> APIError:
    return status_error(code, {}, body, now=0.0)


ROWS = [
    *(
        (status(code), RetryMode.NEVER, AttemptEnding.DECLINED)
        for code in (301, 308, 400, 401, 402, 403, 404, 405, 413, 415, 422)
    ),
    *((status(code), RetryMode.PAID, AttemptEnding.DECLINED) for code in (408, 409, 425)),
    *(
        (status(code), RetryMode.PAID, AttemptEnding.OVERLOADED)
        for code in (500, 502, 503, 504, 520, 521, 522, 523, 524, 529)
    ),
    *((status(code), RetryMode.NEVER, AttemptEnding.FAULTED) for code in (501, 505, 599)),
    (status(429), RetryMode.REQUEUE, AttemptEnding.REFUSED),
    (status(429, NUMBERS), RetryMode.REQUEUE, AttemptEnding.REFUSED),
    (status(429, b"tokens per minute"), RetryMode.PAUSE, AttemptEnding.THROTTLED),
    (status(429, b"You exceeded your current quota"), RetryMode.NEVER, AttemptEnding.DECLINED),
    (APIResponseValidationError("", reason="empty"), RetryMode.FEW, AttemptEnding.SERVED),
    (APIResponseValidationError("", reason="blank"), RetryMode.PAID, AttemptEnding.OVERLOADED),
    (APIResponseValidationError(""), RetryMode.FEW, AttemptEnding.FAULTED),
    (APIResponseValidationError("", reason="form", retryable=False), RetryMode.NEVER, AttemptEnding.FAULTED),
    (APIResponseValidationError("", retryable=False), RetryMode.NEVER, AttemptEnding.FAULTED),
    (StreamInterruptedError("", gave_up=True), RetryMode.PAID, AttemptEnding.OVERLOADED),
    (StreamInterruptedError(""), RetryMode.PAID, AttemptEnding.FAULTED),
    (StreamInterruptedError("", retryable=False), RetryMode.NEVER, AttemptEnding.SERVED),
    (errors.ReasoningBudgetExhaustedError(""), RetryMode.NEVER, AttemptEnding.SERVED),
    *(
        (APITimeoutError("", phase=phase), RetryMode.PAID, AttemptEnding.OVERLOADED)
        for phase in ("headers", "first_content", "idle", "stall", "attempt")
    ),
    (APITimeoutError("", phase="connect"), RetryMode.PAID, AttemptEnding.OVERLOADED),
    (APITimeoutError("", phase="total", retryable=False), RetryMode.NEVER, AttemptEnding.FAULTED),
    (APIConnectionError("", reason="unreachable"), RetryMode.PAID, AttemptEnding.OVERLOADED),
    (APIConnectionError("", reason="tls", retryable=False), RetryMode.NEVER, AttemptEnding.UNSENT),
    (APIConnectionError("", reason="proxy", retryable=False), RetryMode.NEVER, AttemptEnding.UNSENT),
    (APIConnectionError("", reason="protocol"), RetryMode.FEW, AttemptEnding.FAULTED),
    (APIConnectionError("", reason="closed", retryable=False), RetryMode.NEVER, AttemptEnding.FAULTED),
    (APIConnectionError("", reason="descriptors"), RetryMode.PAUSE, AttemptEnding.DESCRIPTORS),
    (APIConnectionError(""), RetryMode.PAID, AttemptEnding.OVERLOADED),
    (APIConnectionError("", reused=True), RetryMode.FREE, AttemptEnding.UNSENT),
]


@pytest.mark.parametrize(("error", "again", "ending"), ROWS, ids=lambda value: str(value)[:40])
def test_a_signal_has_its_consequences(error: APIError, again: RetryMode, ending: AttemptEnding):
    rule = rule_of(error)
    assert (rule.again, rule.ending) == (again, ending)
    assert error.retryable or again is RetryMode.NEVER


def test_every_row_of_the_table_is_reached():
    assert {kind_of(error) for error, *_ in ROWS} == set(_TABLE)


def test_the_breaker_blames_whom_the_failure_speaks_against():
    assert rule_of(status(500)).blame is Blame.SERVICE
    assert rule_of(APIConnectionError("", reason="unreachable")).blame is Blame.ORIGIN
    assert rule_of(APITimeoutError("", phase="connect")).blame is Blame.ORIGIN
    assert rule_of(APITimeoutError("", phase="total", retryable=False)).blame is Blame.NOBODY
