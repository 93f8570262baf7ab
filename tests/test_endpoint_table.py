"""The table of endpoints is true and complete: what it names is there, and every method that sends is in it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from deepseek_async import AsyncDeepSeek
from deepseek_async.cli.app import app

ROOT: Final = Path(__file__).parents[1]
NAMES: Final = ("Endpoint", "Client", "Plain", "Stream", "Errors", "Cost", "Example", "Simulator", "Command")
FREE: Final = {"GET /models", "GET /user/balance"}
"""Of which nothing is billed."""
BESIDE: Final = {
    "blocking_client.py",
    "langchain_chat.py",
    "openai_client.py",
    "prompt_cache.py",
    "pydantic_ai_agent.py",
    "ray_dataset.py",
    "recorded_answers.py",
    "table.py",
    "test_refunds.py",
    "tutorial_batch.py",
    "tutorial_call.py",
    "tutorial_retry.py",
    "tutorial_stream.py",
}
"""Programs that are about chat, and about something else first."""


def rows() -> list[dict[str, str]]:
    lines = [line for line in (ROOT / "ENDPOINTS.md").read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert tuple(cells[0]) == NAMES
    return [dict(zip(NAMES, row, strict=True)) for row in cells[2:]]


ROWS: Final = rows()


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def every(column: str) -> Iterator[str]:
    for row in ROWS:
        yield from named(row[column])


@pytest.mark.parametrize("row", ROWS, ids=[row["Endpoint"] for row in ROWS])
def test_every_cell_is_filled_and_what_it_names_exists(row: dict[str, str]):
    for column in ("Plain", "Stream", "Errors", "Cost", "Simulator"):
        tests = named(row[column])
        assert tests or row[column] == "-"
        for test in tests:
            file, _, function = test.partition("::")
            assert re.search(rf"^(async )?def {function}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), test
    examples = named(row["Example"])
    assert examples
    assert [name for name in examples if not (ROOT / "examples" / name).is_file()] == []


@pytest.mark.parametrize("row", ROWS, ids=[row["Endpoint"] for row in ROWS])
def test_every_endpoint_answers_fails_and_costs_under_a_test(row: dict[str, str]):
    assert named(row["Plain"]) or named(row["Stream"])
    assert named(row["Errors"])
    assert named(row["Simulator"])
    assert named(row["Cost"]) or named(row["Endpoint"])[0] in FREE
    # Whoever has a stream has a test of it.
    streams = [method for method in named(row["Client"]) if method.endswith((".stream", ".speech"))]
    assert bool(named(row["Stream"])) == bool(streams)


def test_no_method_that_sends_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "tests/resources"), *sys.path])
    import ways

    sending = set(ways.callables(AsyncDeepSeek(api_key="sk-x"))) - ways.SENDS_NOTHING
    assert sorted(every("Client")) == sorted(sending)


def test_every_example_shows_an_endpoint():
    programs = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert programs - set(every("Example")) == BESIDE


@pytest.mark.parametrize("command", sorted(set(every("Command"))))
def test_every_command_is_one(command: str):
    found = app
    for word in command.split():
        found = found[word]
    assert found.help
