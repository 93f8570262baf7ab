"""The extensions of 13 November against the simulator: searches, reviews, titles, reminders; and what they cost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from simulating import Simulate
from support.clients import Connect
from support.servers import LAST_CHUNK, STREAM_HEAD, USAGE, Serve, chunk, event, http_chunk

from deepseek_async import (
    AnswerEnd,
    AnswerWithdrawn,
    AsyncDeepSeek,
    BadRequestError,
    ContentRefusedError,
    ContentRiskError,
    InvalidRequestError,
    Reading,
    ReasoningDelta,
    Reviewing,
    Searching,
    TextDelta,
    TitleGiven,
    ToolArgumentsDelta,
    UnknownDelta,
)
from deepseek_async.call.stream import moderation_wait as reviews

SEARCH: Any = [{"type": "deepseek_web_search"}, {"type": "deepseek_read_url"}]
SHAPES = ["fields", "blocks", "links"]


def asking(text: str, **fields: Any) -> dict[str, Any]:
    return {
        "model": "deepseek-flash",
        "messages": [{"role": "user", "content": text}],
        "thinking": False,
        "lint": "off",
        **fields,
    }


def responding(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "deepseek-flash", "input": text, "reasoning": {"effort": "none"}, **fields}


def messaging(text: str, **fields: Any) -> dict[str, Any]:
    return {**asking(text, **fields), "thinking": {"type": "disabled"}}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("thinking", [True, False])
async def test_a_search_has_the_same_sources_in_every_shape_plain_and_streamed(
    simulate: Simulate, connect: Connect, shape: str, thinking: bool
):
    simulator = await simulate(web_shape=shape)
    client = connect(simulator.base_url, lint="off")
    asked = asking("What is the weather in Oslo?", tools=SEARCH, thinking=thinking)
    plain = await client.chat.completions.create(**asked)
    async with client.chat.completions.stream(**asked) as stream:
        events = [each async for each in stream.events()]
    streamed = stream.completion
    effort = {"effort": "high" if thinking else "none"}
    answered = [plain, streamed, await client.responses.create(**responding("What?", tools=SEARCH, reasoning=effort))]
    for answer in answered:
        assert answer.sources
        assert all(source.url.startswith("https://example.org/") for source in answer.sources)
        assert all(source.title for source in answer.sources)
    assert [source.url for source in plain.sources] == [source.url for source in streamed.sources]
    if shape != "links":
        assert any(isinstance(each, Searching) for each in events)
        assert any(isinstance(each, Reading) for each in events) == thinking
    steps = 3 if thinking else 1
    for bill in simulator.ledger:
        assert sum(bill.fees.values()) == steps
    assert streamed.usage is not None
    assert sum(streamed.usage.server_tool_use.values()) == steps


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_conversation_goes_on_over_an_answer_with_searches(simulate: Simulate, connect: Connect, shape: str):
    simulator = await simulate(web_shape=shape)
    client = connect(simulator.base_url)
    asked = asking("What is the weather in Oslo?", tools=SEARCH)
    first = await client.chat.completions.create(**asked)
    sent = first.to_dict()["choices"][0]["message"]
    further = [*asked["messages"], first.choices[0].message, {"role": "user", "content": "And offline?"}]
    await client.chat.completions.create(**{**asked, "messages": further})
    replayed = simulator.requests[-1].body["messages"][1]
    assert replayed == sent
    response = await client.responses.create(**responding("What?", tools=SEARCH))
    items = [{"role": "user", "content": "What?"}, *response.output, {"role": "user", "content": "And offline?"}]
    await client.responses.create(**{**responding("x", tools=SEARCH), "input": items})
    assert simulator.requests[-1].body["input"][1:-1] == response.to_dict()["output"]


async def test_links_of_the_question_are_read(client: AsyncDeepSeek):
    asked = asking("Sum up https://example.com/a and https://example.com/b please", tools=SEARCH)
    async with client.chat.completions.stream(**asked) as stream:
        events = [each async for each in stream.events()]
    read = [each.url for each in events if isinstance(each, Reading)]
    assert read == ["https://example.com/a", "https://example.com/b"]
    assert [source.url for source in stream.completion.sources] == read


async def test_a_response_streams_its_searches(client: AsyncDeepSeek):
    async with client.responses.stream(**responding("What?", tools=SEARCH)) as stream:
        events = [each async for each in stream.events()]
    assert isinstance(events[0], Searching)
    assert any(isinstance(each, TextDelta) for each in events)
    assert stream.response.sources


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_message_tells_its_searches_in_blocks_and_a_conversation_goes_on_over_them(
    simulate: Simulate, connect: Connect, shape: str
):
    simulator = await simulate(web_shape=shape)
    client = connect(simulator.base_url)
    tools = [{**tool, "name": tool["type"]} for tool in SEARCH]
    asked = messaging("What is the weather in Oslo?", tools=tools)
    plain = await client.messages.create(**asked)
    async with client.messages.stream(**asked) as stream:
        events = [each async for each in stream.events()]
    streamed = stream.message
    assert plain.sources == streamed.sources
    assert plain.sources
    assert plain.text == streamed.text == "".join(each.text for each in events if isinstance(each, TextDelta))
    assert plain.usage.to_dict()["server_tool_use"] == {"web_search_requests": 1}
    kinds = [block.type for block in plain.content]
    assert kinds == [block.type for block in streamed.content]
    if shape == "links":
        assert kinds == ["text"]
    else:
        assert kinds == ["server_tool_use", "web_search_tool_result", "text"]
        assert isinstance(events[0], Searching)
        assert events[0].queries == ("What is the weather in Oslo?",)
        assert streamed.content[0].input == plain.content[0].input
    turns = [*asked["messages"], streamed, {"role": "user", "content": "And offline?"}]
    await client.messages.create(**{**asked, "messages": turns})
    assert simulator.requests[-1].body["messages"][1]["content"] == [block.to_dict() for block in streamed.content]


async def test_pages_of_a_message_are_read_and_calls_of_functions_are_told(simulate: Simulate, connect: Connect):
    client = connect((await simulate()).base_url)
    tools = [{"type": "deepseek_read_url", "name": "deepseek_read_url"}]
    asked = messaging("Sum up https://example.com/a please", tools=tools)
    async with client.messages.stream(**asked) as stream:
        events = [each async for each in stream.events()]
    assert [each.url for each in events if isinstance(each, Reading)] == ["https://example.com/a"]
    weather = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
    thinking = {"type": "enabled"}
    async with client.messages.stream(**{**messaging("Ask weather", tools=[weather]), "thinking": thinking}) as stream:
        events = [each async for each in stream.events()]
    called = [each for each in events if isinstance(each, ToolArgumentsDelta)]
    assert called[0].name == "weather"
    assert json.loads("".join(each.arguments for each in called)) == stream.message.content[-1].input
    assert any(isinstance(each, ReasoningDelta) for each in events)
    assert isinstance(events[-1], AnswerEnd)
    assert (events[-1].finish_reason, events[-1].usage) == ("tool_calls", stream.message.tokens_used())


async def test_what_a_message_has_that_nobody_knows_is_told_as_it_came(simulate: Simulate, connect: Connect):
    client = connect((await simulate(unknown_blocks=True)).base_url)
    async with client.messages.stream(**messaging("Hi")) as stream:
        events = [each async for each in stream.events()]
    unknown = [each.raw["type"] for each in events if isinstance(each, UnknownDelta)]
    assert unknown == ["weather_warning", "weather_report", "weather_delta"]


async def test_titles_come_where_each_protocol_has_them(client: AsyncDeepSeek):
    asked = asking("Rain in Oslo today", title=True)
    assert (await client.chat.completions.create(**asked)).title == "Rain in Oslo today"
    async with client.chat.completions.stream(**asked) as stream:
        events = [each async for each in stream.events()]
    assert TitleGiven("Rain in Oslo today") in events
    assert stream.completion.title == "Rain in Oslo today"
    assert (await client.responses.create(**responding("Rain in Oslo today", title=True))).title == "Rain in Oslo today"
    async with client.responses.stream(**responding("Rain in Oslo today", title=True)) as streaming:
        events = [each async for each in streaming.events()]
    assert TitleGiven("Rain in Oslo today") in events
    said = messaging("Rain in Oslo today", title=True)
    assert (await client.messages.create(**said)).title == "Rain in Oslo today"
    async with client.messages.stream(**said) as messages:
        events = [each async for each in messages.events()]
    assert TitleGiven("Rain in Oslo today") in events
    assert messages.message.title == "Rain in Oslo today"
    cut = await client.chat.completions.create(**{**asked, "max_tokens": 3})
    assert cut.title is None


async def test_a_refusal_comes_late_or_in_the_middle_and_is_billed_once(simulate: Simulate, connect: Connect):
    simulator = await simulate()
    client = connect(simulator.base_url)
    for word in ("unsafe output", "unsafe beginning"):
        asked = asking(f"Say something, {word}", safety_check="high", title=True)
        done = await client.chat.completions.create(**asked)
        assert (done.refused, done.title) == (True, None)
        with pytest.raises(ContentRefusedError) as caught:
            await client.chat.completions.create(**asked, raise_on_refusal=True)
        assert caught.value.text == done.choices[0].message.content
        async with client.chat.completions.stream(**asked) as stream:
            events = [each async for each in stream.events()]
        assert AnswerWithdrawn() in events
        assert stream.refused
        assert (await client.responses.create(**responding(f"Say {word}", safety_check="high"))).refused
    assert len(simulator.ledger) == 8
    assert not (await client.chat.completions.create(**asking("Say something, unsafe output"))).refused


async def stream_of(client: AsyncDeepSeek, kind: str) -> Any:
    match kind:
        case "chat":
            return await client.chat.completions.create(**asking("unsafe output", safety_check="high", stream=True))
        case "response":
            return await client.responses.create(**responding("unsafe output", safety_check="high", stream=True))
        case _:
            return await client.messages.create(**messaging("unsafe output", safety_check="high", stream=True))


async def refused_by(client: AsyncDeepSeek, kind: str) -> Any:
    asked: dict[str, Any] = {"safety_check": "high", "raise_on_refusal": True}
    match kind:
        case "chat":
            return await client.chat.completions.create(**asking("unsafe output", **asked))
        case "response":
            return await client.responses.create(**responding("unsafe output", **asked))
        case _:
            return await client.messages.create(**messaging("unsafe output", **asked))


@pytest.mark.parametrize("kind", ["chat", "response", "message"])
async def test_a_refusal_means_the_same_in_each_protocol(client: AsyncDeepSeek, kind: str):
    async with await stream_of(client, kind) as stream:
        assert not stream.refused
        events = [each async for each in stream.events()]
    assert stream.refused
    assert stream.partial.refused
    shown = [each for each in events if isinstance(each, TextDelta)]
    assert shown
    withdrawn = events.index(AnswerWithdrawn())
    assert events.index(shown[-1]) < withdrawn
    (end,) = [each for each in events if isinstance(each, AnswerEnd)]
    assert (end.finish_reason, events.index(end)) == ("content_filter", withdrawn + 1)
    with pytest.raises(ContentRefusedError) as caught:
        await refused_by(client, kind)
    assert caught.value.text == "".join(each.text for each in shown)
    assert (caught.value.retryable, caught.value.attempts) == (False, 1)
    create = {"chat": client.chat.completions, "response": client.responses, "message": client.messages}[kind].create
    asked = {"chat": asking, "response": responding, "message": messaging}[kind]("Hi", stream=True)
    with pytest.raises(InvalidRequestError, match=r"stream\.refused"):
        await create(**asked, raise_on_refusal=True)


async def test_a_request_that_is_refused_costs_nothing_and_is_sent_once(simulate: Simulate, connect: Connect):
    simulator = await simulate()
    client = connect(simulator.base_url)
    for ask in (
        client.chat.completions.create(**asking("unsafe input", safety_check="high")),
        client.responses.create(**responding("unsafe input", safety_check="high")),
        client.messages.create(**messaging("unsafe input", safety_check="high")),
    ):
        with pytest.raises(ContentRiskError):
            await ask
    assert (len(simulator.requests), len(simulator.ledger)) == (3, 0)


async def test_the_review_is_told_before_the_end(simulate: Simulate, connect: Connect, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reviews, "QUIET", 0.01)
    simulator = await simulate(review_seconds=0.3)
    client = connect(simulator.base_url)
    async with client.chat.completions.stream(**asking("unsafe output", safety_check="high")) as stream:
        events = [each async for each in stream.events()]
    assert Reviewing() in events
    assert events.index(AnswerWithdrawn()) > events.index(Reviewing())


async def test_reminders_are_dated(client: AsyncDeepSeek):
    reminder = {"role": "latest_reminder", "content": "2026-11-09,Monday,,Web,English"}
    question = {"role": "user", "content": "Hi"}
    await client.chat.completions.create(**asking("x", messages=[reminder, question]))
    with pytest.raises(BadRequestError, match=r"Invalid 'messages\.0\.content': invalid date"):
        await client.chat.completions.create(**asking("x", messages=[{**reminder, "content": "today"}, question]))
    with pytest.raises(BadRequestError, match="unknown variant `latest_reminder`"):
        await client.responses.create(**responding("x"), extra_body={"input": [reminder, question]})
    with pytest.raises(
        InvalidRequestError, match=r"do not support the role 'latest_reminder'.*chat\.completions or messages"
    ):
        await client.responses.create(**{**responding("x"), "input": [reminder, question]})


async def test_a_model_without_the_tools_refuses_them(client: AsyncDeepSeek):
    with pytest.raises(BadRequestError, match="not supported by deepseek-v4-pro"):
        await client.chat.completions.create(**asking("x", model="deepseek-v4-pro", extra_body={"tools": SEARCH}))


async def test_run_tools_has_the_services_own_tools_beside_functions(simulate: Simulate, connect: Connect):
    simulator = await simulate()
    simulator.answer(tool_calls=[{"name": "add", "arguments": {"a": 1, "b": 2}}], fields={"new_trace": {"id": 7}})

    def add(a: int, b: int) -> int:
        return a + b

    run = await connect(simulator.base_url).chat.completions.run_tools(
        model="deepseek-flash",
        messages=[{"role": "user", "content": "What is 1 + 2?"}],
        tools=[add, {"type": "deepseek_web_search"}],
        thinking=False,
    )
    assert run.turns == 2
    second = simulator.requests[-1].body
    assert second["tools"][1] == {"type": "deepseek_web_search"}
    assert second["messages"][1]["new_trace"] == {"id": 7}


async def test_run_tools_may_have_the_services_own_tools_alone(client: AsyncDeepSeek):
    asked: Any = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "What happened?"}]}
    run = await client.chat.completions.run_tools(**asked, tools=[{"type": "deepseek_web_search"}], thinking=False)
    assert (run.turns, run.completion.usage.fees) == (1, {"search": 1})
    with pytest.raises(InvalidRequestError, match="tools must be functions"):
        await client.chat.completions.run_tools(**asked, tools=[])


@pytest.mark.parametrize(
    "action", [{"type": "search", "queries": ["Oslo"]}, {"type": "open_page", "url": "https://a.b/"}]
)
async def test_a_step_is_told_once_though_its_action_is_told_by_the_same_words(
    serve: Serve, connect: Connect, action: dict[str, Any]
):
    calls = [{"type": "deepseek_web_search_call", "id": "a", "action": action}]
    pieces = [chunk({"role": "assistant", "calls": calls}), chunk({"content": "Rain."}), chunk({}, "stop", usage=USAGE)]
    server = await serve([STREAM_HEAD, http_chunk(b"".join(map(event, [*pieces, "[DONE]"]))), LAST_CHUNK])
    stream = await connect(server).chat.completions.create(**asking("Oslo?"), stream=True)
    steps = [each for each in [each async for each in stream.events()] if isinstance(each, Searching | Reading)]
    assert [each.raw for each in steps] == calls
