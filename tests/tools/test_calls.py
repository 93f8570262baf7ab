"""Whatever a function does, its call has an end that the model is told, and the run goes on or says why not."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clients import Connect
from support.servers import CLOSE, USAGE, Script, Serve, response
from support.thoroughness import often
from tool_scripts import ASKED, DONE, calling, double, run

from deepseek_async import (
    AsyncDeepSeek,
    ConfigurationError,
    DeepSeekError,
    FunctionTool,
    InvalidRequestError,
    RetryPolicy,
    ToolRunError,
)
from deepseek_async.process.worker_threads import WorkerThreads
from deepseek_async.tools.run import ToolRun, run_tools
from deepseek_async.types import ChatCompletion, ChatCompletionMessage, Choice, CompletionUsage, Function, ToolCall


class OwnError(BaseException):
    """Neither an Exception nor one of Python's own."""


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class ExitingError(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError("no words")


RAISED: dict[str, Callable[[], BaseException]] = {
    "StopIteration": lambda: StopIteration(1),
    "StopAsyncIteration": StopAsyncIteration,
    "GeneratorExit": GeneratorExit,
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "CancelledError": asyncio.CancelledError,
    "ExceptionGroup": lambda: ExceptionGroup("two", [KeyError("a"), OSError("\udce9")]),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("two", [GeneratorExit(), OwnError("b")]),
    "OwnError": lambda: OwnError("mine"),
    "UnspeakableError": UnspeakableError,
    "ExitingError": ExitingError,
    "surrogate": lambda: FileNotFoundError("caf\udce9.txt"),
    "RecursionError": RecursionError,
    "MemoryError": MemoryError,
}


def circular() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


def endless() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


async def endless_async() -> AsyncIterator[int]:
    for number in endless():
        yield number


async def later() -> str:
    await asyncio.sleep(0)
    return "later"


RETURNED: dict[str, Callable[[], Any]] = {
    "text": lambda: "text",
    "surrogate": lambda: "a\ud83d",
    "surrogates in a list": lambda: ["\udce9", {"\udce9": "\ud83d"}],
    "nan": lambda: float("nan"),
    "bytes": lambda: b"\xff\x00",
    "long": lambda: "x" * 1_000_000,
    "object": object,
    "unspeakable": Unspeakable,
    "class": lambda: int,
    "circle": circular,
    "odd keys": lambda: {(1, 2): 3},
    "number": lambda: 2**80,
    "generator": lambda: iter(["a", "b"]),
    "endless generator": endless,
    "endless async generator": endless_async,
    "coroutine": later,
}


def raising(kind: str, *, is_async: bool) -> Callable[..., Any]:
    if is_async:

        async def fails() -> None:
            await asyncio.sleep(0)
            error = RAISED[kind]()
            raise error

        return fails

    def blocks() -> None:
        error = RAISED[kind]()
        raise error

    return blocks


def returning(kind: str, *, is_async: bool) -> Callable[..., Any]:
    if is_async:

        async def gives() -> Any:
            return RETURNED[kind]()

        return gives

    def makes() -> Any:
        return RETURNED[kind]()

    return makes


async def cancels_itself() -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    return "done"


async def waits_for_one_that_is_cancelled() -> None:
    inner = asyncio.ensure_future(asyncio.Event().wait())
    asyncio.get_running_loop().call_soon(inner.cancel)
    await inner


FUNCTIONS: list[Callable[..., Any]] = [
    *(raising(kind, is_async=is_async) for kind in RAISED for is_async in (False, True)),
    *(returning(kind, is_async=is_async) for kind in RETURNED for is_async in (False, True)),
    functools.partial(raising("StopIteration", is_async=False)),
    cancels_itself,
    waits_for_one_that_is_cancelled,
]
TOOLS = [FunctionTool(function, name=f"f{number}") for number, function in enumerate(FUNCTIONS)]
ARGUMENTS = st.sampled_from(["{}", "", " ", "null", "{", "[]", '{"a": 1}', '{"a": 1, "a": 2}', "[" * 9_000])
TURNS = st.lists(
    st.lists(st.tuples(st.integers(0, len(TOOLS)), ARGUMENTS), min_size=1, max_size=4), min_size=0, max_size=3
)


def turn_of(calls: list[tuple[int, str]]) -> ChatCompletion:
    asked = [ToolCall(id=f"c{i}", function=Function(f"f{n}", arguments)) for i, (n, arguments) in enumerate(calls)]
    message = ChatCompletionMessage(content=None, tool_calls=asked) if calls else ChatCompletionMessage(content="done")
    return ChatCompletion(
        choices=[Choice(message=message, finish_reason="tool_calls" if calls else "stop")],
        usage=CompletionUsage(10, 1, 11),
    )


@settings(max_examples=often(150), deadline=None)
@given(turns=TURNS, fails=st.booleans())
def test_a_run_ends_in_an_answer_or_in_an_error_of_ours_and_each_call_that_ran_has_one_result(
    turns: list[list[tuple[int, str]]], fails: bool
):
    answers = [turn_of(calls) for calls in turns]

    async def ask(conversation: list[Any], first: bool) -> ChatCompletion:
        if answers:
            return answers.pop(0)
        if fails:
            raise DeepSeekError("down")
        return turn_of([])

    async def go() -> ToolRun | DeepSeekError:
        ran = run_tools(ask, ASKED, TOOLS, max_turns=9, thinking=False, threads=WorkerThreads(2))
        try:
            async with asyncio.timeout(120):
                return await ran
        except DeepSeekError as error:
            return error

    ended = asyncio.run(go())

    assert ended.usage is not None
    conversation = list(ended.messages)
    json.dumps(conversation, ensure_ascii=False).encode()
    asked = [call["id"] for message in conversation for call in message.get("tool_calls") or ()]
    told = [message["tool_call_id"] for message in conversation if message["role"] == "tool"]
    assert asked == told
    answered = sum(message["role"] == "assistant" for message in conversation)
    assert ended.usage.total_tokens == 11 * answered
    interrupted = isinstance(ended, ToolRunError) and ended.reason == "interrupted"
    assert interrupted or answered == len(turns) + (not fails)


@pytest.mark.parametrize("kind", sorted(RAISED.keys() - {"KeyboardInterrupt"}))
@pytest.mark.parametrize("is_async", [False, True])
async def test_what_a_function_raises_is_told_to_the_model(serve: Serve, connect: Connect, kind: str, is_async: bool):
    server = await serve(calling(("f", "{}")), DONE)
    ran = await run(connect(server), FunctionTool(raising(kind, is_async=is_async), name="f"))

    told = json.loads(ran.messages[2]["content"])["error"]
    assert type(RAISED[kind]()).__name__ in told
    if kind.endswith("Group"):
        assert "KeyError: 'a'; OSError" in told or "OwnError: b" in told


async def test_a_cancellation_inside_a_function_does_not_cancel_the_caller(serve: Serve, connect: Connect):
    server = await serve(calling(("waits_for_one_that_is_cancelled", "{}"), ("cancels_itself", "{}")), DONE)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run(connect(server), waits_for_one_that_is_cancelled, cancels_itself))

    results = [json.loads(message["content"]) for message in task.result().messages if message["role"] == "tool"]
    assert results == [{"error": "CancelledError: "}] * 2


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_function_that_raises_keyboard_interrupt_ends_the_run_with_what_was_done(
    serve: Serve, connect: Connect, is_async: bool
):
    server = await serve(calling(("stop", "{}"), ("double", '{"number": 4}')))
    with pytest.raises(ToolRunError) as caught:
        await run(connect(server), FunctionTool(raising("KeyboardInterrupt", is_async=is_async), name="stop"), double)

    assert caught.value.reason == "interrupted"
    assert isinstance(caught.value.__cause__, KeyboardInterrupt)
    assert [message["content"] for message in caught.value.messages[2:]] == ['{"error":"KeyboardInterrupt: "}', "8"]


REFUSALS: dict[str, Script] = {
    "500": [response({"error": {"message": "down"}}, 500)],
    "402": [response({"error": {"message": "Insufficient Balance"}}, 402)],
    "400": [response({"error": {"message": "wrong"}}, 400)],
    "no answer": [CLOSE],
}


@pytest.mark.parametrize("failure", REFUSALS)
async def test_an_error_in_a_later_turn_has_the_turns_before_it_and_a_run_goes_on_from_there(
    serve: Serve, connect: Connect, failure: str
):
    booked: list[str] = []

    def book(seat: str) -> str:
        booked.append(seat)
        return "booked"

    server = await serve(
        calling(("book", '{"seat": "1A"}')), calling(("book", '{"seat": "1B"}')), REFUSALS[failure], DONE
    )
    client = connect(server, retry=RetryPolicy(max_attempts=1))
    with pytest.raises(DeepSeekError) as caught:
        await run(client, book)

    error = caught.value
    assert [message["role"] for message in error.messages] == ["user", "assistant", "tool", "assistant", "tool"]
    assert error.usage is not None
    assert error.usage.total_tokens == 2 * USAGE["total_tokens"]
    ran = await client.chat.completions.run_tools(model="deepseek-flash", messages=error.messages, tools=[book])
    assert (ran.content, booked) == ("done", ["1A", "1B"])


async def test_a_result_too_large_to_send_ends_the_run_with_what_was_done(serve: Serve, connect: Connect):
    async def huge() -> str:
        return "x" * 60_000_000

    server = await serve(calling(("huge", "{}")))
    with pytest.raises(DeepSeekError, match="bytes") as caught:
        await run(connect(server), huge)
    assert len(caught.value.messages) == 3


async def test_functions_that_block_leave_the_threads_of_the_event_loop_alone():
    release = threading.Event()
    started = threading.Semaphore(0)

    def blocks() -> str:
        started.release()
        release.wait(120)
        return "done"

    threads = WorkerThreads(40)
    blocked = [asyncio.create_task(FunctionTool(blocks).answer("{}", threads)) for _ in range(40)]
    try:
        for _ in blocked:
            await asyncio.to_thread(started.acquire)
        assert await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
    finally:
        release.set()
    assert await asyncio.gather(*blocked) == ["done"] * 40


async def test_no_more_functions_block_at_once_than_the_client_has_threads_for(serve: Serve):
    running = most = 0
    lock = threading.Lock()
    both = threading.Barrier(2)

    def counts() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(120)
        with lock:
            running -= 1

    server = await serve(calling(*[("counts", "{}")] * 6), DONE)
    async with AsyncDeepSeek(api_key="sk-test", base_url=server.url, tool_threads=2) as client:
        await run(client, counts)
    assert most == 2


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "4"])
def test_a_number_of_threads_that_is_none_is_refused(size: Any):
    with pytest.raises(ConfigurationError, match="tool_threads"):
        AsyncDeepSeek(api_key="sk-test", tool_threads=size)


async def test_functions_in_threads_see_the_caller_s_context():
    user = contextvars.ContextVar("user", default="nobody")
    user.set("ann")

    def who() -> str:
        return user.get()

    assert await FunctionTool(who).answer("{}") == "ann"


@pytest.mark.parametrize(
    "arguments", ['{"number": 1, "number": 2}', '{"number": 1, "\\u006eumber": 1}'], ids=["plain", "escaped"]
)
async def test_an_argument_that_is_given_twice_is_told_to_the_model(serve: Serve, connect: Connect, arguments: str):
    server = await serve(calling(("double", arguments)), DONE)
    ran = await run(connect(server), double)
    assert "'number' occurs twice" in json.loads(ran.messages[2]["content"])["error"]


async def hangs() -> None:
    await asyncio.Event().wait()


@pytest.mark.real_time  # a thread waits
async def test_a_function_that_gives_no_result_in_time_is_told_to_the_model(serve: Serve, connect: Connect):
    release = threading.Event()

    def blocks() -> None:
        release.wait(120)

    async def times_out() -> None:
        raise TimeoutError("its own")

    server = await serve(calling(("hangs", "{}"), ("blocks", "{}"), ("times_out", "{}")), DONE)
    try:
        ran = await run(connect(server), hangs, blocks, times_out, tool_timeout=0.05)
    finally:
        release.set()
    told = [json.loads(message["content"])["error"] for message in ran.messages[2:5]]
    assert told == ["no result after 0.05 s"] * 2 + ["TimeoutError: its own"]


async def test_a_function_that_goes_on_when_it_is_cancelled_is_left_alone_and_told_to_the_model(
    serve: Serve, connect: Connect
):
    release = asyncio.Event()
    ended = asyncio.Event()

    async def clings() -> None:
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()
        ended.set()

    server = await serve(calling(("clings", "{}"), ("double", '{"number": 4}')), DONE)
    try:
        ran = await run(connect(server), clings, double, tool_timeout=0.05)
    finally:
        release.set()
    assert [message["content"] for message in ran.messages[2:4]] == ['{"error":"no result after 0.05 s"}', "8"]
    assert ran.content == "done"
    await ended.wait()


async def test_no_more_calls_are_made_in_a_turn_than_stated_and_the_model_is_told_of_the_others(
    serve: Serve, connect: Connect
):
    called: list[int] = []

    async def note(number: int) -> int:
        called.append(number)
        return number

    asked = [("note", f'{{"number": {number}}}') for number in range(5)]
    server = await serve(calling(*asked), calling(*asked[3:]), DONE)
    ran = await run(connect(server), note, max_calls=3)
    assert called == [0, 1, 2, 3, 4]
    told = [message["content"] for message in ran.messages if message["role"] == "tool"]
    assert told[:3] == ["0", "1", "2"]
    assert all("not executed: at most 3 calls" in text for text in told[3:5])
    assert told[5:] == ["3", "4"]
    assert ran.content == "done"


@pytest.mark.parametrize(
    "parameters", [{"tool_timeout": 0}, {"tool_timeout": "1"}, {"max_turns": 0}, {"max_calls": 0}, {"max_calls": 1.5}]
)
async def test_a_bound_that_is_none_is_refused(connect: Connect, parameters: dict[str, Any]):
    with pytest.raises(InvalidRequestError, match=next(iter(parameters))):
        await run(connect("http://127.0.0.1:1"), double, **parameters)


async def test_who_is_cancelled_does_not_wait_for_a_function_that_blocks(serve: Serve, connect: Connect):
    started, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def blocks() -> None:
        loop.call_soon_threadsafe(started.set)
        release.wait(120)

    running = asyncio.create_task(run(connect(await serve(calling(("blocks", "{}")))), blocks))
    try:
        await started.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not release.is_set()
    finally:
        release.set()
