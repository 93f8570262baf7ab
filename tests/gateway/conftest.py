"""Gateways in front of simulators, closed after the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from gateways import Gated, StartGateway
from support.clients import Connect
from support.servers import Serve

from deepseek_async.gateway import AsyncGateway
from deepseek_async.gateway.callers import Callers
from deepseek_async.simulator import Simulator, SimulatorSettings


@pytest.fixture(autouse=True)
def batches_run_at_any_hour(half_prices_today: None) -> None:
    """Tests of gateways do not wait for half prices."""


@pytest.fixture
async def gateway(serve: Serve, connect: Connect, tmp_path: Path) -> AsyncIterator[StartGateway]:
    """Starts a gateway in front of a simulator: ``keys`` are callers by name, others settings of the simulator."""
    async with AsyncExitStack() as stack:

        async def start(
            keys: dict[str, dict[str, Any]] | None = None, heartbeat: float = 60.0, **settings: Any
        ) -> Gated:
            folder = tmp_path / "gateway"
            folder.mkdir(exist_ok=True)
            callers = Callers(folder / "keys.json")
            made = {name: callers.add(name, **options) for name, options in (keys or {}).items()}
            simulator = await stack.enter_async_context(Simulator(SimulatorSettings(**{"seed": 7, **settings})))
            client = connect(simulator.base_url, retry=4, currency_rates={"CNY": 0.14})
            running = AsyncGateway(client, folder=folder, port=0, drain=5, heartbeat=heartbeat)
            await stack.enter_async_context(running)
            return Gated(simulator, running, folder, made)

        yield start


@pytest.fixture
async def gated(gateway: StartGateway) -> Gated:
    """A gateway without keys."""
    return await gateway()


@pytest.fixture
async def behind(serve: Serve, connect: Connect, tmp_path: Any):
    """Puts a gateway in front of a server of raw bytes."""
    running: list[AsyncGateway] = []

    async def start(script: Any) -> tuple[Gated, Any]:
        server = await serve(script)
        made = AsyncGateway(connect(server, retry=1), folder=tmp_path, port=0, drain=1)
        running.append(await made.__aenter__())
        return Gated(server, made, tmp_path), server

    yield start
    for each in running:
        await each.aclose()
