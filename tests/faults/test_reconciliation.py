"""The client's money is what the service has billed; ``reconciliation.py`` holds thousands of calls against it.

``RECONCILED_CALLS=5000`` for so many in each test.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any, Final

import pytest
from reconciliation import Reconciliation
from support.thoroughness import often

CALLS: Final = int(os.environ.get("RECONCILED_CALLS", often(500)))
"""Of each of the ten tests: 5,000 in all with ``--thorough``."""

WEATHERS: Final[list[dict[str, Any]]] = [
    {"calm": True},
    {"fault_rate": 0.1, "shape": "blocks"},
    {"fault_rate": 0.3, "bulk": False, "counted": False},
    {"fault_rate": 0.1, "shape": "blocks", "counted": False},
    {"fault_rate": 0.1, "bulk": False, "shape": "links", "counted": False},
]


@pytest.fixture(autouse=True)
def no_row_is_logged_as_an_accident() -> Iterator[None]:
    """In the place of the fixture for single rows: the simulator logs every connection that it was left with."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("settings", WEATHERS, ids=" ".join)
@pytest.mark.parametrize("budget", [True, False], ids=["budget", "no budget"])
async def test_usage_fees_and_cost_are_those_of_the_ledger_where_they_arrived_and_never_below(
    settings: dict[str, Any], budget: bool
):
    seed = 2 * WEATHERS.index(settings) + budget
    reconciliation = Reconciliation(seed, CALLS, budget=budget, **settings)
    await reconciliation.run()

    assert reconciliation.differences == []
    assert len(reconciliation.ended) > CALLS * 0.8
    fees = {fee.kind for ended in reconciliation.ended for fee in ended.fees}
    assert fees == {"search", "fetch", "page", "speech_characters", "audio_seconds"}
