"""What a group far away gives out, whatever becomes of it: heartbeats held up and lost, the group lost, an older one in
its place, members out of reach, members that come."""

from __future__ import annotations

import copy
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_async.admission.sharing.group import Group, leave, step
from deepseek_async.admission.sharing.group_redis import TERMS
from deepseek_async.admission.sharing.heartbeat import Heartbeat, Reply

WINDOW = 60
TICK = 20
PATIENCE = 1000


class Member:
    """A process that uses what it may, and keeps to what it has last heard."""

    def __init__(self, name: str, now: int) -> None:
        self.name = name
        self.share, self.window, self.heard_at = 0, WINDOW, 0
        self.in_flight = 0
        self.sure_until = self.answered_at = now
        self.number = 0
        self.due = now
        self.alone = False
        self.brought = 0
        """What it ran of its own beyond the group's knowledge, when it came back to it."""
        self.underway: tuple[int, int, Reply | None] | None = None

    def may_have(self, now: int) -> int:
        if not self.heard_at:
            return 1
        if self.alone:
            return max(1, self.share)
        return self.share if now < self.sure_until else 1

    def beat(self, want: int) -> Heartbeat:
        self.number += 1
        return Heartbeat(
            member=self.name,
            number=self.number,
            in_flight=self.in_flight,
            bulk=want,
            share=self.share,
            held=max(1, self.share) if self.alone or not self.heard_at else self.share,
            heard_at=self.heard_at,
            window=self.share if self.alone else self.window,
            ceiling=WINDOW,
        )


class World:
    """Members of one group on a clock of the test's."""

    def __init__(self, seed: int, *, partitions: bool) -> None:
        self.chance = random.Random(seed)
        self.partitions = partitions
        self.now = 1_000_000
        self.group = Group()
        self.skew = 0
        self.down_until = 0
        self.cut_until: dict[str, int] = {}
        self.members: list[Member] = []
        self.late: list[tuple[int, Heartbeat]] = []
        """Heartbeats that nobody waits for any more, and that will arrive."""
        self.snapshots: list[Group] = []
        self.count = 0

    def come(self) -> None:
        self.count += 1
        self.members.append(Member(f"{self.count:04x}", self.now))

    def run(self, milliseconds: int) -> None:
        for _ in range(milliseconds // TICK):
            self.now += TICK
            for at, beat in list(self.late):
                if self.now >= at and self.now >= self.down_until:
                    self.late.remove((at, beat))
                    step(self.group, beat, self.now + self.skew, TERMS)
            for member in self.chance.sample(self.members, len(self.members)):
                self.live(member)
            self.snapshots = [*self.snapshots[-40:], copy.deepcopy(self.group)]
            self.check()

    def live(self, member: Member) -> None:
        chance, now = self.chance, self.now
        ended = sum(chance.random() < 0.02 for _ in range(member.in_flight))
        member.in_flight -= ended
        member.brought = min(member.brought, member.in_flight)
        if member.underway is not None and now >= member.underway[0]:
            _, asked_at, reply = member.underway
            member.underway = None
            self.hear(member, asked_at, reply)
        if member.underway is None and now >= member.due:
            self.ask(member)
        while member.in_flight < member.may_have(now) and chance.random() < 0.9:
            member.in_flight += 1

    def ask(self, member: Member) -> None:
        beat = member.beat(chance_of_want(self.chance))
        cut = self.cut_until.get(member.name, 0) > self.now
        fate = self.chance.random()
        if cut or self.now < self.down_until or fate < 0.03:
            member.underway = (self.now + self.chance.choice((TICK, PATIENCE)), self.now, None)
        elif fate < 0.06:  # it arrives, and later than the next ones perhaps
            self.late.append((self.now + self.chance.randrange(3000), beat))
            member.underway = (self.now + PATIENCE, self.now, None)
        elif fate < 0.09:  # the answer is lost
            step(self.group, beat, self.now + self.skew, TERMS)
            member.underway = (self.now + PATIENCE, self.now, None)
        else:
            reply = step(self.group, beat, self.now + self.skew, TERMS)
            member.underway = (self.now + self.chance.choice((TICK, 100, 400, 800)), self.now, reply)

    def hear(self, member: Member, asked_at: int, reply: Reply | None) -> None:
        if reply is None:
            if self.now - member.answered_at >= TERMS.lease and member.heard_at:
                member.alone = True
            member.due = self.now + 100
            return
        if member.alone and self.partitions:
            member.brought = member.in_flight
        member.alone, member.answered_at = False, self.now
        member.share, member.window, member.heard_at = reply.share, reply.window, reply.now
        member.sure_until = asked_at + TERMS.lease
        member.due = self.now + (60 if reply.moving else 260)

    def check(self) -> None:
        following = [member for member in self.members if not member.alone or not self.partitions]
        running = sum(member.in_flight - member.brought for member in following)
        assert running <= WINDOW + len(self.members), (self.now, running, self.group)

    # What happens to the group.

    def go_down(self, milliseconds: int) -> None:
        self.down_until = self.now + milliseconds

    def empty(self) -> None:
        self.group, self.snapshots = Group(), []

    def fall_back(self) -> None:
        """A replica takes over, which has missed up to a second, and whose clock is a little behind."""
        self.group = copy.deepcopy(self.chance.choice(self.snapshots))
        self.skew -= self.chance.randrange(30)
        self.snapshots = []


def chance_of_want(chance: random.Random) -> int:
    return chance.choice((0, 3, 30, 200, 200, 200))


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 8))
def test_a_group_that_is_slow_lost_or_older_gives_out_no_more_than_the_window_and_one_for_each(seed: int, first: int):
    world = World(seed, partitions=False)
    for _ in range(first):
        world.come()
    for _ in range(6):
        world.run(world.chance.choice((500, 3000, 6000)))
        match world.chance.randrange(5):
            case 0:
                world.empty()
            case 1:
                world.go_down(world.chance.choice((1000, 2500, 7000)))
                world.empty()
            case 2:
                world.go_down(world.chance.choice((1200, 2500)))
                world.fall_back()
            case 3:
                world.come()
            case 4:
                gone = world.chance.choice(world.members)
                leave(world.group, gone.name)
                if len(world.members) > 1:
                    world.members.remove(gone)
    world.run(3000)


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(2, 8))
def test_those_out_of_reach_add_what_they_run_when_they_come_back_and_no_more(seed: int, first: int):
    world = World(seed, partitions=True)
    for _ in range(first):
        world.come()
    world.run(3000)
    for _ in range(3):
        for member in world.members:
            if world.chance.random() < 0.4:
                world.cut_until[member.name] = world.now + world.chance.choice((2000, 5000, 9000))
        world.run(world.chance.choice((2500, 6000, 10_000)))
    world.run(6000)


def test_members_that_were_alone_for_long_bring_the_whole_window_back():
    world = World(1, partitions=False)
    for _ in range(4):
        world.come()
    world.run(5000)
    before = sum(member.share for member in world.members)
    world.go_down(9000)
    world.empty()
    world.run(12_000)
    assert 0.7 * before <= world.group.window <= before + 4
