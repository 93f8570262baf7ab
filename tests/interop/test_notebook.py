"""A real Jupyter kernel, and real Hugging Face data sets: tables there, and a cell that is interrupted."""

from __future__ import annotations

import ast
import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from foreign_servers import Simulate
from support.servers import CANARY

from deepseek_async.simulator import Simulator

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
SECONDS = 240.0  # reached only when something is broken
ADDED = ["answer", "error", "usage", "cost"]


async def output_of(python: str, program: str, simulator: Simulator, home: Path) -> dict[str, Any]:
    """What the program says when it has ended well."""
    running = await asyncio.create_subprocess_exec(
        python,
        str(HERE / program),
        stdout=asyncio.subprocess.PIPE,
        env={
            "PATH": f"{Path(python).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(CHECKOUT),
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "DEEPSEEK_API_KEY": CANARY,
            "DEEPSEEK_BASE_URL": simulator.base_url,
        },
    )
    try:
        said, _ = await asyncio.wait_for(running.communicate(), SECONDS)
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    assert running.returncode == 0
    told: dict[str, Any] = json.loads(said)
    return told


@pytest.fixture
def python(python_with: Callable[[str], str]) -> str:
    return python_with("ray")


async def test_a_data_set_keeps_its_order_its_features_and_its_format(python: str, simulate: Simulate, tmp_path: Path):
    told = await output_of(python, "datasets_table.py", await simulate(), tmp_path)

    assert told["kind"] == "datasets"
    assert told["columns"] == ["text", "label", *ADDED]
    assert told["format"] == ["numpy", ["text", *ADDED]]
    assert told["label"] == ["no", "yes"]
    assert told["texts"]
    assert told["answers"] == [True] * 40
    assert told["usage"] == ["cached_tokens", "completion_tokens", "prompt_tokens", "reasoning_tokens"]
    assert told["empty"] == [0, True]
    assert [index for index, _ in told["mapped"]] == [0, 1, 2]
    assert [list(columns) for _, columns in told["mapped"]] == [["label"]] * 3
    assert told["mapped texts"] == [True] * 3
    chosen, streamed, renamed = told["refused"]
    assert "got DatasetDict: choose a split, for example frame['train']" in chosen
    assert "got IterableDataset: a streamed data set has no rows to add columns to" in streamed
    assert renamed == "unknown column 'text' in the template; the table has: t, label"


async def test_an_interrupted_cell_leaves_nothing_running_and_is_run_again_without_paying_twice(
    python: str, simulate: Simulate, tmp_path: Path
):
    simulator = await simulate(latency=0.05)
    told = await output_of(python, "notebook_cells.py", simulator, tmp_path)

    interrupted, again = told["interrupted"], told["again"]
    assert interrupted["error"] in {"CancelledError", "KeyboardInterrupt"}
    assert ast.literal_eval(told["look"]["result"]) == {"left": 0, "in flight": 0, "answered": False}
    for cell in (interrupted, again):
        assert cell["displayed"] == 1, "one line"
        assert cell["updates"] > 0, "that updates in place"
        assert cell["html"].startswith("<div><progress ")
    assert again["error"] is None
    assert again["text"].startswith("60 of 60 rows · ")
    assert "answered before" in again["text"]
    assert ast.literal_eval(told["result"]["result"]) == {"rows": 60, "index": True, "failed": 0, "own": True}
    assert "&lt;b&gt;Hi&lt;/b&gt;" in told["answer"]["html"]
    assert "<b>" not in told["answer"]["html"]
    asked = [record.body["messages"][0]["content"] for record in simulator.requests if "row" in str(record.body)]
    assert len(set(asked)) == 60
    assert len(asked) <= 60 + 4, "only rows that were under way are asked again"
