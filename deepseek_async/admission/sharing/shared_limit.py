"""Concurrency limit of one process that follows its share of the account's limit. Pure.

Without a group it finds the limit itself. In a group the leader does so from the refusals of all members, and the size
is the share; what this process still detects itself is server overload, which sharing does not address.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import msgspec

from deepseek_async.admission.concurrency import AdaptiveLimit
from deepseek_async.admission.concurrency_limit import Attempt, ConcurrencyStatistics, Mode
from deepseek_async.admission.sharing.account_limit import AccountLimit
from deepseek_async.admission.sharing.heartbeat import Heartbeat, Reply

_UNBOUND: Final = 1 << 30

_APART: Final = (30_000, 1_800_000)
"""Milliseconds without sharing after a common limit did not explain the refusals: minimum and maximum, doubling."""


class SharedLimit(AdaptiveLimit):
    """See ``ConcurrencyLimit`` for the methods; ``report``, ``follow`` and ``go_alone`` are called by the membership.

    ``on_need`` is called, once per reply, when the share is used up, an attempt was refused, or the share may have
    expired.
    """

    __slots__ = (
        "_account",
        "_alone_as",
        "_apart",
        "_apart_until",
        "_cap_of_account",
        "_grouped",
        "_is_heard",
        "_is_needing",
        "_is_part",
        "_published",
        "_reply",
        "_returning",
        "_share",
        "_sure_until",
        "most",
        "on_need",
    )

    def __init__(
        self,
        *,
        cap: int,
        most: int,
        chance: Callable[[], float],
        now: float,
        start: float | None = None,
        hint: float | None = None,
        distance: Callable[[], float | None] | None = None,
    ) -> None:
        """``cap`` is the account's, ``most`` the maximum of this process; the rest as for AdaptiveLimit."""
        super().__init__(cap=min(cap, most), chance=chance, now=now, start=start, hint=hint, distance=distance)
        self.most: Final = most
        self.on_need: Callable[[], None] = _nobody
        self._cap_of_account: Final = cap
        self._account: AccountLimit | None = None
        self._reply: Reply | None = None
        self._grouped = False  # whether a share of a group sets the size
        self._share = _UNBOUND
        self._sure_until = math.inf
        self._apart = _APART[0]
        self._apart_until = 0
        self._returning = False  # whether it is recovering from an outage
        self._is_needing = self._is_heard = False
        self._published = 0
        self._alone_as: int | None = None  # size without a group, while waiting for one
        self._is_part = False  # whether others use the account although sharing is suspended

    # Limit interface.

    def may_send(self, now: float) -> bool:
        """Whether one more attempt may be sent."""
        if self.in_flight >= self._share or now >= self._sure_until:
            self._need()
            if now >= self._sure_until:
                # The slots may belong to others by now, but one attempt at a time must not wait forever.
                if self.in_flight > 0:
                    return False
                if self._mode is Mode.HOLD:
                    self.size = max(1, self.size)
            elif self._grouped:
                return False
        return super().may_send(now)

    def next_change(self, now: float) -> float | None:
        """Return when to ask again if nothing ends before; None if time changes nothing."""
        if now >= self._sure_until:
            return None if self.in_flight > 0 else super().next_change(now)
        if self._grouped and self.in_flight >= self._share:
            return None
        return super().next_change(now)

    def refused(
        self,
        attempt: Attempt,
        now: float,
        *,
        limit: int | None = None,
        current: int | None = None,
        balance_bound: bool = False,
        certain: bool = False,
    ) -> None:
        """Record a 429. In a group the leader reacts, and the slot stays empty until it has."""
        if not self._grouped:
            super().refused(attempt, now, limit=limit, current=current, balance_bound=balance_bound, certain=certain)
            return
        if not attempt.open:
            return
        self.ended(attempt, now)
        self._refusals += 1
        named = self._named
        named.balance_bound = balance_bound
        if limit is not None and current is not None:
            self._told += 1
            named.limit, named.current = limit, current
        self._share = max(0, self._share - 1)
        self.size = min(self.size, self._share)
        self._need()

    def restart(self, now: float) -> None:
        """Restart after an outage at a tenth of the last working size."""
        super().restart(now)
        self._returning = self._grouped

    def statistics(self, now: float) -> ConcurrencyStatistics:
        """Return the current state, with that of the account."""
        found, reply = super().statistics(now), self._reply
        if not self._grouped or reply is None:
            return found
        account = self._account.window.statistics(now) if self._account is not None else None
        return msgspec.structs.replace(
            found,
            size=min(found.size, self._share),
            mode=account.mode if account is not None else found.mode,
            ceiling=account.ceiling if account is not None else None,
            members=reply.members,
            leads=account is not None,
            account_size=reply.window,
            account_in_flight=reply.in_flight,
        )

    # Membership interface.

    def ceiling_of_account(self, now: float) -> int | None:
        """Return where the account was last refused, if known; a ceiling of one member's part does not count."""
        return None if self._is_part else self.statistics(now).account_ceiling

    @property
    def is_heard(self) -> bool:
        """Whether a group answers."""
        return self._is_heard

    @property
    def is_grouped(self) -> bool:
        """Whether a share of a group sets the size."""
        return self._grouped

    @property
    def has_heard(self) -> bool:
        """Whether a group has ever answered."""
        return self._reply is not None

    def report(
        self, member: str, process: str, *, people: int, bulk: int, number: int = 0, later: bool = False
    ) -> Heartbeat:
        """Return the report for the group. ``later``: the reply will take a while."""
        window, ceiling = self._found()
        self._published = max(1, window)
        return Heartbeat(
            member=member,
            number=number,
            process=process,
            in_flight=self.in_flight,
            people=people,
            bulk=bulk,
            most=self.most,
            sent=self._number,
            taken=self._admissions,
            refused=self._refusals,
            told=self._told,
            limit=self._named.limit or 0,
            current=self._named.current or 0,
            share=0 if self._reply is None else min(self._share, self.size),
            held=self._held(later=later),
            heard_at=0 if self._reply is None else self._reply.now,
            window=window,
            ceiling=ceiling,
            heard=-1 if self._account is None or self._reply is None else self._reply.refused,
            apart_until=self._apart_until,
        )

    def follow(self, reply: Reply, now: float, *, sure_until: float) -> None:
        """Follow a reply. From ``sure_until`` on the share may belong to another member."""
        self._is_needing, self._is_heard = False, True
        self._alone_as = None
        self._reply, self._sure_until = reply, sure_until
        if reply.members == 1 and not (reply.gathers and self._grouped):
            # The only member: the share is reserved against newcomers and binds nobody.
            if self._grouped:
                self._leave_group(reply.window, reply.ceiling or None, now)
            elif self._is_part:
                self._leave_group(self.size, None, now)
            self._is_part = False
            self._share = reply.share
            return
        if reply.now < reply.apart_until:
            self._apart_until = reply.apart_until
            self.go_alone(now)
            return
        self._grouped, self._is_part = True, False
        self._share = reply.share
        self._resize_to(reply.share)
        self._lead(reply, now)

    def go_alone(self, now: float) -> None:
        """Continue alone: the group is unreachable, or its limit does not explain the refusals."""
        self._is_heard = False
        if self._alone_as is not None:
            self._grouped = self._returning = False
            self.adopt(self._alone_as, now, ceiling=None)
        elif self._grouped:
            share = max(1, self._share)
            self._is_part = True
            self._leave_group(share, share, now)
        self._account = self._alone_as = None
        self._share, self._sure_until = _UNBOUND, math.inf
        self._is_needing = False

    def expect_group(self) -> None:
        """Send a single attempt until the group answers."""
        self._alone_as = self.size
        self._grouped = True
        self._share = 1
        self._resize_to(1)

    def _held(self, *, later: bool) -> int:
        """Return the attempts that may be in flight before the reply; everything if no share applies."""
        if not self._grouped:
            return self.size
        return min(self._share, self.size) if later else 0

    def _found(self) -> tuple[int, int]:
        """Return the account's limit and ceiling, as far as known here."""
        reply = self._reply
        if self._account is not None and reply is not None:
            window = self._account.window
            return window.size, int(window.known_ceiling or 0)
        if reply is not None and reply.now < reply.apart_until:
            return reply.in_flight, reply.in_flight
        if reply is not None and self._grouped:
            return reply.window, reply.ceiling
        if reply is not None and self._is_part:
            return max(self.size, reply.window), reply.ceiling  # sum over all members in the last reply
        return self.size, int(self.known_ceiling or 0)

    def _lead(self, reply: Reply, now: float) -> None:
        """Determine the account's limit if this member is the leader."""
        if not reply.leads:
            self._account = None
            return
        account = self._account
        # A restored group has since learned that its members have more, or less, than this one knew.
        if account is None or reply.window != self._published:
            # More may be in flight than the limit: attempts that a member sent alone before it knew of others.
            start = max(reply.window, reply.in_flight)
            window = AdaptiveLimit(cap=self._cap_of_account, chance=self._chance, now=now, start=start)
            if reply.ceiling:
                window.adopt(reply.window, now, ceiling=reply.ceiling)
            self._account = AccountLimit(window, reply, now)
            return
        account.told(reply, now)
        if not account.explains:
            self._apart_until = reply.now + self._apart
            self._apart = min(_APART[1], 2 * self._apart)
            self._account = None
            self._need()
        elif account.window.size != reply.window:
            self._need()

    def _leave_group(self, size: int, ceiling: int | None, now: float) -> None:
        self._grouped = self._returning = False
        self._account = None
        self.adopt(size, now, ceiling=ceiling)

    def _resize_to(self, share: int) -> None:
        if self._returning and self.size < share:
            return  # it grows to the share by itself
        self._returning = False
        if self.is_troubled:
            return  # overload control limits it as well
        self._enter(Mode.HOLD)
        self._w = max(1.0, float(share))
        self.size = share
        self._before = self._w
        self._due = math.inf

    def _need(self) -> None:
        if not self._is_needing:
            self._is_needing = True
            self.on_need()


def _nobody() -> None:
    """Default callback without effect."""
