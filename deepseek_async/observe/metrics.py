"""Prometheus metrics on a separate registry. Prompts, keys and users never become labels.

Counting is plain Python (``tally.py``), at a tenth of the cost of prometheus_client; metric families are built
on each scrape.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from deepseek_async.errors import ConfigurationError
from deepseek_async.events import BudgetAlert, CallEnded, Event, Rated, Retried, Snapshot
from deepseek_async.observe.tally import Buckets, Count, Histogram
from deepseek_async.process.forks import AtFork, register
from deepseek_async.types import CompletionUsage, FeeCharge

try:
    from prometheus_client import CollectorRegistry, generate_latest, start_http_server
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        SummaryMetricFamily,
    )
except ImportError:
    raise ConfigurationError('metrics require prometheus-client: pip install "deepseek-async[metrics]"') from None

if TYPE_CHECKING:
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

    from prometheus_client.core import Metric

_LOG: Final = logging.getLogger("deepseek_async")

PREFIX: Final = "deepseek_async_"

# Calls with thinking may take many minutes.
_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 300, 600)
_DOLLARS: Final = (0.00001, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1)
_MOST_MODELS: Final = 64
"""Models with labels of their own; bounded because names may come from end users."""


class Metrics(AtFork):
    """Listener that counts events, and samples the state of clients on each scrape.

    - ``registry``: registry to register with; a new one by default.

    Pass it to clients, ``AsyncDeepSeek(listeners=[metrics])``, and serve it with ``serve``, or with
    ``generate_latest(metrics.registry)`` in your own web service. Raises ConfigurationError without
    prometheus-client (the extra ``metrics``).
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._serving: list[_Serving] = []
        self._begin()
        self.registry.register(self)
        register(self)

    def _begin(self) -> None:
        self._retries = Count("retries", "Failed attempts that were retried", ("reason",))
        self._cache_hits = Count("cache_hits", "Answers served from the cache", ("tier",))
        self._content = Count("content_checks", "Answers by content filter verdict", ("verdict",))
        self._keep_alives = Count("keepalive_lines", "Reads that contained only keep-alive lines")
        self._incomplete = Count("stream_incomplete", "Answers that ended early")
        self._estimated = Count("usage_estimated", "Calls with partly estimated usage", ("model",))
        self._alerts = Count("budget_alerts", "Alerts for spent shares of the daily budget", ("share",))
        self._duration = Histogram("request_duration_seconds", "Duration of a call", _SECONDS, ("model",))
        self._first = Histogram(
            "time_to_first_content_seconds", "Streams: start of call to first content", _SECONDS, ("model",)
        )
        self._queue = Histogram("queue_wait_seconds", "Seconds spent waiting for admission", _SECONDS)
        self._call_cost = Histogram("call_cost_usd", "US dollars per call", _DOLLARS)
        self._queue_wait = self._queue.spread()
        self._one_call = self._call_cost.spread()
        self._ratings, self._score = 0, 0.0
        self._models: dict[str, _Model] = {}
        self._clients: list[Callable[[], Snapshot]] = []

    def after_fork_in_child(self) -> None:
        """Internal: reset all counters: the parent keeps exporting its own counts."""
        self._begin()
        for serving in self._serving:
            serving.leave_to_parent()
        self._serving = []
        # A thread of the parent may have held the old lock.
        self.registry._lock = Lock()  # noqa: SLF001

    def watch(self, client: Callable[[], Snapshot]) -> None:
        """Sample ``client`` on each scrape; clients register themselves."""
        if client not in self._clients:
            self._clients.append(client)

    def unwatch(self, client: Callable[[], Snapshot]) -> None:
        """Stop sampling ``client``."""
        if client in self._clients:
            self._clients.remove(client)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus text format."""
        return generate_latest(self.registry)

    def serve(self, port: int = 9464, address: str = "127.0.0.1") -> tuple[int, Callable[[], None]]:
        """Serve ``/metrics`` from a thread. Returns the port (the assigned one for 0) and a function that stops it.

        Raises ConfigurationError if it cannot listen on the address.
        """
        try:
            server, thread = start_http_server(port, addr=address, registry=self.registry)
        except OSError as error:
            raise ConfigurationError(f"cannot serve metrics on {address}:{port}: {error}") from None

        serving = _Serving(server, thread)
        self._serving.append(serving)
        return server.server_port, serving.stop

    def __call__(self, event: Event) -> None:
        """Count one event."""
        match event:
            case CallEnded():
                self._count(event)
            case Retried():
                self._retries.add((event.reason,))
            case Rated():
                self._ratings += 1
                self._score += event.score
            case BudgetAlert():
                self._alerts.add((f"{event.share:g}",))

    def _count(self, event: CallEnded) -> None:
        name = event.model or event.operation
        model = self._models.get(name) or self._new_model(name)
        outcome = event.outcome
        model.outcomes[outcome] = model.outcomes.get(outcome, 0) + 1
        model.duration.add(event.duration)
        if event.attempts:
            self._queue_wait.add(event.queued)
        if event.first_content is not None:
            model.first.add(event.first_content)
        if event.keep_alives:
            self._keep_alives.add((), event.keep_alives)
        if event.tier is not None:
            self._cache_hits.add((event.tier,))
        elif event.usage is not None:
            model.count_usage(event.usage)
            if event.usage.corrected is not None:
                self._estimated.add((model.label,))
        if event.cost and outcome != "cached":
            # Failed attempts may have been billed too.
            model.count_cost(event.cost, peak=event.peak)
            self._one_call.add(event.cost)
        for fee in event.fees:
            model.count_fee(fee)
        if outcome == "stream_interrupted":
            self._incomplete.add(())
        if event.error is None or event.content != "passed":
            self._content.add((event.content,))

    def _new_model(self, name: str) -> _Model:
        # Names beyond the limit are counted under one label that no model has.
        label = name if len(self._models) < _MOST_MODELS else "other"
        model = self._models.get(label)
        if model is None:
            model = self._models[label] = _Model(label, self._duration.spread(label), self._first.spread(label))
        return model

    # Collector interface of prometheus_client.

    def describe(self) -> list[Any]:
        """Return no metrics: the registry is private, so names need no check."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all counters and the current gauges of the clients."""
        for count in (
            *_by_model(tuple(self._models.items())),
            *(self._retries, self._cache_hits, self._content, self._keep_alives, self._incomplete, self._alerts),
            self._estimated,
        ):
            counter = CounterMetricFamily(PREFIX + count.name, count.about, labels=count.labels)
            for key, value in tuple(count.values.items()):
                counter.add_metric(key, value)
            yield counter
        for histogram in (self._duration, self._first, self._queue, self._call_cost):
            family = HistogramMetricFamily(PREFIX + histogram.name, histogram.about, labels=histogram.labels)
            for key, spread in tuple(histogram.spreads.items()):
                family.add_metric(key, buckets=spread.cumulative(), sum_value=spread.total)
            yield family
        yield SummaryMetricFamily(
            *(f"{PREFIX}feedback_score", "User ratings, 0 to 1"),
            count_value=self._ratings,
            sum_value=self._score,
        )
        yield from _gauges([client() for client in tuple(self._clients)])


class ServedMetrics(Metrics):
    """Metrics served over HTTP from the registration of the first client until ``close``."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        super().__init__()
        self._port, self._address = port, address
        self._stop: Callable[[], None] | None = None
        self._is_child = False
        self.port = port
        """Port in use; for 0, the one that the system assigned."""

    def watch(self, client: Callable[[], Snapshot]) -> None:
        """Register ``client`` and start serving.

        Raises ConfigurationError if it cannot listen on the address; a forked child, whose parent may be serving
        there, logs a warning and continues without.
        """
        super().watch(client)
        if self._stop is not None:
            return
        try:
            self.port, self._stop = self.serve(self._port, self._address)
        except ConfigurationError as error:
            if not self._is_child:
                raise
            self._stop = _nothing
            _LOG.warning("%s; calls of this forked process are missing from the metrics served there", error)

    def after_fork_in_child(self) -> None:
        """Reset the counters; the parent keeps serving, and this process serves from its first client on if it can."""
        super().after_fork_in_child()
        self._stop, self._is_child = None, True

    def close(self) -> None:
        """Stop serving."""
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()


class _Serving:
    """HTTP server and its thread."""

    def __init__(self, server: WSGIServer, thread: Thread) -> None:
        self._server = server
        self._thread: Thread | None = thread

    def stop(self) -> None:
        """Stop serving."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def leave_to_parent(self) -> None:
        """In a forked child: close the inherited socket, which would accept connections that nothing reads."""
        if self._thread is not None:
            self._thread = None
            self._server.socket.close()


def _nothing() -> None:
    """Stop function while nothing is served."""


class _Model:
    """Counters of one model, as plain attributes, because they are updated on every call."""

    __slots__ = (
        "dollars",
        "duration",
        "fees",
        "first",
        "hit",
        "label",
        "miss",
        "outcomes",
        "output",
        "peak_dollars",
        "reasoning",
        "yuan",
    )

    def __init__(self, label: str, duration: Buckets, first: Buckets) -> None:
        self.label = label
        self.outcomes: dict[str, int] = {}
        self.duration = duration
        self.first = first
        self.hit = self.miss = self.output = self.reasoning = 0
        self.dollars = self.peak_dollars = 0.0
        self.fees: dict[str, int] = {}
        self.yuan: dict[str, float] = {}

    def count_usage(self, usage: CompletionUsage) -> None:
        """Add the token usage of a call."""
        hit = usage.cached_tokens
        self.hit += hit
        self.miss += usage.prompt_tokens - hit
        self.output += usage.completion_tokens
        self.reasoning += usage.reasoning_tokens

    def count_fee(self, fee: FeeCharge) -> None:
        """Add a fee beside tokens."""
        self.fees[fee.kind] = self.fees.get(fee.kind, 0) + fee.count
        self.yuan[fee.kind] = self.yuan.get(fee.kind, 0.0) + fee.cny

    def count_cost(self, dollars: float, *, peak: bool) -> None:
        """Add the cost of a call."""
        if peak:
            self.peak_dollars += dollars
        else:
            self.dollars += dollars


def _by_model(models: tuple[tuple[str, _Model], ...]) -> Iterator[Count]:
    yield Count(
        *("requests", "Completed calls; calls without a model are labelled by operation", ("model", "outcome")),
        {(name, outcome): number for name, model in models for outcome, number in tuple(model.outcomes.items())},
    )
    yield Count(
        *("tokens", "Tokens billed", ("model", "type")),
        {
            (name, kind): number
            for name, model in models
            for kind, number in (("input_hit", model.hit), ("input_miss", model.miss), ("output", model.output))
        },
    )
    reasoning: dict[tuple[str, ...], float] = {(name,): model.reasoning for name, model in models}
    yield Count("reasoning_tokens", "Reasoning tokens, included in the output tokens", ("model",), reasoning)
    yield Count(
        *("cost_usd", "Cost in US dollars by the price table", ("model", "period")),
        {
            (name, period): dollars
            for name, model in models
            for period, dollars in (("peak", model.peak_dollars), ("off_peak", model.dollars))
        },
    )
    yield Count(
        *("fees", "Billed items beside tokens", ("model", "kind")),
        {(name, kind): count for name, model in models for kind, count in tuple(model.fees.items())},
    )
    yield Count(
        *("fees_cny", "Fees in yuan by the price table", ("model", "kind")),
        {(name, kind): yuan for name, model in models for kind, yuan in tuple(model.yuan.items())},
    )


def _gauges(snapshots: list[Snapshot]) -> Iterator[Metric]:
    yield _gauge("in_flight", "Attempts in flight", {(): float(sum(one.in_flight for one in snapshots))})
    yield _gauge("queue_depth", "Attempts waiting for admission", _sum(snapshots, "queue_depth"), "lane")
    yield _gauge("concurrency_limit", "Concurrency limit of this client", _sum(snapshots, "concurrency_limit"), "model")
    yield _gauge("sharing_processes", "Processes sharing the limit", _most(snapshots, "sharing_processes"), "model")
    yield _gauge("account_limit", "Concurrency limit of the account", _most(snapshots, "account_limit"), "model")
    yield _gauge(
        "account_in_flight", "Attempts in flight on the account", _most(snapshots, "account_in_flight"), "model"
    )
    states: dict[tuple[str, ...], float] = {}
    for one in snapshots:
        for model, state in one.breaker_state.items():
            states[model,] = max(states.get((model,), 0), state)
    yield _gauge("breaker_state", "0 closed, 1 half-open, 2 open", states, "model")
    left = [one.budget_remaining for one in snapshots if one.budget_remaining is not None]
    caps = [one.budget for one in snapshots if one.budget is not None]
    if left:
        yield _gauge("budget_remaining_usd", "Remaining daily budget in US dollars", {(): min(left)})
        yield _gauge("budget_usd", "Daily budget in US dollars", {(): max(caps)})


def _gauge(name: str, about: str, values: dict[tuple[str, ...], float], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(PREFIX + name, about, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _sum(snapshots: list[Snapshot], field: str) -> dict[tuple[str, ...], float]:
    total: dict[tuple[str, ...], float] = {}
    for one in snapshots:
        for label, value in getattr(one, field).items():
            total[label,] = total.get((label,), 0.0) + value
    return total


def _most(snapshots: list[Snapshot], field: str) -> dict[tuple[str, ...], float]:
    """Return the maximum over clients, for figures that all clients report alike."""
    most: dict[tuple[str, ...], float] = {}
    for one in snapshots:
        for label, value in getattr(one, field).items():
            most[label,] = max(most.get((label,), 0.0), value)
    return most
