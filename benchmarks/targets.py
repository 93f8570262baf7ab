"""What the client promises, checked against the figures of a run. A bound is never moved to fit a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from figures import Figures, Row, Spread

CPU_RATIOS = (
    ("plain", "tuned", 1.25, "CPU per plain request"),
    ("plain", "openai", 1 / 15, "CPU per plain request"),
    ("stream", "tuned_typed", 1.2, "CPU per chunk, 20 events per read"),
    ("stream", "openai", 1 / 30, "CPU per chunk, 20 events per read"),
    ("stream_paced_single", "tuned_typed", 1.2, "CPU per chunk, one event per read"),
)
LIMITS = (
    ("live", "kept_up", "at least", 0.99, "1,000 live streams: share of the events seen in time"),
    ("live", "late_p99_ms", "at most", 80, "1,000 live streams: ms late, 99th percentile"),
    ("open", "errors", "at most", 0, "5,000 open streams: errors"),
    ("open", "kb_per_stream", "at most", 22, "5,000 open streams: KB each"),
    ("open_tls", "errors", "at most", 0, "2,000 open streams over TLS: errors"),
    ("open_tls", "kb_per_stream", "at most", 100, "2,000 open streams over TLS: KB each"),
    ("bulk_memory", "errors", "at most", 0, "bulk run: rows without an answer"),
    ("bulk_cpu", "errors", "at most", 0, "bulk run beside create: rows without an answer"),
)
BULK_GROWTH_MB = 5
BULK_CPU = 1.25
CASE_RATIOS = (
    # scenario, figure, case, other case, direction, bound
    ("bulk_order", "seconds", "100 prefix", "100 input", "at most", 1.3, "20 groups of 60: time of order, to no order"),
    ("bulk_price", "ms_each", "batch", "one at a time", "at most", 0.32, "batch: time per prompt, to one at a time"),
    (
        "bulk_price",
        "dollars",
        "batch, off-peak",
        "one at a time",
        "at most",
        0.69,
        "batch off-peak: cost, to one at a time in peak hours",
    ),
    ("bulk_price", "per_s", "16 at a time", "one at a time", "at least", 3.2, "16 at a time: QPS, to one at a time"),
)


@dataclass(frozen=True)
class Check:
    """A promise and how it fared; ``passed`` is None when there is no figure to tell."""

    promise: str
    bound: str
    measured: str
    passed: bool | None


def check(runs: list[dict[str, Any]]) -> list[Check]:
    """Every promise, judged by the medians."""
    return [*_ratios(runs), *_limits(runs), _bulk_growth(runs), _bulk_cpu(runs), _hits(runs), *_case_ratios(runs)]


def _hits(runs: list[dict[str, Any]]) -> Check:
    hits = Figures(runs, "bulk_order").spread(Row("ours", _loop(runs), "100 prefix"), "hits")
    return _check("20 groups of 60: share of the reachable hits, in order", "at least", 0.95, hits, decimals=3)


def _case_ratios(runs: list[dict[str, Any]]) -> list[Check]:
    checks, loop = [], _loop(runs)
    for scenario, key, case, other, direction, bound, promise in CASE_RATIOS:
        ratio = Figures(runs, scenario).ratio(Row("ours", loop, case), key, Row("ours", loop, other))
        checks.append(_check(promise, direction, bound, ratio, decimals=3))
    return checks


def _loop(runs: list[dict[str, Any]]) -> str:
    return next((run["loop"] for run in runs if run["scenario"].startswith("bulk_")), "")


def _ratios(runs: list[dict[str, Any]]) -> list[Check]:
    checks = []
    for scenario, other, bound, promise in CPU_RATIOS:
        figures = Figures(runs, scenario)
        rows = {row.contestant: row for row in figures.rows()}
        ratio = figures.ratio(rows["ours"], "cpu_us", rows[other]) if {"ours", other} <= rows.keys() else None
        checks.append(_check(f"{promise}, against {other}", "at most", bound, ratio, decimals=3))
    return checks


def _limits(runs: list[dict[str, Any]]) -> list[Check]:
    checks = []
    for scenario, key, direction, bound, promise in LIMITS:
        figures = Figures(runs, scenario)
        rows = [row for row in figures.rows() if row.contestant == "ours"]
        for row in rows or [Row("ours", "", "")]:
            where = f" ({label})" if len(rows) > 1 and (label := row.case or row.loop) else ""
            checks.append(_check(promise + where, direction, bound, figures.spread(row, key), decimals=2))
    return checks


def _bulk_growth(runs: list[dict[str, Any]]) -> Check:
    figures = Figures(runs, "bulk_memory")
    peaks = {int(row.case): figures.values(row, "peak_rss_mb") for row in figures.rows()}
    promise = "bulk run: MB of peak memory that ten times the rows add"
    if len(peaks) < 2:
        return _check(promise, "at most", BULK_GROWTH_MB, None, decimals=1)
    short, long = peaks[min(peaks)], peaks[max(peaks)]
    grown = [long[repeat] - short[repeat] for repeat in short.keys() & long.keys()]
    return _check(promise, "at most", BULK_GROWTH_MB, Spread.of(grown), decimals=1)


def _bulk_cpu(runs: list[dict[str, Any]]) -> Check:
    figures = Figures(runs, "bulk_cpu")
    spent = {row.case: figures.values(row, "cpu_us") for row in figures.rows()}
    promise = "CPU per row of a bulk run, against create in a loop"
    if len(spent) < 2:
        return _check(promise, "at most", BULK_CPU, None, decimals=2)
    alone, job = spent["create"], spent["run"]
    return _check(
        promise,
        "at most",
        BULK_CPU,
        Spread.of([job[repeat] / alone[repeat] for repeat in alone.keys() & job.keys()]),
        decimals=2,
    )


def _check(promise: str, direction: str, bound: float, measured: Spread | None, *, decimals: int) -> Check:
    wanted = f"{direction} {bound:.3g}"
    if measured is None:
        return Check(promise, wanted, "not measured", None)
    passed = measured.median <= bound if direction == "at most" else measured.median >= bound
    return Check(promise, wanted, measured.text(decimals), passed)
