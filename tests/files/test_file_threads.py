"""What waits for the disk runs in threads of its own."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest

import deepseek_async
from deepseek_async import AsyncDeepSeek
from deepseek_async.files.upload import FileOnDisk
from deepseek_async.gateway import AsyncGateway
from deepseek_async.simulator import Simulator, SimulatorSettings

PACKAGE = Path(deepseek_async.__file__).parent
ROW = '{"messages": [{"role": "user", "content": "Hi"}], "model": "deepseek-flash"}\n'
CHAT = "/v1/chat/completions"


class LookUps(ThreadPoolExecutor):
    """The event loop's own threads, which look up names of hosts."""

    def submit(self, work: Any, *arguments: Any, **options: Any) -> Any:
        function = work.args[0] if isinstance(work, partial) else work
        assert function is socket.getaddrinfo or function.__module__.startswith("openai."), function
        return super().submit(work, *arguments, **options)


@pytest.fixture(autouse=True)
async def look_ups_only() -> None:
    asyncio.get_running_loop().set_default_executor(LookUps(1))


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[AsyncDeepSeek]:
    async with (
        Simulator(SimulatorSettings(seed=7)) as simulator,
        AsyncDeepSeek(
            api_key="sk-test-1234", base_url=simulator.base_url, cache=tmp_path / "cache.sqlite", max_concurrency=9
        ) as made,
    ):
        yield made


async def test_reading_a_file_takes_no_thread_from_the_look_up_of_names(tmp_path: Path):
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(range(256)) * 4096)

    read = [piece async for piece in FileOnDisk.at(path).pieces()]

    assert b"".join(read) == path.read_bytes()


async def test_a_job_with_a_table_and_a_cache_take_no_thread_from_the_look_up_of_names(
    client: AsyncDeepSeek, tmp_path: Path
):
    source = tmp_path / "in.jsonl"
    source.write_text(ROW * 3)

    report = await client.batch.run(source, tmp_path / "out.parquet")
    cache = client._runtime.features.cache
    assert cache is not None
    await cache.clear()

    assert report.progress.done == 3


async def test_a_gateways_files_and_batches_take_no_thread_from_the_look_up_of_names(
    client: AsyncDeepSeek, tmp_path: Path, half_prices_today: None
):
    async with (
        AsyncGateway(client, folder=tmp_path / "gateway", port=0, drain=5) as gateway,
        openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as caller,
    ):
        line = (
            b'{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": %s}\n' % ROW.strip().encode()
        )
        file = await caller.files.create(file=("in.jsonl", line), purpose="batch")
        batch = await caller.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        while batch.status != "completed":
            assert batch.status in {"validating", "in_progress", "finalizing"}
            await asyncio.sleep(0.02)  # a poll over HTTP, as users do it
            batch = await caller.batches.retrieve(batch.id)
        await caller.files.delete(file.id)


def test_no_module_gives_work_to_the_threads_that_look_up_names():
    """Ruff refuses ``asyncio.to_thread``; of a method it cannot know whose it is."""
    given = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(r"run_in_executor\(\s*None|executor=None", path.read_text())
    ]
    assert given == []
