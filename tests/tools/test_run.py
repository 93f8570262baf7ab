"""The conversation between a model and Python functions, over real sockets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from support.clients import Connect
from support.servers import USAGE, Serve, answer, response
from tool_scripts import ASKED, DONE, calling, double, run

from deepseek_async import FunctionTool, InvalidRequestError, ToolRunError
from deepseek_async.simulator import Simulator, SimulatorSettings


def shout(text: str) -> str:
    """Say it louder."""
    return text.upper()


async def test_its_usage_is_that_of_all_turns_with_their_reasoning_and_what_nobody_declared(
    serve: Serve, connect: Connect
):
    usage = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 2}, "searches": 3}
    first, second = answer(None, finish_reason="tool_calls"), answer("done")
    first["choices"][0]["message"]["tool_calls"] = [
        {"id": "call_0", "type": "function", "function": {"name": "double", "arguments": '{"number": 2}'}},
    ]
    first["usage"] = second["usage"] = usage
    server = await serve([response(first)], [response(second)])
    ran = await run(connect(server), double)
    assert ran.usage.prompt_tokens == 2 * USAGE["prompt_tokens"]
    assert (ran.usage.reasoning_tokens, ran.usage.searches) == (4, 6)


async def test_the_model_is_told_what_its_calls_returned_until_it_answers(serve: Serve, connect: Connect):
    server = await serve(calling(("double", '{"number": 4}')), calling(("shout", '{"text": "a"}')), DONE)
    ran = await run(connect(server), double, shout)

    assert (ran.content, ran.turns) == ("done", 3)
    assert ran.usage.total_tokens == 3 * USAGE["total_tokens"]
    assert ran.usage.prompt_cache_miss_tokens == 3 * USAGE["prompt_cache_miss_tokens"]
    assert [message["role"] for message in ran.messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
        "assistant",
    ]
    assert [message["content"] for message in ran.messages if message["role"] == "tool"] == ["8", "A"]
    assert server.requests[2].json()["messages"] == ran.messages[:-1]
    names = [tool["function"]["name"] for tool in server.requests[0].json()["tools"]]
    assert names == ["double", "shout"]


@pytest.mark.parametrize("sent", ["", None, "call"])
async def test_calls_without_ids_of_their_own_get_some_by_which_their_results_are_told(
    serve: Serve, connect: Connect, sent: str | None
):
    asked = answer(None, finish_reason="tool_calls")
    asked["choices"][0]["message"]["tool_calls"] = [
        {"id": sent, "type": "function", "function": {"name": "double", "arguments": f'{{"number": {number}}}'}}
        for number in range(3)
    ]
    server = await serve([response(asked)], [response(asked)], DONE)
    ran = await run(connect(server), double)
    assert server.requests[2].json()["messages"] == ran.messages[:-1]
    for turn in (ran.messages[1:5], ran.messages[5:9]):
        named = [call["id"] for call in turn[0]["tool_calls"]]
        assert all(named)
        assert len(set(named)) == 3
        assert [message["tool_call_id"] for message in turn[1:]] == named
        assert [message["content"] for message in turn[1:]] == ["0", "2", "4"]


async def test_calls_of_one_turn_run_side_by_side_and_are_answered_in_their_order(serve: Serve, connect: Connect):
    other = asyncio.Event()

    async def waits() -> str:
        await other.wait()
        return "first"

    async def wakes() -> str:
        other.set()
        return "second"

    server = await serve(calling(("waits", "{}"), ("wakes", "{}")), DONE)
    ran = await run(connect(server), waits, wakes)

    results = [message for message in ran.messages if message["role"] == "tool"]
    assert [(result["tool_call_id"], result["content"]) for result in results] == [
        ("call_00", "first"),
        ("call_01", "second"),
    ]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("fails", "{}"), "ZeroDivisionError: division by zero"),
        (("double", "{"), "DecodeError"),
        (("double", '{"number": "x"}'), "Expected `int`"),
        (("missing", "{}"), "unknown function 'missing'; available: fails, double"),
    ],
)
async def test_what_went_wrong_is_told_to_the_model(serve: Serve, connect: Connect, call: tuple[str, str], said: str):
    async def fails() -> float:
        return 1 / 0

    server = await serve(calling(call), DONE)
    ran = await run(connect(server), fails, double)

    (result,) = [message for message in ran.messages if message["role"] == "tool"]
    assert said in json.loads(result["content"])["error"]


async def test_a_call_that_was_cut_off_is_never_executed(serve: Serve, connect: Connect):
    ran: list[int] = []

    async def note(number: int = 0) -> None:
        ran.append(number)

    server = await serve(calling(("note", '{"number": 1}'), ("note", "{}"), finish_reason="length"))
    with pytest.raises(ToolRunError, match=r"length.*max_tokens") as caught:
        await run(connect(server), note)
    assert (caught.value.reason, ran, len(server.requests)) == ("truncated", [], 1)
    assert caught.value.partial is not None
    assert caught.value.messages == ASKED


async def test_turns_are_bounded(serve: Serve, connect: Connect):
    server = await serve(calling(("double", '{"number": 4}')))
    with pytest.raises(ToolRunError, match="3 answers") as caught:
        await run(connect(server), double, max_turns=3)
    assert (caught.value.reason, len(server.requests)) == ("turns", 3)


@pytest.mark.parametrize(
    ("reasoning", "parameters", "replayed"),
    [
        ("because", {}, "because"),
        ("", {}, ""),
        (None, {}, " "),
        (None, {"thinking": False}, None),
        ("because", {"thinking": False}, "because"),
    ],
)
async def test_reasoning_goes_back_word_for_word(
    serve: Serve, connect: Connect, reasoning: str | None, parameters: dict[str, Any], replayed: str | None
):
    server = await serve(calling(("double", '{"number": 4}'), reasoning=reasoning), DONE)
    await run(connect(server), double, **parameters)

    assert server.requests[1].json()["messages"][1].get("reasoning_content") == replayed


async def test_a_forced_call_is_forced_once(serve: Serve, connect: Connect):
    server = await serve(calling(("double", '{"number": 4}')), DONE)
    await run(connect(server), double, tool_choice="required", thinking=False)

    assert [request.json().get("tool_choice") for request in server.requests] == ["required", None]


async def test_leaving_early_ends_the_functions_that_run(serve: Serve, connect: Connect):
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    running = asyncio.create_task(run(connect(await serve(calling(("hang", "{}")))), hang))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()


@pytest.mark.parametrize(
    ("tools", "parameters"),
    [([], {}), ([double, FunctionTool(shout, name="double")], {}), ([double], {"stream": True})],
)
async def test_a_run_that_cannot_begin_is_refused(connect: Connect, tools: list[Any], parameters: dict[str, Any]):
    with pytest.raises(InvalidRequestError):
        await run(connect("http://127.0.0.1:1"), *tools, **parameters)


@pytest.mark.parametrize("model", ["deepseek-flash", "deepseek-v4-pro"])
async def test_a_server_that_demands_the_reasoning_back_gets_it(connect: Connect, model: str):
    async with Simulator(SimulatorSettings(seed=1, reasoning_replay="required")) as simulator:
        client = connect(simulator.base_url)
        ran = await client.chat.completions.run_tools(
            model=model, messages=[{"role": "user", "content": "please double and shout"}], tools=[double, shout]
        )
        assert ran.turns == 2
        assert ran.content
        assert len([message for message in ran.messages if message["role"] == "tool"]) == 2
        # And the conversation goes on from there.
        more = [*ran.messages, {"role": "user", "content": "double again"}]
        again = await client.chat.completions.run_tools(model=model, messages=more, tools=[double, shout])
        assert again.content
        await client.aclose()
