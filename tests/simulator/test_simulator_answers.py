"""The plain answer of the chat endpoint, field by field."""

from __future__ import annotations

import json
import re

import pytest
from simulator_caller import CLOCK, WEATHER, Caller, Start, chat_body


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions", "/beta/chat/completions"])
async def test_an_answer_has_the_documented_keys_under_every_base(caller: Caller, path: str):
    reply = await caller.send("POST", path, json=chat_body("Which way to Oslo?"))

    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    answer = reply.json
    assert set(answer) == {"id", "object", "created", "model", "choices", "usage", "system_fingerprint"}
    assert answer["object"] == "chat.completion"
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer["id"])
    (choice,) = answer["choices"]
    assert set(choice) == {"index", "message", "logprobs", "finish_reason"}
    assert choice["message"]["content"].startswith("Answer to: Which way to Oslo?")


async def test_thinking_is_on_by_default_and_shows_in_message_and_usage(caller: Caller):
    answer = (await caller.chat(thinking=...)).json
    message, usage = answer["choices"][0]["message"], answer["usage"]

    assert message["reasoning_content"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] > 0
    assert usage["completion_tokens"] > usage["completion_tokens_details"]["reasoning_tokens"]


async def test_without_thinking_there_is_neither_reasoning_nor_a_count_of_it(caller: Caller):
    answer = (await caller.chat()).json

    assert "reasoning_content" not in answer["choices"][0]["message"]
    assert "completion_tokens_details" not in answer["usage"]


@pytest.mark.parametrize(
    ("switches", "thinks"),
    [
        ({}, True),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": "minimal"}, True),
        ({"thinking": {"type": "enabled"}, "reasoning_effort": "none"}, True),
        ({"thinking": {"type": "disabled"}, "reasoning_effort": "high"}, False),
        ({"model": "deepseek-chat"}, False),
        ({"model": "deepseek-chat", "thinking": {"type": "enabled"}}, True),
        ({"model": "deepseek-reasoner"}, True),
        ({"model": "deepseek-v4-flash"}, True),
    ],
)
async def test_the_thinking_switch_follows_its_precedence(caller: Caller, switches: dict, thinks: bool):
    answer = (await caller.chat(**{"thinking": ..., **switches})).json

    assert ("reasoning_content" in answer["choices"][0]["message"]) is thinks


@pytest.mark.parametrize("alias", ["deepseek-chat", "deepseek-reasoner", "deepseek-v4-flash"])
async def test_an_alias_is_answered_under_the_served_name(caller: Caller, alias: str):
    assert (await caller.chat(model=alias)).json["model"] == "deepseek-flash"


async def test_usage_adds_up(caller: Caller):
    usage = (await caller.chat("word " * 300)).json["usage"]

    assert usage["prompt_tokens"] == usage["prompt_cache_hit_tokens"] + usage["prompt_cache_miss_tokens"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == usage["prompt_cache_hit_tokens"]


async def test_the_same_seed_and_prompt_give_the_same_answer(start: Start):
    first, second = await start(seed=3), await start(seed=3)
    other = await start(seed=4)

    said = [(await c.chat(thinking=...)).json["choices"] for c in (first, second, other)]

    assert said[0] == said[1] != said[2]


async def test_a_stream_says_the_same_as_a_plain_answer(caller: Caller):
    plain = (await caller.chat(thinking=...)).json["choices"][0]["message"]
    chunks = (await caller.chat(thinking=..., stream=True)).chunks
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]

    assert "".join(delta.get("content") or "" for delta in deltas) == plain["content"]
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == plain["reasoning_content"]


async def test_max_tokens_covers_reasoning_and_answer(caller: Caller):
    reply = (await caller.chat(thinking=..., max_tokens=3)).json

    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["choices"][0]["message"]["content"] == ""
    assert reply["usage"]["completion_tokens"] == 3
    assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] == 3


async def test_the_answer_ends_before_a_stop_string_and_does_not_contain_it(caller: Caller):
    message = (await caller.chat("one two three", stop=["three", "two"])).json["choices"][0]

    assert message["message"]["content"] == "Answer to: one "
    assert message["finish_reason"] == "stop"


async def test_json_mode_answers_with_json(caller: Caller):
    reply = await caller.chat("Reply in json", response_format={"type": "json_object"})

    content = json.loads(reply.json["choices"][0]["message"]["content"])
    assert content["answer"].startswith("Answer to: Reply in json")


async def test_json_mode_keeps_to_a_schema_that_the_prompt_spells_out(caller: Caller):
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 9}}}
    reply = await caller.chat(
        f"Reply in json. It must fit this JSON Schema:\n{json.dumps(schema)}", response_format={"type": "json_object"}
    )

    content = json.loads(reply.json["choices"][0]["message"]["content"])
    assert set(content) == {"city", "days"}
    assert (type(content["city"]), content["days"]) == (str, 9)


@pytest.mark.parametrize("text", ["schema {", "schema: {a json", "a schema {} of json", 'schema {"type": "string"}'])
async def test_json_mode_takes_no_other_braces_for_a_schema(caller: Caller, text: str):
    reply = await caller.chat(f"{text} in json", response_format={"type": "json_object"})

    assert "answer" in json.loads(reply.json["choices"][0]["message"]["content"])


async def test_a_tool_that_is_mentioned_is_called_with_plausible_arguments(caller: Caller):
    choice = (await caller.chat("Ask weather, please", tools=[CLOCK, WEATHER])).json["choices"][0]

    assert choice["finish_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    assert call["index"] == 0
    assert call["id"].startswith("call_00_")
    assert call["function"]["name"] == "weather"
    arguments = json.loads(call["function"]["arguments"])
    assert set(arguments) == {"city", "days", "unit", "tags"}
    assert isinstance(arguments["city"], str)
    assert arguments["days"] >= 3
    assert arguments["unit"] in {"celsius", "kelvin"}
    assert isinstance(arguments["tags"], list)


async def test_several_mentioned_tools_are_called_in_parallel(caller: Caller):
    calls = (await caller.chat("clock and weather", tools=[CLOCK, WEATHER])).json["choices"][0]["message"]

    assert [(call["index"], call["function"]["name"]) for call in calls["tool_calls"]] == [
        (0, "clock"),
        (1, "weather"),
    ]
    assert calls["tool_calls"][1]["id"].startswith("call_01_")


@pytest.mark.parametrize(
    ("content", "choice", "called"),
    [
        ("Hello", "auto", []),
        ("Use a tool", "auto", ["clock"]),
        ("Use a tool", "none", []),
        ("Hello", "required", ["clock"]),
        ("Hello", {"type": "function", "function": {"name": "weather"}}, ["weather"]),
    ],
)
async def test_tool_choice_decides_about_calls(caller: Caller, content: str, choice: object, called: list):
    reply = await caller.chat(content, tools=[CLOCK, WEATHER], tool_choice=choice)

    calls = reply.json["choices"][0]["message"].get("tool_calls", [])
    assert [call["function"]["name"] for call in calls] == called


async def test_after_tool_results_the_answer_is_text(caller: Caller):
    call = {"id": "call_00_a", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Use the clock tool"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_00_a", "content": "noon"},
    ]

    choice = (await caller.chat(messages=messages, tools=[CLOCK])).json["choices"][0]

    assert choice["finish_reason"] == "stop"
    assert "tool_calls" not in choice["message"]


async def test_logprobs_cover_content_and_reasoning(caller: Caller):
    choice = (await caller.chat(thinking=..., logprobs=True, top_logprobs=2)).json["choices"][0]

    entries = choice["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == choice["message"]["content"]
    reasoning = choice["logprobs"]["reasoning_content"]
    assert "".join(entry["token"] for entry in reasoning) == choice["message"]["reasoning_content"]
    assert all(len(entry["top_logprobs"]) == 2 for entry in entries)
    assert all(bytes(entry["bytes"]).decode() == entry["token"] for entry in entries)


async def test_every_answer_carries_a_trace_id_and_no_rate_headers(caller: Caller):
    replies = [
        await caller.chat(),
        await caller.chat(stream=True),
        await caller.chat(model="nonsense"),
        await caller.send("GET", "/nowhere"),
        await caller.send("GET", "/models"),
    ]

    traces = [reply.headers["x-ds-trace-id"] for reply in replies]
    assert len(set(traces)) == len(traces)
    assert all(re.fullmatch("[0-9a-f]{32}", trace) for trace in traces)
    for reply in replies:
        names = {name.lower() for name in reply.headers}
        assert not {name for name in names if "ratelimit" in name or "request-id" in name}


async def test_models_and_balance_have_their_documented_fields(start: Start):
    caller = await start(balance=None)
    models = (await caller.send("GET", "/models")).json
    one = (await caller.send("GET", "/v1/models/deepseek-v4-pro")).json
    balance = (await caller.send("GET", "/user/balance")).json

    assert [model["id"] for model in models["data"]] == ["deepseek-flash", "deepseek-v4-pro"]
    assert one["owned_by"] == "deepseek"
    assert (await caller.send("GET", "/models/gpt-9")).status == 404
    assert balance["is_available"] is True
    assert isinstance(balance["balance_infos"][0]["total_balance"], str)


async def test_the_live_service_fills_in_the_middle_only_under_beta(start: Start):
    caller = await start(live_only=True)
    body = {"model": "deepseek-flash", "prompt": "def add(a, b):", "suffix": "return c", "echo": True}
    reply = await caller.send("POST", "/beta/completions", json=body)

    assert reply.json["object"] == "text_completion"
    assert reply.json["choices"][0]["text"].startswith("def add(a, b):")
    for path in ("/completions", "/v1/completions"):
        refused = await caller.send("POST", path, json=body)
        assert refused.status == 400
        assert refused.message.startswith("completions api is only available when using beta api")


async def test_fill_in_the_middle_streams_the_same_text_with_legacy_logprobs(caller: Caller):
    body = {"model": "deepseek-flash", "prompt": "x = ", "logprobs": 2}
    plain = (await caller.send("POST", "/beta/completions", json=body)).json
    chunks = (await caller.send("POST", "/beta/completions", json={**body, "stream": True})).chunks

    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == plain["choices"][0]["text"]
    block = plain["choices"][0]["logprobs"]
    assert set(block) == {"tokens", "token_logprobs", "top_logprobs", "text_offset"}
    assert "".join(block["tokens"]) == plain["choices"][0]["text"]
    assert chunks[-1]["usage"]["completion_tokens"] == plain["usage"]["completion_tokens"]
    offsets = [c["choices"][0]["logprobs"]["text_offset"][0] for c in chunks if c["choices"][0]["logprobs"]]
    assert offsets == block["text_offset"]
