"""Budget days in a time zone. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from deepseek_async.errors import ConfigurationError


class Day(msgspec.Struct, frozen=True):
    """A calendar day in one time zone."""

    name: str
    """ISO date, for example 2026-11-25."""
    end: float
    """Start of the next day, Unix time in seconds."""


def zone_of(name: str) -> tzinfo:
    """Return the time zone of an IANA name such as Asia/Shanghai. Raises ConfigurationError if it is unknown."""
    if name.upper() == "UTC":
        return UTC  # available without a time-zone database
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(
            f"budget.zone must be an IANA time zone such as Asia/Shanghai or UTC, got {name!r}; "
            "install the package tzdata if the system has no time-zone database",
        ) from None


def day_at(now: float, where: tzinfo) -> Day:
    """Return the day of ``now`` (Unix time). On a clock change it has 23 or 25 hours."""
    midnight = datetime.fromtimestamp(now, where).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    tomorrow = midnight + timedelta(days=1)
    return Day(midnight.date().isoformat(), tomorrow.timestamp())
