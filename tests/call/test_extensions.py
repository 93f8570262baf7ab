"""Searches, reviews, refusals and titles of an answer, plain and streamed, of chat and responses."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from support.clients import MESSAGES, Connect, ask, failure_of, open_stream
from support.servers import (
    DONE,
    LAST_CHUNK,
    OPENING,
    STREAM_HEAD,
    Serve,
    answer,
    chunk,
    ending,
    event,
    http_chunk,
    response,
    said,
)

from deepseek_async import (
    AnswerEnd,
    AnswerWithdrawn,
    ContentRefusedError,
    ContentRiskError,
    InvalidRequestError,
    Reading,
    Reviewing,
    Searching,
    Source,
    TextDelta,
    TitleGiven,
    UnknownDelta,
)
from deepseek_async.call.stream import moderation_wait as reviews

SEARCH = {"type": "server_tool_use", "id": "s1", "name": "deepseek_web_search", "input": {"query": "oslo weather"}}
PAGE = {"type": "server_tool_use", "id": "s2", "name": "deepseek_read_url", "input": {"url": "https://example.org/a"}}
RESULT = {
    "type": "web_search_tool_result",
    "tool_use_id": "s1",
    "content": [{"type": "web_search_result", "url": "https://example.org/a", "title": "A", "page_age": None}],
}
CITED = {
    "type": "text",
    "text": "Rain.",
    "citations": [
        {"type": "web_search_result_location", "url": "https://example.org/a", "cited_text": "Rain expected"}
    ],
}
OFF: dict[str, Any] = {"thinking": False, "tools": [{"type": "deepseek_web_search"}]}


def whole(*events: bytes) -> list[Any]:
    return [STREAM_HEAD + http_chunk(b"".join(events)) + LAST_CHUNK]


# What is asked for


async def test_the_extensions_go_out_in_the_apis_form(serve: Serve, connect: Connect):
    server = await serve([response(answer())], [response(answer())], [response({"id": "r", **SAID})])
    client = connect(server)
    await ask(client, safety_check="high", title=True, **OFF)
    await ask(client, safety_check={"level": "low", "new": 1}, title={"enabled": True, "new": 2})
    await client.responses.create(
        model="deepseek-flash", input="Hi", safety_check="high", title=True, reasoning={"effort": "none"},
        tools=[{"type": "deepseek_read_url"}],
    )  # fmt: skip
    bodies = [json.loads(request.body) for request in server.requests]
    assert (bodies[0]["safety_check"], bodies[0]["title"]) == ({"level": "high"}, {"enabled": True})
    assert bodies[0]["tools"] == [{"type": "deepseek_web_search"}]
    assert (bodies[1]["safety_check"], bodies[1]["title"]) == ({"level": "low", "new": 1}, {"enabled": True, "new": 2})
    assert (bodies[2]["safety_check"], bodies[2]["title"]) == ({"level": "high"}, {"enabled": True})


SAID: dict[str, Any] = {
    "status": "completed",
    "title": "Rain in Oslo",
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Rain."}]}],
}


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"safety_check": "medium"}, "'high' or 'low', got 'medium'"),
        ({"title": "yes"}, "title must be"),
        ({"model": "deepseek-v4-pro", "tools": [{"type": "deepseek_web_search"}]}, "deepseek-v4-pro does not support"),
    ],
)
async def test_what_is_known_to_fail_is_not_sent(
    serve: Serve, connect: Connect, parameters: dict[str, Any], named: str
):
    client = connect(await serve())
    with pytest.raises(InvalidRequestError, match=named):
        await ask(client, **parameters)
    with pytest.raises(InvalidRequestError, match=named):
        await client.responses.create(**{"model": "deepseek-flash", "input": "Hi", **parameters})
    with pytest.raises(InvalidRequestError, match=named):
        await client.messages.create(**{"model": "deepseek-flash", "messages": MESSAGES, **parameters})


async def test_what_is_known_to_fail_can_be_sent_on_purpose(serve: Serve, connect: Connect):
    server = await serve([response(answer())])
    tools = [{"type": "deepseek_web_search"}]
    await ask(connect(server), model="deepseek-v4-pro", thinking=False, extra_body={"tools": tools})
    assert json.loads(server.requests[0].body)["tools"] == tools


# Titles and sources


async def test_a_title_is_told_and_not_sent_back(serve: Serve, connect: Connect):
    body = answer()
    body["choices"][0]["message"]["title"] = "Rain in Oslo"
    events = whole(OPENING, said("Hi"), event(chunk({"content": "", "title": "Rain in Oslo"}, "stop")), DONE)
    client = connect(await serve([response(body)], events))
    plain = await ask(client)
    stream = await open_stream(client)
    found = [each async for each in stream.events()]
    assert TitleGiven("Rain in Oslo") in found
    for done in (plain, stream.completion):
        assert done.title == done.choices[0].message.title == "Rain in Oslo"
        assert "title" not in done.choices[0].message.to_request()


@pytest.mark.parametrize(
    ("message", "sources"),
    [
        ({"content": [SEARCH, RESULT, CITED]}, [Source("https://example.org/a", "A", "Rain expected")]),
        ({"content": "Rain.", "search": {"results": [RESULT]}}, [Source("https://example.org/a", "A")]),
        (
            {"content": "Rain.", "annotations": [
                {"type": "url_citation", "url_citation": {"url": "https://example.org/b", "title": "B"}}]},
            [Source("https://example.org/b", "B")],
        ),
        ({"content": "Rain [A](https://example.org/a).", "steps": [SEARCH]}, [Source("https://example.org/a", "A")]),
        ({"content": "Rain [A](https://example.org/a)."}, []),
        ({"content": "Read.", "steps": [PAGE]}, [Source("https://example.org/a")]),
    ],
)  # fmt: skip
async def test_sources_are_found_in_whatever_shape_carries_them(
    serve: Serve, connect: Connect, message: dict[str, Any], sources: list[Source]
):
    body = answer()
    body["choices"][0]["message"] = {"role": "assistant", **message}
    events = whole(OPENING, event(chunk(message)), ending(), DONE)
    client = connect(await serve([response(body)], events))
    assert (await ask(client)).sources == sources
    async with await open_stream(client) as stream:
        async for _ in stream:
            pass
    assert stream.completion.sources == sources


async def test_server_blocks_go_back_as_they_came(serve: Serve, connect: Connect):
    body = answer()
    body["choices"][0]["message"] = {"role": "assistant", "content": [SEARCH, RESULT, CITED], "steps": [{"a": None}]}
    server = await serve([response(body)], [response(answer())])
    client = connect(server)
    first = await ask(client)
    assert first.choices[0].message.content == "Rain."
    await ask(client, messages=[*MESSAGES, first.choices[0].message, *MESSAGES])
    sent = json.loads(server.requests[1].body)["messages"][1]
    assert (sent["content"], sent["steps"]) == ([SEARCH, RESULT, CITED], [{"a": None}])


async def test_items_of_a_response_go_back_as_they_came(serve: Serve, connect: Connect):
    call = {
        "type": "web_search_call",
        "id": "w1",
        "status": "completed",
        "action": {"type": "search", "queries": ["a"]},
    }
    body = {"id": "r", **SAID, "output": [call, *SAID["output"]]}
    server = await serve([response(body)], [response(body)])
    client = connect(server)
    first = await client.responses.create(model="deepseek-flash", input="Hi")
    assert (first.title, first.output_text) == ("Rain in Oslo", "Rain.")
    await client.responses.create(model="deepseek-flash", input=[{"role": "user", "content": "Hi"}, *first.output])
    assert json.loads(server.requests[1].body)["input"][1:] == body["output"]


# What a stream does


async def test_a_stream_tells_searching_from_reading_and_keeps_what_it_does_not_know(serve: Serve, connect: Connect):
    events = whole(
        OPENING,
        event(chunk({"steps": [SEARCH]})),
        event(chunk({"steps": [PAGE]})),
        event(chunk({"mood": "good"})),
        said("Rain."),
        ending(),
        DONE,
    )
    stream = await open_stream(connect(await serve(events)), **OFF)
    found = [each async for each in stream.events()]
    assert found[:4] == [
        Searching(("oslo weather",), SEARCH),
        Reading("https://example.org/a", PAGE),
        UnknownDelta({"mood": "good"}),
        TextDelta("Rain."),
    ]
    assert stream.completion.choices[0].message.steps == [SEARCH, PAGE]


async def test_a_streamed_response_is_told_in_the_same_words(serve: Serve, connect: Connect):
    call = {
        "type": "web_search_call",
        "id": "w1",
        "status": "in_progress",
        "action": {"type": "search", "queries": ["a"]},
    }
    final = {"id": "r", **SAID, "status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    events = [
        {"type": "response.created", "response": {"id": "r", "status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": call},
        {"type": "response.web_search_call.searching", "output_index": 0, "item_id": "w1"},
        {"type": "response.output_item.done", "output_index": 0, "item": call},
        {"type": "response.mood", "mood": "good"},
        {"type": "response.output_text.delta", "output_index": 1, "delta": "Rain."},
        {"type": "response.incomplete", "response": final},
    ]
    script = [STREAM_HEAD + http_chunk(b"".join(map(event, events))) + LAST_CHUNK]
    stream = await connect(await serve(script)).responses.create(model="deepseek-flash", input="Hi", stream=True)
    found = [each async for each in stream.events()]
    assert found == [
        Searching(("a",), call),
        UnknownDelta(events[4]),
        TextDelta("Rain."),
        TitleGiven("Rain in Oslo"),
        AnswerWithdrawn(),
        AnswerEnd("content_filter", None),
    ]
    assert stream.refused


@pytest.mark.parametrize("reviewed", [True, False])
async def test_a_review_is_told_while_it_lasts(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, reviewed: bool
):
    monkeypatch.setattr(reviews, "QUIET", 0.0)
    told = asyncio.Event()
    script = [
        STREAM_HEAD + http_chunk(OPENING + said("Rain.")),
        told,
        http_chunk(ending("content_filter") + DONE) + LAST_CHUNK,
    ]
    stream = await open_stream(connect(await serve(script)), **({"safety_check": "high"} if reviewed else {}))
    found = []
    async for each in stream.events():
        found.append(each)
        if isinstance(each, Reviewing) or not reviewed:
            told.set()
    kept = [each for each in found if not isinstance(each, Reviewing)]
    assert kept[:2] == [TextDelta("Rain."), AnswerWithdrawn()]
    assert isinstance(kept[2], AnswerEnd)
    assert (Reviewing() in found) == reviewed
    assert stream.refused


# Refusals


async def test_a_late_refusal_raises_nothing_by_surprise(serve: Serve, connect: Connect):
    events = whole(OPENING, said("half"), ending("content_filter"), DONE)
    server = await serve([response(answer("half", finish_reason="content_filter"))], events)
    client = connect(server)
    assert (await ask(client)).refused
    async with await open_stream(client) as stream:
        async for _ in stream:
            pass
    assert (stream.refused, stream.completion.refused) == (True, True)
    assert len(server.requests) == 2


async def test_whoever_asks_for_it_gets_a_refusal_as_an_error_and_it_is_never_sent_again(
    serve: Serve, connect: Connect
):
    incomplete = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    server = await serve(
        [response(answer("half", finish_reason="content_filter"))], [response({"id": "r", **SAID, **incomplete})]
    )
    client = connect(server, fallback_models=["deepseek-v4-pro"])
    error = await failure_of(client, stream=False, raise_on_refusal=True)
    assert type(error) is ContentRefusedError
    assert error.partial is not None
    assert (error.text, error.retryable, error.attempts) == ("half", False, 1)
    assert error.partial.usage is not None
    with pytest.raises(ContentRefusedError) as caught:
        await client.responses.create(model="deepseek-flash", input="Hi", raise_on_refusal=True)
    assert caught.value.text == "Rain."
    with pytest.raises(InvalidRequestError, match=r"stream\.refused"):
        await open_stream(client, raise_on_refusal=True)
    assert len(server.requests) == 2


@pytest.mark.parametrize("stream", [True, False])
async def test_a_refused_request_is_an_error_of_its_own_kind_and_never_sent_again(
    serve: Serve, connect: Connect, stream: bool
):
    server = await serve([response({"error": {"message": "Content Exists Risk"}}, 400)])
    error = await failure_of(connect(server, fallback_models=["deepseek-v4-pro"]), stream=stream)
    assert type(error) is ContentRiskError
    assert isinstance(error, ContentRefusedError)
    assert len(server.requests) == 1
