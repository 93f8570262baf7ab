"""Scheduling options of the command line: row order, price window, deadline."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from cyclopts import Group, Parameter

from deepseek_async.errors import ConfigurationError

_GROUP: Final = Group("Order and hours", sort_key=3)
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(min|h|d)")
_UNITS: Final = {"min": "minutes", "h": "hours", "d": "days"}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ScheduleFlags:
    """Order and start times of rows."""

    schedule: Annotated[
        Literal["prefix", "input"] | None,
        Parameter(
            group=_GROUP,
            help="prefix (the default, unless --ordered): rows with a common prefix follow one that puts it into the "
            "API's cache. input: input order.",
        ),
    ] = None
    window: Annotated[
        Literal["any", "off-peak"],
        Parameter(group=_GROUP, help="off-peak starts rows only while DeepSeek charges half, and waits in between."),
    ] = "any"
    deadline: Annotated[
        str | None,
        Parameter(
            group=_GROUP,
            metavar="WHEN",
            help="With off-peak: when the job should be done (18:00, 2027-01-31T08:00, 36h); peak hours are used as "
            "far as needed.",
        ),
    ] = None

    def options(self) -> dict[str, Any]:
        """Return the arguments for ``client.batch.job``."""
        options: dict[str, Any] = {"window": self.window}
        if self.schedule is not None:
            options["order"] = self.schedule
        if self.deadline is not None:
            options["deadline"] = moment(self.deadline, datetime.now().astimezone())
        return options


def moment(text: str, now: datetime) -> datetime:
    """Parse a time of day (the next one), a date with a time, or a span from ``now``, in the time zone of ``now``.

    Raises ConfigurationError for an invalid value.
    """
    text = text.strip()
    span = _SPAN.fullmatch(text.removeprefix("+"))
    try:
        if span:
            return now + timedelta(**{_UNITS[span[2]]: float(span[1])})
        if re.fullmatch(r"\d\d:\d\d", text):
            today = datetime.combine(now.date(), datetime.strptime(text, "%H:%M").time(), now.tzinfo)  # noqa: DTZ007
            return today if today > now else today + timedelta(days=1)
        given = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ConfigurationError(
            "--deadline must be a time of day (18:00), a date and time (2027-01-31T08:00) or a span (90min, 36h, "
            f"2d), got {text!r}",
        ) from None
    return given if given.tzinfo is not None else given.replace(tzinfo=now.tzinfo)
