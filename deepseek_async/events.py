"""Events: frozen records of what happened. Created only if a listener is configured; listeners cannot change them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, TypeAlias, TypeVar, runtime_checkable

import msgspec

from deepseek_async.labels import Labels
from deepseek_async.types import BilledAttempt, CompletionUsage, FeeCharge

_LOG: Final = logging.getLogger("deepseek_async")


class CallEnded(msgspec.Struct, frozen=True, gc=False):
    """One API call, from its start to its answer or error, all attempts included."""

    operation: str
    """OpenTelemetry operation name where one exists: chat (chat completions, responses, messages), text_completion,
    embeddings, generate_content (images); otherwise resource and method, for example files.list."""
    origin: str
    """Scheme, host and port of the server that received the last attempt; the fallback's if one was used."""
    request: bytes
    """Request body as sent; empty for read-only requests, and for uploads the metadata of the file. Has no texts if the
    content filter blocked it. Contains the prompt: do not log."""
    model: str
    """Model of the last attempt; the fallback model if one was used. Empty for calls without a model."""
    started: float
    """Unix time in seconds."""
    duration: float
    """Seconds."""
    outcome: str
    """ok, cached, stale (an expired cached answer served instead of an error), cancelled, or the error as a label."""
    labels: Labels
    streamed: bool = False
    attempts: int = 0
    """Requests sent; 0 for an answer from the cache."""
    queued: float = 0.0
    """Seconds spent waiting for admission, over all attempts."""
    first_content: float | None = None
    """Seconds from the start of the call to the first content of a streamed answer."""
    served_model: str | None = None
    """Model named in the answer."""
    response_id: str | None = None
    request_id: str | None = None
    """``x-ds-trace-id``."""
    finish_reason: str | None = None
    usage: CompletionUsage | None = None
    cost: float | None = None
    """US dollars for all attempts; with a budget, the amount charged to it. None if nothing billable was sent."""
    peak: bool = False
    """Whether the peak price applied."""
    keep_alives: int = 0
    """Reads that contained only keep-alive lines."""
    tier: str | None = None
    """Source of a cached answer: memory, disk, redis, or shared (with an identical call in flight)."""
    content: str = "passed"
    """Verdict of the content filter: passed, flagged, redacted or blocked; refused if the server's filter ended it."""
    error: BaseException | None = None
    answer: str | None = None
    """Text of the answer. Do not log."""
    path: str = ""
    """Request path below the base URL; distinguishes responses and messages from chat completions."""
    billed_attempts: tuple[BilledAttempt, ...] = ()
    """Usage per attempt that was billed, or may have been (``usage.estimated``), if an attempt returned no answer or
    used the search tool; ``usage`` is the sum."""
    fees: tuple[FeeCharge, ...] = ()
    """Fees beside tokens, one entry per kind, in yuan and, where known, in US dollars. Included in ``cost``, which is
    None if one of them has no price in US dollars."""

    @property
    def ok(self) -> bool:
        """Whether the caller received an answer."""
        return self.error is None


class Retried(msgspec.Struct, frozen=True, gc=False):
    """An attempt failed and will be retried."""

    model: str
    reason: str
    """The error class as a label."""
    delay: float
    """Seconds until the next attempt."""


class Rated(msgspec.Struct, frozen=True, gc=False):
    """User rating of an answer."""

    response_id: str
    score: float
    """From 0 to 1."""
    at: float
    """Unix time in seconds."""


class BudgetAlert(msgspec.Struct, frozen=True, gc=False):
    """A share of the daily budget is spent. Emitted once per day and share, across all processes."""

    share: float
    """Share of the budget, for example 0.8."""
    spent: float
    """US dollars spent."""
    budget: float
    """US dollars per day."""
    day: str
    """Budget day, for example 2026-11-25."""
    zone: str
    """Time zone of the budget day."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """State of a client at one moment."""

    in_flight: int = 0
    """Attempts in flight, over all models."""
    queue_depth: Mapping[str, int] = {}
    """Attempts waiting for admission, by lane."""
    concurrency_limit: Mapping[str, float] = {}
    """Concurrency limit of this client, by model."""
    account_limit: Mapping[str, float] = {}
    """Concurrency limit of the account across all processes that share it, by model."""
    account_in_flight: Mapping[str, float] = {}
    """Attempts in flight across those processes, by model."""
    sharing_processes: Mapping[str, float] = {}
    """Number of processes that share the limit, by model; 1 without sharing."""
    breaker_state: Mapping[str, int] = {}
    """Circuit breaker state by model: 0 closed, 1 half-open, 2 open."""
    budget_remaining: float | None = None
    """US dollars spent today; None without a budget."""
    budget: float | None = None
    """US dollars per day; None without a budget."""


@runtime_checkable
class Watching(Protocol):
    """A listener that also samples the state of clients."""

    def watch(self, client: Callable[[], Snapshot]) -> None:
        """Start sampling: call ``client`` for a snapshot at any time."""
        ...

    def unwatch(self, client: Callable[[], Snapshot]) -> None:
        """Stop sampling ``client``."""
        ...


Event: TypeAlias = CallEnded | Retried | Rated | BudgetAlert
Listener: TypeAlias = Callable[[Event], Any]
"""Callable that receives every event on the event loop's thread. Must not block; exceptions are logged and dropped."""


E = TypeVar("E")


def tell(listeners: Iterable[Callable[[E], Any]], event: E) -> None:
    """Call every listener with ``event``."""
    for listener in listeners:
        try:
            listener(event)
        except Exception:  # noqa: BLE001  listeners are foreign code
            _LOG.exception("listener raised on %s; ignored", type(event).__name__)


def word_for(error: BaseException) -> str:
    """Return the error class as a metric label: RateLimitError becomes rate_limit."""
    name = type(error).__name__.removesuffix("Error").removeprefix("API")
    return "".join(
        f"_{letter.lower()}" if letter.isupper() and place and not name[place - 1].isupper() else letter.lower()
        for place, letter in enumerate(name)
    )
