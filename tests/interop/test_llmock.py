"""llmock, which breaks a client's answers and then judges what the client made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from foreign_servers import Run
from support.clients import ask, said_by
from support.servers import CANARY

from deepseek_async import AsyncDeepSeek, DeepSeekError, StreamInterruptedError, Timeouts

BOUND = 120
"""Seconds that any call may take."""
UNJUDGED = {
    # A back-off with full jitter is now and then shorter than the one before.
    "no_backoff",
    # A short stream has been sent to its end before its reader finds what is wrong in the middle.
    "malformed_chunk_ignored",
}


class Judge:
    """A running llmock."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    def client(self, **options: Any) -> AsyncDeepSeek:
        """A client with the settings that it has by itself."""
        return AsyncDeepSeek(api_key=CANARY, base_url=f"{self.url}/v1", **options)

    async def let(self, **behaviour: Any) -> None:
        """Have the next requests go wrong."""
        asked = {"behaviors": [behaviour]}
        async with self._session.post(f"{self.url}/_llmock/scenario", json=asked) as response:
            assert response.status == 201, await response.text()

    async def findings(self) -> list[str]:
        """What the client did wrong."""
        async with self._session.get(f"{self.url}/_llmock/verdict") as response:
            verdict = await response.json()
        judged = [finding for finding in verdict["findings"] if finding["code"] not in UNJUDGED]
        return [f"{finding['code']}: {finding['title']}" for finding in judged]


@pytest.fixture
async def judge(
    request: pytest.FixtureRequest, run: Run, python_with: Callable[[str], str], free_port: Callable[[], int]
) -> Any:
    port = free_port()
    program = str(Path(python_with("llmock")).parent / "llmock")
    await run(program, "serve", "--port", str(port), *getattr(request, "param", ()), ready=b"Uvicorn running on")
    async with aiohttp.ClientSession() as session:
        yield Judge(f"http://127.0.0.1:{port}", session)


Way = Callable[[AsyncDeepSeek, str], Awaitable[object]]


async def plainly(client: AsyncDeepSeek, model: str) -> str:
    return await said_by(client, stream=False, model=model)


async def streaming(client: AsyncDeepSeek, model: str) -> str:
    return await said_by(client, stream=True, model=model)


async def in_bulk(client: AsyncDeepSeek, model: str) -> list[str | None]:
    rows = [{"model": model, "messages": [{"role": "user", "content": f"row {number}"}]} for number in range(5)]
    return [result.raise_for_error().content async for result in client.batch.map(rows)]


WAYS: tuple[Way, ...] = (plainly, streaming, in_bulk)
PASSING: tuple[dict[str, Any], ...] = (
    {"type": "fail", "status": 500, "times": 2},
    {"type": "fail", "status": 503, "times": 2},
    {"type": "fail", "status": 529, "times": 1},
    {"type": "fail", "status": 429, "times": 2, "retry_after": 0.5},
    {"type": "fail", "status": 429, "times": 2},
    {"type": "slow_first_token", "seconds": 1.0},
    {"type": "delay", "seconds": 1.0},
)


async def test_a_fault_that_passes_costs_no_answer(judge: Judge):
    async def meet(fault: dict[str, Any], way: Way, model: str) -> None:
        await judge.let(**fault, match={"model": model})
        async with judge.client() as client:
            assert await way(client, model), fault

    async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
        for number, fault in enumerate(PASSING):
            for way in WAYS:
                group.create_task(meet(fault, way, f"{way.__name__}-{number}"))
    assert await judge.findings() == []


async def test_a_fault_that_stays_ends_the_call_after_few_attempts(judge: Judge):
    async def meet(status: int, way: Way, model: str) -> None:
        await judge.let(type="fail", status=status, times=None, match={"model": model})
        async with judge.client() as client:
            with pytest.raises(DeepSeekError):
                await way(client, model)

    async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
        for status in (400, 401, 403, 404, 422, 500, 503, 429):
            for way in (plainly, streaming):
                group.create_task(meet(status, way, f"{way.__name__}-{status}"))
    assert await judge.findings() == []


async def test_a_stream_that_breaks_is_whole_or_an_error(judge: Judge):
    async def meet(kind: str, after: int, model: str) -> None:
        fault = {"kind": kind, "after_chunks": after, "stall_seconds": 1000.0}
        await judge.let(type="stream_fault", **fault, match={"model": model})
        async with judge.client(timeout=Timeouts(stall=1.5, idle=1.5)) as client:
            whole = await plainly(client, model)
            try:
                answer = await streaming(client, model)
            except StreamInterruptedError as interrupted:
                # Some of it was shown; who has read it begins again.
                shown, answer = interrupted.text, await streaming(client, model)
            else:
                shown = ""
            assert answer == whole, fault
            assert whole.startswith(shown), fault

    async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
        for kind in ("disconnect", "truncate", "malformed", "stall"):
            for after in (0, 3):
                group.create_task(meet(kind, after, f"{kind}-{after}"))
    assert await judge.findings() == []


async def test_calls_of_tools_are_read_and_broken_ones_are_an_error(judge: Judge):
    tool = {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    async with judge.client() as client, asyncio.timeout(BOUND):
        done = await ask(client, tools=[tool])
        (call,) = done.choices[0].message.tool_calls
        assert call.function.name == "weather"
        await judge.let(type="tool_fault", kind="malformed_arguments")
        broken = await ask(client, tools=[tool])
        (call,) = broken.choices[0].message.tool_calls
        assert call.function.name == "weather"
    assert await judge.findings() == []


@pytest.mark.parametrize("judge", [("--rpm", "300")], indirect=True)
async def test_requests_a_minute_are_kept_to_without_asking_one_question_again_and_again(judge: Judge):
    """300 are taken at once and then five a second; the refusals say when to come back."""
    async with asyncio.timeout(BOUND), judge.client() as client:
        streams = [asyncio.ensure_future(streaming(client, f"stream-{number}")) for number in range(40)]
        rows = [{"model": "bulk", "messages": [{"role": "user", "content": f"row {n}"}]} for n in range(340)]
        answers = [result.raise_for_error().content async for result in client.batch.map(rows)]
        assert all(answers)
        assert all(await asyncio.gather(*streams))
    assert await judge.findings() == []
