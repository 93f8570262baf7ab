"""Servers and clients that are closed after the test, and a check that nothing of them is left."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from unittest import mock

import aiohttp
import aioresponses.core
import pytest
import uvloop
from support.clients import AT_ONCE, Connect
from support.servers import CANARY, Script, ScriptedServer, Serve

from deepseek_async import AsyncDeepSeek
from deepseek_async.cache import disk
from deepseek_async.observe.logs import prepare as prepare_logging
from deepseek_async.text import redaction

pytest_plugins = ["support.busy", "support.leftovers", "support.thoroughness", "support.virtual_time"]

if "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters:
    # aioresponses builds responses without an argument that newer versions of aiohttp require.
    class _MockedResponse(aiohttp.ClientResponse):
        def __init__(self, *arguments: Any, stream_writer: Any = None, **options: Any) -> None:
            writer = stream_writer or mock.Mock(output_size=0)
            super().__init__(*arguments, stream_writer=writer, **options)

    aioresponses.core.ClientResponse = _MockedResponse


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--rounds 100`` makes proofs by repetition as long as one likes; without it each has a short form."""
    parser.addoption("--rounds", type=int, help="rounds of the tests that kill, tear and fail again and again")


def pytest_sessionstart() -> None:
    """What a process gets once, whichever test is the first to need it."""
    prepare_logging()
    uvloop.new_event_loop().close()
    # A shell has its background jobs ignore Ctrl-C; a loop that has listened for it leaves Python's own handler.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Processes that share the tests must name them alike, and so must two runs."""
    unstable = [item.nodeid for item in items if " object at 0x" in item.nodeid]
    if unstable:
        raise pytest.UsageError(f"names of tests must not hold addresses of objects: {unstable[0]}; give ids=")


INHERITED = re.compile(r"PATH|TMPDIR|LD_LIBRARY_PATH|PY.*|COVERAGE.*|HYPOTHESIS.*")
"""What a test gets to see of the environment that the suite was started in."""

homes = count()


@pytest.fixture(autouse=True)
def environment_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test depends on what the machine has set, nor leaves anything in its user's home or in this checkout."""
    for name in os.environ:
        if not INHERITED.fullmatch(name):
            monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / f"home-{next(homes)}"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.chdir(home)


@pytest.fixture
def half_prices_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """At peak hours of the real clock the batch of a gateway waits for half prices; holidays have none."""
    today = datetime.now(UTC).date()
    monkeypatch.setenv("DEEPSEEK_ASYNC_HOLIDAYS", ",".join(str(today + timedelta(days=day)) for day in range(-1, 3)))


@pytest.fixture(autouse=True)
def disk_of_any_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache leaves a slow disk alone; that of a busy machine may be as slow as it likes."""
    monkeypatch.setattr(disk, "SLOW", 3600.0)


@pytest.fixture(autouse=True)
def keys_of_its_own() -> Iterator[None]:
    """No test has the keys of another's clients masked in its texts, whenever those clients are collected."""
    before = dict(redaction._known)
    yield
    redaction._known.clear()
    redaction._known.update(before)
    redaction._changed()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts scripted servers, one script for each request; afterwards every connection must have been closed."""
    async with AsyncExitStack() as stack:
        servers: list[ScriptedServer] = []

        async def start(*scripts: Script, **options: Any) -> ScriptedServer:
            server = await stack.enter_async_context(ScriptedServer(scripts, **options))
            servers.append(server)
            return server

        yield start
        for server in servers:
            if not server.reads:
                await server.stop()
            async with asyncio.timeout(120):
                await server.idle.wait()
    assert other_tasks() == []


@pytest.fixture
async def connect(serve: Serve) -> AsyncIterator[Connect]:
    """Makes clients that retry at once; afterwards no slot, task or socket of theirs may be left."""
    clients: list[AsyncDeepSeek] = []

    def make(server: ScriptedServer | str, **options: Any) -> AsyncDeepSeek:
        url = server if isinstance(server, str) else server.url
        client = AsyncDeepSeek(**{"api_key": CANARY, "base_url": url, "retry": AT_ONCE, "breaker": False, **options})
        clients.append(client)
        return client

    yield make
    for client in clients:
        if client._runtime.opened is not None:
            account_limiter = client._runtime.opened.account_limiter
            assert (account_limiter.in_flight, account_limiter.waiting) == (0, 0)
        await client.aclose()


def other_tasks() -> list[asyncio.Task[Any]]:
    """Tasks other than the running one."""
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
