"""Axes with round figures, and charts without a row."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.review.charts import Tick, area, histogram, nice_scale
from deepseek_async.batch.review.distribution import Bar, Distribution
from deepseek_async.text.number_format import count, counted, dollars, duration, rate, share, span


@given(st.floats(1e-6, 1e12))
def test_an_axis_holds_its_highest_value_and_wastes_less_than_half(highest: float):
    top, ticks = nice_scale(highest)

    assert highest <= top * 1.000001
    assert top <= 2.1 * highest
    assert 2 <= len(ticks) <= 6
    assert ticks[0] == 0
    assert ticks[-1] == pytest.approx(top)


def test_nothing_has_a_scale_too():
    assert nice_scale(0.0) == (1.0, [0.0, 1.0])
    assert histogram([], []) == ""
    assert "<polyline" in area([], [Tick(0, "now")])


@pytest.mark.parametrize("values", [[1.0], [1.0] * 5, [0.0001, 9000.0], [0.9, 1.1], [3.0, 3.1]], ids=str)
def test_every_distribution_has_bars_and_labels_inside_the_chart(values: list[float]):
    distribution = Distribution()
    for value in values:
        distribution.add(value)
    drawn = histogram(distribution.bars(), [("p50", distribution.quantile(0.5))])

    assert drawn.count('class="bar"') >= 1
    assert drawn.count('class="x') >= 2
    assert "nan" not in drawn


@pytest.mark.parametrize("value", [0.0004, 0.058, 2.0, 85.0, 700.0, 5000.0])
def test_values_that_are_all_alike_are_a_narrow_bar_between_labels_that_differ(value: float):
    distribution = Distribution()
    distribution.add(value)
    drawn = histogram(distribution.bars(), [("p50", value)])

    (left, width) = re.findall(r'class="bar" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn)[0]
    assert float(width) < 5
    assert 45 < float(left) < 55
    labels = re.findall(r'<span class="x[^>]*>([^<]+)<', drawn)
    assert len(labels) == len(set(labels)) >= 2


def test_a_bar_tells_its_range_and_its_rows():
    assert "<title>1.0 s to 2.0 s: 1,234</title>" in histogram([Bar(1.0, 2.0, 1234)], [])


def test_figures_are_written_for_people():
    assert [share(1, 3), share(1, 1000), share(999, 1000), share(0, 5), share(0, 0)] == [
        "33 %",
        "0.1 %",
        "99.9 %",
        "0 %",
        "-",
    ]
    assert [count(12), count(12_345), count(1_234_567), count(2.5e9)] == ["12", "12,345", "1.23 M", "2.50 G"]
    assert [dollars(0.0), dollars(0.000004), dollars(0.05), dollars(1234.5)] == [
        "$0.00",
        "$0.000004",
        "$0.0500",
        "$1,234.50",
    ]
    assert [duration(4.25), duration(185), duration(7385), rate(3.14159)] == ["4.2 s", "3:05 min", "2:03:05 h", "3.1"]


def test_short_durations_and_single_things_are_written_as_one_says_them():
    assert [span(0.0), span(0.058), span(0.3902), span(0.9996), span(75)] == [
        "0.0 s",
        "58 ms",
        "390 ms",
        "1.0 s",
        "1:15 min",
    ]
    assert [counted(0, "row"), counted(1, "row"), counted(2000, "row")] == ["0 rows", "1 row", "2,000 rows"]
