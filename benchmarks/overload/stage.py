"""The servers of one scenario: a service for each trial, and one nginx in front of all of them."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from limited_server import LimitedServer
from nginx import Nginx, server
from overload.scenarios import Scenario, service
from ports import ReservedPort

ZONES = """\
    limit_req_zone $server_port zone=requests:1m rate=20r/s;
    limit_conn_zone $server_port zone=connections:1m;
"""


@dataclass(frozen=True)
class Counts:
    """Requests that have been answered, and those of them with an answer that was wanted."""

    attempts: int
    served: int

    def since(self, earlier: Counts) -> Counts:
        """What has come since."""
        return Counts(self.attempts - earlier.attempts, self.served - earlier.served)


class Front:
    """What one trial's client talks to."""

    def __init__(self, behind: LimitedServer, log: Path | None = None, port: int | None = None) -> None:
        self.behind = behind
        self._log = log
        self.url = behind.url if port is None else f"http://127.0.0.1:{port}"

    def counts(self) -> Counts:
        """So far, by the log of nginx where there is one."""
        if self._log is None:
            return Counts(self.behind.attempts - self.behind.in_flight, self.behind.served)
        statuses = self._log.read_text().splitlines()
        return Counts(len(statuses), statuses.count("200"))


class Stage:
    """All servers of a scenario, and what happens to them."""

    def __init__(self, scenario: Scenario, fronts: list[Front], nginx: Nginx | None) -> None:
        self._scenario = scenario
        self.fronts = fronts
        self._nginx = nginx

    def begin(self) -> None:
        """The clients begin now."""
        for front in self.fronts:
            if self._scenario.failing is not None:
                front.behind.failing = self._scenario.failing()

    async def happen(self) -> None:
        """What happens while the clients ask; never returns."""
        if self._scenario.stopped is not None and self._nginx is not None:
            after, seconds = self._scenario.stopped
            await asyncio.sleep(after)
            await self._nginx.stop()
            await asyncio.sleep(seconds)
            await self._nginx.start()
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def set_up(scenario: Scenario, trials: int) -> AsyncIterator[Stage]:
    """Servers for so many trials."""
    async with contextlib.AsyncExitStack() as stack:
        services = [await stack.enter_async_context(service()) for _ in range(trials)]
        if scenario.nginx is None:
            yield Stage(scenario, [Front(behind) for behind in services], None)
            return
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weather-")))
        fronts, blocks = [], [ZONES]
        for behind in services:
            port = ReservedPort()
            stack.callback(port.release)
            log = folder / f"{port.number}.log"
            directives = f"{scenario.nginx} access_log {log} status;"
            blocks.append(server(port.number, behind.url, directives))
            fronts.append(Front(behind, log, port.number))
        nginx = await stack.enter_async_context(Nginx(folder, "\n".join(blocks)))
        yield Stage(scenario, fronts, nginx)
