"""Error classification, one table: retry, lease ending and blame for each way an attempt can fail. Pure.

The name of a row completes a sentence whose subject is the service.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from deepseek_async.admission import Blame, Lease
from deepseek_async.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    ConcurrencyLimitError,
    InternalServerError,
    QuotaExceededError,
    RateLimitError,
    ServerOverloadedError,
    StreamInterruptedError,
)
from deepseek_async.types import CompletionUsage
from deepseek_async.types.operation import DOCUMENT, Operation


class Again(Enum):
    """Whether and how the same request is retried."""

    NEVER = "never"
    PAID = "paid"
    """After a back-off; costs retry credit and counts as an attempt."""
    FEW = "few"
    """As PAID, but at most twice: each further attempt would be billed for the same broken answer."""
    FREE = "free"
    """Immediately, the first time: the server has not seen the request."""
    REQUEUE = "requeue"
    """Back to its place in the queue; costs neither credit nor an attempt, because the refusal was free."""
    PAUSE = "pause"
    """As REQUEUE, after pausing all calls to the model."""


class AttemptEnding(Enum):
    """How the lease of the attempt ends."""

    SERVED = "served"
    REFUSED = "refused"
    THROTTLED = "throttled"
    DECLINED = "declined"
    FAULTED = "faulted"
    OVERLOADED = "overloaded"
    """Faulted, and an overload signal for the concurrency limit."""
    UNSENT = "unsent"
    """Abandoned before anything was sent."""
    DESCRIPTORS = "descriptors"
    """As UNSENT, and lowers the number of concurrent attempts of the model."""


class Rule(msgspec.Struct, frozen=True):
    """Consequences of one kind of failure."""

    again: Again
    ending: AttemptEnding
    blame: Blame = Blame.SERVICE
    """Circuit breaker that counts the failure; used for FAULTED and OVERLOADED only."""
    slow: bool = False
    """Whether the back-off is at least 1 s."""


_TABLE: Final[dict[str, Rule]] = {
    # Useless answer.
    "says nothing": Rule(Again.FEW, AttemptEnding.SERVED),
    "is not whole for an unknown reason": Rule(Again.NEVER, AttemptEnding.SERVED),
    "has no place for an answer": Rule(Again.NEVER, AttemptEnding.SERVED),
    "cannot be read": Rule(Again.FEW, AttemptEnding.FAULTED),
    "answers in another form": Rule(Again.NEVER, AttemptEnding.FAULTED),
    "is too large for us": Rule(Again.NEVER, AttemptEnding.FAULTED, Blame.NOBODY),
    # Answer cut off.
    "gave up": Rule(Again.PAID, AttemptEnding.OVERLOADED),
    "sent white space only": Rule(Again.PAID, AttemptEnding.OVERLOADED),
    "broke off": Rule(Again.PAID, AttemptEnding.FAULTED),
    "was too slow": Rule(Again.PAID, AttemptEnding.OVERLOADED),
    # Request refused.
    "redirects": Rule(Again.NEVER, AttemptEnding.DECLINED),
    "is our mistake": Rule(Again.NEVER, AttemptEnding.DECLINED),
    "met another request": Rule(Again.PAID, AttemptEnding.DECLINED),
    "has too many requests at once": Rule(Again.REQUEUE, AttemptEnding.REFUSED),
    "has too many requests a minute": Rule(Again.PAUSE, AttemptEnding.THROTTLED),
    "wants money": Rule(Again.NEVER, AttemptEnding.DECLINED),
    # Service failure.
    "failed": Rule(Again.PAID, AttemptEnding.OVERLOADED),
    "is overloaded": Rule(Again.PAID, AttemptEnding.OVERLOADED, slow=True),
    "failed for good": Rule(Again.NEVER, AttemptEnding.FAULTED),
    # Connection.
    "cannot be reached": Rule(Again.PAID, AttemptEnding.OVERLOADED, Blame.ORIGIN),
    "has closed an idle connection": Rule(Again.FREE, AttemptEnding.UNSENT),
    "dropped the connection": Rule(Again.PAID, AttemptEnding.OVERLOADED),
    "does not speak HTTP": Rule(Again.FEW, AttemptEnding.FAULTED),
    "is not trusted": Rule(Again.NEVER, AttemptEnding.UNSENT),
    "stands behind a proxy that refuses": Rule(Again.NEVER, AttemptEnding.UNSENT),
    # Client side.
    "has no descriptors": Rule(Again.PAUSE, AttemptEnding.DESCRIPTORS),
    "was cut short by us": Rule(Again.NEVER, AttemptEnding.FAULTED, Blame.NOBODY),
}


def rule_of(error: APIError) -> Rule:
    """Return the table row for ``error``."""
    return _TABLE[signal_of(error)]


def signal_of(error: APIError) -> str:
    """Return the name of the table row for ``error``."""
    match error:
        case APIStatusError():
            return _refusal(error)
        case APIConnectionError():
            return _connection(error)
        case StreamInterruptedError():
            if error.gave_up:
                return "gave up"
            return "broke off" if error.retryable else "is not whole for an unknown reason"
        case APIResponseValidationError():
            if error.reason == "form":
                return "answers in another form"
            if not error.retryable:
                return "is too large for us"
            return {"empty": "says nothing", "blank": "sent white space only"}.get(error.reason, "cannot be read")
        case _:
            # Token limit exhausted, or a kind added by a later version: still an answer.
            return "has no place for an answer"


def _refusal(error: APIStatusError) -> str:
    match error:
        case ServerOverloadedError():
            return "is overloaded"
        case InternalServerError():
            return "failed" if error.retryable else "failed for good"
        case QuotaExceededError():
            return "wants money"
        case RateLimitError():
            return "has too many requests a minute" if error.per_minute else "has too many requests at once"
    status = error.status_code or 0
    if status == 402:
        return "wants money"
    if status < 400:
        return "redirects"
    return "met another request" if error.retryable else "is our mistake"


def _connection(error: APIConnectionError) -> str:
    if error.reused:
        return "has closed an idle connection"
    if isinstance(error, APITimeoutError):
        if error.phase == "connect":
            return "cannot be reached"
        return "was too slow" if error.retryable else "was cut short by us"
    return {
        "unreachable": "cannot be reached",
        "tls": "is not trusted",
        "proxy": "stands behind a proxy that refuses",
        "protocol": "does not speak HTTP",
        "descriptors": "has no descriptors",
        "closed": "was cut short by us",
    }.get(error.reason, "dropped the connection")


_BUSY: Final = 503
"""Status of a request that was not started, except where a file is stored before the answer."""


def may_be_charged(error: APIError, operation: Operation) -> bool:
    """Whether an operation with a fee may have been performed in spite of ``error``.

    A timeout of the service or of a gateway in front of it counts as charged.
    """
    if not operation.has_fee or not isinstance(error, APIStatusError):
        return False
    status = error.status_code or 0
    return status == 408 or (status >= 500 and (operation is DOCUMENT or status != _BUSY))


def end(
    lease: Lease,
    error: APIError,
    usage: CompletionUsage | None = None,
    model: str | None = None,
    *,
    worked: bool = False,
    unread: bool = False,
) -> None:
    """End the lease of an attempt that failed with ``error``.

    ``usage`` and ``model`` are what the server reported, if anything. ``worked``: the attempt may be billed whatever
    its status. ``unread``: it cannot be billed, because the server did not receive the complete request.
    """
    rule = rule_of(error)
    if worked and not unread and isinstance(error, APIStatusError):
        lease.faulted(overload=rule.ending is AttemptEnding.OVERLOADED, blame=rule.blame, usage=usage, model=model)
        return
    match rule.ending:
        case AttemptEnding.SERVED:
            lease.served(usage, model)
        case AttemptEnding.REFUSED:
            if error.retry_after is not None and not isinstance(error, ConcurrencyLimitError):
                lease.throttled(error.retry_after)
            elif isinstance(error, ConcurrencyLimitError):
                lease.refused(limit=error.limit, current=error.current, balance_bound=error.balance_bound)
            else:
                lease.refused()
        case AttemptEnding.THROTTLED:
            lease.throttled(error.retry_after or 0.0)
        case AttemptEnding.DECLINED:
            lease.declined()
        case AttemptEnding.FAULTED | AttemptEnding.OVERLOADED:
            # An error object in a 200 may follow billed content; an error status precedes it.
            refused = unread or (isinstance(error, APIStatusError) and not lease.content)
            overload = rule.ending is AttemptEnding.OVERLOADED
            lease.faulted(overload=overload, blame=rule.blame, refused=refused, usage=usage, model=model)
        case AttemptEnding.UNSENT:
            lease.abandoned(sent=False)
        case AttemptEnding.DESCRIPTORS:
            lease.limits.out_of_descriptors()
            lease.abandoned(sent=False)
