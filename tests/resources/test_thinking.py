"""The switches for reasoning, and the answer that reasoning left no room for."""

from __future__ import annotations

from typing import Any

import pytest
from support.clients import Connect
from support.servers import DONE, LAST_CHUNK, USAGE, Serve, answer, begun, chunk, ending, event, http_chunk, response

from deepseek_async import InvalidRequestError, ReasoningBudgetExhaustedError
from deepseek_async.resources.parameters import chat_parameters, path_of
from deepseek_async.simulator import Simulator, SimulatorSettings

ASKED = [{"role": "user", "content": "question"}]
ON, OFF = {"type": "enabled"}, {"type": "disabled"}


def switches(**given: Any) -> dict[str, Any]:
    body = chat_parameters("deepseek-flash", ASKED, given)
    return {name: body[name] for name in ("thinking", "reasoning_effort") if name in body}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {}),
        ({"thinking": True}, {"thinking": ON}),
        ({"thinking": False}, {"thinking": OFF}),
        ({"thinking": "enabled"}, {"thinking": ON}),
        ({"thinking": "disabled"}, {"thinking": OFF}),
        ({"thinking": OFF}, {"thinking": OFF}),
        ({"reasoning_effort": "max"}, {"reasoning_effort": "max"}),
        ({"thinking": True, "reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        ({"thinking": {**ON, "x": 1}, "reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        ({"thinking": False, "reasoning_effort": "none"}, {"thinking": OFF}),
    ],
)
def test_one_switch_is_sent(given: dict[str, Any], sent: dict[str, Any]):
    assert switches(**given) == sent


@pytest.mark.parametrize(
    "given",
    [
        {"thinking": False, "reasoning_effort": "high"},
        {"thinking": True, "reasoning_effort": "none"},
        {"thinking": 5},
    ],
)
def test_switches_that_contradict_each_other_are_refused(given: dict[str, Any]):
    with pytest.raises(InvalidRequestError, match="thinking"):
        switches(**given)


@pytest.mark.parametrize(
    ("body", "beta"),
    [
        ({"messages": ASKED}, False),
        ({"messages": [*ASKED, {"role": "assistant", "content": "So", "prefix": True}]}, True),
        ({"messages": [*ASKED, {"role": "assistant", "content": "So", "prefix": False}]}, False),
        ({"messages": ASKED, "tools": [{"type": "function", "function": {"name": "f", "strict": True}}]}, True),
        ({"messages": ASKED, "tools": [{"type": "function", "function": {"name": "f"}}]}, False),
        ({}, False),
        ({"messages": {"a": 1}}, False),
    ],
)
def test_the_beta_base_is_chosen_for_what_only_it_serves(body: dict[str, Any], beta: bool):
    assert path_of(body).startswith("/beta/") == beta


@pytest.mark.parametrize("base", ["", "/v1", "/beta"])
async def test_a_prefix_is_continued_under_the_beta_base_whatever_the_base_url(connect: Connect, base: str):
    async with Simulator(SimulatorSettings(seed=1)) as simulator:
        client = connect(simulator.base_url + base)
        done = await client.chat.completions.create(
            model="deepseek-flash",
            messages=[*ASKED, {"role": "assistant", "content": "The answer is", "prefix": True}],
        )
        assert done.choices[0].message.content
        assert [request.path for request in simulator.requests] == ["/beta/chat/completions"]
        await client.aclose()


async def test_reasoning_that_leaves_no_room_for_an_answer_is_an_error_of_its_own(serve: Serve, connect: Connect):
    body = answer("", finish_reason="length", usage={**USAGE, "completion_tokens": 50})
    body["choices"][0]["message"]["reasoning_content"] = "Let me think"
    server = await serve([response(body)])
    with pytest.raises(ReasoningBudgetExhaustedError, match=r"50 tokens.*max_tokens") as caught:
        await connect(server).chat.completions.create(model="deepseek-flash", messages=ASKED, max_tokens=50)

    assert not caught.value.retryable
    assert caught.value.partial is not None
    assert caught.value.partial.choices[0].message.reasoning_content == "Let me think"
    assert len(server.requests) == 1


@pytest.mark.parametrize("reasoning", [["Let ", "me"], []])
async def test_a_stream_of_reasoning_alone_ends_with_that_error(serve: Serve, connect: Connect, reasoning: list[str]):
    thoughts = b"".join(event(chunk({"reasoning_content": text})) for text in reasoning)
    server = await serve([begun(thoughts + ending("length") + DONE) + LAST_CHUNK])
    stream = await connect(server).chat.completions.create(model="deepseek-flash", messages=ASKED, stream=True)
    with pytest.raises(ReasoningBudgetExhaustedError) as caught:
        async for _ in stream:
            pass
    assert caught.value.partial is not None
    assert (caught.value.partial.choices[0].message.reasoning_content or "") == "".join(reasoning)
    assert len(server.requests) == 1


async def test_an_answer_cut_by_max_tokens_is_an_answer_all_the_same(serve: Serve, connect: Connect):
    script = begun(event(chunk({"content": "half"})) + ending("length") + DONE) + http_chunk(b"")
    server = await serve([response(answer("half", finish_reason="length"))], [script])
    completions = connect(server).chat.completions
    done = await completions.create(model="deepseek-flash", messages=ASKED)
    assert done.choices[0].finish_reason == "length"
    async with completions.stream(model="deepseek-flash", messages=ASKED) as stream:
        assert [text async for text in stream.text_deltas()] == ["half"]
    assert stream.completion.choices[0].finish_reason == "length"
