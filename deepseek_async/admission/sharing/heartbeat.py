"""Messages between a member and its group. Pure. Integers; times in milliseconds of the group's clock."""

from __future__ import annotations

import msgspec


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """Report of one member."""

    member: str
    """Unique name of the member."""
    number: int = 0
    """Sequence number; a delayed heartbeat is ignored."""
    process: str = ""
    """Identifier of the process on its machine; empty if not reported."""
    in_flight: int = 0
    people: int = 0
    """Interactive calls in flight or waiting."""
    bulk: int = 0
    """Batch calls in flight or waiting."""
    most: int = 1 << 30
    """Maximum concurrency of this process."""
    sent: int = 0
    """Attempts sent so far; this and the following counters never decrease."""
    taken: int = 0
    refused: int = 0
    """Attempts refused for concurrency."""
    told: int = 0
    """Attempts refused with numbers."""
    limit: int = 0
    """Limit reported by the last of those refusals."""
    current: int = 0
    """Concurrency reported by it."""
    share: int = 0
    """Last share received; 0 for a new member."""
    held: int = 0
    """Attempts that may be in flight before the reply arrives."""
    heard_at: int = 0
    """Group clock of the last reply received; 0 if none."""
    window: int = 0
    """Account limit: from the leader its measurement, from others the last value received."""
    ceiling: int = 0
    """Size at which the account was last refused; 0 if unknown."""
    heard: int = -1
    """Leader: refusals of all members that the limit accounts for; -1 for all."""
    apart_until: int = 0
    """Leader: time until which a common limit explains nothing and each member finds its own."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Reply of the group."""

    share: int
    """Attempts that the member may have in flight."""
    window: int
    """Attempts that all members may have in flight."""
    ceiling: int
    leads: bool
    """Whether the member determines the limit."""
    members: int
    moving: bool
    """Whether shares are moving between members, so that the next heartbeat should follow soon."""
    gathers: bool
    """Whether members may have more in flight than the group knows, so that no share may grow."""
    apart_until: int
    now: int
    """Clock of the group."""
    in_flight: int
    """Attempts in flight over all members."""
    sent: int
    """Attempts of all members since the start; compare this and the following counters with the previous reply."""
    taken: int
    refused: int
    told: int
    limit: int
    current: int
