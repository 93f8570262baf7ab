"""Costs worked out by hand from DeepSeek's price page and change log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from deepseek_async.admission.budget import Budget
from deepseek_async.errors import ConfigurationError
from deepseek_async.pricing.prices import load_prices, price_table
from deepseek_async.types import CompletionUsage
from deepseek_async.types.usage import PromptTokensDetails, added

# A million prompt tokens, 400,000 of them cached, and 100,000 tokens of answer.
USAGE = CompletionUsage(
    prompt_tokens=1_000_000,
    completion_tokens=100_000,
    total_tokens=1_100_000,
    prompt_cache_hit_tokens=400_000,
    prompt_cache_miss_tokens=600_000,
)


def at(text: str) -> float:
    """A moment in UTC, in seconds since 1970."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("model", "moment", "dollars"),
    [
        # 0.4 x 0.003 + 0.6 x 0.15 + 0.1 x 0.60
        pytest.param("deepseek-flash", "2026-11-23T00:30", 0.1512, id="flash now"),
        pytest.param("deepseek-flash", "2026-11-23T02:00", 0.3024, id="flash now, peak"),
        # 0.4 x 0.022 + 0.6 x 0.66 + 0.1 x 1.98
        pytest.param("deepseek-v4-pro", "2026-11-23T00:30", 0.6028, id="pro now"),
        pytest.param("deepseek-v4-pro", "2026-11-23T07:00", 1.2056, id="pro now, peak"),
        # 0.4 x 0.007 + 0.6 x 0.22 + 0.1 x 0.66
        pytest.param("deepseek-flash", "2026-08-17T12:00", 0.2008, id="flash in August"),
        pytest.param("deepseek-flash", "2026-08-17T06:00", 0.4016, id="flash in August, peak"),
        pytest.param("deepseek-v4-pro", "2026-08-17T12:00", 0.6028, id="pro in August"),
        # 0.4 x 0.028 + 0.6 x 0.14 + 0.1 x 0.28, and no peak hours yet
        pytest.param("deepseek-flash", "2026-06-01T02:00", 0.1232, id="flash in June"),
        # 0.4 x 0.003625 + 0.6 x 0.435 + 0.1 x 0.87
        pytest.param("deepseek-v4-pro", "2026-06-01T02:00", 0.34945, id="pro in June"),
        pytest.param("deepseek-flash", "2026-08-16T15:59:59", 0.1232, id="the last second of the preview prices"),
        pytest.param("deepseek-flash", "2026-08-16T16:00", 0.2008, id="the first second after them"),
        pytest.param("deepseek-flash", "2026-09-09T23:59:59", 0.2008, id="the last second before V4.1"),
        pytest.param("deepseek-flash", "2026-09-10T00:00", 0.1512, id="the first second of V4.1"),
    ],
)
def test_a_call_costs_what_the_page_of_its_day_says(model: str, moment: str, dollars: float):
    assert price_table().cost(USAGE, model, at(moment)) == pytest.approx(dollars, rel=1e-12)


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        (CompletionUsage(), 0.0),
        (CompletionUsage(prompt_tokens=1000), 1000 * 0.15e-6),
        (CompletionUsage(completion_tokens=1000), 1000 * 0.60e-6),
        (CompletionUsage(prompt_tokens=1000, prompt_cache_hit_tokens=1000), 1000 * 0.003e-6),
        (CompletionUsage(prompt_tokens=1000, prompt_tokens_details=PromptTokensDetails(1000)), 1000 * 0.003e-6),
        (CompletionUsage(prompt_tokens=1000, prompt_tokens_details=PromptTokensDetails(None)), 1000 * 0.15e-6),
        (
            CompletionUsage(
                prompt_tokens=1000,
                prompt_cache_hit_tokens=600,
                prompt_tokens_details=PromptTokensDetails(600),
            ),
            600 * 0.003e-6 + 400 * 0.15e-6,
        ),
    ],
    ids=["nothing", "prompt", "answer", "cached", "cached by OpenAI's name", "OpenAI's name at null", "both names"],
)
def test_cached_tokens_have_their_price_under_either_name(usage: CompletionUsage, dollars: float):
    assert price_table().cost(usage, "deepseek-flash", at("2026-11-22T12:00")) == pytest.approx(dollars, rel=1e-12)


@pytest.mark.parametrize(
    "alias",
    ["deepseek-chat", "deepseek-reasoner", "deepseek-v4-flash", "deepseek-v4-flash-vision-exp"],
)
@pytest.mark.parametrize("moment", ["2026-06-01T02:00", "2026-11-23T02:00"])
def test_an_alias_costs_what_it_stands_for(alias: str, moment: str):
    cost = price_table().cost(USAGE, alias, at(moment))

    assert cost is not None
    assert cost == price_table().cost(USAGE, "deepseek-flash", at(moment))


@pytest.mark.parametrize("model", ["", "deepseek-v5", "gpt-5", "DeepSeek-Flash"])
def test_an_unknown_model_has_no_price(model: str):
    assert price_table().cost(USAGE, model, at("2026-11-23T02:00")) is None


def test_before_its_first_price_a_model_has_none():
    assert price_table().cost(USAGE, "deepseek-flash", at("2026-04-23T23:59:59")) is None
    assert price_table().cost(USAGE, "deepseek-flash", at("2026-04-24T00:00")) is not None


@pytest.mark.parametrize(
    ("clock", "peak"),
    [
        ("00:00:00", False),
        ("00:59:59", False),
        ("01:00:00", True),
        ("03:59:59", True),
        ("04:00:00", False),
        ("05:59:59", False),
        ("06:00:00", True),
        ("09:59:59", True),
        ("10:00:00", False),
        ("23:59:59", False),
    ],
)
def test_the_edges_of_the_peak_hours(clock: str, peak: bool):
    assert price_table().is_peak(at(f"2026-11-23T{clock}")) is peak


@pytest.mark.parametrize(
    ("day", "peak"),
    [
        pytest.param("2026-11-20", True, id="Friday"),
        pytest.param("2026-11-21", False, id="Saturday"),
        pytest.param("2026-11-22", False, id="Sunday"),
        pytest.param("2026-11-23", True, id="Monday"),
        pytest.param("2026-08-22", True, id="the last Saturday at peak prices"),
        pytest.param("2026-08-23", False, id="the first Sunday without"),
        pytest.param("2026-09-24", True, id="the day before Mid-Autumn"),
        pytest.param("2026-09-25", False, id="Mid-Autumn, a Friday"),
        pytest.param("2026-09-30", True, id="the day before the National Day"),
        pytest.param("2026-10-01", False, id="National Day, a Thursday"),
        pytest.param("2026-10-07", False, id="the last day of its week, a Wednesday"),
        pytest.param("2026-10-08", True, id="the first working day after it"),
    ],
)
def test_which_days_have_peak_hours(day: str, peak: bool):
    assert price_table().is_peak(at(f"{day}T02:00")) is peak
    assert price_table().is_peak(at(f"{day}T12:00")) is False


def test_the_day_is_the_one_in_beijing():
    """Peak hours that reached past 16:00 UTC would be in the next day there."""
    table = load_prices(
        """
        price = []
        aliases = {}
        peak = { hours_utc = [[15, 18]], weekends_off_peak_since = 2026-01-01, holidays = [2026-11-25] }
        """,
    )

    assert table.is_peak(at("2026-11-20T15:59"))  # Friday in Beijing
    assert not table.is_peak(at("2026-11-20T16:00"))  # Saturday there
    assert not table.is_peak(at("2026-11-22T15:59"))  # Sunday there
    assert table.is_peak(at("2026-11-22T16:00"))  # Monday there
    assert not table.is_peak(at("2026-11-24T16:00"))  # a holiday there
    assert table.is_peak(at("2026-11-25T16:00"))


def test_a_week_of_work_has_35_peak_hours():
    monday = datetime(2026, 11, 16, tzinfo=UTC)
    hours = [monday + timedelta(hours=hour) for hour in range(7 * 24)]

    assert sum(price_table().is_peak(hour.timestamp()) for hour in hours) == 35


def test_the_newest_price_that_holds_is_taken_in_whatever_order_they_are_written():
    table = load_prices(
        """
        aliases = {}
        peak = { hours_utc = [], weekends_off_peak_since = 2026-01-01, holidays = [] }
        [[price]]
        model = "m"
        start = 2026-03-01T00:00:00Z
        cache_hit = 3.0
        cache_miss = 3.0
        output = 3.0
        [[price]]
        model = "m"
        start = 2026-01-01T00:00:00Z
        cache_hit = 1.0
        cache_miss = 1.0
        output = 1.0
        [[price]]
        model = "m"
        start = 2026-02-01T00:00:00Z
        cache_hit = 2.0
        cache_miss = 2.0
        output = 2.0
        """,
    )
    usage = CompletionUsage(prompt_tokens=1_000_000)

    days = ["2025-12-31", "2026-01-15", "2026-02-15", "2026-03-15"]
    assert [table.cost(usage, "m", at(day)) for day in days] == [None, 1.0, 2.0, 3.0]


FEES = "/v1/tools/search"
LATER = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()


def fees(**counts: int) -> CompletionUsage:
    return CompletionUsage(fees=counts)


@pytest.mark.parametrize(
    ("kind", "count", "yuan", "dollars"),
    [
        ("search", 1_000, 5.0, 0.75),
        ("fetch", 1_000, 5.0, 0.75),
        ("page", 1_000, 1.5, None),
        ("speech_characters", 10_000, 1.5, None),
        ("audio_seconds", 3_600, 0.39, None),
    ],
)
def test_a_fee_is_a_line_of_its_own_in_the_currencies_it_is_published_in(
    kind: str, count: int, yuan: float, dollars: float | None
):
    rate = price_table().rate(FEES, LATER)
    assert rate is not None
    (line,) = rate.fees_of(fees(**{kind: count}))
    assert (line.kind, line.count, line.cny, line.usd) == (kind, count, pytest.approx(yuan), dollars)
    assert rate.lacks_dollars(fees(**{kind: count})) == ([] if dollars else [kind])


def test_nothing_is_converted_without_a_rate_and_no_published_price_with_one():
    table = price_table().with_rates({"CNY": 0.2})
    rate = table.rate(FEES, LATER)
    assert rate is not None
    search, page = rate.fees_of(fees(search=1_000, page=1_000))
    assert (search.usd, page.usd) == (0.75, pytest.approx(0.3))
    assert rate.cost(fees(search=1_000, page=1_000)) == pytest.approx(1.05)


def test_peak_hours_double_tokens_and_no_fee():
    rate = price_table().rate("deepseek-flash", datetime(2026, 11, 25, 2, tzinfo=UTC).timestamp())
    assert rate is not None
    assert rate.factor == 2.0
    tokens = CompletionUsage(prompt_tokens=1_000, completion_tokens=10)
    both = CompletionUsage(prompt_tokens=1_000, completion_tokens=10, fees={"search": 2})
    assert rate.cost(both) == pytest.approx(rate.cost(tokens) + 0.0015)


def test_fees_of_several_attempts_are_added_up():
    total = added([fees(search=1), CompletionUsage(prompt_tokens=3), fees(search=2, page=4)])
    assert (total.fees, total.prompt_tokens) == ({"search": 3, "page": 4}, 3)


async def test_a_budget_holds_no_fee_that_has_no_price_in_dollars_and_names_the_setting():
    budget = Budget(1.0, path=":memory:")
    with pytest.raises(ConfigurationError, match=r"page.*currency_rates.*DEEPSEEK_ASYNC_CNY_RATE"):
        await budget.hold(fees(page=10), "/v1/tools/ocr")
    budget.use_rates({"CNY": 0.1})
    charge = await budget.hold(fees(page=10), "/v1/tools/ocr")
    charge.faulted()
    assert 1.0 - budget.remaining == pytest.approx(0.0015)
