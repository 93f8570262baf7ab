"""A window that keeps to its share of the account's, and one that finds the account's for all."""

from __future__ import annotations

import pytest

from deepseek_async.admission.concurrency import AdaptiveLimit
from deepseek_async.admission.concurrency_limit import Attempt, Mode
from deepseek_async.admission.sharing.account_limit import AccountLimit
from deepseek_async.admission.sharing.group import Group, GroupTerms, step
from deepseek_async.admission.sharing.heartbeat import Reply
from deepseek_async.admission.sharing.shared_limit import SharedLimit

TERMS = GroupTerms(lease=1000, gone=2000)


class Process:
    """One process of an account, whose attempts are answered when the test says so."""

    def __init__(self, group: Group, name: str, *, start: float | None = None, most: int = 2500) -> None:
        self.group, self.name = group, name
        self.window = SharedLimit(cap=2500, most=most, chance=lambda: 0.5, now=0.0, start=start)
        self.open: list[Attempt] = []
        self.needs = 0
        self.window.on_need = self._needs

    def _needs(self) -> None:
        self.needs += 1

    def beat(self, now: float, *, want: int = 100):
        report = self.window.report(self.name, "", people=0, bulk=want)
        reply = step(self.group, report, int(1000 * now), TERMS)
        self.window.follow(reply, now, sure_until=now + 1)
        return reply

    def fill(self, now: float) -> int:
        while self.window.may_send(now):
            attempt = self.window.sent(now)
            self.window.admitted(attempt, now)
            self.open.append(attempt)
        return len(self.open)

    def end(self, count: int, now: float) -> None:
        for _ in range(count):
            self.window.ended(self.open.pop(0), now)

    def refuse(self, count: int, now: float, *, limit: int) -> None:
        for _ in range(count):
            self.window.refused(self.open.pop(), now, limit=limit, current=limit + 1)


def pair(*, at: float = 60) -> tuple[Process, Process]:
    """Two processes that share 60 places."""
    group = Group()
    first, second = Process(group, "a", start=at), Process(group, "b")
    first.window.adopt(at, 0.0, ceiling=at)
    for turn in range(8):
        for process in (first, second):
            process.end(max(0, len(process.open) - process.window.size), turn / 10)
            process.beat(turn / 10)
            process.fill(turn / 10)
    return first, second


def test_one_alone_finds_the_limit_itself():
    process = Process(Group(), "a")
    process.beat(0.0)
    process.fill(0.0)
    process.refuse(1, 0.1, limit=10)
    assert not process.window.is_grouped
    assert process.window.size == 10
    assert process.window.statistics(0.1).limit == 10


def test_two_share_what_one_had():
    first, second = pair()
    assert (len(first.open), len(second.open)) == (30, 30)
    assert first.window.statistics(1.0).leads
    assert second.window.statistics(1.0).account_size == 60


def test_a_refusal_anywhere_lowers_the_window_of_all():
    first, second = pair()
    second.refuse(3, 0.9, limit=40)
    second.beat(0.9)
    first.beat(0.95)  # hears of it
    first.beat(1.0)  # and says how large the window is now
    assert second.beat(1.05).window <= 41
    assert first.window.statistics(1.0).account_size is not None


def test_the_place_of_a_refused_attempt_stays_empty_until_the_leader_has_had_its_say():
    _, second = pair()
    second.refuse(3, 0.9, limit=40)
    assert not second.window.may_send(0.9)
    assert second.needs


def test_a_member_that_was_not_heard_in_time_sends_one_at_a_time():
    _, second = pair()
    second.end(30, 2.0)
    assert second.window.may_send(2.0)
    second.window.sent(2.0)
    assert not second.window.may_send(2.0)
    assert second.needs


def test_a_member_that_finds_no_group_goes_on_with_its_share():
    _, second = pair()
    second.window.go_alone(2.0)
    assert second.window.statistics(2.0).size == 30
    second.refuse(1, 2.1, limit=20)
    assert second.window.size < 30


def test_one_that_is_left_alone_has_the_whole_window():
    first, second = pair()
    first.group.members.pop("b")
    first.beat(1.0)
    assert first.window.size == 60
    assert second.window.size == 30


def test_one_that_takes_over_the_lead_goes_on_from_what_was_found():
    first, second = pair()
    first.group.members.pop("a")
    Process(first.group, "c").beat(1.0)
    reply = second.beat(1.0)
    assert reply.leads or first.group.leader == "c"
    assert first.group.window == 60


def test_a_process_never_has_more_than_it_may():
    group = Group()
    first, second = Process(group, "a", start=60, most=10), Process(group, "b")
    first.window.adopt(10, 0.0, ceiling=None)
    group.window = 60
    for turn in range(8):
        first.beat(turn / 10)
        second.beat(turn / 10)
    assert first.window.size <= 10


def test_after_an_outage_a_share_is_grown_into_and_not_thrown_at_the_server():
    _, second = pair()
    second.end(30, 0.9)
    second.window.restart(0.9)
    second.beat(0.95)
    assert second.window.size < 30
    for turn in range(40):
        second.beat(1 + turn / 10)
        second.fill(1 + turn / 10)
    assert second.window.size >= 25


def test_where_a_common_window_explains_nothing_each_goes_alone_for_a_while():
    first, second = pair()
    first.window._apart_until = 31_000  # what the leader says when it is so
    first.beat(1.0)
    second.beat(1.1)
    assert not first.window.is_grouped
    assert not second.window.is_grouped
    for process in (first, second, first, second):
        process.beat(32.0)
    assert first.window.is_grouped
    assert second.window.is_grouped


def test_the_window_of_a_member_holds_and_grows_by_no_clock_of_its_own():
    _, second = pair()
    assert second.window.statistics(1.0).mode is Mode.HOLD
    assert second.window.next_change(1.0) is None


def test_members_that_were_apart_because_no_group_answered_come_together_at_what_they_had():
    first, second = pair()
    for process in (first, second):
        process.window.go_alone(1.0)
    first.group = second.group = Group()
    for turn in range(10, 20):
        first.beat(turn / 10)
        second.beat(turn / 10)
    assert first.window.statistics(2.0).account_size >= 60
    assert first.window.size + second.window.size >= 60


def reply_of(**told) -> Reply:
    zeros = dict.fromkeys(
        ("apart_until", "now", "in_flight", "sent", "taken", "refused", "told", "limit", "current"), 0
    )
    return Reply(
        **{"share": 60, "window": 60, "ceiling": 60, "leads": True, "members": 2, "moving": False, "gathers": False}
        | zeros
        | told
    )


def test_attempts_that_ended_without_an_answer_do_not_make_the_account_deaf_to_refusals():
    window = AdaptiveLimit(cap=2500, chance=lambda: 0.5, now=0.0, start=60)
    window.adopt(60, 0.0, ceiling=60)
    account = AccountLimit(window, reply_of(), 0.0)
    sent = taken = 0
    for tick in range(1, 1000):
        # One of four ends before it was answered.
        sent, taken = sent + 1, taken + (tick % 4 > 0)
        account.told(reply_of(sent=sent, taken=taken, in_flight=60), tick / 4)
    assert 250 - account._unanswered[0].sent_at < 2
    assert window.in_flight == 60


@pytest.mark.parametrize(
    ("one_in", "numbers", "explains"), [(5, False, False), (3, False, False), (30, False, True), (5, True, True)]
)
def test_refusals_without_numbers_that_go_on_whatever_the_window_are_no_question_of_a_window(
    one_in: int, numbers: bool, explains: bool
):
    window = AdaptiveLimit(cap=2500, chance=lambda: 0.5, now=0.0, start=60)
    window.adopt(60, 0.0, ceiling=60)
    account = AccountLimit(window, reply_of(), 0.0)
    refused = 0
    for number in range(1, 1000):
        refused += number % one_in == 0
        told = refused if numbers else 0
        named = {"limit": 60, "current": 61} if numbers else {}
        account.told(reply_of(sent=number, taken=number - refused, refused=refused, told=told, **named), number / 20)
        if not account.explains:
            break
    assert account.explains == explains
    if not explains:
        assert number < 400
