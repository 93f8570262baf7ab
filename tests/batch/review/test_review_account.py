"""What an output adds up to, worked out by hand."""

from __future__ import annotations

from csv import DictReader
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from answers import BEGAN, answered, failed, written
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.review.distribution import Distribution
from deepseek_async.batch.review.export import export
from deepseek_async.batch.review.job_summary import JobSummary, account_of
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.review.row_selection import LatestRun
from deepseek_async.batch.review.timeline import SPANS, Timeline
from deepseek_async.pricing.prices import price_table
from deepseek_async.types import BilledAttempt, CompletionUsage

IN_PEAK = BEGAN + 3600


def account(path: Path, *lines: bytes) -> JobSummary:
    output = OutputReader(written(path / "out.jsonl", lines))
    output.read()
    return account_of(LatestRun(output), price_table())


def test_tokens_and_money_are_added_up_by_kind(tmp_path: Path):
    it = account(tmp_path, answered(0), answered(1))

    tokens, cost = it.tokens, it.cost_by_kind
    assert (tokens.cached, tokens.fresh, tokens.reasoning, tokens.answer) == (800, 1200, 120, 80)
    # Flash, off-peak: 0.003, 0.15 and 0.60 dollars a million.
    assert cost.cached == pytest.approx(800 * 0.003e-6)
    assert cost.fresh == pytest.approx(1200 * 0.15e-6)
    assert cost.reasoning == pytest.approx(120 * 0.60e-6)
    assert cost.answer == pytest.approx(80 * 0.60e-6)
    assert it.cost == pytest.approx(cost.total)
    assert it.saved_by_cache == pytest.approx(800 * 0.147e-6)
    assert it.saved_by_hours == pytest.approx(it.cost)


def test_each_request_counts_at_the_price_of_its_own_hour(tmp_path: Path):
    it = account(tmp_path, answered(0), answered(1, started=IN_PEAK))

    (flash,) = it.models.values()
    assert flash.peak_rows == 1
    assert flash.peak_cost == pytest.approx(2 * it.saved_by_hours)
    assert it.cost == pytest.approx(3 * it.saved_by_hours)


def test_what_the_run_wrote_down_as_cost_is_taken(tmp_path: Path):
    assert account(tmp_path, answered(0, cost=0.5)).cost == 0.5


def test_an_answer_that_was_replaced_was_paid_for_all_the_same(tmp_path: Path):
    it = account(tmp_path, answered(0, cost=0.5), answered(0, cost=0.25), failed(1))

    assert (it.ok, it.failed, it.replaced) == (1, 1, 1)
    assert (it.cost, it.replaced_cost) == (0.75, 0.5)


def test_failures_are_counted_by_kind_with_the_first_three_of_each(tmp_path: Path):
    it = account(tmp_path, *(failed(number) for number in range(5)), answered(9, finish_reason="length"))

    assert it.failures == {"BadRequestError": 5}
    assert [example.custom_id for example in it.examples["BadRequestError"]] == ["row-0", "row-1", "row-2"]
    assert it.cut_off == 1


@pytest.mark.parametrize("started", [BEGAN, None])
def test_a_model_without_a_price_costs_what_the_dearest_does_and_that_is_told(tmp_path: Path, started: float | None):
    charged = "deepseek-v4-pro"
    it = account(tmp_path, answered(0, model="other", started=started))

    dearest = account(tmp_path, answered(0, model=charged))
    assert it.cost == pytest.approx(dearest.cost)
    assert it.cost_by_kind.total == pytest.approx(it.cost)
    assert (it.unpriced, it.models["other"].rows, it.models["other"].charged_as) == (1, 1, charged)


def test_what_a_run_charged_for_a_model_without_a_price_is_divided_among_the_kinds(tmp_path: Path):
    it = account(tmp_path, answered(0, model="other", cost=0.25))

    assert it.cost == it.models["other"].cost == 0.25
    assert it.cost_by_kind.total == pytest.approx(0.25)


def billed(failure: str | None, usage: CompletionUsage, **facts: str) -> BilledAttempt:
    return BilledAttempt("other", usage, BEGAN, failure, **facts)


def test_a_request_of_several_is_charged_as_the_model_that_was_asked(tmp_path: Path):
    usage = CompletionUsage(1000, 100, 1100)
    bills = tuple(billed(failure, usage, asked="deepseek-flash") for failure in ("APIResponseValidationError", None))
    it = account(tmp_path, failed(0, billed_attempts=bills))

    assert it.cost == pytest.approx(2 * (1000 * 0.15e-6 + 100 * 0.6e-6))
    assert it.models["other"].charged_as == "deepseek-flash"


def test_what_is_an_estimate_is_told_apart(tmp_path: Path):
    lost = CompletionUsage(1000, 100, 1100, corrected="no usage came")
    bills = (
        billed("APITimeoutError", lost, asked="deepseek-flash"),
        billed(None, CompletionUsage(1000, 0, 1000), asked="deepseek-flash"),
    )
    it = account(tmp_path, failed(0, billed_attempts=bills))

    assert it.estimated == 1
    assert it.estimated_cost == pytest.approx(1000 * 0.15e-6 + 100 * 0.6e-6)
    assert it.cost == pytest.approx(it.estimated_cost + 1000 * 0.15e-6)


SPELLINGS: list[dict[str, Any]] = [
    {"prompt_tokens": 100, "completion_tokens": 7, "prompt_cache_hit_tokens": 80},
    {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 80}},
    {
        "prompt_tokens": 100,
        "completion_tokens": 7,
        "prompt_cache_hit_tokens": None,
        "prompt_tokens_details": {"cached_tokens": 80},
    },
    {"input_tokens": 100, "output_tokens": 7, "input_tokens_details": {"cached_tokens": 80}},
]


@pytest.mark.parametrize("usage", SPELLINGS)
def test_a_usage_is_read_under_whatever_names_its_server_gives_it(tmp_path: Path, usage: dict[str, Any]):
    body = {"model": "deepseek-flash", "created": BEGAN, "choices": [], "usage": usage}
    line = {"id": "1", "custom_id": "a", "response": {"status_code": 200, "body": body}, "error": None}
    it = account(tmp_path, orjson.dumps(line) + b"\n")

    assert (it.tokens.cached, it.tokens.fresh, it.tokens.answer) == (80, 20, 7)
    assert it.cost == pytest.approx(80 * 0.003e-6 + 20 * 0.15e-6 + 7 * 0.6e-6)
    target = BytesIO()
    output = OutputReader(tmp_path / "out.jsonl")
    output.read()
    export(LatestRun(output), target, "csv")
    (row,) = DictReader(StringIO(target.getvalue().decode()))
    assert (row["prompt_tokens"], row["cached_tokens"], row["completion_tokens"]) == ("100", "80", "7")


def test_promised_hits_are_compared_with_those_of_the_same_rows(tmp_path: Path):
    it = account(tmp_path, answered(0, predicted_cached_tokens=512), answered(1))

    assert (it.predicted_cached_tokens, it.cached_where_predicted) == (512, 400)


def test_a_single_row_is_no_speed_of_its_own(tmp_path: Path):
    one = account(tmp_path, answered(0, latency=2.0))
    many = account(tmp_path, *(answered(number, latency=2.0) for number in range(300)))

    assert one.timeline is not None
    assert one.timeline.rows_a_second() == [pytest.approx(0.5)]
    assert many.timeline is not None
    assert len(many.timeline.spans) == SPANS


def test_an_output_without_rows_adds_up_to_nothing(tmp_path: Path):
    it = account(tmp_path)

    assert (it.ok, it.cost, it.timeline, it.latency.quantile(0.5)) == (0, 0.0, None, 0.0)


@given(st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_quantiles_are_right_to_three_percent(values: list[float], share: float):
    distribution = Distribution()
    for value in values:
        distribution.add(value)
    ranked = sorted(values)
    place = next(number for number in range(len(ranked)) if number + 1 >= share * len(ranked))
    assert distribution.quantile(share) == pytest.approx(ranked[place], rel=0.03)
    assert sum(bar.count for bar in distribution.bars()) == len(values)
    assert len(distribution.bars()) <= 32


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_duration_is_not_counted(value: float):
    distribution = Distribution()
    distribution.add(value)

    assert (distribution.count, distribution.bars()) == (0, [])


@given(st.lists(st.tuples(st.floats(0, 90), st.floats(0, 10)), min_size=1, max_size=50))
def test_the_time_line_holds_every_row_and_every_second(rows: list[tuple[float, float]]):
    line = Timeline(0.0, 100.0)
    for started, latency in rows:
        line.add(started, latency, 10, failed=False)

    assert sum(span.ended for span in line.spans) == len(rows)
    assert sum(span.busy for span in line.spans) == pytest.approx(sum(latency for _, latency in rows), abs=1e-6)
    assert sum(line.in_flight()) * line.seconds == pytest.approx(sum(latency for _, latency in rows), abs=1e-6)
