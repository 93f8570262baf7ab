"""Answers relayed by FastAPI in uvicorn and by aiohttp.web, over real sockets: the law is the same at both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from unittest.mock import AsyncMock

import openai
import pytest
from aiohttp import web
from fastapi import FastAPI, Request
from relaying import EDGES, RunService, Simulate, service
from starlette.applications import Starlette
from starlette.routing import Route
from support.clients import MESSAGES, Connect, ask
from support.event_source import EventSource, events_from, events_in
from support.servers import (
    ANSWER,
    KEY_REFUSED,
    LAST_CHUNK,
    OPENING,
    SILENCE,
    Serve,
    answer,
    begun,
    response,
    said,
    streamed,
)
from support.waiting import settled, until

from deepseek_async import AsyncDeepSeek, ChatCompletion, ConfigurationError, RetryPolicy
from deepseek_async.integrations.web import Ending, Heartbeat
from deepseek_async.integrations.web.aiohttp import relay as aiohttp_relay
from deepseek_async.integrations.web.disconnects import Disconnects
from deepseek_async.integrations.web.starlette import install_error_handlers, relay

SOON = 0.05
"""Seconds within which the stream to the model is closed when the reader has left."""

FAILURES = {
    400: response({"error": {"message": "no"}}, 400),
    429: response({"error": {"message": "sk-web-test-key is slow"}}, 429, retry_after="7"),
    503: KEY_REFUSED,
}
"""By the status that the service's callers get."""

edges = pytest.mark.parametrize("edge", EDGES)


def asking(client: AsyncDeepSeek) -> Any:
    return lambda: client.chat.completions.stream(model="deepseek-flash", messages=MESSAGES)


def held(client: AsyncDeepSeek) -> tuple[int, int]:
    opened = client._runtime.opened
    return (0, 0) if opened is None else (opened.account_limiter.in_flight, opened.account_limiter.waiting)


@edges
@pytest.mark.parametrize("dialect", ["openai", "text", "ui"])
async def test_an_answer_goes_through(edge: str, dialect: str, serve: Serve, connect: Connect, run_service: RunService):
    client = connect(await serve(streamed("Hel", "lo")))
    site = await run_service(service(edge, asking(client), dialect))
    async with site.get("/answer") as page:
        came = events_in(await page.read())
    assert page.status == 200
    assert page.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers.get("x-vercel-ai-ui-message-stream") == ("v1" if dialect == "ui" else None)
    values = [event.value for event in came if event.data != "[DONE]"]
    match dialect:
        case "openai":
            text = [choice["delta"].get("content") or "" for value in values for choice in value["choices"]]
        case "text":
            text = [event.value for event in came if event.kind == "message"]
        case _:
            text = [value["delta"] for value in values if value["type"] == "text-delta"]
    assert "".join(text) == "Hello"


@edges
@pytest.mark.parametrize("arrived", [0, 1], ids=["while it waits", "in the middle"])
async def test_the_stream_to_the_model_is_closed_at_once_when_the_reader_leaves(
    edge: str, arrived: int, serve: Serve, connect: Connect, run_service: RunService
):
    server = await serve([begun(OPENING, said("Hello")), SILENCE] if arrived else [SILENCE])
    client = connect(server)
    endings: list[Ending] = []
    site = await run_service(service(edge, asking(client), at_end=endings.append, heartbeat=Heartbeat(headers_after=1)))
    async with site.get("/answer") as page:
        await page.content.readany()
        assert held(client) == (1, 0)
        left = asyncio.get_running_loop().time()
        page.close()
        await server.idle.wait()
    assert asyncio.get_running_loop().time() - left <= SOON
    await until(lambda: endings)
    assert held(client) == (0, 0)
    (ended,) = endings
    assert (ended.stopped, ended.error) == (True, None)
    assert (ended.answer is not None and ended.answer.choices[0].message.content == "Hello") == bool(arrived)


@edges
async def test_the_server_stops_writing_an_answer_before_its_next_words_when_the_reader_leaves(
    edge: str, simulate: Simulate, run_service: RunService
):
    # A word every 50 ms: what the server has written counts the time, on a busy machine too.
    simulator, client = await simulate(tokens_per_second=20, answer_tokens=400, reasoning_tokens=0)
    site = await run_service(service(edge, asking(client)))
    source = EventSource()
    seen = 0
    async with site.get("/answer") as page:
        while seen < 3:
            seen += len(source.feed(await page.content.readany()))
        page.close()
        await until(lambda: simulator.statistics().aborted == 1)
    assert seen <= simulator.statistics().completion_tokens <= seen + 1
    assert held(client) == (0, 0)


@edges
async def test_a_place_in_the_queue_is_given_up_when_the_reader_leaves(
    edge: str, serve: Serve, connect: Connect, run_service: RunService
):
    client = connect(await serve([SILENCE]), max_concurrency=1)
    site = await run_service(service(edge, asking(client), heartbeat=Heartbeat(headers_after=0.1)))
    async with site.get("/answer") as first, site.get("/answer") as second:
        assert held(client) == (1, 1)
        second.close()
        await until(lambda: held(client) == (1, 0))
        first.close()
        await until(lambda: held(client) == (0, 0))


@edges
async def test_who_waits_hears_that_the_server_is_there_and_then_gets_all(
    edge: str, serve: Serve, connect: Connect, run_service: RunService
):
    answered = asyncio.Event()
    client = connect(await serve([answered, *streamed("Hello")]))
    heartbeat = Heartbeat(interval=15, headers_after=2)
    site = await run_service(service(edge, asking(client), heartbeat=heartbeat))
    began = asyncio.get_running_loop().time()
    async with site.get("/answer") as page:
        assert asyncio.get_running_loop().time() - began == pytest.approx(2, abs=0.5)
        source = EventSource()
        while source.comments < 4:
            assert source.feed(await page.content.readany()) == []
        assert asyncio.get_running_loop().time() - began == pytest.approx(47, abs=1)
        answered.set()
        came = [event async for event in events_from(page.content.iter_any())]
    assert [event.value for event in came if event.kind == "message"] == ["Hello"]


@edges
@pytest.mark.parametrize("status", [400, 429, 503])
async def test_an_error_before_the_first_event_has_a_status_of_its_own(
    edge: str,
    status: int,
    serve: Serve,
    connect: Connect,
    run_service: RunService,
):
    client = connect(await serve([FAILURES[status]]), retry=RetryPolicy(max_attempts=1))
    site = await run_service(service(edge, asking(client), "ui", plain=lambda: ask(client)))
    for path in ("answer", "plain"):
        async with site.get(f"/{path}") as page:
            body = await page.json()
        assert page.status == status
        assert body["error"].keys() <= {"type", "message", "retry_after"}
        assert page.headers.get("retry-after") == ("7" if status == 429 else None)
        assert "sk-" not in str(body)
        client.reset()


@edges
async def test_an_error_after_the_first_event_is_an_event(
    edge: str, serve: Serve, connect: Connect, run_service: RunService
):
    client = connect(await serve([begun(OPENING, said("Hel")), LAST_CHUNK]))
    endings: list[Ending] = []
    site = await run_service(service(edge, asking(client), at_end=endings.append))
    async with site.get("/answer") as page:
        came = events_in(await page.read())
    assert [(event.kind, event.value) for event in came[:1]] == [("message", "Hel")]
    assert (came[-1].kind, came[-1].value["status"]) == ("failed", 502)
    # What was paid for is with the ending.
    assert endings[0].answer.choices[0].message.content == "Hel"


@edges
async def test_a_reader_that_does_not_read_holds_the_model_back(edge: str, run_service: RunService):
    sent = 0

    async def endless() -> AsyncIterator[str]:
        nonlocal sent
        while True:
            sent += 1
            yield "x" * 50_000
            await asyncio.sleep(0)

    site = await run_service(service(edge, endless))
    async with site.get("/answer") as page:
        stopped = -1
        while stopped != sent:
            stopped = sent
            await settled(2000)
        assert stopped * 50_000 < 16_000_000  # what the kernel holds on the way
        for _ in range(200):
            await page.content.readany()
        await until(lambda: sent > stopped)
        page.close()
    await settled()


@pytest.mark.parametrize("kind", ["chunks", "openai's events"])
@pytest.mark.parametrize("dialect", ["text", "ui"])
async def test_a_generator_that_passes_on_what_a_stream_yields_is_relayed(
    kind: str, dialect: str, serve: Serve, connect: Connect, run_service: RunService
):
    client = connect(await serve(streamed("Hel", "lo")))

    async def own() -> AsyncIterator[Any]:
        async with client.chat.completions.stream(model="deepseek-flash", messages=MESSAGES) as stream:
            async for came in stream.chunks if kind == "chunks" else stream:
                yield came

    site = await run_service(service("fastapi", own, dialect))
    async with site.get("/answer") as page:
        came = events_in(await page.read())
    texts = [event.value if dialect == "text" else event.value.get("delta") for event in came if event.data != "[DONE]"]
    assert "".join(text for text in texts if isinstance(text, str)) == "Hello"


@pytest.mark.parametrize("wrong", [b"bytes", {"text": "Hello"}, 5, ChatCompletion.build("Hello")], ids=type)
async def test_what_no_page_could_show_is_an_error_and_not_an_empty_page(
    wrong: Any, run_service: RunService, caplog: pytest.LogCaptureFixture
):
    async def own() -> AsyncIterator[Any]:
        yield wrong

    site = await run_service(service("fastapi", own))
    async with site.get("/answer") as page:
        assert page.status == 500
    assert f"cannot relay {type(wrong).__name__}" in caplog.text


@edges
async def test_a_generator_of_the_program_is_closed_when_its_reader_leaves(edge: str, run_service: RunService):
    closed = asyncio.Event()

    async def texts() -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            closed.set()

    site = await run_service(service(edge, texts))
    async with site.get("/answer") as page:
        await page.content.readany()
        page.close()
    await closed.wait()


@edges
async def test_a_fault_of_the_program_is_an_error_500_or_an_event_and_shows_no_word_of_it(
    edge: str, run_service: RunService
):
    async def texts() -> AsyncIterator[str]:
        yield "a"
        raise ValueError("inside")

    site = await run_service(service(edge, texts))
    async with site.get("/answer") as page:
        came = events_in(await page.read())
    assert (came[-1].kind, came[-1].value["status"]) == ("failed", 500)
    assert "inside" not in came[-1].data


@pytest.mark.parametrize(
    "at_end",
    [lambda ended: 1 / 0, lambda ended: 5, lambda ended: {"cost": Decimal(1)}, lambda ended: {"answer": ended.answer}],
    ids=["fails", "no mapping", "no JSON", "an answer"],
)
@edges
async def test_an_at_end_that_fails_takes_nothing_from_the_answer(
    edge: str, at_end: Any, serve: Serve, connect: Connect, run_service: RunService
):
    client = connect(await serve(streamed("Hello")))
    site = await run_service(service(edge, asking(client), at_end=at_end))
    async with site.get("/answer") as page:
        came = events_in(await page.read())
    assert [event.kind for event in came] == ["message", "end"]


@edges
async def test_a_request_for_headers_only_asks_nothing_of_the_model(
    edge: str, serve: Serve, connect: Connect, run_service: RunService
):
    server = await serve(streamed("Hello"))
    ask_it = asking(connect(server))
    app: Any = web.Application()
    if edge == "aiohttp":

        async def answer_there(request: web.Request) -> web.StreamResponse:
            return await aiohttp_relay(ask_it(), request, "ui")

        app.router.add_get("/answer", answer_there)
    else:

        async def answer_here(request: Request) -> Any:
            return relay(ask_it(), request, "ui")

        app = Starlette(routes=[Route("/answer", answer_here)])  # with HEAD, as aiohttp's; FastAPI's have none
    site = await run_service(app)
    async with site.session.head(site.url + "/answer") as page:
        assert (page.status, page.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert page.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert server.requests == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"headers": {"x-title": "a\r\nset-cookie: b"}}, "line ends"), ({"at_end": AsyncMock()}, "plain function")],
    ids=["header", "at_end"],
)
async def test_what_could_not_be_sent_is_told_before_the_model_is_asked(
    wrong: dict[str, Any], words: str, serve: Serve, connect: Connect
):
    server = await serve(streamed("Hello"))
    stream, asked = asking(connect(server))(), Request({"type": "http", "headers": []})
    with pytest.raises(ConfigurationError, match=words):
        relay(stream, asked, **wrong)
    assert server.requests == []


@edges
async def test_an_answer_that_a_route_returns_is_json_as_the_server_sent_it(
    edge: str, serve: Serve, connect: Connect, run_service: RunService
):
    client = connect(await serve([response({**answer(), "new": {"field": 1}})]))
    site = await run_service(service(edge, asking(client), plain=lambda: ask(client)))
    async with site.get("/plain") as page:
        assert page.status == 200
        assert page.content_type == "application/json"
        assert await page.json() == {**answer(), "new": {"field": 1}}


async def test_a_route_of_fastapi_may_be_annotated_with_an_answer_and_hold_several(
    serve: Serve, connect: Connect, run_service: RunService
):
    client = connect(await serve([ANSWER]))
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/one")
    async def one() -> ChatCompletion:
        return await ask(client)

    @app.get("/two")
    async def two() -> Any:
        done = await ask(client)
        return {"answers": [done], "usage": done.usage}

    site = await run_service(app)
    async with site.get("/one") as page:
        assert await page.json() == answer()
    async with site.get("/two") as page:
        assert await page.json() == {"answers": [answer()], "usage": answer()["usage"]}
    async with site.get("/openapi.json") as page:
        (content,) = (await page.json())["paths"]["/one"]["get"]["responses"]["200"]["content"].values()
    assert content["schema"]["type"] == "object"


async def test_a_call_that_was_not_awaited_and_a_stream_that_is_open_are_relayed_too(
    serve: Serve, connect: Connect, run_service: RunService
):
    client = connect(await serve(streamed("Hello")))
    parameters = {"model": "deepseek-flash", "messages": MESSAGES, "stream": True}
    sources = [client.chat.completions.create(**parameters), await client.chat.completions.create(**parameters)]
    site = await run_service(service("fastapi", sources.pop))
    for _ in range(2):
        async with site.get("/answer") as page:
            assert [event.kind for event in events_in(await page.read())] == ["message", "end"]


async def test_nothing_looks_for_disconnects_when_nobody_is_waited_for(run_service: RunService):
    async def texts() -> AsyncIterator[str]:
        yield "a"

    site = await run_service(service("aiohttp", texts))
    async with site.get("/answer") as page:
        await page.read()
    await until(lambda: Disconnects.of_this_loop()._timer is None)


async def test_openais_own_client_reads_the_chunks_and_raises_what_came_too_late_for_a_status(
    serve: Serve, connect: Connect, run_service: RunService
):
    client = connect(await serve(streamed("Hel", "lo"), [begun(OPENING, said("Hel")), LAST_CHUNK]))
    app = FastAPI()

    @app.post("/chat/completions")
    async def chat(request: Request) -> Any:
        return relay(asking(client)(), request)

    site = await run_service(app)
    async with openai.AsyncOpenAI(api_key="-", base_url=site.url, max_retries=0) as reader:
        stream = await reader.chat.completions.create(model="m", messages=[], stream=True)
        assert [chunk.choices[0].delta.content or "" async for chunk in stream] == ["", "Hel", "lo", ""]
        stream = await reader.chat.completions.create(model="m", messages=[], stream=True)
        with pytest.raises(openai.APIError, match="interrupted"):
            [chunk async for chunk in stream]


async def test_a_middleware_of_the_program_does_not_hide_that_the_reader_has_left(
    serve: Serve, connect: Connect, run_service: RunService
):
    server = await serve([begun(OPENING, said("Hello")), SILENCE])
    client = connect(server)
    app = service("fastapi", asking(client))
    assert isinstance(app, FastAPI)

    @app.middleware("http")
    async def passes(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    site = await run_service(app)
    async with site.get("/answer") as page:
        await page.content.readany()
        page.close()
        await server.idle.wait()
    await until(lambda: held(client) == (0, 0))


@edges
async def test_a_stopped_answer_has_a_cost_because_it_is_billed(
    edge: str, serve: Serve, connect: Connect, run_service: RunService
):
    client = connect(await serve([begun(OPENING, said("Hello " * 100)), SILENCE]))
    costs: list[float | None] = []
    at_end = lambda ending: costs.append(client.cost_of(ending.answer).total)  # noqa: E731
    site = await run_service(service(edge, asking(client), at_end=at_end))
    async with site.get("/answer") as page:
        await page.content.readany()
        page.close()
    await until(lambda: costs)
    assert costs[0]
