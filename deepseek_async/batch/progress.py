"""Where a job stands, in numbers."""

from __future__ import annotations

from collections import Counter

import msgspec

from deepseek_async.batch.result import BatchResult


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of a running job. Counts are of this run, except ``resumed``."""

    total: int | None
    """Rows of the input, estimated by its lines; None if not known."""
    done: int
    """Rows with an end on disk, ``resumed`` included."""
    ok: int
    failed: int
    resumed: int
    """Rows that an earlier run had finished."""
    in_flight: int
    elapsed: float
    """Seconds since the start of this run."""
    requests: int
    """Requests sent, retries included."""
    retried: int
    """Requests beyond the first of each row."""
    prompt_tokens: int
    cached_tokens: int
    """Part of ``prompt_tokens`` that came from the API's prefix cache."""
    completion_tokens: int
    cost: float
    """US dollars so far, without answers of models whose price is not known."""
    last_error: str | None

    @property
    def rows_per_second(self) -> float:
        """Rows finished in this run, a second."""
        return (self.ok + self.failed) / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def remaining_seconds(self) -> float | None:
        """Estimate of the time still needed, at the mean speed so far."""
        if self.total is None or not self.rows_per_second:
            return None
        return max(0, self.total - self.done) / self.rows_per_second


class Tally:
    """Counts results as they become durable."""

    def __init__(self) -> None:
        self.ok = self.failed = self.resumed = self.resumed_failed = 0
        self.requests = self.retried = 0
        self.prompt_tokens = self.cached_tokens = self.completion_tokens = 0
        self.cost = 0.0
        self.last_error: str | None = None
        self.failures: Counter[str] = Counter()

    def add(self, result: BatchResult) -> None:
        """Count a row that has ended."""
        self.sent(result)
        if result.error is None:
            self.ok += 1
        else:
            self.failed += 1
            self.failures[type(result.error).__name__] += 1
            self.last_error = result.error.message
        if result.usage is not None:
            self.prompt_tokens += result.usage.prompt_tokens
            self.cached_tokens += result.usage.cached_tokens
            self.completion_tokens += result.usage.completion_tokens
        self.cost += result.cost or 0.0

    def sent(self, result: BatchResult) -> None:
        """Count the requests of a row, whether it has ended or not."""
        self.requests += result.attempts
        self.retried += max(0, result.attempts - 1)

    def snapshot(self, *, total: int | None, in_flight: int, elapsed: float) -> Progress:
        """The present state."""
        done = self.ok + self.failed + self.resumed
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
        )
