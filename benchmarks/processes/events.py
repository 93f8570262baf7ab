"""What happens to processes and to limits: killed, stopped, fallen. Each returns the figures of its run."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from processes.account import Account
from processes.fleet import Fleet
from processes.ledger import percentile
from processes.scenarios import SETTLING

BETWEEN_KILLS = 1.2
QUIET, END = 10.0, 10.0
"""Seconds after the last kill until the end is measured, and for which it is."""
PATIENCE = 2.0
"""Seconds after which an empty slot is a lost one."""
FULL = 0.95
STOPPED, AFTER_STOP = 6.0, 16.0
LOW = 20.0


async def kills(account: Account, fleet: Fleet, plan: dict[str, Any], seconds: float, seed: int) -> dict[str, Any]:
    """One process after another is killed, and another begun in its place; 50 in 60 seconds."""
    ledger, chance = account.ledger, random.Random(f"kills {seed}")
    await asyncio.sleep(SETTLING)
    began, killed = time.monotonic(), list[float]()
    for number in range(round(seconds / BETWEEN_KILLS)):
        await asyncio.sleep(began + number * BETWEEN_KILLS - time.monotonic())
        place = chance.randrange(len(fleet.members))
        await fleet.members[place].kill()
        # The kernel closes its connections now, and the account's loop is told so.
        await asyncio.sleep(0.02)
        killed.append(time.monotonic())
        successor = fleet.members[place] = fleet.member({**plan, "name": f"k{number}"})
        await successor.start()
        successor.begin()
    await asyncio.sleep(QUIET + END)
    end = time.monotonic()
    # A kill's effect ends with its measurement: infinity does not travel in JSON.
    full = [min(ledger.full_after(at, FULL), end - at) for at in killed]
    return {
        "kills": len(killed),
        "busy": ledger.busy(began, end - QUIET - END),
        "refused": ledger.refused(began, end - QUIET - END),
        "late_p99_s": percentile(ledger.late, 99),
        "worst_second": ledger.worst_second(began, end),
        "full_s": full,
        "full_p50_s": percentile(full, 50),
        "full_worst_s": max(full),
        "lost_slots": ledger.lost_slots(began, end - QUIET - END, PATIENCE),
        "lost_at_end": ledger.lost_slots(end - END, end, PATIENCE),
        "end_busy": ledger.busy(end - END, end),
    }


async def stopped(account: Account, fleet: Fleet, seconds: float) -> dict[str, Any]:
    """Two processes do nothing for a while, and keep their connections."""
    ledger = account.ledger
    await asyncio.sleep(SETTLING)
    stop = time.monotonic()
    for member in fleet.members[:2]:
        member.stop()
    await asyncio.sleep(STOPPED)
    back = time.monotonic()
    for member in fleet.members[:2]:
        member.go_on()
    await asyncio.sleep(max(AFTER_STOP, seconds - SETTLING - STOPPED))
    end, over = back + AFTER_STOP, time.monotonic()
    return {
        "stopped_busy": ledger.busy(stop, back),
        "back_busy": ledger.busy(back, end),
        "refusals": ledger.refusals(stop, end),
        "late_p99_s": percentile(ledger.late, 99),
        "worst_second": ledger.worst_second(stop, end),
        "refused": ledger.refused(stop, end),
        "full_worst_s": min(ledger.full_after(back, FULL), over - back),
    }


async def falls(account: Account, fleet: Fleet, seconds: float) -> dict[str, Any]:
    """The limit is 200 for a while."""
    del fleet
    ledger, before = account.ledger, account.limit
    await asyncio.sleep(SETTLING)
    fall = time.monotonic()
    account.limit = 200
    await asyncio.sleep(LOW)
    rise = time.monotonic()
    account.limit = before
    await asyncio.sleep(max(LOW, seconds - SETTLING - LOW))
    end = time.monotonic()
    return {
        "refusals": ledger.refusals(fall, rise),
        "refused": ledger.refused(fall, rise),
        "late_p99_s": percentile(ledger.late, 99),
        "worst_second": ledger.worst_second(fall, end),
        # What ran before the fall has ended by then.
        "low_busy": ledger.busy(fall + LOW / 2, rise),
        "full_worst_s": min(ledger.full_after(rise, FULL), end - rise),
        "refusals_after_rise": ledger.refusals(rise, end),
    }
