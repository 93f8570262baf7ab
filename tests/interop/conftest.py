"""Real servers that others wrote, each started by the test that talks to it and ended by its process.

Those that come from the system are installed by ``scripts/servers``; those that come as Python packages are installed
when first needed in the folder that INTEROP_ENVIRONMENTS names. A test whose server is missing is skipped and says
why; ``.ci/run`` has them all. The fixtures ask for ``serve`` only to end before it looks whether anything is left.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import nginx
import pytest
from foreign_servers import ENVIRONMENTS, LISTED, FrontedBy, Run, Simulate
from peers import environment, requirements
from ports import ReservedPort
from program import Program
from support.servers import Serve

from deepseek_async.simulator import Simulator, SimulatorSettings


@pytest.fixture
def free_port() -> Iterator[Callable[[], int]]:
    """Finds a port that nobody else is given before the end of the test."""
    with ExitStack() as stack:

        def find() -> int:
            port = ReservedPort()
            stack.callback(port.release)
            return port.number

        yield find


@pytest.fixture
async def run(serve: Serve) -> AsyncIterator[Run]:
    """Runs a program until the end of the test. Skips the test where the program is not installed."""
    async with AsyncExitStack() as stack:

        async def start(*command: str, ready: bytes, **middleware: str) -> Program:
            if shutil.which(command[0]) is None:
                pytest.skip(f"{command[0]} is not installed; scripts/servers does it")
            program = Program(*command, ready=ready, environment={**os.environ, **middleware})
            return await stack.enter_async_context(program)

        yield start


@pytest.fixture
def python_with() -> Callable[[str], str]:
    """The Python of one of the environments. Skips the test where none are wanted."""

    def find(name: str) -> str:
        if ENVIRONMENTS is None:
            pytest.skip(f"{name} comes as a package: INTEROP_ENVIRONMENTS=FOLDER has it installed there")
        return str(environment(Path(ENVIRONMENTS) / name, requirements(LISTED)[name]))

    return find


@pytest.fixture
async def simulate(serve: Serve) -> AsyncIterator[Simulate]:
    """Starts simulators."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Simulator:
            return await stack.enter_async_context(Simulator(SimulatorSettings(**{"seed": 7, **settings})))

        yield start


@pytest.fixture
async def behind_nginx(serve: Serve, tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[FrontedBy]:
    """Puts a real nginx in front of a server."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed; scripts/servers does it")
    async with AsyncExitStack() as stack:

        async def start(upstream: str, directives: str = "", around: str = "") -> tuple[nginx.Nginx, str]:
            port = free_port()
            blocks = f"{around}\n{nginx.server(port, upstream, directives)}"
            program = await stack.enter_async_context(nginx.Nginx(tmp_path, blocks))
            return program, f"http://127.0.0.1:{port}"

        yield start
