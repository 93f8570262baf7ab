"""The estimate that the tokens-a-minute limit reserves."""

from __future__ import annotations

import pytest

from deepseek_async.codec.tokens import estimate_tokens


@pytest.mark.parametrize(
    ("wire", "max_tokens", "tokens"),
    [
        (b"x" * 400, None, 100 + 1024),
        (b"x" * 400, 50, 150),
        (b"x" * 400, 100_000, 100 + 1024),
        (b"", 0, 0),
        (b"x" * 400, "50", 100 + 1024),
        (b"x" * 400, -1_000_000, 100),
    ],
)
def test_a_quarter_of_the_bytes_and_the_cap_of_the_answer(wire: bytes, max_tokens: object, tokens: int):
    assert estimate_tokens(wire, max_tokens) == tokens
