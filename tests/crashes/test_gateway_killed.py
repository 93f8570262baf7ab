"""A gateway that is killed at random moments: every row of its batch once. ``--rounds 30`` for more."""

from __future__ import annotations

from pathlib import Path

import pytest
from killing_gateway import kill_gateway_again_and_again


@pytest.mark.timeout(900)
async def test_a_batch_whose_gateway_is_killed_again_and_again_has_each_row_once(
    tmp_path: Path, request: pytest.FixtureRequest
):
    rounds = request.config.getoption("--rounds") or 2
    killing, _ = await kill_gateway_again_and_again(
        tmp_path / "gateway", rounds=rounds, rows=100 * rounds, concurrency=16, seed=11
    )

    # What is promised has been asserted at the end.
    assert killing.batch["request_counts"]["completed"] == 100 * rounds
