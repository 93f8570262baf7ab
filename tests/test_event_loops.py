"""The client works wherever asyncio does: eager tasks, uvloop, a notebook, anyio's groups and threads."""

from __future__ import annotations

import asyncio
import code
import sys
import threading
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from collections.abc import Awaitable, Callable
from types import FunctionType
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
import uvloop
from support.clients import MESSAGES, ask, open_stream, texts
from support.servers import ANSWER, CANARY, SILENCE, ScriptedServer, streamed

from deepseek_async import AsyncDeepSeek
from deepseek_async.integrations.openai import as_openai

Program = Callable[[AsyncDeepSeek], Awaitable[Any]]


async def everything(client: AsyncDeepSeek) -> None:
    """A plain call, a stream, several calls at once, a call that is cancelled, and a job."""
    assert (await ask(client)).choices[0].message.content == "Hello"
    async with await open_stream(client) as stream:
        assert "".join(await texts(stream)) == "openingHellostop"
    answers = await asyncio.gather(*(ask(client) for _ in range(5)))
    assert len(answers) == 5
    completion = await as_openai(client).chat.completions.create(model="deepseek-flash", messages=MESSAGES)
    assert completion.choices[0].message.content == "Hello"
    assert len([row async for row in client.batch.map(["a", "b"], model="deepseek-flash")]) == 2
    waiting = asyncio.ensure_future(ask(client, model="silent"))
    await asyncio.wait([waiting], timeout=0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not any(model.in_flight for model in client.statistics().models)


class Server(ScriptedServer):
    """Answers by what is asked, because several ask at once."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        from support.servers import _request, play

        request = await _request(reader, number)
        asked = request.json()
        if asked["model"] == "silent":
            return await play([SILENCE], reader, writer)
        return await play(streamed("Hello") if asked.get("stream") else [ANSWER], reader, writer)


async def with_a_client(program: Program) -> None:
    async with Server([]) as server, AsyncDeepSeek(api_key=CANARY, base_url=server.url, shared="off") as client:
        await program(client)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        await with_a_client(everything)

    asyncio.run(main())


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_loops(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(with_a_client(everything))


def test_the_cells_of_a_notebook() -> None:
    """A kernel runs each cell, as code with a top-level await, on one loop that never ends between them."""
    cells = [
        "client = AsyncDeepSeek(api_key=key, base_url=url, shared='off')",
        "answer = await ask(client)",
        "stream = await open_stream(client)",
        "said = await texts(stream)",
        "task = asyncio.ensure_future(ask(client))",
        "later = await task",
        "await client.aclose()",
    ]
    names: dict[str, Any] = {"AsyncDeepSeek": AsyncDeepSeek, "ask": ask, "open_stream": open_stream, "texts": texts}
    names |= {"asyncio": asyncio, "key": CANARY}
    compiler = code.CommandCompiler()
    compiler.compiler.flags |= PyCF_ALLOW_TOP_LEVEL_AWAIT
    with asyncio.Runner() as kernel:
        server = Server([])
        kernel.run(server.__aenter__())
        names["url"] = server.url
        for cell in cells:
            compiled = compiler(cell, "<cell>", "single")
            assert compiled is not None
            ran = FunctionType(compiled, names)()
            if asyncio.iscoroutine(ran):
                kernel.run(ran)
        kernel.run(server.stop())
    assert names["answer"].choices[0].message.content == names["later"].choices[0].message.content == "Hello"
    assert "".join(names["said"]) == "openingHellostop"


def test_anyio_task_groups_cancel_what_they_hold() -> None:
    async def program(client: AsyncDeepSeek) -> None:
        said: list[str | None] = []

        async def one() -> None:
            said.append((await ask(client)).choices[0].message.content)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(one)
        assert said == ["Hello"] * 3
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: ask(client, model="silent"))
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        with anyio.move_on_after(0.01):
            await ask(client, model="silent")
        assert not any(model.in_flight for model in client.statistics().models)

    anyio.run(with_a_client, program)


def test_threads_of_anyio_ask_on_the_loop_that_started_them() -> None:
    async def program(client: AsyncDeepSeek) -> None:
        def in_a_thread() -> str | None:
            assert threading.current_thread() is not threading.main_thread()
            return anyio.from_thread.run(ask, client).choices[0].message.content

        assert await anyio.to_thread.run_sync(in_a_thread) == "Hello"

    anyio.run(with_a_client, program)


def test_a_portal_of_anyio_runs_the_client_on_its_own_thread() -> None:
    with anyio.from_thread.start_blocking_portal() as portal:
        portal.call(with_a_client, everything)
