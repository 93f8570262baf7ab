"""`/anthropic/v1/messages`: the same answers in Anthropic's format, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from simulator_caller import Caller, Start

TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
CALL = {"type": "tool_use", "id": "call_1", "name": "weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "call_1", "content": "rain"}
TEXT = {"type": "text", "text": "x"}


async def send(caller: Caller, content: Any = "Hello", *, path: str = "/anthropic/v1/messages", **body: Any) -> Any:
    asked = {"model": "deepseek-flash", "messages": [{"role": "user", "content": content}], **body}
    return await caller.send("POST", path, json=asked)


def parsed(events: bytes) -> list[dict[str, Any]]:
    """Every event of a stream; its name says the same as its data."""
    found = []
    for block in events.decode().removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n", 1)
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


@pytest.mark.parametrize("path", ["/anthropic/v1/messages", "/anthropic/messages"])
async def test_it_answers_at_both_paths(caller: Caller, path: str):
    body = (await send(caller, path=path)).json
    assert (body["type"], body["role"], body["model"]) == ("message", "assistant", "deepseek-flash")
    assert [block["type"] for block in body["content"]] == ["thinking", "text"]


async def test_the_cached_part_of_the_prompt_stands_alone(caller: Caller):
    for _ in range(2):
        usage = (await send(caller, "word " * 2000)).json["usage"]
    bill = list(caller.simulator.ledger)[-1]
    assert usage["cache_read_input_tokens"] == bill.cache_hit_tokens > 0
    assert usage["input_tokens"] == bill.cache_miss_tokens
    assert (usage["cache_creation_input_tokens"], usage["service_tier"]) == (0, "standard")


async def test_a_stream_begins_with_the_input_and_ends_with_message_stop(caller: Caller):
    reply = await send(caller, stream=True)
    assert b"[DONE]" not in reply.body
    events = parsed(reply.body)
    assert [event["type"] for event in events[:3]] == ["message_start", "content_block_start", "ping"]
    assert events[0]["message"]["usage"]["output_tokens"] == 0
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    assert events[-2]["usage"]["input_tokens"] == events[0]["message"]["usage"]["input_tokens"]
    assert events[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}


async def test_thoughts_are_signed_at_their_end(caller: Caller):
    events = parsed((await send(caller, stream=True)).body)
    kinds = [event["delta"]["type"] for event in events if event["type"] == "content_block_delta"]
    assert kinds.index("signature_delta") == kinds.count("thinking_delta")


async def test_names_of_claude_are_served_by_the_models_behind_them(caller: Caller):
    assert (await send(caller, model="claude-opus-4-1")).json["model"] == "deepseek-v4-pro"
    assert (await send(caller, model="claude-sonnet-5")).json["model"] == "deepseek-flash"
    assert [bill.model for bill in caller.simulator.ledger] == ["deepseek-v4-pro", "deepseek-flash"]


async def test_a_cap_beyond_the_longest_answer_is_lowered(caller: Caller):
    assert (await send(caller, max_tokens=500_000)).status == 200


async def test_either_header_has_the_key_and_the_usual_one_wins(start: Start):
    caller = await start(api_keys=frozenset({"sk-right"}))
    asked = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "x"}]}
    url = caller.simulator.base_url + "/anthropic/v1/messages"
    statuses = []
    for headers in (
        {"x-api-key": "sk-right"},
        {"Authorization": "Bearer sk-right", "x-api-key": "sk-wrong"},
        {"Authorization": "Bearer sk-wrong", "x-api-key": "sk-right"},
        {},
    ):
        async with caller.session.post(url, json=asked, headers=headers) as response:
            statuses.append(response.status)
    assert statuses == [200, 200, 401, 401]


def turns(*messages: tuple[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in messages]}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"messages": []}, "messages: at least one message is required"),
        (turns(("user", [])), "all messages must have non-empty content"),
        (turns(("wizard", "x")), "unknown variant `wizard`"),
        (turns(("user", [{"type": "search_result"}])), "unknown variant `search_result`"),
        (turns(("assistant", [{"type": "redacted_thinking"}])), "unknown variant `redacted_thinking`"),
        (turns(("assistant", [{"type": "image"}])), "Image in assistant message"),
        (turns(("user", [{"type": "web_search_tool_result"}])), "can only be in `assistant` messages"),
        (turns(("user", "x"), ("assistant", [CALL]), ("user", "y")), "without `tool_result` blocks immediately after"),
        (turns(("user", "x"), ("assistant", [CALL])), "without `tool_result` blocks immediately after"),
        (
            turns(("user", "x"), ("assistant", [CALL]), ("user", [TEXT, RESULT])),
            "without `tool_result` blocks immediately after",
        ),
        (turns(("user", [RESULT])), "unexpected `tool_use_id`"),
        (turns(("user", "x"), ("assistant", [CALL, CALL]), ("user", [RESULT])), "ids must be unique"),
        ({"model": "gpt-5"}, "supported API model names"),
        ({"max_tokens": 0}, "Invalid max_tokens value"),
        ({"temperature": 3}, "Invalid temperature value"),
        ({"top_p": 0}, "Invalid top_p value"),
        ({"stop_sequences": "x"}, "stop_sequences: expected a list"),
        ({"stop_sequences": [""]}, "stop_sequences: at most"),
        ({"system": 1}, "system: expected"),
        ({"tools": [{"type": "custom", **TOOL}]}, "tools[0]: server tools are not supported"),
        ({"tools": [TOOL, TOOL]}, "must be unique"),
        ({"tools": [{**TOOL, "input_schema": {"type": "string"}}]}, "object"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "at least one tool must not be deferred"),
        ({"tools": [TOOL], "tool_choice": "auto"}, "tool_choice: expected an object"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "weather"}}, "Thinking mode does not support"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "clock"}}, "no function named 'clock'"),
    ],
)
async def test_what_cannot_be_answered_is_refused(caller: Caller, wrong: dict, said: str):
    reply = await send(caller, **wrong)
    assert reply.status == 400
    assert said in reply.message
    assert len(caller.simulator.ledger) == 0


async def test_thoughts_before_a_call_must_come_back(caller: Caller):
    asked = turns(("user", "x"), ("assistant", [CALL]), ("user", [RESULT]))
    reply = await send(caller, model="deepseek-v4-pro", tools=[TOOL], **asked)
    assert reply.message == "The `content[].thinking` in the thinking mode must be passed back to the API."


async def test_a_forced_call_is_not_forced(caller: Caller):
    body = (await send(caller, tools=[TOOL], tool_choice={"type": "any"})).json
    assert body["stop_reason"] == "end_turn"


async def test_what_no_client_knows_is_mixed_in_when_asked_for(start: Start):
    caller = await start(unknown_blocks=True)
    body = (await send(caller)).json
    events = parsed((await send(caller, stream=True)).body)
    assert "weather_report" in [block["type"] for block in body["content"]]
    assert {"weather_warning"} < {event["type"] for event in events}
    assert "weather_delta" in [event["delta"]["type"] for event in events if event["type"] == "content_block_delta"]
    assert body["usage"]["weather_requests"] == events[-2]["usage"]["weather_requests"] == 1
