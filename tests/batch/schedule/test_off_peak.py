"""When rows may start: the hours of Beijing, the last minutes before them, and deadlines. No clock runs."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.schedule.off_peak import Durations, OffPeak
from deepseek_async.pricing.prices import price_table

TABLE = price_table()
MINUTE, HOUR = 60.0, 3600.0


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def opening(now: str, *, margin: float = MINUTE, needed: float = 0.0, deadline: str | None = None) -> str:
    hours = OffPeak(TABLE, None if deadline is None else at(deadline))
    moment = hours.opening(at(now), margin=margin, needed=needed)
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("now", "start"),
    [
        pytest.param("2026-11-24T00:30", "2026-11-24T00:30", id="before the morning"),
        pytest.param("2026-11-24T00:58", "2026-11-24T00:58", id="two minutes before it"),
        pytest.param("2026-11-24T00:59:30", "2026-11-24T04:00", id="in the last minute before it"),
        pytest.param("2026-11-24T01:00", "2026-11-24T04:00", id="at its beginning"),
        pytest.param("2026-11-24T03:59:59", "2026-11-24T04:00", id="at its end"),
        pytest.param("2026-11-24T04:00", "2026-11-24T04:00", id="at noon in Beijing"),
        pytest.param("2026-11-24T05:59:30", "2026-11-24T10:00", id="in the last minute of noon"),
        pytest.param("2026-11-24T07:00", "2026-11-24T10:00", id="in the afternoon"),
        pytest.param("2026-11-28T02:00", "2026-11-28T02:00", id="on a Saturday"),
        pytest.param("2026-10-01T02:00", "2026-10-01T02:00", id="on the National Day"),
        pytest.param("2027-02-05T02:00", "2027-02-05T02:00", id="on the eve of the Spring Festival of 2027"),
    ],
)
def test_rows_start_off_peak_and_not_so_late_that_they_would_end_in_peak(now: str, start: str):
    assert opening(now) == start


def test_long_requests_stop_earlier():
    assert opening("2026-11-24T00:45", margin=10 * MINUTE) == "2026-11-24T00:45"
    assert opening("2026-11-24T00:45", margin=20 * MINUTE) == "2026-11-24T04:00"


@pytest.mark.parametrize(
    ("deadline", "needed", "start"),
    [
        pytest.param("2026-11-24T12:00", HOUR, "2026-11-24T04:00", id="noon and evening are enough"),
        pytest.param("2026-11-24T06:00", HOUR, "2026-11-24T04:00", id="noon is enough"),
        pytest.param("2026-11-24T05:00", HOUR, "2026-11-24T02:00", id="it is not, with some room"),
        pytest.param("2026-11-24T03:30", MINUTE, "2026-11-24T02:00", id="no off-peak hour before it"),
        pytest.param("2026-11-24T01:30", MINUTE, "2026-11-24T02:00", id="it has passed meanwhile"),
        pytest.param("2026-11-25T00:00", 12.5 * HOUR, "2026-11-24T04:00", id="noon and all the evening, just"),
        pytest.param("2026-11-25T00:00", 15 * HOUR, "2026-11-24T02:00", id="more than they have"),
    ],
)
def test_a_deadline_that_forces_peak_hours_is_honoured(deadline: str, needed: float, start: str):
    assert opening("2026-11-24T02:00", needed=needed, deadline=deadline) == start


def test_waiting_for_off_peak_hours_does_not_use_up_the_hours_before_the_deadline():
    """Once a pause has begun, it lasts: nothing changes for the worse until it ends."""
    hours = OffPeak(TABLE, at("2026-11-24T06:00"))
    for minute in range(120):
        assert hours.opening(at("2026-11-24T02:00") + minute * MINUTE, margin=MINUTE, needed=HOUR) == at(
            "2026-11-24T04:00",
        )


def test_rows_may_start_until_a_request_before_the_boundary():
    hours = OffPeak(TABLE)

    assert hours.closing(at("2026-11-24T00:30"), margin=5 * MINUTE) == at("2026-11-24T00:55")
    assert hours.closing(at("2026-11-24T00:58"), margin=5 * MINUTE) == at("2026-11-24T00:58")
    assert hours.closing(at("2026-11-24T02:00"), margin=5 * MINUTE) == at("2026-11-24T02:00")


@given(st.integers(int(at("2026-09-10T00:00")), int(at("2027-11-01T00:00"))), st.floats(0, 1800))
def test_no_row_ever_starts_in_peak_or_would_end_in_it(now: int, margin: float):
    start = OffPeak(TABLE).opening(now, margin=margin, needed=0.0)

    assert start >= now
    assert not TABLE.is_peak(start)
    assert margin < 1 or not TABLE.is_peak(start + margin - 0.001)


@pytest.mark.parametrize(
    ("now", "change"),
    [
        ("2026-11-24T00:30", "2026-11-24T01:00"),
        ("2026-11-24T01:00", "2026-11-24T04:00"),
        ("2026-11-24T10:00", "2026-11-25T01:00"),
        ("2026-11-27T10:00", "2026-11-30T01:00"),  # over the weekend
        ("2026-09-30T10:00", "2026-10-08T01:00"),  # over the National Day's week
    ],
)
def test_the_next_change_of_prices(now: str, change: str):
    assert TABLE.next_change(at(now)) == at(change)


def test_holidays_that_are_given_replace_those_of_their_year():
    table = TABLE.with_holidays([date(2027, 2, 9)])

    assert not table.is_peak(at("2027-02-09T02:00"))
    assert table.is_peak(at("2027-02-08T02:00"))
    assert not table.is_peak(at("2026-10-01T02:00"))
    assert TABLE.with_holidays([]) is TABLE


def test_the_typical_duration_is_that_of_the_slow_tenth():
    durations = Durations()
    assert durations.typical == 60.0

    durations.add(2.0)
    assert durations.typical == 2.0
    for _ in range(300):
        durations.add(1.0)
    assert durations.typical == 1.0
    for number in range(160):
        durations.add(10.0 if number % 5 == 0 else 1.0)
    assert durations.typical == 10.0
