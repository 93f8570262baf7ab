"""The arithmetic of a day's money."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_async.admission.budget.calendar import day_at, zone_of
from deepseek_async.admission.budget.estimate import most_tokens, most_usage
from deepseek_async.admission.budget.ledger import Ledger, granted, nano
from deepseek_async.pricing.prices import Meter, price_table

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()
PEAK = datetime(2026, 11, 25, 2, tzinfo=UTC).timestamp()


def test_a_thousand_thousandths_make_one():
    ledger = Ledger("d", allotted=nano(1.0))
    assert sum(ledger.reserve(nano(0.001)) for _ in range(1001)) == 1000


@settings(deadline=None)
@given(st.integers(1, 1000), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 100)), max_size=40), st.data())
def test_what_is_held_never_passes_what_there_is(allotted: int, calls: list[tuple[int, int]], data: st.DataObject):
    ledger = Ledger("d", allotted=allotted)
    open_calls: list[tuple[int, int]] = []
    for amount, share in calls:
        if ledger.reserve(amount):
            open_calls.append((amount, amount * share // 100))
        assert ledger.spent + ledger.reserved <= allotted
        if open_calls and data.draw(st.booleans()):
            ledger.settle(*open_calls.pop(data.draw(st.integers(0, len(open_calls) - 1))))
    for call in open_calls:
        ledger.settle(*call)
    assert ledger.reserved == 0
    assert ledger.spent <= allotted


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 10**5), st.integers(0, 10**6), st.integers(0, 50))
def test_a_grant_suffices_or_is_nothing_and_never_more_than_is_left(wanted: int, least: int, left: int, sharers: int):
    added = granted(wanted=wanted, least=least, remaining=left, sharers=sharers)
    assert added == 0 or least <= added <= left
    assert (added == 0) == (least > left)


@pytest.mark.parametrize(
    ("zone", "moment", "name", "hours_left"),
    [
        ("UTC", datetime(2026, 11, 25, 12, tzinfo=UTC), "2026-11-25", 12),
        ("Asia/Shanghai", datetime(2026, 11, 25, 17, tzinfo=UTC), "2026-11-26", 23),
        # Clocks go forward on 29 March 2026 at 01:00 UTC, and back on 25 October.
        ("Europe/Berlin", datetime(2026, 3, 29, 0, tzinfo=ZoneInfo("Europe/Berlin")), "2026-03-29", 23),
        ("Europe/Berlin", datetime(2026, 10, 25, 0, tzinfo=ZoneInfo("Europe/Berlin")), "2026-10-25", 25),
    ],
)
def test_a_day_ends_at_midnight_of_its_zone(zone: str, moment: datetime, name: str, hours_left: int):
    day = day_at(moment.timestamp(), zone_of(zone))
    assert (day.name, (day.end - moment.timestamp()) / 3600) == (name, hours_left)


@pytest.mark.parametrize(
    ("request_", "tokens"),
    [
        ({"max_tokens": 7}, 7),
        ({}, 65_536),
        ({"thinking": {"type": "enabled"}}, 65_536),
        ({"reasoning_effort": "max"}, 131_072),
        ({"thinking": {"type": "disabled"}}, 8_192),
        ({"reasoning_effort": "none"}, 8_192),
        ({"thinking": {"type": "disabled"}, "max_tokens": 5}, 5),
    ],
)
def test_an_answer_has_no_more_tokens_than_the_api_allows(request_: dict[str, Any], tokens: int):
    assert most_tokens(request_) == tokens


def most(request: dict[str, Any], request_bytes: int, at: float) -> float:
    rate = Meter(price_table()).rate_of(None, str(request["model"]), at)
    return rate.cost(most_usage(request, request_bytes))


def test_the_most_a_call_can_cost():
    request = {"model": "deepseek-flash", "max_tokens": 1_000_000}
    assert most(request, 1_000_000, NOON) == pytest.approx(0.75)
    assert most(request, 1_000_000, PEAK) == pytest.approx(1.5)


def test_a_model_without_a_price_is_taken_for_the_dearest():
    request = {"model": "unheard-of", "max_tokens": 1_000_000}
    assert most(request, 1_000_000, NOON) == pytest.approx(0.66 + 1.98)


def test_an_image_counts_however_short_its_address_is():
    parts = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": "https://x.example/a"}}]
    request = {"model": "deepseek-flash", "max_tokens": 1, "messages": [{"role": "user", "content": parts}]}
    more = most(request, 100, NOON) - most({**request, "messages": []}, 100, NOON)
    assert more == pytest.approx(1024 * 0.15 / 1e6)


@pytest.mark.parametrize(
    ("name", "part", "most"),
    [
        ("messages", {"type": "file", "file_id": "file-1"}, 1_048_576),
        ("input", {"type": "input_file", "file_id": "file-1"}, 1_048_576),
        ("messages", {"type": "document", "source": {"type": "file", "file_id": "file-1"}}, 1_048_576),
        ("input", {"type": "input_image", "file_id": "file-1"}, 1_024),
        ("messages", {"type": "image", "source": {"type": "file", "file_id": "file-1"}}, 1_024),
        ("messages", {"type": "file", "file_data": "data:image/png;base64,"}, 1_024),
    ],
)
def test_a_document_may_fill_the_context_whatever_its_id_looks_like(name: str, part: dict, most: int):
    asked = {name: [{"role": "user", "content": [part, part]}], "max_tokens": 1}
    assert most_usage(asked, 100).prompt_tokens == 100 + min(2 * most, 1_048_576)
