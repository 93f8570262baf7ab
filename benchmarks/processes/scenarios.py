"""What several processes of one account are asked to do, and what is aimed at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """How one figure is shown and judged. Of all but those that are ``high``, less is better."""

    words: str
    form: str
    high: bool = False
    slack: float = 0.0
    """How much worse than alone counts as not worse."""

    def text(self, value: float) -> str:
        """As the tables show it."""
        return self.form.format(value)


FIGURES = {
    "busy": Figure("busy", "{:.1%}", high=True, slack=0.005),
    "refused": Figure("refused", "{:.2%}", slack=0.002),
    "spread": Figure("largest/smallest served", "{:.2f}", slack=0.05),
    "worst_second": Figure("refused in the worst second", "{:.0f}"),
    "p50_s": Figure("p50", "{:.1f} s"),
    "p99_s": Figure("worst process's p99", "{:.1f} s"),
    "most_attempts": Figure("most attempts for an answer", "{:.0f}"),
    "failed": Figure("failed", "{:.0f}"),
    "first_word_p50_s": Figure("first word p50", "{:.2f} s"),
    "first_word_p99_s": Figure("first word p99", "{:.2f} s"),
    "p50_ratio": Figure("p50 of one / of the other", "{:.2f}"),
    "p99_ratio": Figure("p99 / one worker's", "{:.2f}"),
    "one_p99_s": Figure("one worker's p99", "{:.1f} s"),
    "largest_share": Figure("users of one worker", "{:.0%}"),
    "seconds": Figure("seconds", "{:.1f}"),
    "shortest_s": Figure("shortest shard", "{:.1f} s"),
    "longest_s": Figure("longest shard", "{:.1f} s"),
    "full_p50_s": Figure("95 % busy again, p50", "{:.2f} s"),
    "full_worst_s": Figure("95 % busy again, worst", "{:.1f} s"),
    "lost_slots": Figure("slots lost for 2 s", "{:.0f}"),
    "lost_at_end": Figure("slots lost at the end", "{:.0f}"),
    "end_busy": Figure("busy at the end", "{:.1%}", high=True),
    "stopped_busy": Figure("busy while stopped", "{:.1%}", high=True),
    "back_busy": Figure("busy in the 16 s after", "{:.1%}", high=True),
    "refusals": Figure("429s", "{:.0f}"),
    "late_p99_s": Figure("server late, p99", "{:.3f} s"),
    "low_busy": Figure("busy while low", "{:.1%}", high=True),
}


@dataclass(frozen=True)
class Scenario:
    """One situation."""

    name: str
    about: str
    kind: str
    processes: int
    limit: int
    seconds: float
    targets: dict[str, float | None] = field(default_factory=dict)
    """By figure, the bound that is aimed at; None: not worse than processes that do not know of each other."""
    numbers: bool = True
    users: int = 0
    load: float = 0.0
    kernel: bool = False
    """Whether the workers accept from one socket, as those of uvicorn do, and the kernel shares out the users."""
    remembered: bool = False
    """Whether one process has found the limit before, and left it in the cache folder."""


SETTLING = 10.0
"""Seconds of bulk that are not measured."""
SETTLING_USERS = 5.0

COLD = Scenario(
    "coldstart",
    "1,000 users at once, fresh process, limit 2,500",
    "coldstart",
    1,
    2500,
    0,
    {"first_word_p50_s": 0.5, "first_word_p99_s": 1.2},
)
"""Measured by ``coldstart.py``; a row of the table where the JSON has its figures."""


def _bulk(processes: int, limit: int, *, numbers: bool = True, **targets: float | None) -> Scenario:
    name = f"bulk-{limit}x{processes}" + ("" if numbers else "-silent")
    about = f"{processes} processes, limit {limit}, bulk" + ("" if numbers else ", no numbers")
    return Scenario(name, about, "bulk", processes, limit, 60, targets, numbers=numbers)


def scenarios() -> Iterator[Scenario]:
    """All, in the order of the table."""
    yield _bulk(8, 60, busy=0.97, refused=0.01, spread=1.25)
    yield _bulk(8, 60, numbers=False, busy=0.95, refused=0.015, spread=1.4)
    yield _bulk(16, 200, busy=0.97, refused=0.01, spread=1.25)
    for processes in (4, 8):
        yield _bulk(processes, 500, busy=None, refused=None, spread=None)
    yield _bulk(8, 5, busy=0.96)
    yield Scenario("users", "2 web workers, limit 40, 60 users each", "users", 2, 40, 60, {"p50_ratio": 1.2}, users=60)
    for load, kernel in ((0.8, False), (1.0, False), (0.8, True)):
        yield Scenario(
            f"web-{load}" + ("-kernel" if kernel else ""),
            f"4 web workers, limit 60, load {load}, " + ("one socket" if kernel else "one has 45 % of the users"),
            "web",
            4,
            60,
            60,
            {"p99_ratio": 1.15},
            load=load,
            kernel=kernel,
        )
    for limit, remembered in ((60, False), (500, False), (500, True)):
        yield Scenario(
            f"shards-{limit}" + ("-remembered" if remembered else ""),
            f"`batch run --shard`, 8 processes, limit {limit}" + (", a remembered limit" if remembered else ""),
            "shards",
            8,
            limit,
            60,
            {"seconds": None, "refused": None, "shortest_s": None, "longest_s": None},
            remembered=remembered,
        )
    yield Scenario(
        "kills",
        "8 processes, limit 60, one killed and begun anew every 1.2 s",
        "kills",
        8,
        60,
        60,
        {"full_p50_s": None, "full_worst_s": None, "lost_slots": None, "lost_at_end": 0, "end_busy": 0.95},
    )
    yield Scenario(
        "stopped",
        "8 processes, limit 60, two stopped for 6 s",
        "stopped",
        8,
        60,
        45,
        {"stopped_busy": None, "back_busy": None, "refusals": None},
    )
    yield Scenario(
        "falls",
        "8 processes, limit 500 → 200 → 500",
        "falls",
        8,
        500,
        60,
        {"refusals": None, "low_busy": None, "full_worst_s": None},
    )
