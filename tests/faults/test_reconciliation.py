"""The client's money is what the service has billed; ``reconciliation.py`` holds thousands of calls against it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from reconciliation import Reconciliation


@pytest.fixture(autouse=True)
def no_row_is_logged_as_an_accident() -> Iterator[None]:
    """In the place of the fixture for single rows: the simulator logs every connection that it was left with."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("budget", [True, False])
@pytest.mark.parametrize(("seed", "fault_rate", "bulk"), [(0, 0.1, False), (1, 0.3, False), (2, 0.0, True)])
async def test_usage_and_cost_are_those_of_the_ledger_where_they_arrived_and_never_below(
    seed: int, fault_rate: float, bulk: bool, budget: bool
):
    reconciliation = Reconciliation(seed, calls=120, fault_rate=fault_rate, bulk=bulk, budget=budget)
    await reconciliation.run()

    assert reconciliation.differences == []
    assert len(reconciliation.ended) > 100
