"""What each way to fail means: to the next attempt, to the window, to the breaker. The contract's table, row by row."""

from __future__ import annotations

import pytest

from deepseek_async import errors
from deepseek_async.admission import Blame
from deepseek_async.call.classification import _TABLE, Again, AttemptEnding, kind_of, rule_of
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
        (status(code), Again.NEVER, AttemptEnding.DECLINED)
        for code in (301, 308, 400, 401, 402, 403, 404, 405, 413, 415, 422)
    ),
    *((status(code), Again.PAID, AttemptEnding.DECLINED) for code in (408, 409, 425)),
    *(
        (status(code), Again.PAID, AttemptEnding.OVERLOADED)
        for code in (500, 502, 503, 504, 520, 521, 522, 523, 524, 529)
    ),
    *((status(code), Again.NEVER, AttemptEnding.FAULTED) for code in (501, 505, 599)),
    (status(429), Again.REQUEUE, AttemptEnding.REFUSED),
    (status(429, NUMBERS), Again.REQUEUE, AttemptEnding.REFUSED),
    (status(429, b"tokens per minute"), Again.PAUSE, AttemptEnding.THROTTLED),
    (status(429, b"You exceeded your current quota"), Again.NEVER, AttemptEnding.DECLINED),
    (APIResponseValidationError("", reason="empty"), Again.FEW, AttemptEnding.SERVED),
    (APIResponseValidationError("", reason="blank"), Again.PAID, AttemptEnding.OVERLOADED),
    (APIResponseValidationError(""), Again.FEW, AttemptEnding.FAULTED),
    (APIResponseValidationError("", reason="form", retryable=False), Again.NEVER, AttemptEnding.FAULTED),
    (APIResponseValidationError("", retryable=False), Again.NEVER, AttemptEnding.FAULTED),
    (StreamInterruptedError("", gave_up=True), Again.PAID, AttemptEnding.OVERLOADED),
    (StreamInterruptedError(""), Again.PAID, AttemptEnding.FAULTED),
    (StreamInterruptedError("", retryable=False), Again.NEVER, AttemptEnding.SERVED),
    (errors.ReasoningBudgetExhaustedError(""), Again.NEVER, AttemptEnding.SERVED),
    *(
        (APITimeoutError("", phase=phase), Again.PAID, AttemptEnding.OVERLOADED)
        for phase in ("headers", "first_content", "idle", "stall", "attempt")
    ),
    (APITimeoutError("", phase="connect"), Again.PAID, AttemptEnding.OVERLOADED),
    (APITimeoutError("", phase="total", retryable=False), Again.NEVER, AttemptEnding.FAULTED),
    (APIConnectionError("", reason="unreachable"), Again.PAID, AttemptEnding.OVERLOADED),
    (APIConnectionError("", reason="tls", retryable=False), Again.NEVER, AttemptEnding.UNSENT),
    (APIConnectionError("", reason="proxy", retryable=False), Again.NEVER, AttemptEnding.UNSENT),
    (APIConnectionError("", reason="protocol"), Again.FEW, AttemptEnding.FAULTED),
    (APIConnectionError("", reason="closed", retryable=False), Again.NEVER, AttemptEnding.FAULTED),
    (APIConnectionError("", reason="descriptors"), Again.PAUSE, AttemptEnding.DESCRIPTORS),
    (APIConnectionError(""), Again.PAID, AttemptEnding.OVERLOADED),
    (APIConnectionError("", reused=True), Again.FREE, AttemptEnding.UNSENT),
]


@pytest.mark.parametrize(("error", "again", "ending"), ROWS, ids=lambda value: str(value)[:40])
def test_a_signal_has_its_consequences(error: APIError, again: Again, ending: AttemptEnding):
    rule = rule_of(error)
    assert (rule.again, rule.ending) == (again, ending)
    assert error.retryable or again is Again.NEVER


def test_every_row_of_the_table_is_reached():
    assert {kind_of(error) for error, *_ in ROWS} == set(_TABLE)


def test_the_breaker_blames_whom_the_failure_speaks_against():
    assert rule_of(status(500)).blame is Blame.SERVICE
    assert rule_of(APIConnectionError("", reason="unreachable")).blame is Blame.ORIGIN
    assert rule_of(APITimeoutError("", phase="connect")).blame is Blame.ORIGIN
    assert rule_of(APITimeoutError("", phase="total", retryable=False)).blame is Blame.NOBODY
