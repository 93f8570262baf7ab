"""What happened, as frozen records. They are built only when somebody listens, and a listener changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, TypeAlias, TypeVar, runtime_checkable

import msgspec

from deepseek_async.labels import Labels
from deepseek_async.types import BilledAttempt, CompletionUsage, FeeCharge

_LOG: Final = logging.getLogger("deepseek_async")


class CallEnded(msgspec.Struct, frozen=True, gc=False):
    """One call of the API, from the moment it was made to its answer or error, all attempts included."""

    operation: str
    """In OpenTelemetry's words where it has one: chat (chat completions, responses, messages), text_completion,
    embeddings, generate_content (images); else the resource and the method, for example files.list."""
    origin: str
    """Scheme, host and port of the server that was asked last: of the fallback, if one was."""
    request: bytes
    """The request's body as it was sent; empty for a look at what is there, and of an upload what is said of the file.
    Without its texts if the content filter blocked it. Holds the prompt: not for logs."""
    model: str
    """The model that was asked last: the fallback's, if there was one. Empty for calls that ask none."""
    started: float
    """Seconds since 1970."""
    duration: float
    """Seconds."""
    outcome: str
    """ok, cached, stale (a cached answer in the place of an error), cancelled, or the error as a word."""
    labels: Labels
    streamed: bool = False
    attempts: int = 0
    """Requests sent; 0 for an answer from the cache."""
    queued: float = 0.0
    """Seconds spent waiting for admission, over all attempts."""
    first_content: float | None = None
    """Seconds from the call to the first content of a streamed answer."""
    served_model: str | None = None
    """The model that the answer names."""
    response_id: str | None = None
    request_id: str | None = None
    """``x-ds-trace-id``."""
    finish_reason: str | None = None
    usage: CompletionUsage | None = None
    cost: float | None = None
    """US dollars for all attempts: with a budget, what it was charged. None when nothing was sent that is billed."""
    peak: bool = False
    """Whether the cost is at the peak price."""
    keep_alives: int = 0
    """Reads that brought only keep-alive lines."""
    tier: str | None = None
    """Where a cached answer came from: memory, disk, redis, or shared with an equal call under way."""
    content: str = "passed"
    """What the content filter said: passed, flagged, redacted or blocked; refused for the server's own filter."""
    error: BaseException | None = None
    answer: str | None = None
    """The answer's text. Not for logs."""
    path: str = ""
    """Where it was sent, below the base URL: tells responses and messages from chat completions."""
    billed_attempts: tuple[BilledAttempt, ...] = ()
    """What was billed, or may have been (``usage.estimated``), attempt by attempt, where one of them gave no answer or
    searched; ``usage`` is their sum."""
    fees: tuple[FeeCharge, ...] = ()
    """What is paid beside tokens, a line for each kind, in yuan and as far as known in US dollars. ``cost`` has them
    in it; it is None where one of them has no price in US dollars."""

    @property
    def ok(self) -> bool:
        """Whether the caller got an answer."""
        return self.error is None


class Retried(msgspec.Struct, frozen=True, gc=False):
    """An attempt failed and another one follows."""

    model: str
    reason: str
    """The error as a word."""
    delay: float
    """Seconds until the next attempt."""


class Rated(msgspec.Struct, frozen=True, gc=False):
    """A user was more or less content with an answer."""

    response_id: str
    score: float
    """From 0 to 1."""
    at: float
    """Seconds since 1970."""


class BudgetAlert(msgspec.Struct, frozen=True, gc=False):
    """A share of the day's budget is spent. Raised once a day for each share, over all processes."""

    share: float
    """For example 0.8."""
    spent: float
    """US dollars."""
    budget: float
    """US dollars a day."""
    day: str
    """For example 2026-11-25."""
    zone: str
    """Where that day is counted."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """How a client stands at this moment."""

    in_flight: int = 0
    """Attempts under way, over all models."""
    queue_depth: Mapping[str, int] = {}
    """Attempts that wait for admission, by lane."""
    concurrency_limit: Mapping[str, float] = {}
    """How many attempts may be under way, by model."""
    account_limit: Mapping[str, float] = {}
    """How many attempts of all processes that share the account's window may be under way, by model."""
    account_in_flight: Mapping[str, float] = {}
    """How many of theirs are."""
    sharing_processes: Mapping[str, float] = {}
    """How many processes share it, by model; 1 for one that is alone."""
    breaker_state: Mapping[str, int] = {}
    """0 closed, 1 half-open, 2 open, by model."""
    budget_remaining: float | None = None
    """US dollars of the day; None without a budget."""
    budget: float | None = None
    """US dollars a day; None without a budget."""


@runtime_checkable
class Watching(Protocol):
    """A listener that also wants to know how clients stand."""

    def watch(self, client: Callable[[], Snapshot]) -> None:
        """Ask ``client`` how it stands, whenever that is wanted."""
        ...

    def unwatch(self, client: Callable[[], Snapshot]) -> None:
        """Ask ``client`` no more."""
        ...


Event: TypeAlias = CallEnded | Retried | Rated | BudgetAlert
Listener: TypeAlias = Callable[[Event], Any]
"""Is told every event on the event loop's thread; must return at once. What it raises is logged and goes no further."""


E = TypeVar("E")


def tell(listeners: Iterable[Callable[[E], Any]], event: E) -> None:
    """Hand ``event`` to every listener."""
    for listener in listeners:
        try:
            listener(event)
        except Exception:  # noqa: BLE001  it is not ours
            _LOG.exception("a listener failed on %s; the call goes on", type(event).__name__)


def word_for(error: BaseException) -> str:
    """An error's class as a word for labels: RateLimitError becomes rate_limit."""
    name = type(error).__name__.removesuffix("Error").removeprefix("API")
    return "".join(
        f"_{letter.lower()}" if letter.isupper() and place and not name[place - 1].isupper() else letter.lower()
        for place, letter in enumerate(name)
    )
