"""Holders of one Redis never spend more than there is together, whatever Redis forgets and whichever answer is lost."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.disclosure import everything_shown_by
from support.redis_server import client_of_redis

from deepseek_async import ConfigurationError
from deepseek_async.admission.budget import store_redis
from deepseek_async.admission.budget.ledger import granted
from deepseek_async.admission.budget.store import DayTotals, Spending, UnansweredError
from deepseek_async.admission.budget.store_redis import HOLD, MOST, QUIET, RedisStore, account_key
from deepseek_async.configuration.redis_url import reason_of_redis

DAY = "2026-11-28"
OURS = "deepseek-async:budget:1:{" + account_key("account") + "}"
HOLDERS = f"{OURS}:{DAY}:holders"
ON_A_CLOCK = (
    """local real = redis
local redis = {pcall = function() return 'run_id:' .. (real.call('GET', 'run') or '') end, call = function(name, ...)
  if name ~= 'TIME' then return real.call(name, ...) end
  local clock = tonumber(real.call('GET', 'clock') or 0)
  return {tostring(math.floor(clock / 1000)), tostring(clock % 1000 * 1000)}
end}
"""
    + HOLD
)
"""The script, told the time and which process of Redis it is."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[redis.Redis]:
    with client_of_redis(tmp_path) as client:
        yield client


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_redis, "_PATIENCE", 60.0)


@pytest.fixture
def made(server: redis.Redis, patient: None) -> Iterator[Callable[..., RedisStore]]:
    stores: list[RedisStore] = []

    def make(account: str = "account") -> RedisStore:
        stores.append(RedisStore(url_of(server), account))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has anything to say after a loss."""
    monkeypatch.setattr(store_redis, "QUIET", 0)


def url_of(server: redis.Redis) -> str:
    said = server.connection_pool.connection_kwargs
    return f"redis://{said['host']}:{said['port']}/0"


class Wire:
    """A client whose requests and answers get lost, or arrive when nobody waits for them any more."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.hget, self.hgetall = client.hget, client.hgetall
        self.next = ""
        self.late: list[tuple[Any, ...]] = []

    def eval(self, script: str, *arguments: Any) -> Any:
        how, self.next = self.next, ""
        script = ON_A_CLOCK if script == HOLD else script
        if how == "late":
            self.late.append((script, *arguments))
        if how in {"late", "request lost"}:
            raise redis.ConnectionError("lost")
        answer = self.client.eval(script, *arguments)
        if how == "answer lost":
            raise redis.ConnectionError("lost")
        return answer

    def arrive(self) -> None:
        for late in self.late:
            self.client.eval(*late)
        self.late = []

    def close(self) -> None:
        pass


class Holder:
    """A process, as Budget uses a store."""

    def __init__(self, server: redis.Redis) -> None:
        self.wire = Wire(server)
        self.store = RedisStore("redis://127.0.0.1/0", "account")
        self.store._redis = self.wire
        self.allotted = self.spent = 0
        self.told_at = 0
        self.unreported = 0

    @property
    def name(self) -> str:
        return self.store._holder

    @property
    def held(self) -> int:
        return max(self.allotted, self.spent)

    def ask(self, work: Callable[[], Any], how: str = "") -> Any:
        self.store._redis, self.wire.next = self.wire, how
        try:
            return work()
        except UnansweredError:
            return None
        finally:
            self.store._redis = self.wire

    def allot(self, cap: int, least: int, wanted: int, how: str) -> None:
        told = self.ask(lambda: self.store.allot(DAY, cap=cap, allotted=self.allotted, least=least, wanted=wanted), how)
        if told is not None:
            assert told[0] == 0 or least <= told[0] <= max(least, wanted)
            self.allotted += told[0]

    def spend(self, amount: int) -> None:
        self.spent += amount
        self.unreported += amount

    def report(self, keep: int, how: str = "") -> None:
        self.allotted = min(self.allotted, self.spent + keep)
        spending = {("model", ""): Spending(1, self.unreported)} if self.unreported else {}
        self.unreported = 0
        self.ask(lambda: self.store.report(DAY, allotted=self.allotted, spent=self.spent, spending=spending), how)


class World:
    """Some processes, a Redis, and a clock."""

    def __init__(self, server: redis.Redis, chance: random.Random, cap: int) -> None:
        self.server, self.chance, self.cap = server, chance, cap
        self.alive: list[Holder] = []
        self.dead: list[Holder] = []
        self.forgotten: set[str] = set()
        self.snapshots: list[dict[bytes, bytes]] = []
        self.clock, self.run = 1_800_000_000_000, chance.choice(("", "1"))
        server.flushall()
        self.set_up()

    def set_up(self) -> None:
        self.server.mset({"clock": self.clock, "run": self.run})

    def pass_time(self, milliseconds: int) -> None:
        """Everybody who is alive reports every second; Redis may take another one."""
        self.clock += milliseconds
        self.server.set("clock", self.clock)
        for holder in self.alive:
            if holder.store._number and self.clock - holder.told_at >= 1000:
                holder.report(holder.allotted - holder.spent)
                holder.told_at = self.clock

    def lose(self, *, all_of_it: bool) -> None:
        # A Redis that does not say which process it is shows only to those who knew more that it has taken a step back.
        kept = {} if all_of_it or not self.run or not self.snapshots else self.chance.choice(self.snapshots)
        self.server.flushall()
        for key, value in kept.items():
            self.server.restore(key, 0, value)
        if self.run and (kept or self.chance.random() < 0.5):
            self.run = str(int(self.run) + 1)
        self.set_up()

    def look(self) -> None:
        """Forgotten is what a dead process held and neither Redis nor anybody alive has heard of."""
        rows = self.server.hgetall(HOLDERS)
        for holder in self.dead:
            number = holder.store._number
            here = int(rows.get(holder.name.encode(), b"0").split()[0])
            heard = [one.store._view.rows.get(holder.name, (0,))[0] for one in self.alive]
            if max(here, *heard, 0) < number:
                self.forgotten.add(holder.name)

    def held(self) -> int:
        return sum(one.held for one in (*self.alive, *self.dead) if one.name not in self.forgotten)

    def step(self) -> None:
        chance = self.chance
        if len(self.alive) < 4 and chance.random() < 0.2:
            self.alive.append(Holder(self.server))
        self.pass_time(chance.choice((0, 0, 100, 700, 1000)))
        if not self.alive:
            return
        holder = chance.choice(self.alive)
        how = chance.choice(("", "", "", "request lost", "answer lost", "late"))
        match chance.randrange(24):
            case 0:
                self.alive.remove(holder)
                self.dead.append(holder)
            case 1:
                self.lose(all_of_it=True)
            case 2:
                self.lose(all_of_it=False)
            case 3:
                holder.wire.arrive()
            case 4 | 5:
                self.snapshots.append({key: self.server.dump(key) for key in self.server.keys("deepseek-async:*")})
            case 6 | 7 | 8 | 9:
                holder.report(chance.choice((0, holder.allotted - holder.spent)), how)
            case 10 | 11 | 12 | 13 | 14:
                holder.spend(
                    chance.randrange(holder.allotted - holder.spent + 1) if holder.allotted > holder.spent else 0
                )
            case _:
                least = chance.randrange(1, self.cap // 3)
                holder.allot(self.cap, least, chance.choice((least, self.cap)), how)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([30, 1000, MOST]))
def test_no_more_is_held_than_there_is_whatever_is_lost(server: redis.Redis, patient: None, seed: int, cap: int):
    world = World(server, random.Random(seed), cap)
    for _ in range(150):
        world.step()
        world.look()
        assert world.held() <= cap
        totals, rows = read(server)
        assert totals[1:] == [
            sum(max(has, used) for _, has, used in rows),
            sum(used for *_, used in rows),
            sum(has > used for _, has, used in rows),
        ]


def read(server: redis.Redis) -> tuple[list[int], list[list[int]]]:
    rows = {name: [int(each) for each in row.split()] for name, row in server.hgetall(HOLDERS).items()}
    return rows.pop(b"", [0, 0, 0, 0]), list(rows.values())


@pytest.mark.usefixtures("at_once")
def test_grants_are_those_of_the_ledger(server: redis.Redis, made):
    chance, store, allotted, others = random.Random(7), made(), 0, [made() for _ in range(3)]
    for other in others:
        other.allot(DAY, cap=10**12, allotted=0, least=chance.randrange(10**9), wanted=1)
    for _ in range(200):
        cap, least, wanted = (chance.randrange(1, 10 ** chance.randrange(1, 15)) for _ in range(3))
        standing = DayTotals(*held_by_others(server, store))
        remaining = cap - standing.held - allotted
        added, seen = store.allot(DAY, cap=cap, allotted=allotted, least=least, wanted=wanted)
        assert seen == standing
        assert added == granted(wanted=wanted, least=least, remaining=remaining, sharers=4)
        allotted += added
        if chance.random() < 0.5:
            allotted = chance.randrange(allotted + 1)


def held_by_others(server: redis.Redis, store: RedisStore) -> tuple[int, int]:
    rows = server.hgetall(HOLDERS)
    others = [row.split() for name, row in rows.items() if name not in (b"", store._holder.encode())]
    return sum(max(int(has), int(used)) for _, has, used in others), sum(int(used) for *_, used in others)


@pytest.mark.parametrize("how", ["request lost", "answer lost", "late"])
def test_a_report_counts_once_whatever_is_lost_of_it(server: redis.Redis, patient: None, how: str):
    server.mset({"clock": 1_800_000_000_000, "run": "1"})
    holder = Holder(server)
    for number in range(1, 4):
        holder.spend(10)
        holder.report(0, how)
        holder.spend(5)
        holder.report(0)
        holder.wire.arrive()
        assert holder.store.spending(DAY) == {("model", ""): Spending(2 * number, 15 * number)}
        assert holder.store.standing(DAY) == DayTotals(15 * number, 15 * number)


def test_what_others_held_is_written_back_to_a_redis_that_was_emptied(server: redis.Redis, made):
    gone, stays = made(), made()
    gone.report(DAY, allotted=70, spent=20, spending={})
    stays.report(DAY, allotted=10, spent=5, spending={})
    server.flushall()
    stays.report(DAY, allotted=10, spent=5, spending={})
    assert stays.standing(DAY) == DayTotals(80, 25)


def test_a_redis_that_has_lost_something_gives_nothing_until_all_had_time_to_speak(server: redis.Redis, made):
    store = made()
    with pytest.raises(UnansweredError, match="waits for every process to report what it holds") as caught:
        store.allot(DAY, cap=100, allotted=0, least=1, wanted=1)
    assert 0 < caught.value.retry_in <= QUIET / 1000
    # Of what is not there in any case it can say so at once.
    assert store.allot(DAY, cap=100, allotted=0, least=101, wanted=101) == (0, DayTotals())


def test_a_day_that_redis_has_evicted_is_a_loss_and_a_day_that_begins_is_none(
    server: redis.Redis, made, monkeypatch: pytest.MonkeyPatch
):
    store, tomorrow = made(), "2026-11-29"
    monkeypatch.setattr(store_redis, "QUIET", 0)
    store.report(DAY, allotted=5, spent=5, spending={})
    server.hset(OURS, "since", 0)
    monkeypatch.setattr(store_redis, "QUIET", 3000)
    assert made().allot(tomorrow, cap=100, allotted=0, least=1, wanted=1) == (1, DayTotals())
    server.delete(f"{OURS}:{tomorrow}:holders")
    with pytest.raises(UnansweredError):
        made().allot(tomorrow, cap=100, allotted=0, least=1, wanted=1)


def test_a_redis_that_takes_a_step_back_and_does_not_say_which_it_is_gives_nothing_either(
    server: redis.Redis, patient: None
):
    server.mset({"clock": 1_800_000_000_000, "run": ""})
    holder = Holder(server)
    holder.report(0)
    server.set("clock", 1_800_000_000_000 + QUIET)
    before = server.dump(HOLDERS)
    holder.allot(100, 10, 10, "")
    assert holder.allotted == 10
    server.restore(HOLDERS, 0, before, replace=True)
    holder.allot(100, 10, 10, "")
    assert holder.allotted == 10
    assert holder.store.standing(DAY).held == 10


def test_who_was_silent_for_long_tells_what_it_knows_before_it_is_given_anything(
    server: redis.Redis, made, monkeypatch: pytest.MonkeyPatch
):
    gone, idle, other = made(), made(), made()
    gone.report(DAY, allotted=90, spent=90, spending={})
    idle.report(DAY, allotted=0, spent=0, spending={})
    server.flushall()
    monkeypatch.setattr(store_redis, "QUIET", 0)
    other.report(DAY, allotted=0, spent=0, spending={})
    assert idle.allot(DAY, cap=100, allotted=0, least=20, wanted=20) == (0, DayTotals(90, 90))


@pytest.mark.usefixtures("at_once")
def test_rows_are_told_a_few_at_a_time_until_all_are_known(made, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store_redis, "_ROWS", 4)
    stores, last = [made() for _ in range(10)], made()
    for number, store in enumerate(stores):
        store.report(DAY, allotted=number, spent=0, spending={})
    for _ in range(4):
        last.report(DAY, allotted=0, spent=0, spending={})
    assert last._view.rows == {store._holder: (1, number, 0) for number, store in enumerate(stores)}


@pytest.mark.usefixtures("at_once")
def test_alerts_are_one_holders_also_when_it_asks_again(made):
    one, other = made(), made()
    assert one.first_to_alert(DAY, [0.5, 0.8]) == [0.5, 0.8]
    assert one.first_to_alert(DAY, [0.5]) == [0.5]
    assert other.first_to_alert(DAY, [0.5, 0.8, 1.0]) == [1.0]


@pytest.mark.usefixtures("at_once")
def test_accounts_do_not_meet_and_nothing_names_them(server: redis.Redis, made):
    made("sk-one").report(DAY, allotted=5, spent=5, spending={("model", "tag"): Spending(1, 5)})
    assert made("sk-two").standing(DAY) == DayTotals()
    keys = server.keys("*")
    everything = repr(keys) + repr([server.dump(key) for key in keys])
    assert "sk-one" not in everything


@pytest.mark.usefixtures("at_once")
def test_all_keys_are_in_one_slot_and_expire(server: redis.Redis, made):
    store, day = made(), 86_400
    store.report(DAY, allotted=5, spent=5, spending={("model", ""): Spending(1, 5)})
    store.first_to_alert(DAY, [0.5])
    keys = sorted(key.decode().removeprefix(OURS).removeprefix(f":{DAY}") for key in server.keys("*"))
    assert keys == ["", ":alerts", ":changes", ":holders", ":spending"]
    days = {key.decode().rpartition(":")[2]: round(server.ttl(key) / day) for key in server.keys("*:*:*:*:*")}
    assert days.pop("alerts") == days.pop("changes") == days.pop("holders") == 31
    assert set(days.values()) == {400}


@pytest.mark.parametrize(
    ("user", "kind", "said"),
    [
        ("", ConfigurationError, "add the password"),
        (":wrong-canary-9137@", ConfigurationError, "correct the user or password in the URL"),
        ("reader:reader-canary-9137@", ConfigurationError, "ACL SETUSER"),
    ],
)
def test_what_will_not_change_is_said_at_once_with_what_to_do(
    server: redis.Redis, patient: None, user: str, kind: type[Exception], said: str
):
    url = url_of(server).replace("://", f"://{user}")
    server.execute_command("ACL", "SETUSER", "reader", "on", ">reader-canary-9137", "~*", "-@all", "+ping")
    server.config_set("requirepass", "right-canary-9137")
    with pytest.raises(kind) as caught:
        RedisStore(url, "account").allot(DAY, cap=1, allotted=0, least=1, wanted=1)
    assert not isinstance(caught.value, UnansweredError)
    assert said in str(caught.value)
    assert "canary-9137" not in everything_shown_by(caught.value)


def test_a_user_with_the_commands_that_are_named_needs_no_others(server: redis.Redis, made, at_once: None):
    _, _, named = str(reason_of_redis(redis.exceptions.NoPermissionError("NOPERM"))).partition("grant the user ")
    commands = re.findall(r"[a-z]+", named.partition(" on the keys")[0].replace(" and ", " "))
    allowed = [f"+{command}" for command in commands]
    server.execute_command("ACL", "SETUSER", "ours", "on", ">secret", "~deepseek-async:*", "-@all", *allowed)
    store = RedisStore(url_of(server).replace("://", "://ours:secret@"), "account")
    assert store.allot(DAY, cap=100, allotted=0, least=5, wanted=5) == (5, DayTotals())
    server.flushall()
    other = made()
    other.report(DAY, allotted=1, spent=1, spending={})
    store.report(DAY, allotted=5, spent=5, spending={("model", ""): Spending(1, 5)})
    store.first_to_alert(DAY, [0.5])
    assert store.spending(DAY) == {("model", ""): Spending(1, 5)}
    assert store.standing(DAY) == DayTotals(6, 6)
    store.close()


@pytest.mark.parametrize(
    ("trouble", "cured", "said"),
    [
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "read only replica"),
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "maxmemory"),
    ],
)
@pytest.mark.usefixtures("at_once")
def test_what_may_pass_is_worth_asking_again(server: redis.Redis, made, trouble, cured, said: str):
    store = made()
    server.execute_command(*trouble)
    with pytest.raises(UnansweredError, match=said):
        store.allot(DAY, cap=100, allotted=0, least=5, wanted=5)
    server.execute_command(*cured)
    assert store.allot(DAY, cap=100, allotted=0, least=5, wanted=5)[0] == 5
