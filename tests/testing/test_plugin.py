"""Users of pytest get fixtures, and whoever does not use them pays nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from support.documentation import Page
from support.programs import environment_with

import deepseek_async
from deepseek_async.simulator import Simulator, SimulatorSettings

PLUGIN = "deepseek_async.testing.plugin"
ROOT = Path(__file__).parents[2]

INI = """[pytest]
filterwarnings = error
asyncio_default_fixture_loop_scope = function
"""
PLUGINS = ("pytest_asyncio.plugin", "anyio.pytest_plugin", PLUGIN)
"""By name: the environment of the tests has plugins that take seconds to load."""
COMMAND = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs pytest in a folder with these tests, and returns what it printed."""

    def pytest_on(tests: str, *arguments: str, **environment: str) -> str:
        (tmp_path / "test_mine.py").write_text(tests)
        (tmp_path / "pytest.ini").write_text(INI)
        options = [word for name in PLUGINS for word in ("-p", name)]
        ran = subprocess.run(
            [*COMMAND, *options, *arguments],
            cwd=tmp_path,
            env=environment_with(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTHONPATH=str(ROOT), **environment),
            capture_output=True,
            text=True,
            check=False,
        )
        return ran.stdout + ran.stderr

    return pytest_on


def test_the_plugin_is_an_entry_point():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"deepseek_async": PLUGIN}


def test_loading_the_plugin_imports_no_more_than_pytest():
    code = f"""
import pytest, sys
before = set(sys.modules)
import {PLUGIN}
print({{name for name in set(sys.modules) - before if not name.startswith("deepseek_async")}})
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment_with(PYTHONPATH=str(ROOT)),
    )
    assert ran.stdout.strip() == "set()"


ASKING = """
import asyncio
import time
import pytest
import deepseek_async

HI = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "a refund, please"}]}


async def ask(client, **more):
    return (await client.chat.completions.create(**HI, **more)).choices[0].message.content
"""

PASSING = (
    ASKING
    + """
@pytest.mark.asyncio
async def test_with_asyncio(deepseek_simulator, deepseek_client):
    deepseek_simulator.answer(when="refund", content="On its way.")
    assert await ask(deepseek_client) == "On its way."
    await deepseek_simulator.until(lambda now: now.served == 1 and not now.in_flight)


@pytest.mark.anyio
async def test_with_anyio(deepseek_simulator, deepseek_client):
    deepseek_simulator.answer(content="On its way.")
    assert await ask(deepseek_client) == "On its way."


@pytest.fixture
def anyio_backend():
    return "asyncio"


def test_synchronous(deepseek_simulator, deepseek_client):
    deepseek_simulator.answer(content="On its way.", times=2)
    assert asyncio.run(ask(deepseek_client)) == "On its way."
    assert asyncio.run(ask(deepseek_client)) == "On its way."
    assert deepseek_simulator.requests[0].body["messages"] == HI["messages"]


def test_another_client(deepseek_simulator, monkeypatch):
    monkeypatch.setenv("DEEPSEEK_BASE_URL", deepseek_simulator.base_url)
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-mine")
    deepseek_simulator.answer(status=503)
    deepseek_simulator.answer(content="On its way.")

    async def program():
        async with deepseek_async.AsyncDeepSeek() as client:
            return await ask(client)

    assert asyncio.run(program()) == "On its way."


@pytest.mark.deepseek(on_miss="answer", seed=3, check_used=False)
def test_settings(deepseek_simulator, deepseek_client):
    deepseek_simulator.answer(when="order", content="never used")
    assert "refund" in asyncio.run(ask(deepseek_client))


def test_refusals(deepseek_simulator, deepseek_client):
    deepseek_simulator.answer(status=402)
    with pytest.raises(deepseek_async.InsufficientBalanceError):
        asyncio.run(ask(deepseek_client))


def test_unused(deepseek_client):
    pass


@pytest.mark.parametrize("status", [429, 500, 503])
def test_retries_do_not_wait(deepseek_simulator, deepseek_client, status):
    deepseek_simulator.answer(status=status, headers={"Retry-After": "100"})
    deepseek_simulator.answer(status=status)
    deepseek_simulator.answer(content="On its way.")
    began = time.monotonic()
    assert asyncio.run(ask(deepseek_client)) == "On its way."
    assert time.monotonic() - began < 50
"""
)


def documented() -> str:
    """The tests that the page and the examples show."""
    shown = Page(ROOT / "docs/how-to/test-your-program.md").blocks("python")[0].text
    return shown + (ROOT / "examples/test_refunds.py").read_text().partition("from __future__ import annotations\n")[2]


FAILING = """
def test_swallowed_miss(deepseek_simulator, deepseek_client):
    deepseek_simulator.answer(when="order", content="x")
    try:
        asyncio.run(ask(deepseek_client))
    except deepseek_async.DeepSeekError:
        pass


def test_swallowed_error_of_a_script(deepseek_simulator, deepseek_client):
    deepseek_simulator.answer(when=lambda request: request["no such field"], content="x")
    try:
        asyncio.run(ask(deepseek_client))
    except deepseek_async.DeepSeekError:
        pass


def test_forgotten_answer(deepseek_simulator):
    deepseek_simulator.answer(when="order", content="x")


def test_that_fails_is_not_told_about_answers(deepseek_simulator):
    deepseek_simulator.answer(when="invoice", content="x")
    assert False


@pytest.mark.deepseek(sead=3)
def test_wrong_setting(deepseek_simulator):
    pass
"""


def test_every_kind_of_test_has_the_fixtures_and_fails_for_a_miss_or_a_forgotten_answer(run: Run):
    said = run(PASSING + FAILING + documented())
    assert "1 failed, 16 passed, 4 errors in" in said
    assert "function of a scripted answer failed: KeyError: 'no such field'" in said
    assert "no scripted answer matches this request" in said
    assert "answers are left for: 'order'" in said
    assert "scripted answers were not used: 'order'" in said
    assert "scripted answers were not used: 'invoice'" not in said
    assert "@pytest.mark.deepseek of test_mine.py::test_wrong_setting" in said


RECORDED = (
    ASKING
    + """
@pytest.mark.parametrize("number", [1, 2])
def test_recorded(deepseek_recorded, number):
    assert asyncio.run(ask(deepseek_recorded, temperature=number / 2)).startswith("Answer to: a refund")


@pytest.mark.deepseek_cassette("shared.jsonl", scrub=["temperature"])
class TestShared:
    def test_one(self, deepseek_recorded):
        asyncio.run(ask(deepseek_recorded, temperature=0))

    def test_two(self, deepseek_recorded, deepseek_cassette):
        asyncio.run(ask(deepseek_recorded, temperature=1))
        deepseek_cassette.check_used()
"""
)


def cassettes_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder / "cassettes")) for path in folder.rglob("*.jsonl"))


async def test_answers_are_recorded_once_and_refreshed_by_a_flag(run: Run, tmp_path: Path):
    async with Simulator(SimulatorSettings(seed=7)) as simulator:
        there = {"DEEPSEEK_BASE_URL": simulator.base_url, "DEEPSEEK_API_KEY": "sk-recorded-0123456789"}
        assert "4 passed in" in await asyncio.to_thread(run, RECORDED, **there)
        first = simulator.statistics().requests
        assert "4 passed in" in await asyncio.to_thread(run, RECORDED, "--deepseek-record=all", **there)
        assert (first, simulator.statistics().requests) == (3, 6)
        assert cassettes_in(tmp_path) == [
            "shared.jsonl",
            "test_mine/test_recorded-1.jsonl",
            "test_mine/test_recorded-2.jsonl",
        ]
    (tmp_path / "cassettes" / "shared.jsonl").unlink()
    said = run(RECORDED, "--deepseek-record=none")  # without a key, and with nobody there
    assert "2 failed, 2 passed" in said
    assert "no recorded answer for POST /chat/completions: " in said
    assert "shared.jsonl is empty" in said


def test_the_plugin_is_loaded_from_the_package_under_test():
    assert Path(deepseek_async.__file__).is_relative_to(ROOT)
