"""Prometheus metrics, on a registry of their own. No prompt, key or user is ever a label."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from deepseek_async.errors import ConfigurationError
from deepseek_async.events import BudgetAlert, CallEnded, Event, Rated, Retried, Snapshot

try:
    from prometheus_client import CollectorRegistry, Counter, Histogram, Summary, generate_latest, start_http_server
    from prometheus_client.core import GaugeMetricFamily
except ImportError:
    raise ConfigurationError('metrics need prometheus-client: pip install "deepseek-async[metrics]"') from None

if TYPE_CHECKING:
    from prometheus_client.core import Metric

PREFIX: Final = "deepseek_async"

# A thinking call may take many minutes.
_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 300, 600)
_DOLLARS: Final = (0.00001, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1)
_MOST_MODELS: Final = 64
"""Models that get labels of their own; names may come from a user of the user."""


class Metrics:
    """Counts what it is told, and asks clients how they stand when it is scraped.

    - ``registry``: where the metrics are registered; a new one by default.

    Give it to clients as a listener, ``AsyncDeepSeek(listeners=[metrics])``, and serve it with ``serve``, or
    ``generate_latest(metrics.registry)`` in your own web service. Raises ConfigurationError without
    prometheus-client (the extra ``metrics``).
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._requests = self._counter("requests", "Calls that ended", "model", "outcome")
        self._duration = self._histogram("request_duration_seconds", "From call to end", _SECONDS, "model")
        self._first = self._histogram("time_to_first_content_seconds", "Streams: call to content", _SECONDS, "model")
        self._queue = self._histogram("queue_wait_seconds", "Waiting for admission", _SECONDS)
        self._retries = self._counter("retries", "Attempts that failed and were followed by another", "reason")
        self._tokens = self._counter("tokens", "Tokens billed", "model", "type")
        self._reasoning = self._counter("reasoning_tokens", "Part of the output tokens", "model")
        self._cost = self._counter("cost_usd", "US dollars, by the price table", "model", "period")
        self._call_cost = self._histogram("call_cost_usd", "US dollars of one call", _DOLLARS)
        self._cache_hits = self._counter("cache_hits", "Answers that were not bought again", "tier")
        self._content = self._counter("content_checks", "Answers by the content filter's verdict", "verdict")
        self._score = Summary(f"{PREFIX}_feedback_score", "How content users were, 0 to 1", registry=self.registry)
        self._keep_alives = self._counter("keepalive_lines", "Reads that brought only keep-alive lines")
        self._incomplete = self._counter("stream_incomplete", "Answers that broke off")
        self._alerts = self._counter("budget_alerts", "Shares of the day's budget that were passed", "share")
        self._models: dict[str, _Model] = {}
        self._outcomes: dict[tuple[str, str], Counter] = {}
        self._clients: list[Callable[[], Snapshot]] = []
        self.registry.register(_Gauges(self._clients))

    def watch(self, client: Callable[[], Snapshot]) -> None:
        """Ask ``client`` at each scrape how it stands; clients register themselves."""
        if client not in self._clients:
            self._clients.append(client)

    def unwatch(self, client: Callable[[], Snapshot]) -> None:
        """Ask ``client`` no more."""
        if client in self._clients:
            self._clients.remove(client)

    def exposition(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self.registry)

    def serve(self, port: int = 9464, address: str = "127.0.0.1") -> tuple[int, Callable[[], None]]:
        """Serve ``/metrics`` from a thread. Returns the port, useful with 0, and a function that stops it.

        Raises ConfigurationError if the address cannot be used.
        """
        try:
            server, thread = start_http_server(port, addr=address, registry=self.registry)
        except OSError as error:
            raise ConfigurationError(f"metrics cannot be served on {address}:{port}: {error}") from None

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return server.server_port, stop

    def __call__(self, event: Event) -> None:
        """Count ``event``."""
        match event:
            case CallEnded():
                self._count(event)
            case Retried():
                self._retries.labels(event.reason).inc()
            case Rated():
                self._score.observe(event.score)
            case BudgetAlert():
                self._alerts.labels(f"{event.share:g}").inc()

    def _count(self, event: CallEnded) -> None:
        model = self._models.get(event.model) or self._new_model(event.model)
        key = (model.name, event.outcome)
        outcome = self._outcomes.get(key)
        if outcome is None:
            outcome = self._outcomes[key] = self._requests.labels(*key)
        outcome.inc()
        model.duration.observe(event.duration)
        if event.attempts:
            self._queue.observe(event.queued)
        if event.first_content is not None:
            model.first.observe(event.first_content)
        if event.keep_alives:
            self._keep_alives.inc(event.keep_alives)
        if event.tier is not None:
            self._cache_hits.labels(event.tier).inc()
        elif event.usage is not None:
            self._count_usage(event, model)
        if event.outcome == "stream_interrupted":
            self._incomplete.inc()
        if event.error is None or event.content != "passed":
            self._content.labels(event.content).inc()

    def _count_usage(self, event: CallEnded, model: _Model) -> None:
        usage = event.usage
        assert usage is not None  # noqa: S101  the caller has looked
        hit = usage.cached_tokens
        model.hit.inc(hit)
        model.miss.inc(usage.prompt_tokens - hit)
        model.output.inc(usage.completion_tokens)
        if usage.reasoning_tokens:
            model.reasoning.inc(usage.reasoning_tokens)
        if event.cost is not None:
            (model.peak if event.peak else model.off_peak).inc(event.cost)
            self._call_cost.observe(event.cost)

    def _new_model(self, name: str) -> _Model:
        label = name if len(self._models) < _MOST_MODELS else "other"
        model = _Model()
        model.name = label
        model.duration = self._duration.labels(label)
        model.first = self._first.labels(label)
        model.hit, model.miss, model.output = (
            self._tokens.labels(label, kind) for kind in ("input_hit", "input_miss", "output")
        )
        model.reasoning = self._reasoning.labels(label)
        model.peak, model.off_peak = (self._cost.labels(label, period) for period in ("peak", "off_peak"))
        if label == name:
            self._models[name] = model
        return model

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", about, labels, buckets=buckets, registry=self.registry)


class _Model:
    """The children of one model's labels, looked up once: a look-up takes longer than counting."""

    __slots__ = ("duration", "first", "hit", "miss", "name", "off_peak", "output", "peak", "reasoning")

    name: str
    duration: Histogram
    first: Histogram
    hit: Counter
    miss: Counter
    output: Counter
    reasoning: Counter
    peak: Counter
    off_peak: Counter


class _Gauges:
    """What is read from the clients when it is asked for, so that it costs a call nothing."""

    def __init__(self, clients: list[Callable[[], Snapshot]]) -> None:
        self._clients = clients
        self._lock = threading.Lock()

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            snapshots = [client() for client in tuple(self._clients)]
        yield _gauge("in_flight", "Attempts under way", {(): float(sum(one.in_flight for one in snapshots))})
        yield _gauge("queue_depth", "Waiting for admission", _sum(snapshots, "queue_depth"), "lane")
        yield _gauge(
            "concurrency_limit", "Attempts that may be under way", _sum(snapshots, "concurrency_limit"), "model"
        )
        states: dict[tuple[str, ...], float] = {}
        for one in snapshots:
            for model, state in one.breaker_state.items():
                states[model,] = max(states.get((model,), 0), state)
        yield _gauge("breaker_state", "0 closed, 1 half-open, 2 open", states, "model")
        left = [one.budget_remaining for one in snapshots if one.budget_remaining is not None]
        caps = [one.budget for one in snapshots if one.budget is not None]
        if left:
            yield _gauge("budget_remaining_usd", "US dollars left of the day's budget", {(): min(left)})
            yield _gauge("budget_usd", "US dollars a day", {(): max(caps)})


def _gauge(name: str, about: str, values: dict[tuple[str, ...], float], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", about, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _sum(snapshots: list[Snapshot], field: str) -> dict[tuple[str, ...], float]:
    total: dict[tuple[str, ...], float] = {}
    for one in snapshots:
        for label, value in getattr(one, field).items():
            total[label,] = total.get((label,), 0.0) + value
    return total
