"""What a member tells its group, and what it is told. Pure. Whole numbers, and milliseconds of the group's clock."""

from __future__ import annotations

import msgspec


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """A member at one moment."""

    member: str
    """Its name, which no other has ever had."""
    number: int = 0
    """The how many-th of its heartbeats this is: one that was held up on its way tells nothing any more."""
    process: str = ""
    """What names its process on its machine; empty if it says nothing."""
    in_flight: int = 0
    people: int = 0
    """Interactive calls that run or wait."""
    bulk: int = 0
    """Bulk calls that run or wait."""
    most: int = 1 << 30
    """Attempts at a time that this process can or may have."""
    sent: int = 0
    """Attempts so far; this and what follows only ever grows."""
    taken: int = 0
    refused: int = 0
    """Refused because too many run."""
    told: int = 0
    """Refused with numbers."""
    limit: int = 0
    """The limit that the last of them named."""
    current: int = 0
    """The concurrency that it named."""
    share: int = 0
    """What it was given last; 0 for one that comes new."""
    held: int = 0
    """What it may come to have in flight before it hears the answer."""
    heard_at: int = 0
    """The group's clock in the last reply that it has heard; 0 for none."""
    window: int = 0
    """The account's window: as the leader has found it, or as the others have last heard of it."""
    ceiling: int = 0
    """Where the account was last refused; 0 while that is not known."""
    heard: int = -1
    """From the leader: the refusals of all members that the window takes into account; -1 for all there are."""
    apart_until: int = 0
    """From the leader: until then a common window explains nothing, and each finds its own."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What the group answers."""

    share: int
    """Attempts that the member may have in flight."""
    window: int
    """Attempts that all may have in flight."""
    ceiling: int
    leads: bool
    """Whether the member is the one that finds the window."""
    members: int
    moving: bool
    """Whether shares are on their way from one member to another, so that the next heartbeat should come soon."""
    gathers: bool
    """Whether others may have more than the group knows of, so that for now nobody gets more than it has."""
    apart_until: int
    now: int
    """The group's clock."""
    in_flight: int
    """Attempts of all members."""
    sent: int
    """Attempts of all members, ever; this and what follows is to be compared with the reply before."""
    taken: int
    refused: int
    told: int
    limit: int
    current: int
