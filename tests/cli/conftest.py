"""Commands and simulators that end with their test."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from command_line import KEY, CommandLine, Serve, Terminal

from deepseek_async.cli.app import run
from deepseek_async.observe.logs import LOGGER
from deepseek_async.simulator import Simulator, SimulatorSettings


@pytest.fixture(autouse=True)
def handlers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command lets the library's warnings be shown for the rest of its process."""
    monkeypatch.setattr(LOGGER, "handlers", LOGGER.handlers.copy())


@pytest.fixture
async def command(tmp_path: Path) -> AsyncIterator[CommandLine]:
    made = CommandLine(tmp_path)
    yield made
    await made.aclose()


@pytest.fixture
async def serve(command: CommandLine) -> AsyncIterator[Serve]:
    """Starts a simulator with the given settings and names it to the command."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Simulator:
            simulator = await stack.enter_async_context(Simulator(SimulatorSettings(**{"seed": 7, **settings})))
            command.environment["DEEPSEEK_BASE_URL"] = simulator.base_url
            return simulator

        yield start


@pytest.fixture
def refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """What a command line that cannot be run says, in this process: a start takes 20 times as long."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    monkeypatch.setenv("DEEPSEEK_BASE_URL", "http://127.0.0.1:1")
    # This process has garbage of its own.
    monkeypatch.setattr("deepseek_async.cli.batch_job.relax_garbage_collection", lambda: None)

    def run_refused(*arguments: str) -> str:
        try:
            code = run(arguments)
        except SystemExit as leaving:
            code = leaving.code
        said = capsys.readouterr()
        assert (code, said.out) == (2, "")
        assert KEY not in said.err
        return said.err

    return run_refused


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    made = Terminal()
    yield made
    made.close()
