"""`/responses`: the same answers in another format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from simulator_caller import WEATHER, Caller

TOOL = {"type": "function", **WEATHER["function"]}


async def respond(caller: Caller, given: Any = "Hello", **body: Any) -> Any:
    return await caller.send("POST", "/responses", json={"model": "deepseek-flash", "input": given, **body})


def parsed(events: bytes) -> list[dict[str, Any]]:
    """Every event of a stream; its name says the same as its data."""
    found = []
    for block in events.decode().removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n", 1)
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


async def test_an_answer_has_its_reasoning_its_text_and_its_usage(caller: Caller):
    body = (await respond(caller)).json
    assert (body["object"], body["status"], body["model"]) == ("response", "completed", "deepseek-flash")
    assert [item["type"] for item in body["output"]] == ["reasoning", "message"]
    assert body["output"][1]["content"][0]["text"].startswith("Answer to: Hello")
    usage = body["usage"]
    assert usage["input_tokens"] + usage["output_tokens"] == usage["total_tokens"]
    assert usage["output_tokens_details"]["reasoning_tokens"] > 0


async def test_a_stream_ends_with_its_own_event_and_without_done(caller: Caller):
    plain = (await respond(caller)).json
    reply = await respond(caller, stream=True)
    assert reply.headers["Content-Type"].startswith("text/event-stream")
    assert b"[DONE]" not in reply.body
    events = parsed(reply.body)
    assert (events[0]["type"], events[-1]["type"]) == ("response.created", "response.completed")
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert text == plain["output"][1]["content"][0]["text"]
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["reasoning", "message"]


async def test_the_cap_makes_a_response_incomplete(caller: Caller):
    body = (await respond(caller, max_output_tokens=3, reasoning={"effort": "none"})).json
    assert (body["status"], body["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    events = parsed((await respond(caller, max_output_tokens=3, stream=True)).body)
    assert events[-1]["type"] == "response.incomplete"


async def test_a_generation_that_was_given_up_is_a_failed_response(caller: Caller):
    fault = {"x-simulate-fault": "finish_reason; finish_reason=aborted"}
    request = {"model": "deepseek-flash", "input": "x", "stream": True}
    reply = await caller.send("POST", "/responses", json=request, headers=fault)
    last = parsed(reply.body)[-1]
    assert (last["type"], last["response"]["error"]["code"]) == ("response.failed", "server_error")


async def test_calls_of_functions_come_and_their_results_go_back(caller: Caller):
    first = (await respond(caller, "Ask weather", tools=[TOOL])).json
    thought, call = first["output"]
    assert (call["type"], call["name"]) == ("function_call", "weather")
    json.loads(call["arguments"])
    events = parsed((await respond(caller, "Ask weather", tools=[TOOL], stream=True)).body)
    fragments = [e["delta"] for e in events if e["type"] == "response.function_call_arguments.delta"]
    assert "".join(fragments) == call["arguments"]
    turns = [
        {"role": "user", "content": [{"type": "input_text", "text": "Ask weather"}]},
        thought,
        call,
        {"type": "function_call_output", "call_id": call["call_id"], "output": "rain"},
    ]
    second = (await respond(caller, turns, tools=[TOOL], model="deepseek-v4-pro")).json
    assert [item["type"] for item in second["output"]] == ["reasoning", "message"]


async def test_a_schema_decides_the_shape_of_the_text(caller: Caller):
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
    wanted = {"format": {"type": "json_schema", "name": "trip", "schema": schema}}
    body = (await respond(caller, text=wanted, instructions="Be short.")).json
    assert set(json.loads(body["output"][-1]["content"][0]["text"])) == {"city", "days"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"input": None},
        {"input": []},
        {"input": ["x"]},
        {"input": [{"type": "computer_call"}]},
        {"previous_response_id": "resp_1"},
        {"instructions": 1},
        {"reasoning": "high"},
        {"temperature": 3},
        {"model": "gpt"},
        {"tools": ["x"]},
        {"text": {"format": {"type": "json_object"}}},
        {"input": [{"role": "wizard", "content": "x"}]},
    ],
)
async def test_what_cannot_be_answered_is_refused(caller: Caller, wrong: dict):
    reply = await caller.send("POST", "/responses", json={"model": "deepseek-flash", "input": "x", **wrong})
    assert reply.status in {400, 422}
