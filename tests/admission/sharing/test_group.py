"""The members of one account: what they may use together, whatever happens to them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.thoroughness import often

from deepseek_async.admission.sharing.group import STOPPED, Group, GroupTerms, Member, leave, step
from deepseek_async.admission.sharing.heartbeat import Heartbeat, Reply

TERMS = GroupTerms(lease=1000, gone=2000)
MANY = 1 << 30


class Members:
    """Members that use all of what they are given."""

    def __init__(self, window: int, *, want: int = 1000) -> None:
        self.group = Group()
        self.window = window
        self.want = want
        self.now = 5_000
        self.in_flight: dict[str, int] = {}
        self.share: dict[str, int] = {}

    def beat(self, name: str, **told) -> Reply:
        in_flight = self.in_flight.get(name, 0)
        told = {
            "bulk": self.want,
            "window": self.window,
            "ceiling": self.window,
            "share": self.share.get(name, 0),
        } | told
        reply = step(self.group, Heartbeat(member=name, in_flight=in_flight, **told), self.now, TERMS)
        self.share[name] = reply.share
        self.in_flight[name] = max(in_flight, reply.share)
        return reply

    def settle(self, *names: str, rounds: int = 12) -> list[int]:
        """Heartbeats in turn; attempts beyond a share end meanwhile."""
        for _ in range(rounds):
            for name in names:
                self.now += 20
                self.in_flight[name] = min(self.in_flight.get(name, 0), self.share.get(name, 0))
                self.beat(name)
        return [self.share[name] for name in names]


def test_one_alone_leads_and_is_given_what_it_wants():
    members = Members(60)
    reply = members.beat("a")
    assert (reply.leads, reply.members, reply.share) == (True, 1, 60)


@given(st.integers(1, 6), st.permutations("abcdefgh"), st.integers(2, 8), st.integers(0, 3000))
def test_a_slot_that_nobody_holds_is_taken_within_a_round_of_heartbeats(
    window: int, order: list[str], many: int, owed: int
):
    names = order[:many]
    members = Members(window)
    members.group = Group(born=1, window=window, leader=names[0])
    # All were without a share for as long.
    members.group.members = {name: Member(members.now, bulk=1000, most=MANY, owed=owed) for name in names}
    assert sum(members.settle(*names, rounds=3)) == window


def test_a_newcomer_gets_what_is_free_and_its_part_as_places_become_free():
    members = Members(60)
    members.beat("a")
    assert members.beat("b").share == 0
    assert members.settle("a", "b") == [30, 30]


def test_the_part_of_a_killed_member_is_back_after_two_seconds():
    members = Members(60)
    members.settle("a", "b")
    members.now += 990
    members.beat("a")
    members.now += 1010
    assert members.beat("a").share == 60


def test_the_attempts_of_a_process_that_stands_still_count_for_longer():
    members = Members(60)
    members.settle("a", "b")
    for _ in range(10):
        members.now += 200
        beat = Heartbeat(member="a", in_flight=30, bulk=99, share=30, window=60)
        reply = step(members.group, beat, members.now, TERMS, {"b": True})
    assert 30 <= reply.share < 40
    members.now += STOPPED
    step(members.group, beat, members.now, TERMS, {"b": True})
    assert set(members.group.members) == {"a"}


def test_the_part_of_a_process_that_is_known_to_have_ended_is_back_at_once():
    members = Members(60)
    members.settle("a", "b")
    members.now += 600
    beat = Heartbeat(member="a", in_flight=30, bulk=99, share=30, window=60)
    assert step(members.group, beat, members.now, TERMS, {"b": False}).share == 60


def test_another_leads_when_the_leader_is_gone_and_begins_with_what_was_found():
    members = Members(60)
    members.settle("a", "b")
    members.window = 4
    members.now += 500
    assert not members.beat("b", share=0).leads
    members.now += 600
    reply = members.beat("b", share=0)
    assert reply.leads
    assert reply.window == 60


def test_a_leader_with_nothing_to_do_leaves_it_to_one_that_has():
    members = Members(60)
    members.beat("a", bulk=0)
    members.in_flight["a"] = 0
    members.beat("a", bulk=0)
    assert members.beat("b").leads


def test_a_place_that_was_refused_is_not_given_away_before_the_leader_knows_of_it():
    members = Members(60)
    members.settle("a", "b")
    members.in_flight["b"] -= 5
    reply = members.beat("b", refused=5)
    assert reply.share == 25
    reply = members.beat("a", heard=0)
    assert reply.share <= 30
    members.beat("a", heard=5)
    assert sum(members.settle("a", "b")) == 60


def test_members_of_a_group_that_was_lost_come_together_within_what_they_had():
    members = Members(60)
    members.settle("a", "b", "c")
    members.group = Group()
    shares = [members.beat(name).share for name in "abc"]
    assert shares == [20, 20, 20]


def test_one_that_comes_new_to_a_lost_group_gets_no_more_than_one_place_for_now():
    members = Members(60)
    members.settle("a", "b", "c")
    members.group = Group()
    members.beat("a")
    assert members.beat("d").share <= 1


def test_one_that_comes_first_to_a_lost_group_does_not_make_it_forget_the_window():
    members = Members(60)
    members.settle("a", "b")
    members.group = Group()
    members.beat("d", window=4)
    assert members.beat("a").window == 60


def test_a_clock_that_begins_anew_begins_the_group_anew():
    members = Members(60)
    members.settle("a", "b")
    members.now = 10
    reply = members.beat("c", share=0)
    assert (reply.members, reply.leads) == (1, True)


def test_refusals_and_admissions_of_all_are_added_up():
    members = Members(60)
    members.beat("a", sent=10, taken=9, refused=1, told=1, limit=60, current=61)
    before = members.beat("b", sent=5)
    reply = members.beat("b", sent=25, taken=18, refused=2, told=1, limit=60, current=62)
    assert (reply.sent - before.sent, reply.taken - before.taken, reply.refused - before.refused) == (20, 18, 2)
    assert (reply.told - before.told, reply.limit, reply.current) == (1, 60, 62)


@given(st.integers(1, 300), st.lists(st.integers(0, 7), min_size=1, max_size=80))
def test_shares_and_what_runs_never_exceed_the_window(window: int, turns: list[int]):
    members = Members(window)
    for turn in turns:
        members.now += 37
        members.beat(f"m{turn}")
        # None is silent for a lease here, so all of them count.
        if len(turns) * 37 < TERMS.lease:
            assert sum(members.in_flight.values()) <= window


class Schedule(RuleBasedStateMachine):
    """Members that come, work, fall silent, leave; a window that moves; a group that is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.members = Members(50, want=40)
        self.alive: set[str] = set()
        self.number = 0
        self.disturbed_at = 0

    @rule()
    def a_member_comes(self):
        self.number += 1
        if len(self.alive) < 9:
            self.alive.add(f"m{self.number}")
            self.members.beat(f"m{self.number}")

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), ended=st.integers(0, 20), passed=st.integers(1, 60))
    def all_beat(self, data, ended: int, passed: int):
        for name in data.draw(st.permutations(sorted(self.alive))):
            self.members.now += passed
            self.members.in_flight[name] = max(0, self.members.in_flight[name] - ended)
            self.members.beat(name)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def one_leaves(self, data):
        name = data.draw(st.sampled_from(sorted(self.alive)))
        self.alive.discard(name)
        self._drop(name)
        leave(self.members.group, name)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def one_is_killed(self, data):
        name = data.draw(st.sampled_from(sorted(self.alive)))
        self.alive.discard(name)
        self._drop(name)

    def _drop(self, name: str) -> None:
        self.members.in_flight.pop(name, None)
        self.members.share.pop(name, None)

    @invariant()
    def never_more_than_the_window_and_one_for_each(self):
        assert sum(self.members.in_flight.values()) <= self.members.window

    def teardown(self):
        """Whatever happened, all is given out again, in equal parts, within a few seconds."""
        names = sorted(self.alive)
        if names:
            for _ in range(60):
                for name in names:
                    self.members.now += 10
                    self.members.in_flight[name] = min(self.members.in_flight[name], self.members.share[name])
                    self.members.beat(name)
                self.members.now += 40
            shares = [self.members.share[name] for name in names]
            # A place or two are always on their way from one to another.
            assert sum(shares) >= min(50, 40 * len(names)) - 3
            assert max(shares) - min(shares) <= 2


TestSchedule = Schedule.TestCase
TestSchedule.settings = settings(max_examples=often(60), stateful_step_count=30, deadline=None)
