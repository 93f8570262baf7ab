"""The examples run as they are printed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from command_line import CommandLine, Serve

from deepseek_async.batch.row import Defaults
from deepseek_async.batch.source import read_rows

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("name", "said", "requests"),
    [
        ("ten_lines.py", "Answer to: Name three rivers of Europe.", 1),
        ("stream.py", "Answer to: Explain tides to a child.", 1),
        ("batch_map.py", "Answer to: Write one sentence about Lagos.", 10),
    ],
)
async def test_an_example_runs(command: CommandLine, serve: Serve, name: str, said: str, requests: int):
    simulator = await serve()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLES / name)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=command.environment,
    )
    out, err = await process.communicate()

    assert (process.returncode, err) == (0, b"")
    assert out.decode().startswith(said)
    assert simulator.statistics().served == requests


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"ten_lines.py", "stream.py", "batch_map.py"}


def test_the_thousand_prompts_are_rows_that_differ():
    path = EXAMPLES / "prompts.jsonl"
    rows = list(read_rows(path, Defaults()))

    assert len(rows) == 1000
    assert all(row.body is not None for row in rows)
    assert len({row.body["messages"][-1]["content"] for row in rows if row.body}) == 1000
    assert sum(row.custom_id is not None for row in rows) == 120
    assert path.stat().st_size < 100_000
