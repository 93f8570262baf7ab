"""A budget that machines share through Redis: the laws of one in a file, and a Redis that is gone for a while."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio
from support.clients import Connect, ask
from support.disclosure import everything_shown_by
from support.forking import outcome_of
from support.redis_server import RedisServer
from support.servers import ANSWER, Serve
from support.waiting import until

# The laws hold for whatever ``make`` makes.
from test_budget import (  # noqa: F401
    COST,
    MODEL,
    ROOM,
    Clock,
    Make,
    call,
    clock,
    hold,
    spender,
    test_a_call_waits_for_money_that_may_come_back,
    test_a_cancelled_waiter_holds_nothing,
    test_a_new_day_has_new_money,
    test_alerts_are_raised_once_each_by_callback_and_log,
    test_an_attempt_given_up_before_it_was_sent_costs_nothing,
    test_each_ending_costs_what_it_should,
    test_spending_is_known_by_model_and_tag,
    test_the_error_says_what_is_needed_what_is_left_and_until_when,
    test_two_processes_share_what_there_is,
    test_waiting_for_the_next_day,
    test_what_was_spent_is_still_spent_after_a_restart,
)

from deepseek_async import AsyncDeepSeek, BudgetExceededError, ConfigurationError
from deepseek_async.admission.budget import Budget, outage, store_redis
from deepseek_async.admission.budget.store import DayTotals, UnansweredError
from deepseek_async.admission.budget.store_redis import RedisStore

KEY = "sk-canary0123456789abcdefTAIL"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer than a second."""
    monkeypatch.setattr(store_redis, "_PATIENCE", 60.0)
    monkeypatch.setattr(store_redis, "QUIET", 0)


@pytest.fixture
async def make(server: RedisServer, clock: Clock) -> AsyncIterator[Make]:  # noqa: F811
    budgets: list[Budget] = []

    def make_budget(daily: float = 1.0, **options) -> Budget:
        budgets.append(Budget(daily, **{"clock": clock, **options}))
        budgets[-1].share(server.url, "account")
        return budgets[-1]

    yield make_budget
    for budget in budgets:
        await budget.aclose()


async def asked(server: RedisServer, *command: str | int) -> object:
    client = redis.asyncio.Redis.from_url(server.url)
    try:
        return await client.execute_command(*command)
    finally:
        await client.aclose()


async def test_calls_go_on_with_what_was_allotted_while_redis_is_gone(make: Make, server: RedisServer, caplog):
    budget = make(1000 * COST)
    await call(budget, COST)
    await server.kill()
    assert all([await call(budget, COST) for _ in range(20)])
    await budget.flush()
    await budget.flush()
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["cannot store spending, retrying"]
    await server.start()
    spent = (await budget.spending())[MODEL, ""]
    assert spent.calls in {20, 21}  # of the first, Redis may have been told before
    assert (await budget.standing()).spent == round(21 * COST * 1e9)


async def test_a_call_that_needs_more_waits_for_redis_and_others_pass_it(make: Make, server: RedisServer):
    budget = make(1000 * COST)
    await call(budget, COST)
    await server.kill()
    waits = asyncio.ensure_future(hold(budget, 500 * COST))
    await until(lambda: budget._outage.lasts)
    assert await call(budget, COST)
    assert not waits.done()
    await server.start()
    (await waits).refused()


async def test_a_call_in_an_outage_goes_on_with_what_another_gives_back(make: Make, server: RedisServer):
    budget = make(1000 * COST)
    first = await hold(budget, 500 * COST)
    await server.kill()
    waits = asyncio.ensure_future(hold(budget, 499 * COST))
    await until(lambda: budget._outage.lasts)
    first.refused()
    (await waits).refused()


async def test_a_redis_that_stays_away_is_an_error_that_says_what_to_do(
    make: Make, server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outage, "PATIENCE", 0.0)
    await server.kill()
    budget = make(10 * COST)
    with pytest.raises(ConfigurationError, match=r"cannot use the budget .*: .*Budget\(path=…\)") as caught:
        await hold(budget, COST)
    assert type(caught.value) is ConfigurationError


async def test_after_an_outage_that_was_too_long_others_are_not_held_up_by_one_question_each(
    make: Make, server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outage, "PATIENCE", 0.0)
    questions: list[str] = []
    connected = store_redis._connected
    monkeypatch.setattr(store_redis, "_connected", lambda url: (questions.append(url), connected(url))[1])
    await server.kill()
    budget = make(10 * COST)
    ended = await asyncio.gather(*(hold(budget, COST) for _ in range(64)), return_exceptions=True)
    assert {type(one) for one in ended} == {ConfigurationError}
    assert len(questions) < 8


async def test_a_redis_that_stands_still_does_not_hold_up_the_event_loop(
    make: Make, server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    budget = make(1000 * COST)
    await call(budget, COST)
    monkeypatch.setattr(store_redis, "_PATIENCE", 0.5)
    await budget.aclose()
    server.stop()
    waits = asyncio.ensure_future(hold(budget, 500 * COST))
    steps = 0
    while not budget._outage.lasts:
        await asyncio.sleep(0.01)
        steps += 1
    assert steps > 5
    server.go_on()
    (await waits).refused()


async def test_a_call_waits_until_all_had_time_to_say_what_they_hold(make: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store_redis, "QUIET", 300)
    before = time.monotonic()
    assert await call(make(COST), COST)
    assert time.monotonic() - before > 0.2


async def test_who_holds_money_says_so_again_to_a_redis_that_was_emptied(
    make: Make, server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    budget = make(10 * COST)
    charge = await hold(budget, 9 * COST)
    await asked(server, "FLUSHALL")
    monkeypatch.setattr(store_redis, "QUIET", 3000)
    # It makes no calls: it reports by itself.
    other = make(10 * COST)
    with pytest.raises(BudgetExceededError):
        await hold(other, 2 * COST)
    charge.refused()
    await budget.flush()
    assert await call(make(10 * COST), COST)


async def test_a_redis_that_comes_back_as_it_was_earlier_gives_nothing_until_all_have_spoken(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
):
    day, one, other = "2026-11-28", RedisStore(server.url, "account"), RedisStore(server.url, "account")
    other.report(day, allotted=0, spent=0, spending={})
    await asked(server, "HSET", other._ground, "since", 0)  # all that is long ago
    await asked(server, "SAVE")
    assert one.allot(day, cap=100, allotted=0, least=60, wanted=60) == (60, DayTotals())
    await server.kill()
    await server.start()
    monkeypatch.setattr(store_redis, "QUIET", 3000)
    assert other.standing(day) == DayTotals()
    with pytest.raises(UnansweredError):
        other.allot(day, cap=100, allotted=0, least=60, wanted=60)
    one.report(day, allotted=60, spent=0, spending={})
    assert other.allot(day, cap=100, allotted=0, least=60, wanted=60) == (0, DayTotals(held=60))
    one.close()
    other.close()


async def test_who_has_spent_keeps_reporting_until_it_is_closed(make: Make):
    budget = make(COST)
    await call(budget, COST)
    await until(lambda: budget._ledger.allotted == budget._ledger.spent and budget._unused_flushes > 1)
    await until(lambda: budget._timer is not None)
    await budget.aclose()
    assert budget._timer is None


async def test_processes_never_spend_more_than_there_is_also_when_redis_is_emptied_meanwhile(server: RedisServer):
    def started() -> list[subprocess.Popen[str]]:
        processes = [spender(server.url, "slow") for _ in range(3)]
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout.readline()
        return processes

    processes = await asyncio.to_thread(started)
    await asked(server, "FLUSHALL")
    ends = await asyncio.gather(*(asyncio.to_thread(process.communicate) for process in processes))
    sent = [int(out.split()[-1]) for out, _ in ends]
    assert ROOM * 0.9 <= sum(sent) <= ROOM


async def test_processes_spend_what_there_is_to_the_last_call(server: RedisServer):
    def rest() -> int:
        return int(spender(server.url).communicate("go\n")[0].split()[-1])

    assert [await asyncio.to_thread(rest), await asyncio.to_thread(rest)] == [ROOM, 0]


FORKS = """
    from deepseek_async import BudgetExceededError
    from deepseek_async.admission.budget import store_redis
    from deepseek_async.types import CompletionUsage

    store_redis.QUIET = 0
    MOST = CompletionUsage(prompt_tokens=1000, completion_tokens=1000)
    budget = budget_of(12 * 0.00075, alerts=())
    budget.share(given["redis"], "account")

    async def spend(most):
        sent = 0
        try:
            while sent < most:
                (budget.hold_nowait(MOST, "deepseek-flash") or await budget.hold(MOST, "deepseek-flash")).served(None)
                sent += 1
        except BudgetExceededError:
            pass
        return sent

    async def child():
        sent = await spend(100)
        await budget.aclose()
        return sent

    async def main():
        sent = [await spend(3)]
        await budget.flush()  # gives nothing back: it has been used
        sent += [in_child(lambda: asyncio.run(child()))()]
        sent += [await spend(100)]
        say([sent, (await budget.standing()).spent])
        await budget.aclose()

    asyncio.run(main())
"""


async def test_a_forked_child_is_a_holder_of_its_own(server: RedisServer, clock: Clock):  # noqa: F811
    sent, spent = await outcome_of(FORKS, redis=server.url, budget=None)
    assert sum(sent) == 12
    assert sent[1] > 0
    assert spent <= round(12 * COST * 1e9)


async def test_a_budget_without_a_path_is_kept_in_the_redis_of_its_client(
    server: RedisServer, serve: Serve, connect: Connect, tmp_path: Path
):
    budget, scripted = Budget(1.0), await serve([ANSWER])
    client = connect(scripted, shared=server.url, budget=budget)
    assert budget.path is None
    await ask(client)
    await client.aclose()
    assert len(await asked(server, "KEYS", "deepseek-async:budget:*")) >= 3
    assert not list(Path.home().rglob("budget.sqlite"))


async def test_a_budget_with_a_path_stays_there(server: RedisServer, serve: Serve, connect: Connect, tmp_path: Path):
    scripted = await serve([ANSWER], [ANSWER])
    for path in (tmp_path / "budget.sqlite", ":memory:"):
        client = connect(scripted, shared=server.url, budget=Budget(1.0, path=path))
        await ask(client)
        await client.aclose()
    assert (tmp_path / "budget.sqlite").exists()
    assert await asked(server, "KEYS", "deepseek-async:budget:*") == []


def made(budget: Budget, **options) -> AsyncDeepSeek:
    return AsyncDeepSeek(api_key=KEY, budget=budget, **options)


def test_clients_that_agree_use_one_budget():
    budget = Budget(1.0)
    made(budget, shared="redis://user:canary-9137@HOST:6379/0")
    made(budget, shared="redis://host")
    made(budget)
    assert "canary-9137" not in f"{budget!r} {vars(budget)!r} {vars(budget._keeper)!r} {vars(budget._keeper.store)!r}"


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"shared": "redis://:canary-9137@elsewhere"}, "cannot use two Redis databases"),
        ({"shared": "redis://:canary-9137@host/1"}, "cannot use two Redis databases"),
        ({"shared": "redis://:canary-9137@host", "account": "another"}, "clients of two accounts use it"),
    ],
)
def test_clients_that_contradict_each_other_are_refused(other: dict, said: str):
    budget = Budget(1.0)
    made(budget, shared="redis://:canary-9137@host")
    with pytest.raises(ConfigurationError, match=said) as caught:
        made(budget, **other)
    assert "canary-9137" not in everything_shown_by(caught.value)


async def test_a_budget_that_was_spent_of_is_not_begun_anew_in_redis():
    budget = Budget(1.0)
    await call(budget, COST)
    with pytest.raises(ConfigurationError, match="before the budget is used"):
        made(budget, shared="redis://host")
    await budget.aclose()


def test_a_budget_beyond_what_redis_can_count_is_refused():
    with pytest.raises(ConfigurationError, match="at most"):
        made(Budget(2e6), shared="redis://host")
