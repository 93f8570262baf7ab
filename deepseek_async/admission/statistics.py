"""What an operator may look at: frozen records of what is limited and who waits for what. Pure."""

from __future__ import annotations

import warnings

import msgspec

from deepseek_async.admission.concurrency_limit import ConcurrencyStatistics


class ModelStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One account on one model."""

    model: str
    window: ConcurrencyStatistics
    """State of the concurrency window: ``size``, ``in_flight``, ``mode``, and the last numbers of a 429."""
    queued_bulk: int
    queued_interactive: int
    shared: str | None = None
    """Where processes of the account share the window: "machine", "redis" or "ray"; None for one that shares nothing.
    ``window.members`` says how many do."""
    waiting_for_credit: int
    """Bulk rows that wait until successes pay for their retry."""
    paused_for: float
    """Seconds for which the server asked to be left alone."""
    breaker: str | None
    """closed, open or half-open; None without a breaker."""
    breaker_opened: int
    """How often the breaker opened."""
    retry_credit: int
    """Retries that may be made now."""

    @property
    def in_flight(self) -> int:
        """Attempts that run."""
        return self.window.in_flight

    @property
    def queued(self) -> int:
        """Attempts that wait for their turn."""
        return self.queued_bulk + self.queued_interactive

    def __str__(self) -> str:
        window = self.window
        text = f"{self.model or 'account'}: {self.in_flight} of {window.size} in flight ({window.mode})"
        if window.members > 1:
            text += f", {window.account_in_flight} of {window.account_size} in {window.members} processes"
        if self.queued:
            text += f", {self.queued} queued"
        if self.waiting_for_credit:
            text += f", {self.waiting_for_credit} waiting for retry credit"
        if self.paused_for:
            text += f", paused for {self.paused_for:.0f} s"
        if self.breaker not in {None, "closed"}:
            text += f", breaker {self.breaker}"
        return text


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """A client at one moment."""

    base_url: str
    models: tuple[ModelStatistics, ...] = ()
    """One for each model that was called."""
    origin_breaker: str | None = None
    """closed, open or half-open: whether the origin can be reached at all."""
    requests_per_minute: float | None = None
    """Your own limit."""
    tokens_per_minute: float | None = None
    """Your own limit."""
    stopped_by: str | None = None
    """Why requests are held back: the error of a refused key, about which one call asks again from time to time."""
    fallback: Statistics | None = None
    """The same for the fallback endpoint, if there is one."""
    endpoints: tuple[Statistics, ...] = ()
    """The same for every other server that ``endpoints`` names and that was used."""

    @property
    def scopes(self) -> tuple[ModelStatistics, ...]:
        """The name of ``models`` until version 0.2; deprecated."""
        warnings.warn("Statistics.scopes is called models now", DeprecationWarning, stacklevel=2)
        return self.models

    @property
    def in_flight(self) -> int:
        """Attempts that run."""
        return sum(model.in_flight for model in self.models)

    @property
    def queued(self) -> int:
        """Attempts that wait for their turn."""
        return sum(model.queued for model in self.models)

    def __str__(self) -> str:
        text = "; ".join(map(str, self.models)) or "nothing sent yet"
        if self.origin_breaker not in {None, "closed"}:
            text += f"; the origin cannot be reached, breaker {self.origin_breaker}"
        if self.stopped_by is not None:
            text += f"; stopped: {self.stopped_by}"
        return text
