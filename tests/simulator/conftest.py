"""Simulators that are stopped after the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from simulator_caller import Caller, Start

from deepseek_async.simulator import Simulator, SimulatorSettings


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts simulators with the given settings and stops them after the test."""
    async with AsyncExitStack() as stack:

        async def run(**settings: Any) -> Caller:
            simulator = await stack.enter_async_context(Simulator(SimulatorSettings(**{"seed": 7, **settings})))
            connector = aiohttp.TCPConnector(limit=0)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            return Caller(simulator, session)

        yield run


@pytest.fixture
async def caller(start: Start) -> Caller:
    return await start()
