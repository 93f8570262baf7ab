"""What every row of the fault matrix asserts besides its own: nothing is left, nothing is told, all of it ends soon.

A row is a test whose name begins with the row, as ``test_n3_…``, or whose id does, as ``[N3 reset]``.
``pytest tests/faults --matrix`` prints the matrix: each row, its tests, and how they ended.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
import socket
import traceback
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.disclosure import SECRET, everything_shown_by

from deepseek_async import DeepSeekError

ROWS = {"N": 16, "S": 15, "Q": 8, "R": 6}
"""Rows that must have a test: network, answers and streams, load and refusals, the process's own resources."""

LONGEST_ROW = 120
"""Seconds of CPU and more; what a row waits for takes none."""

ALIKE = 10
"""Errors of one kind that are looked at: each is looked at with the locals of all frames, and as a pickle."""

LEFT_OPEN_SECONDS = 30
"""How long a socket that is not closed is waited for; reached only by a row that leaves one."""

_ROW = re.compile(r"test_([a-z])(\d+)_|.*[\[-]([A-Z])(\d+) ")


@pytest.fixture(autouse=True)
def no_row_shows_the_key(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[None]:
    """Neither logs, nor output, nor any error made on the way, also one that was retried away."""
    made: list[DeepSeekError] = []
    make = DeepSeekError.__init__

    def remember(error: DeepSeekError, *arguments: object, **facts: object) -> None:
        make(error, *arguments, **facts)
        made.append(error)

    monkeypatch.setattr(DeepSeekError, "__init__", remember)
    log, level = io.StringIO(), logging.root.level
    handler = logging.StreamHandler(log)
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.DEBUG)
    yield
    logging.root.removeHandler(handler)
    logging.root.setLevel(level)
    monkeypatch.undo()
    assert SECRET not in log.getvalue()
    assert SECRET not in "".join(capfd.readouterr())
    for error in few_of_a_kind(made):
        assert SECRET not in everything_shown_by(error)


def few_of_a_kind(errors: list[DeepSeekError]) -> Iterator[DeepSeekError]:
    """Those that differ, and of a thousand that say the same and came the same way the first ones and the last."""
    kinds = defaultdict(list)
    for error in errors:
        way = tuple((frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__))
        said, cause = re.sub(r"\d+", "0", str(error)), error.__cause__ or error.__context__
        kinds[type(error), said, type(cause), way].append(error)
    for alike in kinds.values():
        yield from alike if len(alike) <= ALIKE else [*alike[: ALIKE - 1], alike[-1]]


@pytest.fixture(autouse=True)
def no_row_is_logged_as_an_accident(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """asyncio logs what nobody handled: exceptions in callbacks and tasks, sockets that were never closed."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []


@pytest.fixture(autouse=True)
async def no_row_leaves_a_socket(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Made before servers and clients, so it looks after they are gone."""
    before, closed, loop = open_sockets(), asyncio.Event(), asyncio.get_running_loop()
    sockets: Any = socket.socket
    close = sockets._real_close

    def close_and_tell(closing: socket.socket, *how: Any) -> None:
        close(closing, *how)
        with suppress(RuntimeError):  # the row is over
            loop.call_soon_threadsafe(closed.set)

    monkeypatch.setattr(sockets, "_real_close", close_and_tell)
    yield
    # A transport closes its socket in the step after the one that it was closed in.
    with suppress(TimeoutError):
        async with asyncio.timeout(LEFT_OPEN_SECONDS):
            while open_sockets() > before:
                closed.clear()
                await closed.wait()
    assert open_sockets() <= before


@pytest.fixture(params=["pool", "session"])
def each_transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Our own reader of sockets, and aiohttp's session, which carries requests while somebody has replaced its way."""
    if request.param == "session":
        ask = aiohttp.ClientSession._request

        async def ask_all_the_same(session: aiohttp.ClientSession, *arguments: Any, **options: Any) -> Any:
            return await ask(session, *arguments, **options)

        # The pool hands its requests over to whoever has replaced aiohttp's way of asking.
        monkeypatch.setattr(aiohttp.ClientSession, "_request", ask_all_the_same)
    transport: str = request.param
    return transport


def open_sockets() -> int:
    """Sockets of this process."""
    found = 0
    for descriptor in Path("/dev/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of the listing itself
            found += str(descriptor.readlink()).startswith("socket:")
    return found


def row_of(nodeid: str) -> str | None:
    """The row that a test belongs to, for example N3."""
    found = _ROW.match(nodeid.rpartition("::")[2])
    return f"{found[1] or found[3]}{found[2] or found[4]}".upper() if found else None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix", action="store_true", help="print each row of the fault matrix with its tests")
    parser.addoption("--examples", type=int, help="how many responses the fuzz tests of the wire look at")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if row_of(item.nodeid) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LONGEST_ROW))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("matrix", default=False):
        return
    tests: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, ()):
            row, name = row_of(report.nodeid), report.nodeid.rpartition("::")[2].partition("[")[0]
            if row is not None:
                tests[row][name].append(outcome == "passed")
    expected = {f"{letter}{number}" for letter, last in ROWS.items() for number in range(1, last + 1)}
    terminalreporter.section("fault matrix")
    for row in sorted(expected | set(tests), key=lambda row: ("NSQRJG".find(row[0]), int(row[1:]))):
        for name, passes in tests[row].items():
            state = "pass" if all(passes) else "FAIL"
            terminalreporter.line(f"{row:4}{state}  {name}  {sum(passes)}/{len(passes)}")
        if not tests[row]:
            terminalreporter.line(f"{row:4}none")
