"""openai-python over the engine: a real AsyncOpenAI whose requests pass the client's limits and protections."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx2
import openai
import pytest
from pydantic import BaseModel, ValidationError
from support.clients import MESSAGES, Connect
from support.servers import ANSWER, CANARY, RESET, SILENCE, Serve, answer, begun, response, said, streamed

from deepseek_async import (
    AsyncDeepSeek,
    BadRequestError,
    BudgetExceededError,
    ChatCompletion,
    ConfigurationError,
    StreamInterruptedError,
)
from deepseek_async.admission.budget import Budget
from deepseek_async.content import ContentFilter
from deepseek_async.integrations.openai import as_openai, as_openai_sync, cause_of, http_client
from deepseek_async.integrations.openai.direct import direct_class
from deepseek_async.integrations.openai.library import openai_library
from deepseek_async.simulator import Simulator


class City(BaseModel):
    """What an answer is parsed into."""

    name: str


ASKED: dict[str, Any] = {"model": "deepseek-flash", "messages": MESSAGES}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def places_held(client: AsyncDeepSeek) -> int:
    return sum(model.in_flight for model in client.statistics().models)


async def test_a_plain_answer_is_openais_own_object(serve: Serve, connect: Connect) -> None:
    server = await serve([ANSWER])
    async with as_openai(connect(server)) as client:
        completion = await client.chat.completions.create(**ASKED, temperature=0.5)
    assert isinstance(client, openai.AsyncOpenAI)
    assert isinstance(completion, openai.types.chat.ChatCompletion)
    assert completion.choices[0].message.content == "Hello"
    assert server.requests[0].json() == {**ASKED, "temperature": 0.5}


async def test_the_engines_key_is_sent_and_openais_client_never_holds_it(serve: Serve, connect: Connect) -> None:
    server = await serve([ANSWER])
    client = as_openai(connect(server), default_headers={"X-Team": "search"})
    await client.chat.completions.create(**ASKED)
    assert server.requests[0].header("Authorization") == f"Bearer {CANARY}"
    assert server.requests[0].header("X-Team") == "search"
    assert server.requests[0].header("x-stainless-lang") is None
    assert CANARY not in repr(vars(client)) + str(client.api_key) + str(client.auth_headers)


async def test_a_stream_yields_openais_chunks_in_order(serve: Serve, connect: Connect) -> None:
    server = await serve(streamed("Hel", "lo"))
    stream = await as_openai(connect(server)).chat.completions.create(**ASKED, stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
    assert chunks[-1].usage is not None
    assert stream.response.headers["x-ds-trace-id"] == "trace1"


async def test_a_usage_that_only_the_engine_asked_for_comes_with_a_choice(serve: Serve, connect: Connect) -> None:
    usage = b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":%b}\n\n'
    counted = usage % b'{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}'
    ended = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'
    server = await serve([response(ended + counted + b"data: [DONE]\n\n", content_type="text/event-stream")])
    stream = await as_openai(connect(server)).chat.completions.create(**ASKED, stream=True)
    assert [len(chunk.choices) async for chunk in stream] == [1, 1]
    assert server.requests[0].json()["stream_options"] == {"include_usage": True}


async def test_tools_are_called_plain_and_streamed() -> None:
    async with Simulator() as simulator, client_of(simulator) as client:
        wanted = {"name": "weather", "arguments": {"city": "Oslo"}}
        for _ in range(2):
            simulator.answer(tool_calls=[wanted])
        api = as_openai(client)
        asked = {**ASKED, "tools": [WEATHER]}
        message = (await api.chat.completions.create(**asked)).choices[0].message
        assert message.tool_calls is not None
        assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Oslo"}  # type: ignore[union-attr]
        async with api.chat.completions.stream(**asked) as stream:
            final = await stream.get_final_completion()
        assert final.choices[0].message.tool_calls is not None


async def test_responses_are_answered_plain_and_streamed() -> None:
    async with Simulator() as simulator, client_of(simulator) as client:
        simulator.answer(content="Hello")
        simulator.answer(content="Hello")
        api = as_openai(client)
        asked: dict[str, Any] = {"model": "deepseek-flash", "input": "Hi", "reasoning": {"effort": "none"}}
        assert (await api.responses.create(**asked)).output_text == "Hello"
        stream = await api.responses.create(**asked, stream=True)
        events = [event async for event in stream]
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Hello"
    assert events[-1].type == "response.completed"


async def test_other_resources_answer_as_with_openai_alone() -> None:
    async with Simulator() as simulator, client_of(simulator) as client:
        ours = as_openai(client)
        alone = openai.AsyncOpenAI(api_key=CANARY, base_url=simulator.base_url)
        async with alone:
            for api in (ours, alone):
                models = [model.id async for model in api.models.list()]
                assert "deepseek-flash" in models
                assert (await api.models.retrieve("deepseek-flash")).id == "deepseek-flash"
                text = await api.completions.create(model="deepseek-v4-pro", prompt="def f(", max_tokens=9)
                assert text.choices[0].text
                embedding = await api.embeddings.create(model="text-embedding-3-small", input="Hi")
                assert embedding.data[0].embedding
            pieces = [
                piece
                async for piece in await ours.completions.create(
                    model="deepseek-v4-pro", prompt="def f(", max_tokens=9, stream=True
                )
            ]
            assert pieces[-1].choices[0].finish_reason


async def test_files_are_stored_listed_and_deleted() -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    async with Simulator() as simulator, client_of(simulator) as client:
        api = as_openai(client)
        stored = await api.files.create(
            file=("näme.png", picture + b"\r\n--x\r\n"),
            purpose="user_data",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
        assert (stored.filename, stored.bytes) == ("näme.png", len(picture) + 7)
        assert [file.id async for file in api.files.list()] == [stored.id]
        assert (await api.files.retrieve(stored.id)).id == stored.id
        assert (await api.files.delete(stored.id)).deleted
        with pytest.raises(openai.NotFoundError):
            await api.files.retrieve(stored.id)


async def test_an_error_has_deepseeks_status_body_and_trace(serve: Serve, connect: Connect) -> None:
    said_so = {"error": {"message": "Model Not Exist", "type": "invalid_request_error", "param": None, "code": "x"}}
    server = await serve([response(said_so, 400, x_ds_trace_id="trace9", x_quota="3")])
    with pytest.raises(openai.BadRequestError) as caught:
        await as_openai(connect(server)).chat.completions.create(**ASKED)
    error = caught.value
    assert (error.status_code, error.body, error.code) == (400, said_so["error"], "x")
    assert (error.response.headers["x-ds-trace-id"], error.response.headers["x-quota"]) == ("trace9", "3")


async def test_retries_are_the_engines_and_do_not_multiply(serve: Serve, connect: Connect) -> None:
    server = await serve([response({"error": {"message": "busy"}}, 503)])
    stubborn = as_openai(connect(server)).with_options(max_retries=5)
    with pytest.raises(openai.InternalServerError):
        await stubborn.chat.completions.create(**ASKED)
    assert len(server.requests) == 4


async def test_a_lost_connection_is_openais_connection_error_and_is_not_asked_again(
    serve: Serve, connect: Connect
) -> None:
    server = await serve([RESET])
    stubborn = as_openai(connect(server)).with_options(max_retries=5)
    with pytest.raises(openai.APIConnectionError) as caught:
        await stubborn.chat.completions.create(**ASKED)
    assert len(server.requests) == 4
    cause = cause_of(caught.value)
    assert cause is not None
    assert cause.attempts == 4


@pytest.mark.parametrize("stream", [False, True])
async def test_its_timeout_bounds_all_attempts_together(serve: Serve, connect: Connect, *, stream: bool) -> None:
    server = await serve([SILENCE])
    client = connect(server)
    with pytest.raises(openai.APITimeoutError):
        await as_openai(client).chat.completions.create(**ASKED, stream=stream, timeout=0.05)
    assert len(server.requests) == 1
    assert places_held(client) == 0


async def test_the_clients_timeout_is_openais_default(serve: Serve, connect: Connect) -> None:
    server = await serve([SILENCE])
    with pytest.raises(openai.APITimeoutError):
        await as_openai(connect(server, timeout=0.05)).chat.completions.create(**ASKED)


async def test_a_stream_that_falls_silent_ends_after_its_timeout(serve: Serve, connect: Connect) -> None:
    server = await serve([begun(said("Hel")), SILENCE])
    client = connect(server)
    stream = await as_openai(client).chat.completions.create(**ASKED, stream=True, timeout=0.05)
    assert (await anext(stream)).choices[0].delta.content == "Hel"
    with pytest.raises(openai.APITimeoutError):
        await anext(stream)
    assert places_held(client) == 0


async def test_cancelling_a_call_closes_its_request_and_gives_the_place_back(serve: Serve, connect: Connect) -> None:
    server = await serve([SILENCE])
    client = connect(server)
    call = asyncio.ensure_future(as_openai(client).chat.completions.create(**ASKED))
    await server.arrived.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert places_held(client) == 0
    await server.idle.wait()


async def test_leaving_a_stream_closes_its_request_and_gives_the_place_back(serve: Serve, connect: Connect) -> None:
    server = await serve([begun(said("Hel")), SILENCE])
    client = connect(server)
    async with await as_openai(client).chat.completions.create(**ASKED, stream=True) as stream:
        await anext(stream)
        assert places_held(client) == 1
    assert places_held(client) == 0
    await server.idle.wait()


async def test_a_stream_that_breaks_off_keeps_what_was_paid_for(serve: Serve, connect: Connect) -> None:
    server = await serve([begun(said("Hel")), RESET])
    stream = await as_openai(connect(server)).chat.completions.create(**ASKED, stream=True)
    with pytest.raises(openai.APIConnectionError) as caught:
        async for _ in stream:
            pass
    cause = cause_of(caught.value)
    assert isinstance(cause, StreamInterruptedError)
    assert cause.text == "Hel"


async def test_an_error_inside_a_stream_is_openais_with_its_body(serve: Serve, connect: Connect) -> None:
    wrong = b'data: {"error":{"message":"overloaded","type":"server_error","code":"503"}}\n\n'
    server = await serve([begun(said("Hel"), wrong)])
    stream = await as_openai(connect(server)).chat.completions.create(**ASKED, stream=True)
    with pytest.raises(openai.APIError, match="overloaded") as caught:
        async for _ in stream:
            pass
    assert caught.value.body == {"message": "overloaded", "type": "server_error", "code": "503"}


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_whose_tokens_all_went_into_reasoning_is_an_answer(
    serve: Serve, connect: Connect, *, stream: bool
) -> None:
    server = await serve([response(answer(None, finish_reason="length"))])
    client = as_openai(connect(server))
    if not stream:
        completion = await client.chat.completions.create(**ASKED)
        assert completion.choices[0].finish_reason == "length"
        return
    chunks = [chunk async for chunk in await client.chat.completions.create(**ASKED, stream=True)]
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "length"
    assert any(chunk.usage for chunk in chunks)
    assert len(server.requests) == 1


async def test_budget_cache_and_listeners_see_every_call(serve: Serve, connect: Connect) -> None:
    server = await serve([ANSWER])
    seen: list[Any] = []
    client = connect(server, cache=True, budget=Budget(1.0), listeners=[seen.append])
    api = as_openai(client)
    for _ in range(2):
        completion = await api.chat.completions.create(
            **ASKED, temperature=0, extra_body={"thinking": {"type": "disabled"}}
        )
        assert completion.choices[0].message.content == "Hello"
    assert len(server.requests) == 1
    assert [(event.outcome, event.tier) for event in seen] == [("ok", None), ("cached", "memory")]


async def test_a_used_up_budget_is_a_rate_limit_error_and_nothing_is_sent(serve: Serve, connect: Connect) -> None:
    server = await serve([ANSWER])
    with pytest.raises(openai.RateLimitError) as caught:
        await as_openai(connect(server, budget=1e-9)).chat.completions.create(**ASKED)
    assert caught.value.code == "budget_exceeded"
    assert isinstance(cause_of(caught.value), BudgetExceededError)
    assert not server.requests


async def test_the_content_filter_rewrites_what_is_asked_and_what_is_streamed(serve: Serve, connect: Connect) -> None:
    server = await serve(streamed("Write to ", "a@example.org now"))
    api = as_openai(connect(server, content_filter=ContentFilter(personal="redact")))
    asked = {**ASKED, "messages": [{"role": "user", "content": "I am b@example.org"}]}
    stream = await api.chat.completions.create(**asked, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert "b@example.org" not in json.dumps(server.requests[0].json())
    assert text.startswith("Write to ")
    assert "a@example.org" not in text


async def test_an_unknown_path_is_passed_on_once_with_the_engines_key(serve: Serve, connect: Connect) -> None:
    server = await serve([response({"done": True})])
    api = as_openai(connect(server))
    assert await api.post("/rerank", cast_to=object, body={"query": "x"}) == {"done": True}
    assert (server.requests[0].path, server.requests[0].json()) == ("/rerank", {"query": "x"})
    assert server.requests[0].header("Authorization") == f"Bearer {CANARY}"


async def test_an_unknown_path_is_refused_while_a_budget_must_bound_its_cost(serve: Serve, connect: Connect) -> None:
    server = await serve([response({"done": True})])
    with pytest.raises(openai.BadRequestError, match="cost cannot be bounded"):
        await as_openai(connect(server, budget=1.0)).post("/rerank", cast_to=object, body={"query": "x"})
    assert not server.requests


async def test_a_request_to_another_server_is_refused(serve: Serve, connect: Connect) -> None:
    server = await serve([ANSWER])
    with pytest.raises(openai.BadRequestError, match="cannot ask elsewhere"):
        await as_openai(connect(server)).get("https://elsewhere.invalid/models", cast_to=object)
    assert not server.requests


async def test_raw_and_streaming_responses_work_as_with_openai_alone(serve: Serve, connect: Connect) -> None:
    server = await serve([response(answer(), x_ds_trace_id="trace7")])
    api = as_openai(connect(server))
    raw = await api.chat.completions.with_raw_response.create(**ASKED)
    assert (raw.status_code, raw.headers["x-ds-trace-id"]) == (200, "trace7")
    assert raw.parse().choices[0].message.content == "Hello"
    async with api.chat.completions.with_streaming_response.create(**ASKED) as streaming:
        assert json.loads(await streaming.read())["object"] == "chat.completion"


@pytest.mark.parametrize(
    "further",
    [
        {},
        {"temperature": 0.5, "stop": openai.NOT_GIVEN, "top_p": openai.omit},
        {"max_completion_tokens": 9},
        {"extra_body": {"thinking": {"type": "disabled"}}},
        {"tools": [WEATHER]},
        {"messages": iter(MESSAGES)},
        {"timeout": httpx2.Timeout(9)},
    ],
    ids=["nothing", "absent", "cap", "extra_body", "tools", "iterator", "timeout"],
)
async def test_a_direct_call_sends_and_returns_what_openais_own_way_does(
    serve: Serve, connect: Connect, further: dict[str, Any]
) -> None:
    server = await serve([ANSWER])
    made: list[Any] = []
    for headers in (None, {"X-Way": "its own"}):
        given = {**ASKED, **further, "extra_headers": headers}
        if "messages" in further:
            given["messages"] = iter(MESSAGES)
        made.append(await as_openai(connect(server)).chat.completions.create(**given))
    direct, own = server.requests
    assert own.header("X-Way") == "its own"
    assert direct.json() == own.json()
    assert (made[0], type(made[0])) == (made[1], type(made[1]))


async def test_arguments_that_openai_refuses_are_refused(serve: Serve, connect: Connect) -> None:
    server = await serve([ANSWER])
    create = as_openai(connect(server)).chat.completions.create
    wrong: list[dict[str, Any]] = [{"messages": MESSAGES}, {**ASKED, "response_format": Exception}, {**ASKED, "odd": 1}]
    for given in wrong:
        with pytest.raises(TypeError):
            await create(**given)
    assert not server.requests


async def test_an_answer_that_openai_cannot_take_is_not_lost(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve([ANSWER])
    api = as_openai(connect(server))

    def fail(**_: Any) -> None:
        raise ValueError("unlike anything known")

    monkeypatch.setattr(api, "_process_response_data", fail)
    for headers in ({}, {"X-Way": "its own"}):
        with pytest.raises(ValueError, match="unlike") as caught:
            await api.chat.completions.create(**ASKED, extra_headers=headers)
        assert_paid_for(caught.value)


async def test_the_engines_own_error_is_its_own_cause(serve: Serve, connect: Connect) -> None:
    client = connect(await serve([response({"error": {"message": "no"}}, 400)]))
    with pytest.raises(BadRequestError) as caught:
        await client.chat.completions.create(**ASKED)
    assert cause_of(caught.value) is caught.value
    assert cause_of(ValueError("of the program")) is None


async def test_an_answer_that_does_not_fit_a_class_is_not_lost() -> None:
    async with Simulator() as simulator, client_of(simulator) as client:
        simulator.answer(content="Hello", times=2)
        with pytest.raises(ValidationError) as caught:
            await as_openai(client).chat.completions.parse(**ASKED, response_format=City)
        assert_paid_for(caught.value)
        with pytest.raises(ValidationError) as caught:
            await asyncio.to_thread(ask_to_parse, client_of(simulator).settings.base_url)
        assert_paid_for(caught.value)


def ask_to_parse(base_url: str) -> None:
    with as_openai_sync(api_key="sk-test", base_url=base_url) as api:
        api.chat.completions.parse(**ASKED, response_format=City)


def assert_paid_for(error: Exception) -> None:
    cause = cause_of(error)
    assert cause is not None
    assert isinstance(cause.partial, ChatCompletion)
    assert cause.partial.choices[0].message.content == "Hello"
    assert cause.partial.usage is not None


@pytest.mark.parametrize("name", ["api_key", "base_url", "http_client"])
async def test_what_would_lead_around_the_engine_is_refused(serve: Serve, connect: Connect, name: str) -> None:
    server = await serve([ANSWER])
    client = connect(server)
    wrong: Any = {name: httpx2.AsyncClient() if name == "http_client" else "http://127.0.0.1:1/v1"}
    with pytest.raises(ConfigurationError, match=f"{name} cannot be set here"):
        as_openai(client, **wrong)
    api = as_openai(client)
    for change in (api.copy, api.with_options):
        with pytest.raises(ConfigurationError, match=f"{name} cannot be set here"):
            change(**wrong)
    if name == "api_key":
        with pytest.raises(ConfigurationError, match="api_key cannot be set here"):
            api.api_key = wrong[name]
    elif name == "base_url":
        api.base_url = wrong[name]
        with pytest.raises(openai.BadRequestError, match="cannot ask 127"):
            await api.chat.completions.create(**ASKED)
    assert not server.requests


async def test_a_client_with_other_options_asks_through_the_same_engine(serve: Serve, connect: Connect) -> None:
    server = await serve([ANSWER])
    api = as_openai(connect(server)).with_options(timeout=9, api_key=None, default_headers={"X-Team": "search"})
    await api.chat.completions.create(**ASKED)
    assert server.requests[0].header("Authorization") == f"Bearer {CANARY}"
    assert server.requests[0].header("X-Team") == "search"


async def test_a_client_of_the_programs_own_made_of_the_same_class_is_openais(serve: Serve, connect: Connect) -> None:
    server = await serve([ANSWER])
    kind = type(as_openai(connect(server)))
    async with kind(api_key="sk-own", base_url=server.url) as own:
        await own.with_options(api_key="sk-other").chat.completions.create(**ASKED)
    assert server.requests[0].header("Authorization") == "Bearer sk-other"


async def test_a_tracing_library_that_replaced_create_is_called(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve([ANSWER])
    kind = openai.resources.chat.AsyncCompletions
    original, seen = kind.create, []

    async def traced(self: Any, **parameters: Any) -> Any:
        seen.append(parameters["model"])
        return await original(self, **parameters)

    monkeypatch.setattr(kind, "create", traced)
    await as_openai(connect(server)).chat.completions.create(**ASKED)
    assert seen == ["deepseek-flash"]


async def test_an_unknown_major_version_takes_openais_own_way(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve([ANSWER])
    monkeypatch.setattr(openai, "__version__", "9.0")
    direct_class.cache_clear()
    try:
        api = as_openai(connect(server))
        assert type(api) is openai.AsyncOpenAI
        assert (await api.chat.completions.create(**ASKED)).id == "5f0c"
    finally:
        direct_class.cache_clear()


@pytest.mark.parametrize(("version", "said_so"), [(None, r"deepseek-async\[openai\]"), ("1.99.0", "found 1.99.0")])
async def test_a_missing_or_old_openai_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, version: str | None, said_so: str
) -> None:
    openai_library.cache_clear()
    if version is None:
        monkeypatch.setitem(sys.modules, "openai", None)
    else:
        monkeypatch.setattr(openai, "__version__", version)
    try:
        async with AsyncDeepSeek(api_key=CANARY) as client:
            with pytest.raises(ConfigurationError, match=said_so):
                as_openai(client)
    finally:
        openai_library.cache_clear()


async def test_an_httpx_client_over_the_engine_serves_frameworks(serve: Serve, connect: Connect) -> None:
    server = await serve([ANSWER])
    client = connect(server)
    made = http_client(client)
    assert isinstance(made, httpx2.AsyncClient)
    seen: list[int] = []

    async def count(response: httpx2.Response) -> None:
        seen.append(response.status_code)

    made.event_hooks = {"response": [count]}
    api = openai.AsyncOpenAI(api_key="any", base_url=server.url, http_client=made)
    completion = await api.chat.completions.create(**ASKED)
    assert completion.choices[0].message.content == "Hello"
    assert seen == [200]
    await api.close()
    assert (await client.chat.completions.create(**ASKED)).choices[0].message.content == "Hello"


def client_of(simulator: Simulator) -> AsyncDeepSeek:
    return AsyncDeepSeek(
        api_key=CANARY,
        base_url=simulator.base_url,
        endpoints={"embeddings": simulator.base_url, "completions": simulator.base_url},
    )
