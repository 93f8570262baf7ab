"""A simulated DeepSeek and a client of it, closed after the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from bulk import Bulk, Start

from deepseek_async import AsyncDeepSeek
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.simulator import Simulator, SimulatorSettings


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts simulators, each with a client; ``client`` holds the client's arguments, the others are the service's."""
    async with AsyncExitStack() as stack:

        async def run(*, client: dict[str, Any] | None = None, **settings: Any) -> Bulk:
            simulator = await stack.enter_async_context(Simulator(SimulatorSettings(**{"seed": 7, **settings})))
            made = AsyncDeepSeek(
                **{
                    "api_key": "sk-test-1234",
                    "base_url": simulator.base_url,
                    "max_concurrency": 20,
                    # Faults are answered at once: what is tested is that, not how long, a row waits.
                    "retry": RetryPolicy(max_attempts=6, base_delay=0, max_delay=0),
                    **(client or {}),
                },
            )
            return Bulk(simulator, await stack.enter_async_context(made), tmp_path)

        yield run


@pytest.fixture
async def bulk(start: Start) -> Bulk:
    return await start()
