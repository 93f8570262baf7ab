"""Which day it is where the money is counted, and when the next one begins. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from deepseek_async.errors import ConfigurationError


class Day(msgspec.Struct, frozen=True):
    """A calendar day in one zone."""

    name: str
    """For example 2026-11-25."""
    end: float
    """When the next day begins, in seconds since 1970."""


def zone_of(name: str) -> tzinfo:
    """The zone of an IANA name such as Asia/Shanghai. Raises ConfigurationError for one that is not known."""
    if name.upper() == "UTC":
        return UTC  # known also to machines without a time-zone database
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(
            f"budget.zone {name!r} is not known here: use an IANA name such as Asia/Shanghai or UTC, "
            "and install the package tzdata if the system has no time-zone database",
        ) from None


def day_at(now: float, where: tzinfo) -> Day:
    """The day of the moment ``now``, in seconds since 1970. A day of a change of clocks has 23 or 25 hours."""
    midnight = datetime.fromtimestamp(now, where).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    tomorrow = midnight + timedelta(days=1)
    return Day(midnight.date().isoformat(), tomorrow.timestamp())
