"""A run as a Markdown page."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

from figures import Figures, Row
from targets import check

BASELINES = ("tuned", "tuned_typed", "openai")
COLUMNS = (
    # key, heading, decimals, scale
    ("cpu_us", "CPU µs per {unit}", 2, 1),
    ("per_s", "{unit}s per second", 0, 1),
    ("first_p50_ms", "first chunk p50, ms", 2, 1),
    ("first_p99_ms", "first chunk p99, ms", 2, 1),
    ("late_p50_ms", "late p50, ms", 2, 1),
    ("late_p99_ms", "late p99, ms", 2, 1),
    ("kept_up", "events seen, %", 1, 100),
    ("cpu_share", "of one core, %", 0, 100),
    ("kb_per_stream", "KB per stream", 1, 1),
    ("hits", "reachable hits, %", 1, 100),
    ("dollars", "dollars per 1,000 {unit}s", 4, 1),
    ("ms_each", "ms per {unit}", 1, 1),
    ("seconds", "seconds", 2, 1),
    ("errors", "errors", 0, 1),
    ("server_late_ms", "server behind at worst, ms", 0, 1),
    ("peak_rss_mb", "peak RSS, MB", 1, 1),
    ("units", "{unit}s a run", 0, 1),
)


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    scenarios = dict.fromkeys(run["scenario"] for run in results["runs"])
    parts = [_heading(results), _targets(results["runs"]), *(_table(results["runs"], name) for name in scenarios)]
    return "\n\n".join(parts) + "\n"


def _heading(results: dict[str, Any]) -> str:
    length = "a quick run, for a first look only" if results["quick"] else "a full run"
    lines = [
        "# Benchmark results",
        "",
        f"Written by `benchmarks/run.py` on {results['date']}: {length}, repeats: {results['repeats']}.",
        "Figures are medians (lowest to highest); ratios are taken within each repeat. How to read them: `README.md`.",
        "",
        f"- Machine: {results['machine']}",
        f"- CPU time that other processes and other guests of the machine took: {results['others'] * 100:.0f} %",
        f"- Event loop: {results['loop']}, where no table says otherwise",
    ]
    lines += [f"- {name}: measured again on {when}" for name, when in results.get("again", {}).items()]
    users: dict[str, list[str]] = {}
    for contestant, versions in results["versions"].items():
        users.setdefault(", ".join(f"{name} {version}" for name, version in versions.items()), []).append(contestant)
    lines += [f"- {', '.join(contestants)}: {versions}" for versions, contestants in users.items()]
    lines += [f"- Left out: {reason}" for reason in results["left_out"]]
    return "\n".join(lines)


def _targets(runs: list[dict[str, Any]]) -> str:
    words = {True: "pass", False: "**fail**", None: ""}
    lines = ["## Targets", "", "| target | bound | measured | |", "|---|---|---|---|"]
    lines += [f"| {one.promise} | {one.bound} | {one.measured} | {words[one.passed]} |" for one in check(runs)]
    return "\n".join(lines)


def _table(runs: list[dict[str, Any]], name: str) -> str:
    scenario = importlib.import_module(f"scenarios.{name}")
    figures = Figures(runs, name)
    rows = figures.rows()
    columns = [column for column in COLUMNS if any(figures.spread(row, column[0]) for row in rows)]
    timed = {row.contestant for row in rows if figures.spread(row, "cpu_us")}
    baselines = [name for name in BASELINES if name in timed]
    headings = ["contestant", *(heading.format(unit=scenario.UNIT) for _, heading, _, _ in columns)]
    headings[2:2] = [f"ratio to {name}" for name in baselines]
    lines = [f"## {name}: {scenario.ABOUT}", "", _line(headings), "|---" * len(headings) + "|"]
    for row in rows:
        cells = [_label(row, rows)]
        failure = figures.failure(row)
        if failure is not None and figures.spread(row, columns[0][0] if columns else "") is None:
            cells.append(f"failed: {failure}".replace("|", "/"))
        else:
            cells += [_cell(figures, row, key, decimals, scale) for key, _, decimals, scale in columns]
            cells[2:2] = [_ratio(figures, row, name) for name in baselines]
        lines.append(_line(cells + [""] * (len(headings) - len(cells))))
    return "\n".join(lines)


def _label(row: Row, rows: list[Row]) -> str:
    varying = [row.loop] if len({other.loop for other in rows}) > 1 else []
    return " ".join([row.contestant, *varying, row.case]).strip()


def _cell(figures: Figures, row: Row, key: str, decimals: int, scale: float) -> str:
    spread = figures.spread(row, key)
    return spread.text(decimals, scale) if spread else ""


def _ratio(figures: Figures, row: Row, baseline: str) -> str:
    ratio = figures.ratio(row, "cpu_us", replace(row, contestant=baseline))
    return f"{ratio.median:.3g}" if ratio else ""


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
