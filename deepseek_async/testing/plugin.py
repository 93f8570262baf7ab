"""pytest plugin, active wherever this library and pytest are installed.

- ``deepseek_simulator``: a simulator of the API that answers what the test says, in a thread of its own. A request
  without a scripted answer is an error, and so is a scripted answer that nothing asked for, once the test has passed.
- ``deepseek_client``: an ``AsyncDeepSeek`` for it that retries without waiting.
- ``deepseek_recorded``: an ``AsyncDeepSeek`` that records the service's answers on the first run and replays them
  later; ``deepseek_cassette`` is its transport.

``@pytest.mark.deepseek(...)`` takes the arguments of SimulatorSettings, and ``check_used=False``.
``@pytest.mark.deepseek_cassette("name.jsonl")`` takes those of ``recording``. Fixtures are synchronous, so tests may
be too, or run on pytest-asyncio or anyio.

Loading this plugin imports nothing of the library beyond this file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from deepseek_async.client import AsyncDeepSeek
    from deepseek_async.simulator import Simulator
    from deepseek_async.testing.recorder import Recording

_VARIABLE = "DEEPSEEK_ASYNC_RECORD"
_TEST_KEY = "sk-test"
_CLOSING_SECONDS = 10.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("deepseek_async").addoption(
        "--deepseek-record",
        choices=("none", "once", "new", "all"),
        help="what recordings of DeepSeek's answers do: none replays only, once records files that do not exist, new "
        "records what is missing, all records everything again",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "deepseek(**settings): settings of the fixture deepseek_simulator")
    config.addinivalue_line("markers", "deepseek_cassette(path, **options): file of the fixture deepseek_cassette")
    mode = config.getoption("--deepseek-record")
    if mode is not None:
        before = os.environ.get(_VARIABLE)
        os.environ[_VARIABLE] = mode
        config.add_cleanup(lambda: _restore(before))


def _restore(before: str | None) -> None:
    os.environ.pop(_VARIABLE, None)
    if before is not None:
        os.environ[_VARIABLE] = before


@pytest.fixture
def deepseek_simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """A simulator of the DeepSeek API: ``deepseek_simulator.answer(when="refund", content="It is on its way.")``."""
    from deepseek_async.simulator import SimulatorSettings  # noqa: PLC0415  brings aiohttp
    from deepseek_async.testing.simulator_thread import simulator_thread  # noqa: PLC0415

    marker = request.node.get_closest_marker("deepseek")
    settings: dict[str, Any] = {"on_miss": "error"} | (marker.kwargs if marker is not None else {})
    check_used = settings.pop("check_used", True)
    try:
        chosen = SimulatorSettings(**settings)
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"@pytest.mark.deepseek of {request.node.nodeid}: {error}") from None
    failed = request.session.testsfailed
    with simulator_thread(chosen) as simulator:
        yield simulator
    simulator.answers.check_missed()
    if check_used and request.session.testsfailed == failed:
        simulator.answers.check_used()


@pytest.fixture
def deepseek_client(deepseek_simulator: Simulator) -> Iterator[AsyncDeepSeek]:
    """A client of ``deepseek_simulator``; closed after the test."""
    from deepseek_async.client import AsyncDeepSeek  # noqa: PLC0415  brings aiohttp

    client = AsyncDeepSeek(
        api_key=_TEST_KEY, base_url=deepseek_simulator.base_url, retry=_at_once(), trust_env=False, shared="off"
    )
    yield client
    _close(client)


@pytest.fixture
def deepseek_cassette(request: pytest.FixtureRequest) -> Iterator[Recording]:
    """A transport that records and replays: ``AsyncDeepSeek(transport=deepseek_cassette)``.

    The file is ``cassettes/MODULE/TEST.jsonl`` beside the module of the test; a relative path of the marker is below
    ``cassettes``. A request without a recorded answer fails the test, even if the program swallows the error.
    """
    from deepseek_async.testing.recorder import recording  # noqa: PLC0415  brings aiohttp

    marker = request.node.get_closest_marker("deepseek_cassette")
    options: dict[str, Any] = dict(marker.kwargs) if marker is not None else {}
    named = marker.args[0] if marker is not None and marker.args else options.pop("path", None)
    folder = request.path.parent / "cassettes"
    tape = recording(folder / (named if named is not None else _name_of(request)), **options)
    yield tape
    tape.check_answered()


@pytest.fixture
def deepseek_recorded(deepseek_cassette: Recording) -> Iterator[AsyncDeepSeek]:
    """A client over ``deepseek_cassette``, with the key of the environment while it records; closed after the test."""
    from deepseek_async.client import AsyncDeepSeek  # noqa: PLC0415  brings aiohttp

    if deepseek_cassette.records:
        client = AsyncDeepSeek(transport=deepseek_cassette)
    else:
        key = os.environ.get("DEEPSEEK_API_KEY") or _TEST_KEY
        client = AsyncDeepSeek(transport=deepseek_cassette, api_key=key, retry=_at_once(), shared="off")
    yield client
    _close(client)


def _at_once() -> Any:
    from deepseek_async.testing.retry_at_once import RetryAtOnce  # noqa: PLC0415

    return RetryAtOnce()


def _name_of(request: pytest.FixtureRequest) -> Path:
    """Return the path of a test's cassette."""
    parts = [request.cls.__name__, request.node.name] if request.cls is not None else [request.node.name]
    return Path(request.path.stem, re.sub(r"[^\w.-]+", "-", "-".join(parts)).strip("-") + ".jsonl")


def _close(client: AsyncDeepSeek) -> None:
    """Close a client on the event loop that it was used on, which may be closed already, or run on another thread."""
    import asyncio  # noqa: PLC0415  half of the time that pytest takes to load this file

    opened = client._runtime.opened  # noqa: SLF001  the loop is the runtime's
    loop = None if opened is None else opened.loop
    if loop is not None and loop.is_running():
        asyncio.run_coroutine_threadsafe(client.aclose(), loop).result(_CLOSING_SECONDS)
    elif loop is not None and not loop.is_closed():
        loop.run_until_complete(client.aclose())
    else:
        spare = asyncio.new_event_loop()
        try:
            spare.run_until_complete(client.aclose())
        finally:
            spare.close()
