"""After a storm of calls, faults, cancellations and dropped streams nothing is held; ``soak.py`` takes minutes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator

import pytest
from soak import Storm
from support.thoroughness import often


@pytest.fixture(autouse=True)
def no_row_is_logged_as_an_accident() -> Iterator[None]:
    """In the place of the fixture for single rows: the simulator logs every connection that it was left with."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def no_row_shows_the_key() -> None:
    """In the place of the fixture for single rows, which keeps every error, and with its frames what they held."""


@pytest.mark.parametrize("seed", range(often(4, least=2)))
async def test_a_storm_leaves_nothing_behind(seed: int):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert await Storm(seed, seconds=0.5).run() == {}
