"""``--busy``: turns of the event loop begin late, as on a machine with other work. ``--shuffle``: in random order.

Both are drawn from ``--seed``, which is printed at the end, and so are the examples of property tests. A stall sleeps,
so it costs no CPU; which turns are stalled depends on the seed and on the test's name alone.
"""

from __future__ import annotations

import random
import time
from asyncio.base_events import BaseEventLoop
from typing import Any

import pytest
from hypothesis import core, settings

RARER = 0.97
"""Of each stall of a test, as against the one before: a test of 100,000 turns has a hundred, and not thousands."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--busy", action="store_true", help="stall the event loop now and then")
    parser.addoption("--stall-every", type=float, default=50.0, help="turns of the loop between two stalls, on average")
    parser.addoption("--stall-for", type=float, default=0.06, help="seconds of a stall")
    parser.addoption("--shuffle", action="store_true", help="run the tests in random order")
    parser.addoption("--seed", type=int, help="of --busy and --shuffle; without it another one each time")


def pytest_configure(config: pytest.Config) -> None:
    options = config.option
    if options.seed is None:
        chosen_by_controller = getattr(config, "workerinput", {}).get("seed")
        options.seed = chosen_by_controller or random.SystemRandom().randrange(1, 10**6)
    if options.busy or options.shuffle:
        core.global_force_seed = options.seed
        settings.load_profile("exploring")
    if options.busy:
        config.pluginmanager.register(Stalls(options.seed, 1 / options.stall_every, options.stall_for), "stalls")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """All workers of pytest-xdist have to run the tests in one order."""
    node.workerinput["seed"] = node.config.option.seed


class Stalls:
    """Stalls of ``seconds`` before a share of all turns, for loops of asyncio in this process."""

    def __init__(self, seed: int, share: float, seconds: float) -> None:
        self._seed = seed
        self._share = share
        self._seconds = seconds
        self._chance = random.Random()
        self._now = share

    def pytest_sessionstart(self) -> None:
        turn = BaseEventLoop._run_once  # type: ignore[attr-defined]

        def late(loop: BaseEventLoop) -> None:
            if self._chance.random() < self._now:
                self._now *= RARER
                time.sleep(self._seconds)
            turn(loop)

        BaseEventLoop._run_once = late  # type: ignore[attr-defined]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._chance.seed(f"{self._seed} {item.nodeid}")
        self._now = self._share


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.shuffle:
        random.Random(config.option.seed).shuffle(items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    options = config.option
    chosen = [name for name, given in (("--busy", options.busy), ("--shuffle", options.shuffle)) if given]
    if chosen:
        terminalreporter.line(f"the same again: {' '.join(chosen)} --seed {options.seed}")
