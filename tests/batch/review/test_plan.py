"""What a job will cost, worked out by hand and beside what it then did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from deepseek_async.batch.review.plan import Plan, plan
from deepseek_async.batch.row import Defaults, RowReader
from deepseek_async.codec.request import encode_request
from deepseek_async.codec.tokens import TokenCount
from deepseek_async.pricing.prices import price_table

OFF_PEAK, PEAK = 1795478400.0, 1795485600.0  # 2026-11-24, 00:00 and 02:00 UTC
SYSTEM = "Read the following document with care and answer briefly. " * 40  # 2,320 bytes


def planned(requests: Iterable[Any], *, tokens: int = 1000, answer_tokens: int = 100, **defaults: Any) -> Plan:
    reader = RowReader(Defaults(**defaults))
    return plan(
        (reader.read(request) for request in requests),
        lambda _: TokenCount(tokens, exact=False),
        answer_tokens=answer_tokens,
    )


def asked(number: int, system: str = SYSTEM) -> list[dict[str, str]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": f"Question {number}?"}]


def test_every_row_costs_its_prompt_and_the_assumed_answer():
    it = planned(f"Question {number}" for number in range(10))

    assert (it.rows, it.prompt_tokens, it.answer_tokens, it.groups, it.hit_tokens) == (10, 10_000, 1000, 0, 0)
    assert it.cost(price_table(), OFF_PEAK) == pytest.approx(10_000 * 0.15e-6 + 1000 * 0.60e-6)
    assert it.cost(price_table(), PEAK) == pytest.approx(2 * (10_000 * 0.15e-6 + 1000 * 0.60e-6))


def test_rows_that_begin_alike_are_a_group_and_all_but_the_first_hit():
    requests = [asked(number) for number in range(5)]
    requests += [asked(number, "Another text. " * 200) for number in range(3)] + ["alone"]
    it = planned(requests)

    assert (it.groups, it.grouped) == (2, 8)
    # Of 2,340 bytes 2,048 are known in whole chunks, 875 of 1,000 tokens: six blocks of 128. Of 2,820 2,560: seven.
    assert it.hit_tokens == 4 * 768 + 2 * 896
    cost, cold = it.cost(price_table(), OFF_PEAK), it.cost(price_table(), OFF_PEAK, cached=False)
    assert cost is not None
    assert cold is not None
    assert cold - cost == pytest.approx(it.hit_tokens * 0.147e-6)


def test_a_lower_cap_shortens_the_answer():
    it = planned(["one", {"prompt": "two", "max_tokens": 7}, {"prompt": "three", "max_tokens": 5000}])

    assert it.answer_tokens == 100 + 7 + 100


def test_rows_that_are_no_request_cost_nothing_and_the_first_are_told():
    it = planned([{"nothing": 1}] * 7 + ["one"])

    assert (it.rows, it.unusable, len(it.first_errors)) == (8, 7, 5)
    assert it.prompt_tokens == 1000


def test_a_row_that_cannot_be_written_as_json_is_none_and_the_others_are_planned():
    def count(body: Any) -> TokenCount:
        return TokenCount(len(encode_request(body)), exact=True)

    rows = map(RowReader(Defaults()).read, ["half an emoji \ud83d", "one"])
    it = plan(rows, count, answer_tokens=100)

    assert (it.rows, it.unusable, it.estimated) == (2, 1, 0)
    assert it.first_errors[0].startswith("line 1: messages[0].content contains a lone surrogate")


def test_rows_that_share_a_name_are_told_as_the_job_will_be_refused():
    it = planned([{"custom_id": name, "prompt": "one"} for name in "abacaa"])

    assert (it.rows, it.repeated, it.first_repeated) == (6, 3, "line 3: custom_id 'a'")


def test_models_are_priced_apart_and_an_unknown_one_makes_the_sum_unknown():
    both = planned(["one", {"prompt": "two", "model": "deepseek-v4-pro"}])
    assert both.cost(price_table(), OFF_PEAK) == pytest.approx(1000 * 0.81e-6 + 100 * 2.58e-6)

    assert planned([{"prompt": "one", "model": "other"}]).cost(price_table(), OFF_PEAK) is None


@pytest.mark.parametrize(("rows", "seconds"), [(0, 0.0), (1, 10.0), (100, 10.0), (1000, 100.0)])
def test_the_time_is_that_of_so_many_rounds(rows: int, seconds: float):
    assert planned(["Question"] * rows).seconds(100, 10.0) == seconds
