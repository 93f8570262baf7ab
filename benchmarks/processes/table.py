"""Runs as a Markdown page, with a column for each label."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from processes.scenarios import COLD, FIGURES, Scenario, scenarios

ALONE = "alone"
LATE = 0.05
"""Seconds by which the server may be late, half of a round trip: beyond them the machine is what was measured."""


class Measured:
    """All runs of all labels: ``{"labels": {LABEL: {"scenarios": {NAME: [FIGURES, …]}}}}``."""

    def __init__(self, results: dict[str, Any]) -> None:
        self._labels: dict[str, dict[str, Any]] = results["labels"]
        self.labels = sorted(self._labels, key=lambda label: (label != ALONE, label))

    def about(self, label: str) -> dict[str, Any]:
        """When and where the runs of a label were made."""
        return self._labels[label]

    def runs(self, label: str, scenario: str) -> list[dict[str, Any]]:
        """The runs of one scenario."""
        found: list[dict[str, Any]] = self._labels.get(label, {}).get("scenarios", {}).get(scenario, [])
        return found

    def values(self, label: str, scenario: str, figure: str) -> list[float]:
        """One figure of all runs."""
        return [run[figure] for run in self.runs(label, scenario) if figure in run]

    def median(self, label: str, scenario: str, figure: str) -> float | None:
        """The middle of them; None if there are none."""
        values = self.values(label, scenario, figure)
        return statistics.median(values) if values else None

    def kept(self, label: str, scenario: Scenario, figure: str) -> bool | None:
        """Whether a target was reached; None if that cannot be said."""
        about, bound = FIGURES[figure], scenario.targets[figure]
        value = self.median(label, scenario.name, figure)
        if bound is None and label != ALONE:
            alone = self.median(ALONE, scenario.name, figure)
            bound = alone if alone is None else alone - about.slack if about.high else alone + about.slack
        if bound is None or value is None:
            return None
        return value >= bound if about.high else value <= bound


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    measured = Measured(results)
    lines = [
        "# Several processes of one account",
        "",
        "Written by `benchmarks/processes/run.py`; how to read it: `benchmarks/README.md`.",
        "Each cell is the median of the runs; **bold** misses its target. A full window shows as 97.6 % busy.",
        "",
        *(_about(label, measured.about(label)) for label in measured.labels),
        "",
        _line(["situation", "target", *measured.labels]),
        "|---" * (2 + len(measured.labels)) + "|",
        *(
            _line([one.about, _target(one), *(_cell(measured, label, one) for label in measured.labels)])
            for one in (COLD, *scenarios())
        ),
    ]
    return "\n".join([*lines, "", "## All figures", "", *_all(measured)]) + "\n"


def _about(label: str, about: dict[str, Any]) -> str:
    return (
        f"- {label} ({about['sharing']}): {about['date']}, {about['machine']}; load average before a run "
        f"{min(about['loads']):.1f} to {max(about['loads']):.1f}; other processes took {about['others']:.0%} of the CPU"
    )


def _target(scenario: Scenario) -> str:
    words = []
    for figure, bound in scenario.targets.items():
        about = FIGURES[figure]
        if bound is None:
            words.append(f"{about.words}: not worse")
        else:
            words.append(f"{about.words} {'≥' if about.high else '≤'} {about.text(bound)}")
    return ", ".join(words)


def _cell(measured: Measured, label: str, scenario: Scenario) -> str:
    words = []
    for figure in scenario.targets:
        value = measured.median(label, scenario.name, figure)
        text = "-" if value is None else FIGURES[figure].text(value)
        words.append(f"**{text}**" if measured.kept(label, scenario, figure) is False else text)
    if (late := measured.median(label, scenario.name, "late_p99_s")) is not None and late > LATE:
        words.append("*the server was late*")
    return ", ".join(words) if measured.runs(label, scenario.name) else "not measured"


def _all(measured: Measured) -> Iterator[str]:
    yield _line(["situation", "label", "figures: each run's"])
    yield "|---|---|---|"
    for scenario in (COLD, *scenarios()):
        for label in measured.labels:
            words = [
                f"{about.words} {' / '.join(about.text(value) for value in values)}"
                for figure, about in FIGURES.items()
                if (values := measured.values(label, scenario.name, figure))
            ]
            words += _each_process(measured.runs(label, scenario.name)[-1:])
            if words:
                yield _line([scenario.name, label, "; ".join(words)])


def _each_process(runs: list[dict[str, Any]]) -> list[str]:
    """p50 and p99 of each process, in the last run."""
    pairs = [f"{p50:.1f}/{p99:.1f}" for run in runs for p50, p99 in run.get("by_process", {}).values()]
    return [f"p50/p99 of each process {', '.join(pairs)} s"] if pairs else []


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
