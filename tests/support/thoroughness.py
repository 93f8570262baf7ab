"""``--thorough``: every example of a property, every seed of simulated weather, every row of a long list.

Without it each such proof is a share of that, so that the suite is run often. The examples are always the same; others
are looked for with ``--shuffle`` and ``--busy``, whose seed gives them again.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

SHARE = 5
"""One in so many is in the short form."""

_thorough = False


def often(many: int, *, least: int = 20) -> int:
    """``many`` with ``--thorough``, else a share of them, and ``least`` at least."""
    return many if _thorough else min(many, max(least, many // SHARE))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="all examples and seeds, five times as many as usual")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    global _thorough  # noqa: PLW0603  read by decorators, before any fixture
    _thorough = config.option.thorough
    # How long an example takes says how busy the machine is, and nothing of the code.
    settings.register_profile(
        "any machine",
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=often(100),
        suppress_health_check=[*settings.default.suppress_health_check, HealthCheck.too_slow],
    )
    settings.register_profile("exploring", settings.get_profile("any machine"), derandomize=False)
    settings.load_profile("any machine")
