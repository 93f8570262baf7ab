"""Money is held before a call is sent: never more is spent than there is, and never less than fits."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.clock import Clock
from support.foreign_files import KINDS, untouched

from deepseek_async import BudgetExceededError, ConfigurationError
from deepseek_async.admission.budget import Budget, Charge
from deepseek_async.admission.budget.store import Spending
from deepseek_async.admission.budget.store_file import looked_up
from deepseek_async.events import BudgetAlert
from deepseek_async.labels import labelled
from deepseek_async.types import CompletionUsage

MODEL = "deepseek-flash"
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()  # off-peak
USAGE = CompletionUsage(prompt_tokens=1000, completion_tokens=1000)
COST = (1000 * 0.15 + 1000 * 0.60) / 1_000_000


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


Make = Callable[..., Budget]


@pytest.fixture
async def make(tmp_path: Path, clock: Clock) -> AsyncIterator[Make]:
    budgets: list[Budget] = []

    def make_budget(daily: float = 1.0, **options) -> Budget:
        budgets.append(Budget(daily, **{"path": tmp_path / "state" / "budget.sqlite", "clock": clock, **options}))
        return budgets[-1]

    yield make_budget
    for budget in budgets:
        await budget.aclose()


async def hold(budget: Budget, dollars: float, model: str = MODEL) -> Charge:
    """As a call does it: first without waiting."""
    tokens = round(1000 * dollars / COST)
    most = CompletionUsage(prompt_tokens=tokens, completion_tokens=tokens)
    return budget.hold_nowait(most, model) or await budget.hold(most, model)


async def call(budget: Budget, held: float, *, ending: str = "served", steps: int = 1) -> bool:
    """One call that holds ``held`` dollars; whether it was sent."""
    try:
        charge = await hold(budget, held)
    except BudgetExceededError:
        return False
    for _ in range(steps):
        await asyncio.sleep(0)
    match ending:
        case "served":
            charge.served(USAGE)
        case "refused":
            charge.refused()
        case "faulted":
            charge.faulted()
    return True


async def race(budget: Budget, chance: random.Random, held: list[float]) -> int:
    """64 calls at once that take different times; how many were sent."""
    return sum(await asyncio.gather(*(call(budget, amount, steps=chance.randrange(8)) for amount in held)))


@pytest.mark.parametrize(("place", "seeds"), [("memory", 100), ("file", 20)])
async def test_of_64_at_once_exactly_the_ten_that_fit_are_sent(make: Make, tmp_path: Path, place: str, seeds: int):
    sent = []
    for seed in range(seeds):
        budget = make(10 * COST, path=":memory:" if place == "memory" else tmp_path / f"{seed}.sqlite")
        sent.append(await race(budget, random.Random(seed), [COST] * 64))
        assert budget.remaining == pytest.approx(0)
    assert sent == [10] * seeds


async def test_what_calls_give_back_is_spent_by_others(make: Make):
    for seed in range(50):
        chance = random.Random(seed)
        budget = make(10 * COST, path=":memory:")
        sent = await race(budget, chance, [COST * chance.choice([1, 1, 2, 3]) for _ in range(64)])
        assert 8 <= sent <= 10  # one that holds three times its cost does not fit into what two leave
        more = [await call(budget, COST) for _ in range(12)]
        assert sent + sum(more) == 10


async def test_a_call_waits_for_money_that_may_come_back(make: Make):
    budget = make(10 * COST)
    first = await hold(budget, 10 * COST)
    second = asyncio.ensure_future(hold(budget, 9 * COST))
    await asyncio.sleep(0.05)
    assert not second.done()
    first.served(USAGE)
    charge = await second
    charge.refused()
    assert budget.remaining == pytest.approx(9 * COST)


@pytest.mark.parametrize(
    ("ending", "left"),
    [("served", 0.75), ("refused", 1.0), ("faulted", 0.5)],
)
async def test_each_ending_costs_what_it_should(make: Make, ending: str, left: float):
    budget = make(4 * COST)
    await call(budget, 2 * COST, ending=ending)
    assert budget.remaining == pytest.approx(4 * COST * left)


async def test_an_attempt_given_up_before_it_was_sent_costs_nothing(make: Make):
    budget = make(2 * COST)
    (await hold(budget, COST)).abandoned(sent=False)
    assert budget.remaining == pytest.approx(2 * COST)
    (await hold(budget, COST)).abandoned(sent=True)
    assert budget.remaining == pytest.approx(COST)


async def test_a_charge_ends_once(make: Make):
    budget = make(4 * COST)
    charge = await hold(budget, COST)
    charge.served(USAGE)
    charge.faulted()
    charge.refused()
    assert budget.remaining == pytest.approx(3 * COST)


async def test_the_error_says_what_is_needed_what_is_left_and_until_when(make: Make):
    budget = make(2 * COST, zone="Asia/Shanghai")
    await call(budget, COST)
    with pytest.raises(BudgetExceededError, match="Asia/Shanghai") as caught:
        await hold(budget, 1.5 * COST)
    error = caught.value
    assert (error.budget, error.spent, error.needed) == pytest.approx((2 * COST, COST, 1.5 * COST))
    assert (error.day, error.retry_after, error.cheaper_model) == ("2026-11-25", 4 * 3600, None)


async def test_what_was_spent_is_still_spent_after_a_restart(make: Make):
    first = make(3 * COST)
    await call(first, COST)
    await first.aclose()
    second = make(3 * COST)
    assert [await call(second, COST) for _ in range(3)] == [True, True, False]


async def test_a_new_day_has_new_money(make: Make, clock: Clock):
    budget = make(COST)
    late = await hold(budget, COST)
    clock.now = datetime(2026, 11, 26, tzinfo=UTC).timestamp()
    assert await call(budget, COST)
    late.served(USAGE)  # that was yesterday's money
    assert budget.remaining == pytest.approx(0)
    assert not await call(budget, COST)


async def test_waiting_for_the_next_day(make: Make, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += seconds

    budget = make(COST, at_cap="wait", zone="Asia/Tokyo")
    await call(budget, COST)
    monkeypatch.setattr("deepseek_async.admission.budget.budget.asyncio.sleep", sleep)
    charge = await hold(budget, COST)
    charge.refused()
    assert sum(slept) == 3 * 3600
    assert max(slept) <= 60


async def test_a_cheaper_model_is_named(make: Make):
    budget = make(COST, at_cap="cheaper", cheaper_model=MODEL)
    with pytest.raises(BudgetExceededError) as caught:
        await hold(budget, 2 * COST, "deepseek-v4-pro")
    assert caught.value.cheaper_model == MODEL
    with pytest.raises(BudgetExceededError) as caught:
        await hold(budget, 2 * COST)
    assert caught.value.cheaper_model is None


async def test_alerts_are_raised_once_each_by_callback_and_log(make: Make, caplog: pytest.LogCaptureFixture):
    alerts: list[BudgetAlert] = []
    budget = make(10 * COST, alerts=(0.5, 0.2, 1.0), on_alert=alerts.append)
    for _ in range(6):
        await call(budget, COST)
        await budget.flush()
    other = make(10 * COST, alerts=(0.5, 0.2, 1.0), on_alert=alerts.append)
    await call(other, COST)
    await other.flush()
    assert [(alert.share, alert.day, alert.zone) for alert in alerts] == [
        (0.2, "2026-11-25", "UTC"),
        (0.5, "2026-11-25", "UTC"),
    ]
    assert alerts[1].spent == pytest.approx(5 * COST)
    assert sum(record.levelno == logging.WARNING for record in caplog.records) == 2


async def test_a_callback_that_fails_stops_nothing(make: Make):
    def fails(_: BudgetAlert) -> None:
        raise RuntimeError("no mail server")

    budget = make(2 * COST, alerts=(0.1,), on_alert=fails)
    await call(budget, COST)
    await budget.flush()
    assert await call(budget, COST)


async def test_spending_is_known_by_model_and_tag(make: Make):
    budget = make()
    with labelled(tag="summaries"):
        await call(budget, COST)
        await call(budget, COST)
    await call(budget, COST)
    nano = round(COST * 1e9)
    assert await budget.spending() == {
        (MODEL, "summaries"): Spending(2, 2 * nano),
        (MODEL, ""): Spending(1, nano),
    }


async def test_two_processes_share_what_there_is(make: Make):
    """Two holders of one file, as two processes are."""
    one, other = make(20 * COST), make(20 * COST)
    sent = [await call(budget, COST) for _ in range(15) for budget in (one, other)]
    # What one holds for its next calls, the other cannot have; it is given back when it is not used.
    assert 18 <= sum(sent) <= 20
    for _ in range(2):
        await one.flush()
        await other.flush()
    one._denied = other._denied = (0.0, 0)
    sent += [await call(budget, COST) for _ in range(5) for budget in (one, other)]
    assert sum(sent) == 20


SPENDER = """
import asyncio, sys
import msgspec
from deepseek_async import BudgetExceededError
from deepseek_async.admission.budget import Budget
from deepseek_async.pricing.prices import price_table
from deepseek_async.types import CompletionUsage

MOST = CompletionUsage(prompt_tokens=1000, completion_tokens=1000)

async def main():
    prices = msgspec.structs.replace(price_table(), peak_hours=[])  # a call costs the same at every hour
    at = sys.argv[2]
    budget = Budget(float(sys.argv[1]), path=None if at.startswith("redis:") else at, prices=prices)
    budget.share(at, "account")
    print("ready", flush=True)
    sys.stdin.readline()
    sent = 0
    async def worker():
        nonlocal sent
        while True:
            try:
                charge = budget.hold_nowait(MOST, "deepseek-flash") or await budget.hold(MOST, "deepseek-flash")
            except BudgetExceededError:
                return
            sent += 1
            if sys.argv[3] != "quiet":
                print(sent, flush=True)
            await asyncio.sleep(0.02 if sys.argv[3] == "slow" else 0)
            charge.served(None)
    await asyncio.gather(*(worker() for _ in range(8)))
    await budget.aclose()
    print("sent", sent, flush=True)

asyncio.run(main())
"""


ROOM = 400


def spender(place: Path | str, mode: str = "quiet") -> subprocess.Popen[str]:
    """A process that spends what it gets of a budget with room for 400 calls."""
    process = subprocess.Popen(
        [sys.executable, "-c", SPENDER, str(ROOM * COST), str(place), mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_four_processes_never_spend_more_than_there_is(tmp_path: Path):
    path = tmp_path / "budget.sqlite"
    processes = [spender(path) for _ in range(4)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    sent = [int(process.communicate(timeout=120)[0].split()[1]) for process in processes]
    assert ROOM * 0.9 <= sum(sent) <= ROOM
    rest = int(spender(path).communicate("go\n", timeout=120)[0].split()[1])
    assert sum(sent) + rest == ROOM


def test_a_killed_process_has_spent_what_it_held(tmp_path: Path):
    path = tmp_path / "budget.sqlite"
    killed = spender(path, "report")
    killed.stdin.write("go\n")
    killed.stdin.flush()
    seen = 0
    while seen < ROOM // 8:
        seen = int(killed.stdout.readline())
    killed.send_signal(signal.SIGKILL)
    tail = killed.communicate()[0].split()
    seen = int(tail[-1]) if tail else seen
    sent = int(spender(path).communicate("go\n", timeout=120)[0].split()[1])
    # What it held for its next calls is a sixteenth of what was left at most.
    assert ROOM - seen - ROOM // 16 - 8 <= sent <= ROOM - seen


async def test_the_file_is_for_its_owner_only(make: Make, tmp_path: Path):
    await call(make(), COST)
    path = tmp_path / "state" / "budget.sqlite"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("wrong", ["damaged", "another program", "a folder"])
async def test_money_that_cannot_be_counted_is_not_spent(make: Make, tmp_path: Path, wrong: str):
    path = tmp_path / "wrong.sqlite"
    if wrong == "damaged":
        path.write_bytes(b"not a database" * 100)
    elif wrong == "a folder":
        path.mkdir()
    else:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA application_id = 7")
        connection.close()
    with pytest.raises(ConfigurationError, match=r"wrong\.sqlite"):
        await hold(make(path=path), COST)


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_a_file_that_is_no_budget_is_left_as_it_is(make: Make, tmp_path: Path, kind: str):
    folder = tmp_path / "somebody's"
    folder.mkdir()
    path = folder / "wrong.sqlite"
    KINDS[kind](path)
    with untouched(folder):
        with pytest.raises(ConfigurationError, match=r"cannot use .* as a budget: .*; choose another budget\.path"):
            await hold(make(path=path), COST)
        with pytest.raises(ConfigurationError, match=r"cannot use .*wrong\.sqlite as a budget"):
            looked_up(path, "2026-11-27")


async def test_a_cancelled_waiter_holds_nothing(make: Make):
    budget = make(2 * COST)
    first = await hold(budget, 2 * COST)
    waiters = [asyncio.ensure_future(hold(budget, COST)) for _ in range(3)]
    await asyncio.sleep(0.05)
    for waiter in waiters:
        waiter.cancel()
    await asyncio.wait(waiters)
    first.refused()
    assert [await call(budget, COST) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"daily": 0}, "daily"),
        ({"daily": float("nan")}, "daily"),
        ({"daily": True}, "daily"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"at_cap": "explode"}, "at_cap"),
        ({"at_cap": "cheaper"}, "cheaper_model"),
        ({"alerts": (1.5,)}, "alerts"),
    ],
)
def test_a_wrong_value_is_named(wrong: dict, named: str):
    with pytest.raises(ConfigurationError, match=f"budget.{named}"):
        Budget(**{"daily": 1.0, "path": ":memory:", **wrong})


def test_one_budget_serves_one_event_loop_after_another(tmp_path: Path):
    budget = Budget(2 * COST, path=tmp_path / "b.sqlite", clock=Clock(NOON))

    async def once() -> bool:
        sent = await call(budget, COST)
        await budget.aclose()
        return sent

    assert [asyncio.run(once()) for _ in range(3)] == [True, True, False]
