"""Simulators that are stopped after the test, and clients of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from simulating import Simulate
from support.clients import Connect

from deepseek_async import AsyncDeepSeek
from deepseek_async.simulator import Simulator, SimulatorSettings


@pytest.fixture
async def simulate() -> AsyncIterator[Simulate]:
    """Starts simulators with the given settings."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Simulator:
            return await stack.enter_async_context(Simulator(SimulatorSettings(**{"seed": 7, **settings})))

        yield start


@pytest.fixture
async def client(simulate: Simulate, connect: Connect) -> AsyncDeepSeek:
    """A client of a simulator that has everything."""
    return connect((await simulate()).base_url)


@pytest.fixture
async def live(simulate: Simulate, connect: Connect) -> AsyncDeepSeek:
    """A client of a simulator that has what api.deepseek.com has."""
    return connect((await simulate(live_only=True)).base_url)
