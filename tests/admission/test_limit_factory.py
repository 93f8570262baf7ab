"""Which window a model gets from what is remembered, and what is remembered of it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from deepseek_async.admission.concurrency_limit import Attempt, ConcurrencyStatistics, Mode
from deepseek_async.admission.limit_factory import LimitFactory
from deepseek_async.admission.remembered_limits import RememberedLimits


def found(**values: int | None) -> ConcurrencyStatistics:
    return ConcurrencyStatistics(size=1, in_flight=0, mode=Mode.HOLD, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"ceiling": 62, "believed_limit": 500}, 500),
        ({"ceiling": 62}, 62),
        ({"ceiling": 620, "believed_limit": 500}, 620),
        ({}, None),
    ],
    ids=["a share of a named limit", "nothing was named", "the limit has risen", "nothing was found"],
)
def test_what_is_kept_is_the_accounts_and_not_what_one_process_had(values: dict[str, int], kept: int | None) -> None:
    assert found(**values).account_ceiling == kept


def test_a_remembered_ceiling_is_no_size_to_begin_with_but_one_to_stop_at(tmp_path: Path) -> None:
    memory = RememberedLimits(tmp_path, "https://api.deepseek.com", "account")
    memory.store({"deepseek-flash": 38}, time.time())

    async def sizes() -> list[int]:
        window = LimitFactory("auto", most=1000, memory=memory)("deepseek-flash")
        now, found = asyncio.get_running_loop().time(), [window.size]
        for _ in range(20):
            flying: list[Attempt] = []
            while window.may_send(now):
                flying.append(window.sent(now))
            now += 0.1
            for attempt in flying:
                window.admitted(attempt, now)
            found.append(window.size)
        return found

    found = asyncio.run(sizes())
    assert found[0] <= 20
    assert 38 in found
    assert found[found.index(38) + 1] <= 40
