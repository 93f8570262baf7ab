"""Several processes of one account in virtual time: bulk, people, processes killed and stopped, a limit that falls.

A contestant is all processes of the account with a window for each. ``alone`` are windows that do not know of each
other; windows that share get what they tell each other by ``next_change``, which may ask for any time. The answers
and the round trip are those of ``benchmarks/processes``, where the same situations are real processes.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Final, Protocol

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.simulation.account import Account, Conditions, Outcome, Window
from benchmarks.simulation.contestants import CAP
from benchmarks.simulation.limits import Trace, fixed
from benchmarks.simulation.sharing import Sharing
from deepseek_async.admission.concurrency import AdaptiveLimit

SETTLING: Final = 10.0
UNTIL: Final = 70.0
SHORTEST, LONGEST = 2.0, 6.0
ROUND_TRIP: Final = 0.1
KERNEL: Final = (0.45, 0.25, 0.18, 0.12)
"""Shares of the users of four workers that accept from one socket; the kernel was seen to give 34 to 52 % to one."""
BETWEEN_KILLS: Final = 1.2
STARTING: Final = 0.5
"""Seconds that a new process takes to begin."""
STOP, STOPPED, AFTER_STOP = 20.0, 6.0, 16.0
FALL, RISE, LOW = 20, 40, 200

Chance = Callable[[], float]


class Contestant(Protocol):
    """All processes of one account."""

    windows: list[Window]

    def waiting(self, member: int, calls: int, now: float) -> None:
        """So many calls wait at a member; told four times a second where work is not endless."""

    def restart(self, member: int, now: float) -> None:
        """A member's process was killed and another begins: put a new window in its place."""


class Alone:
    """Processes that do not know of each other."""

    def __init__(self, members: int, chance: Chance) -> None:
        self._chance = chance
        self.windows: list[Window] = [self._window(0.0) for _ in range(members)]

    def _window(self, now: float) -> Window:
        return AdaptiveLimit(cap=CAP, chance=self._chance, now=now)

    def waiting(self, member: int, calls: int, now: float) -> None:
        """Of no interest to a window."""

    def restart(self, member: int, now: float) -> None:
        """A window that knows nothing."""
        self.windows[member] = self._window(now)


Factory = Callable[[int, Chance], Contestant]

CONTESTANTS: Final[dict[str, Factory]] = {"alone": Alone, "sharing": Sharing}


@dataclass(frozen=True)
class Situation:
    """What the processes have to do."""

    name: str
    members: int
    trace: Trace
    numbers: bool = True
    load: float | None = None
    """Calls that come, as a share of what the limit can answer; None: endless work."""
    prepare: Callable[[Account, Contestant, random.Random], None] | None = None

    def play(self, contestant: Factory, seed: int) -> Outcome:
        """One run."""
        chance = random.Random(f"processes {seed}")
        processes = contestant(self.members, chance.random)
        conditions = Conditions(
            round_trip=ROUND_TRIP,
            uniform=(SHORTEST, LONGEST),
            numbers=self.numbers,
        )
        arrivals = None if self.load is None else self._arrivals(seed)
        windows = [_made(window) for window in processes.windows]
        account = Account(self.trace, windows, conditions, seed, arrivals)
        if arrivals is not None:
            _tell_waiting(account, processes, self.trace.until)
        if self.prepare is not None:
            self.prepare(account, processes, chance)
        return account.run()

    def _arrivals(self, seed: int) -> list[Iterator[float]]:
        assert self.load is not None
        rate = self.load * self.trace.at(0) / ((SHORTEST + LONGEST) / 2)
        shares = KERNEL if self.members == len(KERNEL) else [1 / self.members] * self.members
        return [_poisson(rate * share, random.Random(f"{seed}/{member}")) for member, share in enumerate(shares)]


def _made(window: Window) -> Callable[[float, Chance], Window]:
    """A window that there is already, as the model asks for one."""

    def make(now: float, chance: Chance) -> Window:
        del now, chance
        return window

    return make


def _poisson(rate: float, chance: random.Random) -> Iterator[float]:
    now = 0.0
    while True:
        now += chance.expovariate(rate)
        yield now


def _tell_waiting(account: Account, processes: Contestant, until: float) -> None:
    def tell(now: float) -> None:
        for member, calls in enumerate(account.waiting):
            processes.waiting(member, calls, now)

    for tick in range(1, int(until * 4)):
        account.happen(tick / 4, tell)


def kills(account: Account, processes: Contestant, chance: random.Random) -> None:
    """One member after another is killed; its slots are free at once, and its successor begins a little later."""

    def begin(member: int, now: float) -> None:
        processes.restart(member, now)
        account.replace(member, now, processes.windows[member])

    def kill(now: float) -> None:
        member = chance.randrange(len(processes.windows))
        account.kill(member, now)
        account.happen(now + STARTING, lambda later: begin(member, later))

    for number in range(int((account.trace.until - 2 * SETTLING) / BETWEEN_KILLS)):
        account.happen(SETTLING + number * BETWEEN_KILLS, kill)


def stops(account: Account, processes: Contestant, chance: random.Random) -> None:
    """Two members stand still for a while."""
    del processes, chance

    def stop(now: float) -> None:
        for member in (0, 1):
            account.stop(member, now, STOPPED)

    account.happen(STOP, stop)


SITUATIONS: Final = [
    *(
        Situation(f"bulk, limit {limit}, {members} processes", members, fixed(limit, UNTIL))
        for limit, members in ((60, 1), (60, 8), (200, 16), (500, 4), (500, 8), (5, 8))
    ),
    Situation("bulk, limit 60, 8 processes, no numbers", 8, fixed(60, UNTIL), numbers=False),
    Situation("8 processes, one killed every 1.2 s", 8, fixed(60, UNTIL), prepare=kills),
    Situation("8 processes, two stopped for 6 s", 8, fixed(60, UNTIL), prepare=stops),
    Situation("8 processes, limit 500→200→500", 8, Trace("", ((0.0, 500), (FALL, LOW), (RISE, 500)), UNTIL)),
]
WEB: Final = [Situation(f"web, load {load}", 4, fixed(60, UNTIL), load=load) for load in (0.8, 1.0)]


def bulk_cells(situation: Situation, outcomes: list[Outcome]) -> list[str]:
    """Busy and refused after the settling, and how unequal the processes are served; means over the seeds."""
    first = int(SETTLING)
    busy, refused, spread = list[float](), list[float](), list[float]()
    for one in outcomes:
        allowed = sum(situation.trace.at(second) for second in range(first, int(UNTIL)))
        busy.append(sum(one.busy_by_second[first : int(UNTIL)]) / allowed)
        refused.append(one.refusals_between(first, UNTIL) / max(1, sum(one.attempts_by_second[first:])))
        counts = [sum(at >= first for at, _ in ended) for ended in one.ended]
        spread.append(max(counts) / max(1, min(counts)))
    return [f"{fmean(busy):.1%}", f"{fmean(refused):.2%}", f"{statistics.median(spread):.2f}"]


def event_lines(outcomes: dict[str, list[Outcome]]) -> Iterator[str]:
    """What the fall and the stop cost."""
    stopped = outcomes["8 processes, two stopped for 6 s"]
    back = STOP + STOPPED
    yield (
        f"- two stopped: {fmean(_busy(one, STOP, back, 60) for one in stopped):.1%} busy meanwhile, "
        f"{fmean(_busy(one, back, back + AFTER_STOP, 60) for one in stopped):.1%} in the {AFTER_STOP:.0f} s after, "
        f"{fmean(one.refusals_between(STOP, back + AFTER_STOP) for one in stopped):.0f} refused"
    )
    fallen = outcomes["8 processes, limit 500→200→500"]
    full = [one.full_after(RISE, 0.95, 500) for one in fallen]
    yield (
        f"- 500→200: {fmean(one.refusals_between(FALL, RISE) for one in fallen):.0f} refused; back at 500: 95 % busy "
        f"after {'never' if math.inf in full else f'{fmean(full):.0f} s'}"
    )


def churn(seconds: float) -> Iterator[str]:
    """Processes that are killed and begin again for so long: how busy the limit is in each sixth of it, and after."""
    outcome = Situation("", 8, fixed(60, seconds), prepare=kills).play(Sharing, 1)
    last = seconds - SETTLING
    for number in range(6):
        start, end = (SETTLING + (last - SETTLING) * part / 6 for part in (number, number + 1))
        refused = outcome.refusals_between(start, end) / sum(outcome.attempts_by_second[int(start) : int(end)])
        yield f"{start:.0f} to {end:.0f} s: {_busy(outcome, start, end, 60):.1%} busy, {refused:.2%} refused"
    yield f"after the last kill: {_busy(outcome, last, seconds, 60):.1%} busy"


def _busy(outcome: Outcome, start: float, end: float, limit: int) -> float:
    return sum(outcome.busy_by_second[int(start) : int(end)]) / ((end - start) * limit)


def web_cells(situation: Situation, contestant: Factory, seeds: int) -> list[str]:
    """p99 of the processes together, and of one process that has all users."""
    ours = _p99([situation.play(contestant, seed) for seed in range(seeds)])
    single = Situation("", 1, situation.trace, load=situation.load)
    best = _p99([single.play(Alone, seed) for seed in range(seeds)])
    return [f"{ours:.1f} s", f"{best:.1f} s", f"{ours / best:.2f}"]


def _p99(outcomes: list[Outcome]) -> float:
    """The mean over the runs."""
    runs = [[took for client in one.ended for at, took in client if at - took >= SETTLING / 2] for one in outcomes]
    return fmean(statistics.quantiles(took, n=100)[98] for took in runs)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows]) + "\n"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="runs of every cell (5)")
    parser.add_argument("--churn", type=float, metavar="SECONDS", help="only this: kill one every 1.2 s for so long")
    arguments = parser.parse_args()
    if arguments.churn is not None:
        print("\n".join(churn(arguments.churn)))
        return
    for name, contestant in CONTESTANTS.items():
        outcomes = {one.name: [one.play(contestant, seed) for seed in range(arguments.seeds)] for one in SITUATIONS}
        rows = [[one.name, *bulk_cells(one, outcomes[one.name])] for one in SITUATIONS]
        print(f"## {name}\n")
        print(table(["situation", "busy", "refused", "largest/smallest served"], rows))
        print("\n".join(event_lines(outcomes)) + "\n")
        web = [[one.name, *web_cells(one, contestant, arguments.seeds)] for one in WEB]
        print(table(["situation", "p99 of 4 processes", "of one", "ratio"], web))


if __name__ == "__main__":
    main()
