"""The script in Redis and the group in Python are one state machine."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.redis_server import client_of_redis

from deepseek_async.admission.sharing.group import Group, Member, leave, step
from deepseek_async.admission.sharing.group_redis import SCRIPT, TERMS, arguments_of, reply_of
from deepseek_async.admission.sharing.heartbeat import Heartbeat, Reply

KEY = "group"
ON_A_CLOCK = (
    """local real, clock = redis, ARGV[#ARGV]
local redis = {call = function(name, ...)
  if name == 'TIME' then return {tostring(math.floor(clock / 1000)), tostring(clock % 1000 * 1000)} end
  return real.call(name, ...)
end}
"""
    + SCRIPT
)
"""The script, told the time."""

GROUP = ("born", "gathers", "lost", "window", "ceiling", "leader", "apart_until", "sent", "taken", "refused")
GROUP += ("heard", "told", "limit", "current")
MEMBER = ("seen", "number", "in_flight", "people", "bulk", "most", "share", "held", "owed", "sent", "taken")
MEMBER += ("refused", "told")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[redis.Redis]:
    with client_of_redis(tmp_path) as client:
        yield client


class Both:
    """A group in Python, and the same in Redis."""

    def __init__(self, server: redis.Redis) -> None:
        self.server = server
        server.delete(KEY)
        self.run = server.register_script(ON_A_CLOCK)
        self.group = Group()

    def beat(self, beat: Heartbeat, now: int) -> Reply:
        here = step(self.group, beat, now, TERMS)
        arguments = (TERMS.lease, TERMS.gone, TERMS.quiet, 3600, *arguments_of(beat), now)
        there = reply_of(self.run(keys=[KEY], args=arguments))
        assert there == here
        assert self.stored() == self.kept()
        return here

    def leave(self, name: str) -> None:
        leave(self.group, name)
        self.server.hdel(KEY, name)

    def lose(self) -> None:
        self.group = Group()
        self.server.delete(KEY)

    def kept(self) -> tuple[dict[str, Any], dict[str, Any]]:
        named = {name: picked(MEMBER, member) for name, member in self.group.members.items()}
        return picked(GROUP, self.group), named

    def stored(self) -> tuple[dict[str, Any], dict[str, Any]]:
        fields = {name.decode(): msgspec.msgpack.decode(wire) for name, wire in self.server.hgetall(KEY).items()}
        group = dict(zip(GROUP, fields.pop(""), strict=True))
        return group, {name: dict(zip(MEMBER, values, strict=True)) for name, values in fields.items()}


def picked(names: tuple[str, ...], record: Group | Member) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def some_beat(chance: random.Random, name: str, counters: dict[str, int], scale: int, at: int) -> Heartbeat:
    for counter in counters:
        counters[counter] += chance.choice((0, 0, 1, chance.randrange(scale + 1)))
    return Heartbeat(
        member=name,
        in_flight=chance.randrange(scale + 1),
        people=chance.choice((0, chance.randrange(scale + 1))),
        bulk=chance.choice((0, chance.randrange(3 * scale + 1))),
        most=chance.choice((1 << 30, chance.randrange(1, scale + 1))),
        limit=chance.randrange(scale),
        current=chance.randrange(scale),
        share=chance.choice((0, chance.randrange(scale))),
        held=chance.choice((0, chance.randrange(scale))),
        heard_at=chance.choice((0, at, at - chance.randrange(5000))),
        window=chance.randrange(scale),
        ceiling=chance.choice((0, chance.randrange(scale))),
        heard=chance.choice((-1, chance.randrange(scale))),
        apart_until=chance.choice((0, at + 30_000)),
        **counters,
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.sampled_from([2, 9, 60, 500, 2500, 100_000]))
def test_replies_and_states_agree_step_by_step(server: redis.Redis, seed: int, scale: int):
    both, chance = Both(server), random.Random(seed)
    now = 1_800_000_000_000 + chance.randrange(10**9)
    counters = {
        f"{number:016x}": dict.fromkeys(("number", "sent", "taken", "refused", "told"), 0) for number in range(9)
    }
    for _ in range(70):
        now += chance.choice((0, 1, 20, 50, 250, 500, 1100, 3500, 6000, -30, -5000))
        name = chance.choice(list(counters))
        match chance.randrange(30):
            case 0:
                both.leave(name)
            case 1:
                both.lose()
            case 2:
                counters[name]["number"] -= min(2, counters[name]["number"])
        both.beat(some_beat(chance, name, counters[name], scale, now), now)


def test_a_hundred_members_are_divided_alike(server: redis.Redis):
    both, now = Both(server), 1_800_000_000_000
    for turn in range(300):
        now += 7
        both.beat(
            Heartbeat(member=f"{turn % 100:016x}", number=turn, bulk=turn % 17 * 9, people=turn % 5, window=501), now
        )
    assert len(both.group.members) == 100


def test_the_key_is_forgotten_an_hour_after_the_last_heartbeat(server: redis.Redis):
    Both(server).beat(Heartbeat(member="a", window=60), 1_800_000_000_000)
    assert 3590 < server.ttl(KEY) <= 3600


def test_what_is_written_names_nothing_but_numbers(server: redis.Redis):
    Both(server).beat(Heartbeat(member="0a", process="4711-99", window=60), 1_800_000_000_000)
    assert b"4711" not in b"".join(server.hgetall(KEY).values())
