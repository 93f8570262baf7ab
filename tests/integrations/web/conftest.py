"""Services that relay answers, in this process: uvicorn with FastAPI, and aiohttp.web."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from relaying import App, RunService, Simulate, Site
from support.waiting import until

from deepseek_async import AsyncDeepSeek
from deepseek_async.simulator import Simulator, SimulatorSettings


@pytest.fixture
async def run_service() -> AsyncIterator[RunService]:
    """Runs an application until the end of the test; gives what visits it."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))

        async def start(app: App) -> Site:
            listening = socket.create_server(("127.0.0.1", 0), backlog=512)
            stack.callback(listening.close)
            if isinstance(app, web.Application):
                runner = web.AppRunner(app, shutdown_timeout=1)
                await runner.setup()
                stack.push_async_callback(runner.cleanup)
                await web.SockSite(runner, listening).start()
            else:
                options = {"lifespan": "on", "log_config": None, "timeout_graceful_shutdown": 1}
                server = uvicorn.Server(uvicorn.Config(app, **options))
                # Signals belong to the test; ``serve`` would take them.
                serving = asyncio.create_task(server._serve([listening]))

                async def stop() -> None:
                    server.should_exit = True
                    await serving

                stack.push_async_callback(stop)
                await until(lambda: server.started)
            return Site(session, f"http://127.0.0.1:{listening.getsockname()[1]}")

        yield start


@pytest.fixture
async def simulate() -> AsyncIterator[Simulate]:
    """Starts a simulator, and a client of it."""
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> tuple[Simulator, AsyncDeepSeek]:
            simulator = await stack.enter_async_context(Simulator(SimulatorSettings(seed=7, **settings)))  # type: ignore[arg-type]
            client = AsyncDeepSeek(api_key="sk-web-test-key", base_url=simulator.base_url, shared="off")
            return simulator, await stack.enter_async_context(client)

        yield start
