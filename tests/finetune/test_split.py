"""The line between training and validation."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.finetune.split import Split


def drawn(questions: list[bytes], share: float = 0.12, seed: int = 0) -> Split:
    split = Split(share, seed)
    for question in questions:
        split.count(question)
    split.draw()
    return split


def validation_of(questions: list[bytes], **options: float) -> list[bytes]:
    split = drawn(questions, **options)
    return [question for question in questions if split.is_validation(question)]


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def test_the_share_is_met_as_closely_as_rows_allow():
    for count in (8, 25, 100, 1000, 20_000):
        found = len(validation_of(numbered(count)))
        assert abs(found - 0.12 * count) <= max(0.5, 0.001 * count)


@given(st.lists(st.binary(min_size=1, max_size=2), min_size=1, max_size=80), st.integers(-(2**60), 2**60))
def test_no_question_is_on_both_sides_and_a_seed_repeats_itself(questions: list[bytes], seed: int):
    validation = validation_of(questions, seed=seed)
    assert set(validation).isdisjoint(set(questions) - set(validation))
    assert validation_of(questions, seed=seed) == validation
    assert validation_of(questions[::-1], seed=seed) == validation[::-1]


def test_another_seed_draws_other_rows():
    assert validation_of(numbered(1000), seed=1) != validation_of(numbered(1000), seed=2)


def test_a_question_of_many_rows_stays_together():
    questions = [b"one"] * 50 + numbered(50)
    assert validation_of(questions).count(b"one") in {0, 50}


def test_without_rows_there_is_no_line():
    assert not drawn([]).is_validation(b"x")
