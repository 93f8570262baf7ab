"""SIGKILL at random moments: no row lost, none doubled, and what it costs is bounded. ``--rounds 100`` for more."""

from __future__ import annotations

from pathlib import Path

import pytest
from killing import CHAT, MIXED, OCR, kill_again_and_again, table


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("asks", "rows"), [(CHAT, 800), (MIXED, 800), (OCR, 500)])
async def test_killed_again_and_again_no_row_is_lost_or_doubled_and_the_cost_is_bounded(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    asks: str,
    rows: int,
):
    rounds = request.config.getoption("--rounds") or 4
    killing, server = await kill_again_and_again(
        tmp_path, rounds=rounds, rows=rows * rounds, concurrency=16, seed=11, asks=asks
    )

    # What is promised has been asserted after each kill and at the end.
    assert table(killing, server).count("\n") == rounds + 1
    assert len(killing.rounds) == rounds
