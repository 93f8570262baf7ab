"""Group of one account and model: members, shares and leader. Pure; ``group.lua`` is the same in Redis.

A member without heartbeats loses its share when its lease expires; its attempts in flight are then forgotten
gradually, because the server may still be working on them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from deepseek_async.admission.sharing.division import Demand, Share, divide, still_owed
from deepseek_async.admission.sharing.heartbeat import Heartbeat, Reply

VERSION: Final = 1
_LONGEST: Final = 1000
"""Maximum milliseconds counted between two heartbeats."""
STOPPED: Final = 10_000
"""Milliseconds after which the attempts of a live but stalled process are forgotten."""


class GroupTerms(msgspec.Struct, frozen=True):
    """Milliseconds."""

    lease: int
    """Milliseconds without a heartbeat after which a member has no share."""
    gone: int
    """Milliseconds without a heartbeat after which a member no longer counts."""
    quiet: int = 0
    """Milliseconds without any heartbeat after which the group may have been lost; 0 if that cannot happen."""


class Member(msgspec.Struct):
    """State of one member."""

    seen: int
    number: int = 0
    process: str = ""
    in_flight: int = 0
    people: int = 0
    bulk: int = 0
    most: int = 0
    share: int = 0
    held: int = 0
    owed: int = 0
    sent: int = 0
    taken: int = 0
    refused: int = 0
    told: int = 0


class Group(msgspec.Struct):
    """State of the group between two heartbeats."""

    version: int = VERSION
    born: int = 0
    gathers: bool = False
    """Whether state was lost since ``born``: members may still be missing, or have more in flight than is known
    here."""
    lost: bool = False
    """Whether a member of a lost group founded it, so that the size of the limit is unknown."""
    window: int = 0
    ceiling: int = 0
    leader: str = ""
    apart_until: int = 0
    sent: int = 0
    taken: int = 0
    refused: int = 0
    heard: int = 0
    """Refusals known to the leader when it published the limit."""
    told: int = 0
    limit: int = 0
    current: int = 0
    members: dict[str, Member] = {}


def step(
    group: Group, beat: Heartbeat, now: int, terms: GroupTerms, silent: Mapping[str, bool] = MappingProxyType({})
) -> Reply:
    """Process one heartbeat. ``silent`` maps members without heartbeats to whether their process is alive, if known."""
    running = {name for name, is_there in silent.items() if is_there}
    for name in silent.keys() - running - {beat.member}:
        leave(group, name)
    _forget(group, now, terms, running)
    _look_back(group, beat, now, terms)
    known = group.members.get(beat.member)
    is_late = known is not None and beat.number < known.number
    if known is None or not is_late:
        member = _told(group, beat, now)
        passed, member.seen = max(0, min(_LONGEST, now - member.seen)), now
        _hear_of_window(group, beat, now, terms, is_new=known is None)
        if known is None:
            _add_claim(group, beat, now, terms, running)
    else:
        member, passed = known, 0

    live = [name for name, one in group.members.items() if now - one.seen < terms.lease or one is member]
    demands = [_demand(name, group.members[name]) for name in live]
    parts = divide(group.window, demands)
    if not is_late:
        mine = live.index(beat.member)
        member.owed = demands[mine].owed = still_owed(demands[mine], parts[mine], passed)
        if parts[mine].places * 1000 < parts[mine].exact:
            # What it is owed by now counts: in turn, each would lose a free slot to one that asks a little later.
            parts = divide(group.window, demands)
        others = _counted_of_others(group, beat.member, now, terms, running)
        # The slot of a refused attempt stays empty until the leader has reacted.
        window = group.window - max(0, group.refused - group.heard)
        member.share = _granted(group, beat, max(0, min(parts[mine].places, window - others)), now, terms)
    in_flight = sum(_still_in_flight(one, now, terms, running=name in running) for name, one in group.members.items())
    return Reply(
        share=member.share,
        window=group.window,
        ceiling=group.ceiling,
        leads=group.leader == beat.member,
        members=len(live),
        moving=any(_moves(group.members[name], part) for name, part in zip(live, parts, strict=True)),
        gathers=_gathers(group, now, terms),
        apart_until=group.apart_until,
        now=now,
        in_flight=in_flight,
        sent=group.sent,
        taken=group.taken,
        refused=group.refused,
        told=group.told,
        limit=group.limit,
        current=group.current,
    )


def leave(group: Group, name: str) -> None:
    """Remove a member."""
    group.members.pop(name, None)


def _forget(group: Group, now: int, terms: GroupTerms, running: Collection[str]) -> None:
    for name, member in list(group.members.items()):
        silent = now - member.seen
        # Far below 0 after a restart of the clock.
        if silent < -terms.lease or silent >= (STOPPED if name in running else terms.gone):
            del group.members[name]


def _look_back(group: Group, beat: Heartbeat, now: int, terms: GroupTerms) -> None:
    """Detect that the group was lost, or restored from a replica that was not up to date."""
    if not group.members:
        group.born, group.window = now, 0
        group.gathers = group.lost = beat.share > 0 or terms.quiet > 0
        if terms.quiet and not beat.share:
            # It may be the first member, or the first one to return to a lost group.
            group.born -= max(0, terms.lease - terms.quiet)
        return
    newest = max(member.seen for member in group.members.values())
    if beat.heard_at > newest or (terms.quiet and now - newest >= terms.quiet):
        group.lost = group.lost and now - group.born < terms.lease
        group.born, group.gathers = now, True


def _told(group: Group, beat: Heartbeat, now: int) -> Member:
    member = group.members.get(beat.member)
    if member is None:
        member = group.members[beat.member] = Member(now)
    else:
        group.sent += max(0, beat.sent - member.sent)
        group.taken += max(0, beat.taken - member.taken)
        group.refused += max(0, beat.refused - member.refused)
        group.told += max(0, beat.told - member.told)
        if beat.told > member.told:
            group.limit, group.current = beat.limit, beat.current
    member.number, member.process, member.in_flight, member.held = beat.number, beat.process, beat.in_flight, beat.held
    member.people, member.bulk, member.most = beat.people, beat.bulk, beat.most
    member.sent, member.taken, member.refused, member.told = beat.sent, beat.taken, beat.refused, beat.told
    return member


def _hear_of_window(group: Group, beat: Heartbeat, now: int, terms: GroupTerms, *, is_new: bool) -> None:
    """Accept the limit from the leader. A leader keeps its role while alive, unless it is idle and others are not."""
    if group.leader != beat.member:
        leader = group.members.get(group.leader)
        lives = leader is not None and now - leader.seen < terms.lease
        idle = leader is not None and not (leader.people or leader.bulk or leader.in_flight)
        young = group.window == 0 or now - group.born < terms.lease
        # After a loss, a new member may come first and knows nothing.
        knows_more = young and is_new and beat.share > 0 and beat.window > group.window
        if not knows_more and lives and not (idle and (beat.people or beat.bulk)):
            return
        group.leader = beat.member
        if knows_more:
            group.gathers = group.lost = True
        elif group.window and not beat.share:
            return  # a new leader starts from the known limit
    least = group.window if group.lost and now - group.born < terms.lease else 1
    group.window, group.ceiling, group.apart_until = max(least, beat.window), beat.ceiling, beat.apart_until
    group.heard = group.refused if beat.heard < 0 else beat.heard


def _add_claim(group: Group, beat: Heartbeat, now: int, terms: GroupTerms, running: Collection[str]) -> None:
    """Restore the limit of a lost group: members that were alone know only their own part, and the sum counts."""
    if not group.lost or not beat.share or now - group.born >= terms.lease:
        return
    others = _counted_of_others(group, beat.member, now, terms, running)
    group.window = max(group.window, others + max(beat.share, beat.in_flight))
    if group.ceiling:
        group.ceiling = max(group.ceiling, group.window)


def _granted(group: Group, beat: Heartbeat, free: int, now: int, terms: GroupTerms) -> int:
    """Return how much of the member's part is free to use now."""
    if _gathers(group, now, terms):
        return min(free, max(beat.share, beat.in_flight, 1))
    return free


def _gathers(group: Group, now: int, terms: GroupTerms) -> bool:
    return group.gathers and now - group.born < terms.lease


def _moves(member: Member, part: Share) -> bool:
    """Whether the share is about to change, apart from lent slots."""
    wanted = -(-part.exact // 1000)
    return member.share > part.places or member.share < min(wanted, part.places)


def _demand(name: str, member: Member) -> Demand:
    return Demand(name, member.people, member.bulk, member.most, member.share, member.owed)


def _counted_of_others(group: Group, name: str, now: int, terms: GroupTerms, running: Collection[str]) -> int:
    return sum(
        _counted(one, now, terms, running=other in running) for other, one in group.members.items() if other != name
    )


def _counted(member: Member, now: int, terms: GroupTerms, *, running: bool) -> int:
    """Return the slots that no other member may use."""
    if now - member.seen < terms.lease:
        return max(member.share, member.held, member.in_flight)
    return _still_in_flight(member, now, terms, running=running)


def _still_in_flight(member: Member, now: int, terms: GroupTerms, *, running: bool) -> int:
    silent, gone = now - member.seen, STOPPED if running else terms.gone
    if silent < terms.lease:
        return member.in_flight
    return -(-member.in_flight * max(0, gone - silent) // (gone - terms.lease))
