"""A run as a Markdown page, and what it says of the targets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NAMES = {"ours": "deepseek_async", "openai": "openai-python", "independent": "independent retries"}
HEADINGS = (
    "",
    "answers/s",
    "of the best fixed",
    "attempts per answer",
    "refused late",
    "rows failed",
    "people: answers/s",
    "calls answered",
    "p50, s",
    "p99, s",
)
SHARE_OF_BEST = 0.9
MOST_ATTEMPTS = 1.3
AS_MANY = 0.98
"""Two runs of the same client differ by as much as two percent."""
SHARE_OF_CEILING = 0.95
MOST_REFUSED_LATE = 0.05


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    length = "a quick run, for a first look only" if results["quick"] else "a full run"
    lines = [
        "# Rough weather",
        "",
        f"Written by `benchmarks/weather.py` on {results['date']}: {length}, once each.",
        "How to read it: `benchmarks/README.md`.",
        "",
        f"- Machine: {results['machine']}",
        f"- CPU time that other processes and other guests of the machine took: {results['others'] * 100:.0f} %",
        *(
            f"- {name}: {', '.join(f'{library} {version}' for library, version in versions.items())}"
            for name, versions in results["versions"].items()
        ),
        *(f"- Left out: {reason}" for reason in results["left_out"]),
    ]
    parts = [
        "\n".join(lines),
        _summary(results["scenarios"]),
        *(_scenario(scenario) for scenario in results["scenarios"]),
    ]
    return "\n\n".join(parts) + "\n"


class Scenario:
    """What came out of one scenario."""

    def __init__(self, outcome: dict[str, Any]) -> None:
        self.outcome = outcome
        self.seconds: float = outcome["seconds"]
        self._trials = [trial for trial in outcome["trials"] if "failure" not in trial]

    def bulk(self, contestant: str) -> dict[str, Any] | None:
        """The contestant's fastest bulk job."""
        return max(self._of(contestant, "bulk"), key=lambda trial: trial["answered"], default=None)

    def users(self, contestant: str) -> dict[str, Any] | None:
        """The contestant's people."""
        return next(self._of(contestant, "users"), None)

    def _of(self, contestant: str, load: str) -> Iterator[dict[str, Any]]:
        return (trial for trial in self._trials if (trial["contestant"], trial["load"]) == (contestant, load))


def targets(outcome: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """What is promised of this library in one scenario, with what was measured, and whether it was kept."""
    scenario = Scenario(outcome)
    ours, users = scenario.bulk("ours"), scenario.users("ours")
    if ours is None or users is None:
        yield "ours gave no figures", False
        return
    best, openai = scenario.bulk("independent"), scenario.bulk("openai")
    if best is not None:
        share = ours["answered"] / max(1, best["answered"])
        yield f"{share:.2f} of the best fixed (at least {SHARE_OF_BEST})", share >= SHARE_OF_BEST
    if openai is not None:
        share = ours["answered"] / max(1, openai["answered"])
        yield f"{share:.2f} of openai-python (at least {AS_MANY})", share >= AS_MANY
    extra = ours["attempts"] / max(1, ours["served"]) / outcome["unavoidable"]
    yield f"{extra:.2f} of the unavoidable attempts (at most {MOST_ATTEMPTS})", extra <= MOST_ATTEMPTS
    if outcome["scenario"] == "rpm":
        # The first half has what could be asked at once after a rest.
        share = (ours["late_attempts"] - ours["late_refused"]) / (scenario.seconds / 2) / outcome["ceiling"]
        yield f"{share:.2f} of the limit late (at least {SHARE_OF_CEILING})", share >= SHARE_OF_CEILING
        refused = ours["late_refused"] / max(1, ours["late_attempts"])
        yield f"{refused:.0%} refused late (at most {MOST_REFUSED_LATE:.0%})", refused <= MOST_REFUSED_LATE
    independent = scenario.users("independent")
    if independent is not None:
        share = users["answered"] / max(1, independent["answered"])
        yield f"people: {share:.2f} of the answers of independent retries (at least {AS_MANY})", share >= AS_MANY


def _summary(outcomes: list[dict[str, Any]]) -> str:
    """One line a scenario; each cell is ours / openai-python / independent retries at their best width."""
    headings = ["", "answers/s", "attempts per answer", "people: calls answered", "p50, s", "p99, s", "promises"]
    lines = [f"Each cell: {' / '.join(NAMES.values())}, the last two at their best width.", ""]
    lines += [_line(headings), "|---" * len(headings) + "|"]
    for outcome in outcomes:
        scenario = Scenario(outcome)
        columns = [[""] * 5 for _ in NAMES]
        for column, contestant in zip(columns, NAMES, strict=True):
            bulk, users = scenario.bulk(contestant), scenario.users(contestant)
            if bulk is not None and users is not None:
                cells = _bulk(bulk, None, scenario.seconds)
                _, answered, p50, p99 = _users(users, scenario.seconds)
                column[:] = [cells[0], cells[2], answered, p50, p99]
        kept = [kept for _, kept in targets(outcome)]
        together = [" / ".join(cells) for cells in zip(*columns, strict=True)]
        lines.append(_line([outcome["scenario"], *together, f"{sum(kept)} of {len(kept)} kept"]))
    return "\n".join(lines)


def _scenario(outcome: dict[str, Any]) -> str:
    scenario = Scenario(outcome)
    best = scenario.bulk("independent")
    lines = [
        f"## {outcome['scenario']}: {outcome['about']}",
        "",
        f"{scenario.seconds:g} s; unavoidable attempts per answer: {outcome['unavoidable']:.2f}"
        + (f"; the limit lets {outcome['ceiling']:g} a second through." if outcome["ceiling"] else "."),
        "",
        _line(HEADINGS),
        "|---" * len(HEADINGS) + "|",
    ]
    for contestant, name in NAMES.items():
        bulk, users = scenario.bulk(contestant), scenario.users(contestant)
        failed = [one["failure"] for one in outcome["trials"] if one["contestant"] == contestant and "failure" in one]
        if failed:
            lines.append(_line([name, f"failed: {failed[0]}".replace("|", "/"), *[""] * (len(HEADINGS) - 2)]))
        elif bulk is not None and users is not None:
            label = f"{name}, {bulk['width']} at a time" if bulk["width"] else name
            lines.append(_line([label, *_bulk(bulk, best, scenario.seconds), *_users(users, scenario.seconds)]))
    lines += ["", *(f"- {'kept' if kept else '**missed**'}: {words}" for words, kept in targets(outcome))]
    return "\n".join(lines)


def _bulk(bulk: dict[str, Any], best: dict[str, Any] | None, seconds: float) -> list[str]:
    return [
        f"{bulk['answered'] / seconds:.1f}",
        f"{bulk['answered'] / best['answered']:.2f}" if best is not None and best["answered"] else "",
        f"{bulk['attempts'] / bulk['served']:.2f}" if bulk["served"] else "",
        f"{bulk['late_refused'] / bulk['late_attempts']:.0%}" if bulk["late_attempts"] else "",
        str(sum(bulk["failures"].values())),
    ]


def _users(users: dict[str, Any], seconds: float) -> list[str]:
    calls = users["answered"] + sum(users["failures"].values())
    return [
        f"{users['answered'] / seconds:.1f}",
        f"{users['answered'] / calls:.0%}" if calls else "",
        *(f"{users[key]:.2f}" if key in users else "" for key in ("p50_s", "p99_s")),
    ]


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"
