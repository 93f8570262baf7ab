"""The server of llama.cpp, which people run beside the API and as a fallback."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from foreign_servers import Run
from support.clients import Connect, ask, failure_of, open_stream

from deepseek_async.errors import ContextWindowExceededError

PROGRAM = Path(__file__).parent / "random_model.py"
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["cold", "warm"]}, "wind": {"type": "boolean"}},
    "required": ["kind", "wind"],
}


@pytest.fixture
async def llama(run: Run, python_with: Callable[[str], str], tmp_path: Path) -> str:
    """The URL of a running server."""
    program = await run(python_with("llama-cpp"), str(PROGRAM), str(tmp_path / "model.gguf"), ready=b"serving http")
    found = re.search(r"serving (http://\S+)", program.said)
    assert found is not None
    return found[1]


async def test_plain_answers_streams_and_bulk_rows_are_read(llama: str, connect: Connect):
    client = connect(llama)
    done = await ask(client, max_tokens=20)
    assert done.usage is not None
    # llama.cpp counts a token or two that end the answer as well, now and then.
    assert 0 < done.usage.completion_tokens <= 25
    async with await open_stream(client, max_tokens=20) as stream:
        async for _ in stream:
            pass
    assert stream.completion.choices[0].finish_reason in {"length", "stop"}
    rows = [result async for result in client.batch.map((f"row {number}" for number in range(20)), max_tokens=5)]
    assert [result.error for result in rows if not result.ok] == []


async def test_a_schema_holds(llama: str, connect: Connect):
    wanted = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA}}
    done = await ask(connect(llama, lint="off"), response_format=wanted, max_tokens=200)
    answer = json.loads(done.choices[0].message.content or "")
    assert set(answer) == {"kind", "wind"}


async def test_a_prompt_beyond_the_context_is_told_as_that(llama: str, connect: Connect):
    long = [{"role": "user", "content": "word " * 5000}]
    error = await failure_of(connect(llama), stream=False, messages=long)
    assert isinstance(error, ContextWindowExceededError)
    assert error.attempts == 1


async def test_a_reader_who_leaves_gives_the_slot_back(llama: str, connect: Connect):
    client = connect(llama)
    for _ in range(6):
        async with await open_stream(client, max_tokens=1000) as stream:
            async for _ in stream:
                break
    async with asyncio.timeout(60):
        assert await ask(client, max_tokens=5)
