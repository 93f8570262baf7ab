"""What is read as a number when a server writes it as text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.types.number_text import number_in


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("12", 12), ("-3", -3), ("007", 7), ("0.5", 0.5), ("1e3", 1000.0), (" 2 ", 2)),
        *(
            (text, None)
            for text in ("1_000", "+5", "٣", "१२", "0x10", "1.", ".5", "inf", "NaN", "1e999", "", "1 0", "2\n")
        ),
    ],
)
def test_a_number_is_read_by_its_digits_only(text: str, number: float | None):
    assert number_in(text) == number


@given(st.one_of(st.integers(-(2**63), 2**64), st.floats(allow_nan=False, allow_infinity=False)))
def test_every_number_that_json_writes_is_read_as_itself(number: float):
    assert number_in(json.dumps(number)) == number


@given(st.text())
def test_any_other_text_is_no_number_and_no_error(text: str):
    found = number_in(text)
    assert found is None or float(text) == found
