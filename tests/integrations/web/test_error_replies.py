"""Errors as a service's callers see them: a status, a time to wait, and nothing of the inside."""

from __future__ import annotations

import json

import pytest

from deepseek_async import errors
from deepseek_async.integrations.web.error_replies import reply_to

KINDS = [getattr(errors, name) for name in errors.__all__]
SECRET = "sk-secret0123456789"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_of_an_error_and_shows_nothing_of_itself(kind: type[errors.DeepSeekError]):
    error = kind(f"internal {SECRET} http://10.0.0.1", status_code=418, body={"k": SECRET}, request_id="trace", limit=7)
    reply = reply_to(error)
    said = json.dumps([reply.status, reply.headers, reply.body])
    assert 400 <= reply.status < 600
    assert not any(inside in said for inside in (SECRET, "internal ", "10.0.0.1", "trace", "418", kind.__name__))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidRequestError("-"), 400),
        (errors.BadRequestError("-"), 400),
        (errors.ContextWindowExceededError("-"), 413),
        (errors.ContentRiskError("-"), 422),
        (errors.ContentBlockedError("-"), 422),
        (errors.ConflictError("-"), 409),
        (errors.RateLimitError("-"), 429),
        (errors.ConcurrencyLimitError("-"), 429),
        (errors.QuotaExceededError("-"), 503),
        (errors.AuthenticationError("-"), 503),
        (errors.InsufficientBalanceError("-"), 503),
        (errors.BudgetExceededError("-"), 503),
        (errors.CircuitOpenError("-"), 503),
        (errors.ServerOverloadedError("-"), 503),
        (errors.APIConnectionError("-", reason="closed"), 503),
        (errors.InternalServerError("-"), 502),
        (errors.APIConnectionError("-"), 502),
        (errors.StreamInterruptedError("-"), 502),
        (errors.APITimeoutError("-"), 504),
        (errors.ConfigurationError("-"), 500),
        (ValueError("-"), 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_the_status_says_whose_affair_it_is(error: Exception, status: int):
    assert reply_to(error).status == status


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0, 1),
        (1.2, 2),
        (60, 60),
        (1e9, 86_400),
        (float("inf"), 86_400),
        (float("nan"), None),
        (-1.0, None),
        (None, None),
    ],
)
def test_a_time_to_wait_is_whole_seconds_rounded_up_and_at_most_a_day(seconds: float | None, told: int | None):
    reply = reply_to(errors.RateLimitError("-", retry_after=seconds))
    assert reply.headers == ({} if told is None else {"retry-after": str(told)})
    assert reply.body["error"].get("retry_after") == told


def test_nobody_is_asked_to_repeat_what_cannot_pass():
    assert reply_to(errors.BadRequestError("-", retry_after=5)).headers == {}
