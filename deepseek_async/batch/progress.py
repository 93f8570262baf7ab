"""Job progress: a snapshot of counters, tokens and cost."""

from __future__ import annotations

from collections import Counter
from typing import Final, Self

import msgspec

from deepseek_async.batch.endpoints import RECOGNITION
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.row import Defaults, Row
from deepseek_async.types import CompletionUsage, FeeCharge, RecognizedDocument
from deepseek_async.types.fee import fees_together

_KEPT_FAILURES: Final = 10
_NAMED: Final = 100


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Progress of a running job. Counts are of this run, except ``resumed``."""

    total: int | None
    """Rows of the input, or of this shard; None before they are counted."""
    done: int
    """Rows whose result is on disk, including ``resumed``."""
    ok: int
    failed: int
    resumed: int
    """Rows finished by an earlier run."""
    in_flight: int
    elapsed: float
    """Seconds since this run started."""
    requests: int
    """Requests sent, including retries."""
    retried: int
    """Requests beyond the first of each row."""
    prompt_tokens: int
    cached_tokens: int
    """Part of ``prompt_tokens`` served from the API's prefix cache."""
    completion_tokens: int
    cost: float
    """US dollars so far; an answer from a model without a price is charged at the price of the requested model."""
    last_error: str | None
    saved: float = 0.0
    """US dollars saved by the prefix cache; not part of ``cost``."""
    resumes_at: float | None = None
    """Start of the off-peak hours the job waits for, in seconds since 1970; None if it does not wait."""
    estimated_requests: int = 0
    """Requests without a valid usage: lost in a failure, or from a server that reports none."""
    estimated_cost: float = 0.0
    """Part of ``cost`` for those requests: the most they can have cost."""
    fees: tuple[FeeCharge, ...] = ()
    """Charges other than tokens, one per kind; part of ``cost`` if priced in US dollars."""
    copied: int = 0
    """Rows that received the answer of an equal row; included in ``ok`` and ``failed``."""

    @property
    def rows_per_second(self) -> float:
        """Rows finished per second in this run."""
        return (self.ok + self.failed) / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def remaining_seconds(self) -> float | None:
        """Estimated seconds until the job is done, at the mean speed so far."""
        if self.total is None or not self.rows_per_second:
            return None
        return max(0, self.total - self.done) / self.rows_per_second


class JobEnding(msgspec.Struct, frozen=True, gc=False):
    """Counters of a finished row. Excludes its answer, which must not be kept in memory until its line is durable."""

    attempts: int
    usage: CompletionUsage | None
    cost: float | None
    failure: BatchResult | None = None
    saved: float = 0.0
    copied: bool = False
    estimated_requests: int = 0
    estimated_cost: float = 0.0
    fees: tuple[FeeCharge, ...] = ()

    @classmethod
    def of(cls, result: BatchResult, *, copied: bool = False) -> Self:
        """Extract the counters of ``result``."""
        failure = result if result.error is not None else None
        counts = (result.attempts, result.usage, result.cost, failure, result.saved, copied)
        if not result.billed_attempts:
            return cls(*counts)
        estimated = sum(bill.usage.estimated for bill in result.billed_attempts) if result.estimated_cost else 0
        return cls(*counts, estimated, result.estimated_cost, result.fees)


class Tally:
    """Counts results as they become durable."""

    def __init__(self) -> None:
        self.ok = self.failed = self.resumed = self.resumed_failed = 0
        self.requests = self.retried = self.copied = self.cut_off = 0
        self.prompt_tokens = self.cached_tokens = self.completion_tokens = 0
        self.cost = self.saved = self.estimated_cost = 0.0
        self.estimated_requests = 0
        self.fees: tuple[FeeCharge, ...] = ()
        self.last_error: str | None = None
        self.failures: Counter[str] = Counter()
        self.first_failures: list[BatchResult] = []
        self.carried: dict[str, None] = {}

    def note(self, result: BatchResult, row: Row, defaults: Defaults) -> None:
        """Record the columns of a row that is a request by itself, and whether a document was read incompletely."""
        if isinstance(result.answer, RecognizedDocument):
            self.cut_off += bool(result.answer.cut_pages)
        # A document has only its file name as a column.
        elif defaults.template is None and len(self.carried) < _NAMED and row.endpoint is not RECOGNITION:
            self.carried.update(dict.fromkeys(map(str, result.columns or ())))

    def add(self, ending: JobEnding) -> None:
        """Count a row that has ended."""
        self.asked(ending)
        self.copied += ending.copied
        failure = ending.failure
        if failure is None:
            self.ok += 1
        else:
            self.failed += 1
            self.failures[type(failure.error).__name__] += 1
            self.last_error = failure.error.message if failure.error is not None else None
            if len(self.first_failures) < _KEPT_FAILURES:
                self.first_failures.append(failure)

    def asked(self, ending: JobEnding) -> None:
        """Count the requests and billed usage of a row, whether it has ended or not."""
        attempts, usage = ending.attempts, ending.usage
        self.requests += attempts
        if attempts > 1:
            self.retried += attempts - 1
        if usage is not None:
            self.prompt_tokens += usage.prompt_tokens
            self.cached_tokens += usage.cached_tokens
            self.completion_tokens += usage.completion_tokens
        if ending.fees:
            self.fees = fees_together((*self.fees, *ending.fees))
        if ending.cost:
            self.cost += ending.cost
            self.estimated_cost += ending.estimated_cost
            self.estimated_requests += ending.estimated_requests
            self.saved += ending.saved

    @property
    def done(self) -> int:
        """Rows that have ended."""
        return self.ok + self.failed + self.resumed

    def snapshot(
        self,
        *,
        total: int | None,
        in_flight: int,
        elapsed: float,
        resumes_at: float | None = None,
    ) -> Progress:
        """Return the current progress."""
        done = self.done
        return Progress(
            total=None if total is None else max(total, done),
            done=done,
            ok=self.ok,
            failed=self.failed,
            resumed=self.resumed,
            in_flight=in_flight,
            elapsed=elapsed,
            requests=self.requests,
            retried=self.retried,
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            completion_tokens=self.completion_tokens,
            cost=self.cost,
            last_error=self.last_error,
            saved=self.saved,
            resumes_at=resumes_at,
            fees=self.fees,
            copied=self.copied,
            estimated_requests=self.estimated_requests,
            estimated_cost=self.estimated_cost,
        )
