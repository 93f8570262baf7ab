"""Statistics for operators: frozen records of limits and queues. Pure."""

from __future__ import annotations

import warnings

import msgspec

from deepseek_async.admission.concurrency_limit import ConcurrencyStatistics
from deepseek_async.text.html import table_html


class ModelStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """State of one model of an account."""

    model: str
    window: ConcurrencyStatistics
    """Concurrency limit: ``size``, ``in_flight``, ``mode``, and the numbers of the last 429."""
    queued_bulk: int
    queued_interactive: int
    shared: str | None = None
    """Where processes of the account share the limit: "machine", "redis" or "ray"; None without sharing.
    ``window.members`` is their number."""
    waiting_for_credit: int
    """Batch rows waiting for successes to pay for their retry."""
    paused_for: float
    """Remaining seconds of a pause that the server requested."""
    breaker: str | None
    """closed, open or half-open; None without a breaker."""
    breaker_opened: int
    """Number of times the breaker opened."""
    retry_credit: int
    """Retries available now."""

    @property
    def in_flight(self) -> int:
        """Attempts in flight."""
        return self.window.in_flight

    @property
    def queued(self) -> int:
        """Attempts waiting for admission."""
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
    """State of a client at one moment."""

    base_url: str
    models: tuple[ModelStatistics, ...] = ()
    """One entry per model called."""
    origin_breaker: str | None = None
    """Breaker of the origin: closed, open or half-open."""
    requests_per_minute: float | None = None
    """Configured client-side limit."""
    tokens_per_minute: float | None = None
    """Configured client-side limit."""
    stopped_by: str | None = None
    """Why requests are held back: the error of a refused key, which one call at a time re-checks."""
    fallback: Statistics | None = None
    """Statistics of the fallback endpoint, if there is one."""
    endpoints: tuple[Statistics, ...] = ()
    """Statistics of every other server in ``endpoints`` that was used."""

    @property
    def scopes(self) -> tuple[ModelStatistics, ...]:
        """Deprecated name of ``models``, from before version 0.2."""
        warnings.warn("Statistics.scopes is renamed; use models", DeprecationWarning, stacklevel=2)
        return self.models

    @property
    def in_flight(self) -> int:
        """Attempts in flight."""
        return sum(model.in_flight for model in self.models)

    @property
    def queued(self) -> int:
        """Attempts waiting for admission."""
        return sum(model.queued for model in self.models)

    def __str__(self) -> str:
        text = "; ".join(map(str, self.models)) or "nothing sent yet"
        if self.origin_breaker not in {None, "closed"}:
            text += f"; origin unreachable, breaker {self.origin_breaker}"
        if self.stopped_by is not None:
            text += f"; stopped: {self.stopped_by}"
        return text

    def _repr_html_(self) -> str:
        """Return what a notebook shows, with everything escaped."""
        servers = [self, *self.endpoints, *([] if self.fallback is None else [self.fallback])]
        rows = [
            (server.base_url, model.model, model.in_flight, model.window.size, model.queued, str(model))
            for server in servers
            for model in server.models
        ]
        header = ("server", "model", "in flight", "limit", "queued", "state")
        return table_html(header, rows or [(self.base_url, None, 0, None, 0, str(self))])
