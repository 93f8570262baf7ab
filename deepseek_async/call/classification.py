"""Error classification, one table: retry, lease ending and blame for each way an attempt can fail. Pure."""

from __future__ import annotations

from collections.abc import Mapping
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


class RetryMode(Enum):
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


class FailureKind(Enum):
    """Ways in which an attempt can fail."""

    EMPTY = "empty"
    """No content."""
    INCOMPLETE = "incomplete"
    """Ended with a finish reason that is unknown."""
    NO_ROOM = "no_room"
    """The token limit was used up before the answer."""
    UNREADABLE = "unreadable"
    """Not JSON, or not of the API."""
    OTHER_FORM = "other_form"
    """JSON of another API."""
    TOO_LARGE = "too_large"
    """Exceeds ``Limits``."""
    GAVE_UP = "gave_up"
    """The server ended a stream because it had no resources left."""
    BLANK = "blank"
    """Keep-alive bytes, and then the end."""
    BROKEN_OFF = "broken_off"
    """The stream ended before the answer did."""
    TIMEOUT = "timeout"
    REDIRECT = "redirect"
    INVALID_REQUEST = "invalid_request"
    CONFLICT = "conflict"
    """The request may succeed later, unchanged."""
    CONCURRENCY_LIMIT = "concurrency_limit"
    RATE_LIMIT = "rate_limit"
    BALANCE = "balance"
    """The balance or a quota is exhausted."""
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    PERMANENT = "permanent"
    """A server error that no retry helps."""
    UNREACHABLE = "unreachable"
    STALE_CONNECTION = "stale_connection"
    """A pooled connection was closed before the request reached the server."""
    DROPPED = "dropped"
    PROTOCOL = "protocol"
    """The response is not HTTP."""
    TLS = "tls"
    """The certificate is not trusted."""
    PROXY = "proxy"
    """The proxy refused."""
    DESCRIPTORS = "descriptors"
    """This process has no file descriptors left."""
    CUT_SHORT = "cut_short"
    """This side closed the connection, or reached its deadline."""


class Rule(msgspec.Struct, frozen=True):
    """Consequences of one kind of failure."""

    again: RetryMode
    ending: AttemptEnding
    blame: Blame = Blame.SERVICE
    """Circuit breaker that counts the failure; used for FAULTED and OVERLOADED only."""
    slow: bool = False
    """Whether the back-off is at least 1 s."""


_TABLE: Final[Mapping[FailureKind, Rule]] = {
    # Useless answer.
    FailureKind.EMPTY: Rule(RetryMode.FEW, AttemptEnding.SERVED),
    FailureKind.INCOMPLETE: Rule(RetryMode.NEVER, AttemptEnding.SERVED),
    FailureKind.NO_ROOM: Rule(RetryMode.NEVER, AttemptEnding.SERVED),
    FailureKind.UNREADABLE: Rule(RetryMode.FEW, AttemptEnding.FAULTED),
    FailureKind.OTHER_FORM: Rule(RetryMode.NEVER, AttemptEnding.FAULTED),
    FailureKind.TOO_LARGE: Rule(RetryMode.NEVER, AttemptEnding.FAULTED, Blame.NOBODY),
    # Answer cut off.
    FailureKind.GAVE_UP: Rule(RetryMode.PAID, AttemptEnding.OVERLOADED),
    FailureKind.BLANK: Rule(RetryMode.PAID, AttemptEnding.OVERLOADED),
    FailureKind.BROKEN_OFF: Rule(RetryMode.PAID, AttemptEnding.FAULTED),
    FailureKind.TIMEOUT: Rule(RetryMode.PAID, AttemptEnding.OVERLOADED),
    # Request refused.
    FailureKind.REDIRECT: Rule(RetryMode.NEVER, AttemptEnding.DECLINED),
    FailureKind.INVALID_REQUEST: Rule(RetryMode.NEVER, AttemptEnding.DECLINED),
    FailureKind.CONFLICT: Rule(RetryMode.PAID, AttemptEnding.DECLINED),
    FailureKind.CONCURRENCY_LIMIT: Rule(RetryMode.REQUEUE, AttemptEnding.REFUSED),
    FailureKind.RATE_LIMIT: Rule(RetryMode.PAUSE, AttemptEnding.THROTTLED),
    FailureKind.BALANCE: Rule(RetryMode.NEVER, AttemptEnding.DECLINED),
    # Service failure.
    FailureKind.SERVER_ERROR: Rule(RetryMode.PAID, AttemptEnding.OVERLOADED),
    FailureKind.OVERLOADED: Rule(RetryMode.PAID, AttemptEnding.OVERLOADED, slow=True),
    FailureKind.PERMANENT: Rule(RetryMode.NEVER, AttemptEnding.FAULTED),
    # Connection.
    FailureKind.UNREACHABLE: Rule(RetryMode.PAID, AttemptEnding.OVERLOADED, Blame.ORIGIN),
    FailureKind.STALE_CONNECTION: Rule(RetryMode.FREE, AttemptEnding.UNSENT),
    FailureKind.DROPPED: Rule(RetryMode.PAID, AttemptEnding.OVERLOADED),
    FailureKind.PROTOCOL: Rule(RetryMode.FEW, AttemptEnding.FAULTED),
    FailureKind.TLS: Rule(RetryMode.NEVER, AttemptEnding.UNSENT),
    FailureKind.PROXY: Rule(RetryMode.NEVER, AttemptEnding.UNSENT),
    # Client side.
    FailureKind.DESCRIPTORS: Rule(RetryMode.PAUSE, AttemptEnding.DESCRIPTORS),
    FailureKind.CUT_SHORT: Rule(RetryMode.NEVER, AttemptEnding.FAULTED, Blame.NOBODY),
}


def rule_of(error: APIError) -> Rule:
    """Return the table row for ``error``."""
    return _TABLE[kind_of(error)]


def kind_of(error: APIError) -> FailureKind:
    """Return the kind of ``error``: its row of the table."""
    match error:
        case APIStatusError():
            return _refusal(error)
        case APIConnectionError():
            return _connection(error)
        case StreamInterruptedError():
            if error.gave_up:
                return FailureKind.GAVE_UP
            return FailureKind.BROKEN_OFF if error.retryable else FailureKind.INCOMPLETE
        case APIResponseValidationError():
            if error.reason == "form":
                return FailureKind.OTHER_FORM
            if not error.retryable:
                return FailureKind.TOO_LARGE
            return {"empty": FailureKind.EMPTY, "blank": FailureKind.BLANK}.get(error.reason, FailureKind.UNREADABLE)
        case _:
            # Token limit exhausted, or a kind added by a later version: still an answer.
            return FailureKind.NO_ROOM


def _refusal(error: APIStatusError) -> FailureKind:
    match error:
        case ServerOverloadedError():
            return FailureKind.OVERLOADED
        case InternalServerError():
            return FailureKind.SERVER_ERROR if error.retryable else FailureKind.PERMANENT
        case QuotaExceededError():
            return FailureKind.BALANCE
        case RateLimitError():
            return FailureKind.RATE_LIMIT if error.per_minute else FailureKind.CONCURRENCY_LIMIT
    status = error.status_code or 0
    if status == 402:
        return FailureKind.BALANCE
    if status < 400:
        return FailureKind.REDIRECT
    return FailureKind.CONFLICT if error.retryable else FailureKind.INVALID_REQUEST


def _connection(error: APIConnectionError) -> FailureKind:
    if error.reused:
        return FailureKind.STALE_CONNECTION
    if isinstance(error, APITimeoutError):
        if error.phase == "connect":
            return FailureKind.UNREACHABLE
        return FailureKind.TIMEOUT if error.retryable else FailureKind.CUT_SHORT
    return {
        "unreachable": FailureKind.UNREACHABLE,
        "tls": FailureKind.TLS,
        "proxy": FailureKind.PROXY,
        "protocol": FailureKind.PROTOCOL,
        "descriptors": FailureKind.DESCRIPTORS,
        "closed": FailureKind.CUT_SHORT,
    }.get(error.reason, FailureKind.DROPPED)


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
