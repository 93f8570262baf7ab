"""The simulator answers what it is told, by match or in order, in every format."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from simulator_caller import CLOCK, WEATHER, Caller, Start

from deepseek_async import AsyncDeepSeek, BadRequestError
from deepseek_async.simulator import Answers, Simulator, SimulatorSettings


def client_of(simulator: Simulator) -> AsyncDeepSeek:
    return AsyncDeepSeek(api_key="sk-any", base_url=simulator.base_url, retry=1)


@dataclass(frozen=True)
class Said:
    """What a caller sees of an answer, however it came."""

    text: str | None
    reasoning: str | None
    calls: list[tuple[str, str]]
    finish_reason: str | None
    tokens: tuple[int, int]


async def said(simulator: Simulator, way: str, prompt: str, **parameters: Any) -> Said:
    """Ask in one of four ways."""
    stream = way.endswith("stream")
    async with client_of(simulator) as client:
        if way.startswith("chat"):
            messages = [{"role": "user", "content": prompt}]
            asked = {"model": "deepseek-flash", "messages": messages, "stream": stream, **parameters}
            answer = await client.chat.completions.create(**asked)
            if stream:
                async with answer:
                    async for _ in answer:
                        pass
                answer = answer.completion
            message, reason = answer.choices[0].message, answer.choices[0].finish_reason
            calls = [(call.function.name, call.function.arguments) for call in message.tool_calls or ()]
            tokens = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
            return Said(message.content or None, message.reasoning_content or None, calls, reason, tokens)
        if way.startswith("messages"):
            return await said_in_message(client, prompt, stream=stream, **parameters)
        tools = [{"type": "function", **tool["function"]} for tool in parameters.pop("tools", ())]
        more = {"tools": tools} if tools else {}
        asked = {"model": "deepseek-flash", "input": prompt, "stream": stream, **more, **parameters}
        answer = await client.responses.create(**asked)
        if stream:
            async with answer:
                async for _ in answer:
                    pass
            answer = answer.response
        items = [item.to_dict() for item in answer.output]
        calls = [(item["name"], item["arguments"]) for item in items if item["type"] == "function_call"]
        thoughts = "".join(part["text"] for item in items if item["type"] == "reasoning" for part in item["content"])
        usage = answer.tokens_used()
        return Said(
            answer.output_text or None,
            thoughts or None,
            calls,
            answer.finish_reason,
            (usage.prompt_tokens, usage.completion_tokens),
        )


async def said_in_message(client: AsyncDeepSeek, prompt: str, *, stream: bool, **parameters: Any) -> Said:
    tools = [
        {"name": tool["function"]["name"], "input_schema": tool["function"]["parameters"]}
        for tool in parameters.pop("tools", ())
    ]
    messages = [{"role": "user", "content": prompt}]
    asked = {"model": "deepseek-flash", "messages": messages, "max_tokens": 1000, "stream": stream, **parameters}
    answer = await client.messages.create(**asked, **({"tools": tools} if tools else {}))
    if stream:
        async with answer:
            async for _ in answer:
                pass
        answer = answer.message
    blocks = [block.to_dict() for block in answer.content]
    usage = answer.tokens_used()
    return Said(
        "".join(block["text"] for block in blocks if block["type"] == "text") or None,
        "".join(block["thinking"] for block in blocks if block["type"] == "thinking") or None,
        [
            (block["name"], json.dumps(block["input"], ensure_ascii=False))
            for block in blocks
            if block["type"] == "tool_use"
        ],
        {"end_turn": "stop", "tool_use": "tool_calls"}.get(answer.stop_reason, answer.stop_reason),
        (usage.prompt_tokens, usage.completion_tokens),
    )


WAYS = ["chat", "chat stream", "responses", "responses stream", "messages", "messages stream"]


@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_is_what_was_said_and_its_usage_too(caller: Caller, way: str):
    caller.simulator.answer(
        content="Fine 🎉", reasoning="Think.", usage={"prompt_tokens": 1000, "completion_tokens": 10}
    )
    answer = await said(caller.simulator, way, "How are you?")
    assert answer == Said("Fine 🎉", "Think.", [], "stop", (1000, 10))
    (bill,) = caller.simulator.ledger
    assert (bill.prompt_tokens, bill.completion_tokens) == (1000, 10)


@pytest.mark.parametrize("way", WAYS)
async def test_tool_calls_are_what_was_said_or_fit_the_tool_of_the_request(caller: Caller, way: str):
    broken = "{}" if way.startswith("messages") else "{"  # a message has no text of its arguments
    caller.simulator.answer(
        reasoning="",
        tool_calls=[
            {"name": "weather", "arguments": {"city": "Zürich"}},
            {"type": "function", "function": {"name": "clock", "arguments": broken}},
            "weather",
        ],
    )
    answer = await said(caller.simulator, way, "Which tool for Oslo?", tools=[WEATHER, CLOCK])
    assert (answer.text, answer.reasoning, answer.finish_reason) == (None, None, "tool_calls")
    first, second, third = answer.calls
    assert (first, second) == (("weather", '{"city": "Zürich"}'), ("clock", broken))
    made = json.loads(third[1])
    assert (third[0], made["city"], made["days"] >= 3) == ("weather", "Oslo", True)
    assert made["unit"] in {"celsius", "kelvin"}


class City(msgspec.Struct):
    name: str
    size: int


@pytest.mark.parametrize("value", [{"name": "Oslo", "size": 7}, City("Oslo", 7)], ids=["dict", "struct"])
async def test_an_object_is_written_as_the_answer(caller: Caller, value: Any):
    caller.simulator.answer(when="city", parsed=value)
    async with client_of(caller.simulator) as client:
        messages = [{"role": "user", "content": "Which city?"}]
        asked = {"model": "deepseek-flash", "messages": messages, "response_format": City}
        answer = await client.chat.completions.create(**asked)
    assert answer.choices[0].message.parsed == City("Oslo", 7)


async def test_a_stream_comes_in_the_chunks_that_were_said(caller: Caller):
    caller.simulator.answer(chunks=["a", "", "bc", "🎉"], times=2)
    streamed = await caller.chat(stream=True)
    deltas = [chunk["choices"][0]["delta"].get("content") for chunk in streamed.chunks]
    assert deltas == ["", "a", "", "bc", "🎉", ""]
    assert (await caller.chat()).json["choices"][0]["message"]["content"] == "abc🎉"


async def test_answers_without_a_match_are_for_one_request_each_in_order(caller: Caller):
    for text in ("one", "two"):
        caller.simulator.answer(content=text)
    assert caller.simulator.answers.unused == 2
    heard = [(await caller.chat("Hello")).json["choices"][0]["message"]["content"] for _ in range(3)]
    assert heard[:2] == ["one", "two"]
    assert heard[2].startswith("Answer to: Hello")
    assert caller.simulator.answers.unused == 0


async def test_a_match_is_a_text_a_pattern_or_a_function_of_the_request(caller: Caller):
    say = caller.simulator.answer
    say(content="in order")
    say(when="refund", content="text")
    say(when=re.compile(r"order \d+"), content="pattern")
    say(when=lambda request: request.get("temperature") == 0, content="function")
    heard = [
        (await caller.chat(question, **more)).json["choices"][0]["message"]["content"]
        for question, more in (
            ("a refund, please", {}),
            ("where is order 7?", {}),
            ("anything", {"temperature": 0}),
            ("anything", {}),
            ("another refund", {}),
        )
    ]
    assert heard == ["text", "pattern", "function", "in order", "text"]


async def test_of_several_answers_for_one_match_each_comes_once_and_the_last_one_goes_on(caller: Caller):
    caller.simulator.answer(when="x", tool_calls=["clock"])
    caller.simulator.answer(when="x", content="two")
    caller.simulator.answer(when="x", content="last")
    heard = [(await caller.chat("x")).json["choices"][0] for _ in range(4)]
    assert [choice["finish_reason"] for choice in heard] == ["tool_calls", "stop", "stop", "stop"]
    assert [choice["message"]["content"] for choice in heard] == ["", "two", "last", "last"]


async def test_an_answer_is_given_so_many_times(caller: Caller):
    caller.simulator.answer(when="x", content="twice", times=2)
    heard = [(await caller.chat("x")).json["choices"][0]["message"]["content"] for _ in range(3)]
    assert heard[:2] == ["twice", "twice"]
    assert heard[2] != "twice"


@pytest.mark.parametrize("path", ["/chat/completions", "/responses", "/beta/completions"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_is_what_was_said(caller: Caller, path: str, stream: bool):
    say = caller.simulator.answer
    say(status=429, content="slow down", headers={"Retry-After": "7"})
    say(status=503)
    say(status=418, parsed={"odd": ["body"]})
    body = {"model": "deepseek-flash", "input": "Hi", "prompt": "Hi", "stream": stream}
    body["messages"] = [{"role": "user", "content": "Hi"}]
    first, second, third = [await caller.send("POST", path, json=body) for _ in range(3)]
    assert (first.status, first.message, first.headers["Retry-After"]) == (429, "slow down", "7")
    assert (second.status, second.body) == (503, b"service is too busy")
    assert (third.status, third.json) == (418, {"odd": ["body"]})
    assert len(caller.simulator.ledger) == 0


async def test_a_text_completion_is_matched_by_its_prompt(caller: Caller):
    caller.simulator.answer(when="def add", content="return a + b")
    body = {"model": "deepseek-flash", "prompt": "def add(a, b):"}
    reply = await caller.send("POST", "/beta/completions", json=body)
    assert reply.json["choices"][0]["text"] == "return a + b"
    streamed = await caller.send("POST", "/beta/completions", json={**body, "stream": True})
    assert "".join(chunk["choices"][0]["text"] for chunk in streamed.chunks) == "return a + b"


async def test_an_answer_waits_for_the_seconds_that_were_said(caller: Caller, monkeypatch: pytest.MonkeyPatch):
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("deepseek_async.simulator.server.asyncio.sleep", sleep)
    caller.simulator.answer(content="late", after=30)
    caller.simulator.answer(status=500, after=40)
    assert (await caller.chat()).json["choices"][0]["message"]["content"] == "late"
    assert (await caller.chat()).status == 500
    assert [seconds for seconds in waited if seconds] == [30, 40]


async def test_only_the_fields_that_are_said_differ(caller: Caller, start: Start):
    other = await start()
    other.simulator.answer(finish_reason="length", usage={"completion_tokens": 5, "odd": "field"})
    usual, changed = (await caller.chat("Hello")).json, (await other.chat("Hello")).json
    assert changed["choices"][0]["message"] == usual["choices"][0]["message"]
    assert changed["choices"][0]["finish_reason"] == "length"
    prompt = usual["usage"]["prompt_tokens"]
    assert changed["usage"] == usual["usage"] | {"completion_tokens": 5, "total_tokens": prompt + 5, "odd": "field"}


async def test_a_usage_that_cannot_be_true_is_sent_as_it_was_said(caller: Caller):
    caller.simulator.answer(content="x", usage={"prompt_tokens": "many", "completion_tokens": -3})
    usage = (await caller.chat()).json["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == ("many", -3)


async def test_an_answer_that_was_used_up_is_not_left(start: Start):
    caller = await start(on_miss="error")
    caller.simulator.answer(content="once")
    caller.simulator.answer(when="x", content="x")
    assert (await caller.chat("Hi")).status == 200
    assert (await caller.chat("Hi")).message.endswith("answers are left for: 'x'")


async def test_answers_that_nobody_used_are_named(caller: Caller):
    say, check = caller.simulator.answer, caller.simulator.answers.check_used
    say(when="refund", content="x")
    say(when="order", content="x", times=2)
    say(content="in order")
    await caller.chat("my order")
    with pytest.raises(AssertionError, match="scripted answers were not used: 'refund', 'order', the next request"):
        check()
    for question in ("my order", "a refund", "anything"):
        await caller.chat(question)
    check()


@pytest.mark.parametrize("path", ["/chat/completions", "/responses", "/beta/completions"])
async def test_a_request_that_nothing_was_said_about_is_shown_if_that_is_a_mistake(start: Start, path: str):
    caller = await start(on_miss="error")
    caller.simulator.answer(when="refund", content="x")
    caller.simulator.answer(when=re.compile("a+b"), content="x")
    body = {"model": "deepseek-flash", "input": "Hi there", "prompt": "Hi there"}
    body["messages"] = [{"role": "user", "content": "Hi there"}]
    reply = await caller.send("POST", path, json=body)
    assert reply.status == 400
    assert '"Hi there"' in reply.message
    assert reply.message.endswith("answers are left for: 'refund', /a+b/")
    with pytest.raises(AssertionError, match="Hi there"):
        caller.simulator.answers.check_missed()


async def test_a_mistake_in_a_function_of_the_user_is_told_to_who_asks(caller: Caller):
    caller.simulator.answer(when=lambda request: request["nothing"], content="x")
    async with client_of(caller.simulator) as client:
        with pytest.raises(
            BadRequestError, match="the `when` function of a scripted answer failed: KeyError: 'nothing'"
        ):
            await client.chat.completions.create(model="deepseek-flash", messages=[{"role": "user", "content": "Hi"}])


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"content": "a", "chunks": ["a"]}, "an answer must have one text, got content and chunks"),
        ({"content": 7}, "content must be a string, got 7"),
        ({"when": 7}, "when must be a string, pattern or function, got 7"),
        ({"status": 99}, "status must be"),
        ({"status": "200"}, "status must be"),
        ({"after": -1}, "after must be at least 0 seconds, got -1"),
        ({"times": 0}, "times must be"),
        ({"chunks": "abc"}, "chunks must be a list of strings"),
        ({"tool_calls": [{"arguments": {}}]}, "a tool call must be a tool name"),
        ({"tool_calls": "look"}, "tool_calls must be a list of names or objects, got 'look'"),
        ({"parsed": object()}, "parsed must be JSON serializable"),
        ({"content": "a\ud83d"}, "text must be encodable as UTF-8"),
        ({"reasoning": "a\ud83d"}, "text must be encodable as UTF-8"),
        ({"chunks": ["\ud83d", "\ude00"]}, "text must be encodable as UTF-8"),
        ({"tool_calls": [{"name": "f", "arguments": "\ud83d"}]}, "text must be encodable as UTF-8"),
        ({"status": 429, "headers": {"Retry-After": 1}}, "headers must be a mapping of names to single-line strings"),
        ({"status": 400, "headers": {"X": "a\r\nb: c"}}, "headers must be a mapping of names to single-line strings"),
    ],
)
def test_an_answer_that_makes_no_sense_is_named(said: dict[str, Any], reason: str):
    with pytest.raises(ValueError, match=re.escape(reason)):
        Answers().add(**said)


def test_a_wrong_word_for_a_miss_is_named():
    with pytest.raises(ValueError, match="on_miss must be answer or error, got 'raise'"):
        SimulatorSettings(on_miss="raise")


def test_answers_are_read_from_a_file(tmp_path: Path):
    path = tmp_path / "answers.jsonl"
    path.write_text(
        '{"when": "refund", "content": "a"}\n\n{"pattern": "^x+$", "tool_calls": ["clock"]}\n{"status": 503}\n'
    )
    answers = Answers()
    answers.read(path)
    assert answers.unused == 3
    refund, pattern, other = answers.next({}, "a refund"), answers.next({}, "xx"), answers.next({}, "y")
    assert refund is not None
    assert refund.content == ("a",)
    assert pattern is not None
    assert pattern.tool_calls == ("clock",)
    assert other is not None
    assert other.refusal is not None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not json", "line 2: Expecting value"),
        ('["a"]', "line 2: must be a JSON object"),
        ('{"contents": "a"}', "line 2: keys must be among after, chunks, content"),
        ('{"pattern": "("}', "line 2: missing )"),
        ('{"pattern": 7}', "line 2: "),
        ('{"times": "two"}', "line 2: times must be"),
    ],
)
def test_a_line_that_is_no_answer_is_named(tmp_path: Path, line: str, reason: str):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"content": "a"}\n' + line + "\n")
    with pytest.raises(ValueError, match=re.escape(reason)):
        Answers().read(path)
