"""A process's membership of a group: whatever becomes of heartbeats, no call waits for ever for a share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.waiting import settled

from deepseek_async.admission.account_limiter import AccountLimiter
from deepseek_async.admission.limit_factory import LimitFactory
from deepseek_async.admission.sharing.group import Group, GroupTerms, leave, step
from deepseek_async.admission.sharing.group_file import FileGroup
from deepseek_async.admission.sharing.heartbeat import Heartbeat, Reply
from deepseek_async.admission.sharing.membership import Membership

MODEL = "deepseek-flash"


class Room:
    """A meeting in memory that answers, does not, or breaks."""

    where, process, answers_later = "room", "", False
    terms = GroupTerms(lease=1000, gone=2000)

    def __init__(self) -> None:
        self.group = Group()
        self.state = "open"
        self.beats = 0

    def exchange(self, model: str, beat: Heartbeat, answer: Callable[[Reply | None], None]) -> None:
        del model
        self.beats += 1
        if self.state == "broken":
            raise OverflowError("a heartbeat that nobody has thought of")
        if self.state == "silent":
            return
        locked = self.state == "locked"
        answer(None if locked else step(self.group, beat, int(1000 * asyncio.get_running_loop().time()), self.terms))

    def other(self, name: str = "other", *, want: int = 1000, window: int = 60) -> Reply:
        now = int(1000 * asyncio.get_running_loop().time())
        share = self.group.members[name].share if name in self.group.members else 0
        beat = Heartbeat(
            member=name,
            in_flight=share,
            bulk=want,
            share=share,
            window=window,
            ceiling=window,
            heard=self.group.refused,
        )
        return step(self.group, beat, now, self.terms)

    def leave(self, model: str, member: str) -> None:
        del model
        leave(self.group, member)

    async def aclose(self) -> None:
        """Nothing is open."""


def limiter_in(room):
    windows = LimitFactory("auto", most=2500, meeting=room)
    return AccountLimiter(windows, joins=windows.join).limiter(MODEL)


async def take(limiter) -> float:
    """Seconds until a call may start."""
    before = asyncio.get_running_loop().time()
    lease = await limiter.admit(next(limiter.tickets), 10, bulk=False)
    took = asyncio.get_running_loop().time() - before
    lease.abandoned(sent=False)
    return took


async def without_a_share(room: Room):
    """A limiter whose group has given everything to another."""
    room.other()
    limiter = limiter_in(room)
    assert limiter.window.is_grouped
    assert not limiter.window.may_send(limiter.loop.time())
    return limiter


@pytest.mark.parametrize("state", ["broken", "silent", "locked"])
async def test_a_call_without_a_share_waits_for_a_lease_at_most_when_no_group_answers(state: str):
    room = Room()
    limiter = await without_a_share(room)
    room.state = state
    assert await asyncio.wait_for(take(limiter), 30) <= 1.3
    room.state = "open"
    await asyncio.sleep(2)
    assert limiter.window.is_heard == (state != "silent")  # whoever never says anything is not asked again


async def test_a_heartbeat_that_breaks_fails_no_call_and_is_said_once(caplog: pytest.LogCaptureFixture):
    room = Room()
    room.state = "broken"
    assert await asyncio.wait_for(take(limiter_in(room)), 30) < 0.1
    await asyncio.sleep(5)
    assert sum("heartbeat" in record.getMessage() for record in caplog.records) == 1


async def test_a_call_that_comes_after_the_group_was_left_is_bound_by_nobody():
    limiter = await without_a_share(Room())
    waiting = asyncio.create_task(take(limiter))
    await settled()
    limiter.leave_group()
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(take(limiter), 1)


async def test_one_that_finds_the_group_busy_at_first_asks_again_soon():
    room = Room()
    room.other()
    room.state = "locked"
    limiter = limiter_in(room)
    room.state = "open"
    await asyncio.sleep(0.06)
    assert limiter.window.is_grouped


async def test_whoever_waits_for_a_group_that_is_silent_does_not_ask_the_clock_all_the_time(monkeypatch):
    room = Room()
    limiter = await without_a_share(room)
    asked = 0
    limiter.window.expect_group()
    limiter.window._share, limiter.window._sure_until = 5, limiter.loop.time()
    limiter.window._resize_to(5)
    room.state = "silent"
    limiter.membership._asking = True
    attempt = limiter.window.sent(limiter.loop.time())
    may_send = type(limiter.window).may_send

    def counted(window, now: float) -> bool:
        nonlocal asked
        asked += 1
        return may_send(window, now)

    monkeypatch.setattr(type(limiter.window), "may_send", counted)
    waiting = asyncio.create_task(limiter.admit(next(limiter.tickets), 10, bulk=False))
    await asyncio.sleep(0.5)
    assert asked < 10
    limiter.window.ended(attempt, limiter.loop.time())
    limiter.leave_group()
    (await waiting).abandoned(sent=False)


async def test_one_alone_that_stood_still_asks_before_it_uses_what_others_may_have_by_now():
    room = Room()
    limiter = limiter_in(room)
    window = limiter.window
    first = window.sent(limiter.loop.time())
    room.state = "silent"
    limiter.membership._asking = True
    later = limiter.loop.time() + 3
    assert not window.may_send(later)
    window.ended(first, later)
    assert window.may_send(later)
    limiter.leave_group()


def names(folder: Path) -> list[str]:
    group = SimpleNamespace(members=())
    for file in folder.iterdir():
        FileGroup(folder, "account")._locked(MODEL, lambda found: group.__setattr__("members", list(found.members)))
        assert file.exists()
    return list(group.members)


def joined(folder: Path, kept: list) -> None:
    """What an event loop leaves behind whose client nobody has closed."""

    async def join() -> None:
        windows = LimitFactory("auto", most=2500, meeting=FileGroup(folder, "account"))
        kept.append(AccountLimiter(windows, joins=windows.join).limiter(MODEL))

    asyncio.run(join())


def test_a_second_event_loop_finds_nothing_taken_by_one_that_has_ended(tmp_path: Path):
    kept: list = []
    joined(tmp_path / "cache", kept)
    (first,) = names(tmp_path / "cache")
    joined(tmp_path / "cache", kept)
    (second,) = names(tmp_path / "cache")
    assert first != second


def test_a_child_that_was_forked_does_not_end_the_membership_of_its_parent(tmp_path: Path):
    kept: list = []
    joined(tmp_path / "cache", kept)
    before = names(tmp_path / "cache")
    child = os.fork()
    if not child:
        try:
            kept[0].membership.leave_with_loop()
            kept[0].membership._left()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert names(tmp_path / "cache") == before
    assert isinstance(kept[0].membership, Membership)
    kept[0].membership.leave_with_loop()
    assert names(tmp_path / "cache") == []


async def test_what_is_remembered_is_the_ceiling_of_the_account_and_never_a_part_of_it():
    stored: dict[str, int] = {}
    memory = SimpleNamespace(recall=lambda *_: None, store=lambda found, _: stored.update(found))
    room = Room()
    windows = LimitFactory("auto", most=2500, memory=memory, meeting=room)  # type: ignore[arg-type]
    limiter = AccountLimiter(windows, joins=windows.join).limiter(MODEL)
    for _ in range(8):
        room.other()
        await asyncio.sleep(0.2)
    assert limiter.window.is_grouped
    room.state = "locked"
    await asyncio.sleep(1.3)
    assert not limiter.window.is_grouped
    assert limiter.window.statistics(limiter.loop.time()).ceiling
    await windows.aclose([limiter])
    assert stored == {}
