"""The examples run as they are printed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from command_line import CommandLine, Serve

from deepseek_async.batch.row import Defaults
from deepseek_async.batch.row_source import read_rows
from deepseek_async.simulator import Fault, FaultKind, Simulator, SimulatorSettings

EXAMPLES = Path(__file__).parents[2] / "examples"


async def run(command: CommandLine, name: str, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLES / name)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**command.environment, **environment},
        cwd=command.folder,
    )
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    return out.decode()


ALONE = {
    "ten_lines.py": ("Answer to: Name three rivers of Europe.", 1),
    "stream.py": ("Answer to: Explain tides to a child.", 1),
    "table.py": ("    city", 3),
    "batch_map.py": ("Answer to: Write one sentence about Lagos.", 10),
    "tutorial_call.py": ("Answer to: 用Python实现快速排序", 1),
    "tutorial_stream.py": ("Answer to: 解释量子计算原理", 1),
    "tutorial_batch.py": ("Answer to: 0 * 0 = ?", 300),
    "tutorial_retry.py": ("Answer to: 解释量子计算原理", 1),
    "fill_in_the_middle.py": ("def greatest_common_divisor", 1),
    "responses.py": ("{", 1),
    "messages.py": ("Answer to: What is the weather in Oslo?", 2),
    "read_aloud.py": ("", 1),
    "recognition.py": ("%PDF-1.7 Dear reader,", 2),
    "account.py": ("models: deepseek-flash", 2),
    "document.py": ("65 of 65 bytes\nfile-api-00000000000000000000000000000001: 1 page, 0.0015 yuan", 3),
    "search.py": ("Result 1 for asyncio task groups: https://", 2),
    "web_search.py": ("searching: What happened in Oslo today?", 1),
    "tools.py": ("called temperature({", 2),
    "langchain_chat.py": ("Oslo: Answer to: Why visit Oslo?", 3),
    "pydantic_ai_agent.py": ("2 requests: ", 2),
    "blocking_client.py": ("Answer to: How long is the Danube?", 3),
    "openai_client.py": ("Answer to: Name three rivers of Europe.", 1),
    "prompt_cache.py": ("prefix cache: 3 prompts", 3),
    "structured.py": ("Oslo: 7 stars", 1),
    "recorded_answers.py": ("Answer to: Explain tides to a child.", 1),
}
BESIDE = ("elsewhere.py", "fine_tune.py", "ray_dataset.py", "test_refunds.py")


@pytest.mark.parametrize("name", ALONE)
async def test_an_example_runs(command: CommandLine, serve: Serve, name: str):
    simulator = await serve()
    said, requests = ALONE[name]
    assert (await run(command, name)).startswith(said)
    assert simulator.statistics().served == requests


async def test_the_retrying_example_outlasts_a_refusal(command: CommandLine, serve: Serve):
    simulator = await serve()
    simulator.script(Fault(FaultKind.RATE_LIMIT_EMPTY, retry_after="0"))
    assert (await run(command, "tutorial_retry.py")).startswith("Answer to: 解释量子计算原理")
    assert simulator.statistics().statuses == {429: 1, 200: 1}


async def test_the_batch_example_keeps_the_order_of_its_prompts(command: CommandLine, serve: Serve):
    await serve()
    out = await run(command, "tutorial_batch.py")
    assert [f"Answer to: {number} * {number} = ?" in out for number in range(300)] == [True] * 300
    places = [out.index(f"Answer to: {number} *") for number in range(300)]
    assert places == sorted(places)


async def test_an_example_beside_another_server_runs(command: CommandLine, serve: Serve):
    live = await serve(live_only=True)
    async with Simulator(SimulatorSettings(seed=7, api_keys=frozenset({"sk-other"}))) as other:
        named = {"OTHER_BASE_URL": f"{other.base_url}/v1", "OTHER_API_KEY": "sk-other", "POLL_SECONDS": "0"}
        near, far, *pictures = (await run(command, "elsewhere.py", **named)).splitlines()
        assert near > far
        assert [(command.folder / picture).read_bytes()[1:4] for picture in pictures] == [b"PNG"] * 2

        for side in ("train", "validation"):
            command.write(f"dialogues.{side}.jsonl", '{"messages": []}')
        assert (await run(command, "fine_tune.py", **named)).splitlines()[-1].startswith("ft:deepseek-base:")
        assert len(live.requests) == 0


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*ALONE, *BESIDE}


def test_the_thousand_prompts_are_rows_that_differ():
    path = EXAMPLES / "prompts.jsonl"
    rows = list(read_rows(path, Defaults()))

    assert len(rows) == 1000
    assert all(row.body is not None for row in rows)
    assert len({row.body["messages"][-1]["content"] for row in rows if row.body}) == 1000
    assert sum(row.custom_id is not None for row in rows) == 120
    assert path.stat().st_size < 100_000
