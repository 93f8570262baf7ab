"""Cache, budget, content filter and listeners around real calls, plain, streamed and in bulk."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from support.clients import Connect, open_stream, texts
from support.servers import (
    ANSWER,
    DONE,
    LAST_CHUNK,
    OPENING,
    RESET,
    SILENCE,
    STREAM_HEAD,
    ScriptedServer,
    Serve,
    answer,
    begun,
    chunk,
    ending,
    event,
    http_chunk,
    response,
    said,
    streamed,
)
from support.waiting import until

from deepseek_async import (
    APIError,
    APITimeoutError,
    AsyncDeepSeek,
    BadRequestError,
    BreakerPolicy,
    BudgetExceededError,
    CircuitOpenError,
    ConfigurationError,
    ContentBlockedError,
    InternalServerError,
    RateLimitError,
    StreamInterruptedError,
    Timeouts,
)
from deepseek_async.admission.budget import Budget
from deepseek_async.cache import Cache
from deepseek_async.content import Block, ContentFilter, Flag, Replace
from deepseek_async.events import CallEnded, Event, Retried
from deepseek_async.labels import labelled
from deepseek_async.observe.audit import AuditLog
from deepseek_async.observe.audit.query import Query, lines
from deepseek_async.observe.metrics import Metrics

MESSAGES = [{"role": "user", "content": "Hi"}]
SURE = {"temperature": 0, "thinking": {"type": "disabled"}}
KEY = "sk-" + "a1B2" * 8


async def ask(client: AsyncDeepSeek, *, stream: bool = False, **parameters: Any) -> Any:
    """The completion, or the stream's after it was read to its end."""
    parameters = {"model": "deepseek-flash", "messages": MESSAGES, **SURE, **parameters}
    done = await client.chat.completions.create(stream=stream, **parameters)
    if not stream:
        return done
    async with done:
        text = "".join([choice.delta.content or "" async for part in done for choice in part.choices])
    assert text == done.completion.choices[0].message.content
    return done.completion


def content(completion: Any) -> str:
    return completion.choices[0].message.content


# The cache.


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
async def test_an_answer_serves_the_same_request_again(serve: Serve, connect: Connect, first: bool, second: bool):
    server = await serve(streamed("Hel", "lo") if first else [ANSWER])
    client = connect(server, cache=True)
    asked, again = await ask(client, stream=first), await ask(client, stream=second)
    assert len(server.requests) == 1
    assert (asked.cached, again.cached) == (None, "memory")
    assert content(asked) == content(again) == "Hello"
    assert again.usage.total_tokens == 15
    assert again.id == asked.id


async def test_a_stored_answer_is_the_very_bytes_that_came(serve: Serve, connect: Connect):
    server = await serve([response(answer("Hello", added_tomorrow={"x": 1}))])
    client = connect(server, cache=True)
    asked, again = await ask(client), await ask(client)
    assert again.added_tomorrow == asked.added_tomorrow == {"x": 1}
    again.choices[0].message.content = "changed by its owner"
    assert content(await ask(client)) == "Hello"


async def test_only_deterministic_requests_are_stored_unless_asked(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    client = connect(server, cache=True)
    for _ in range(2):
        await ask(client, temperature=1)
        await ask(client, thinking=None)
    assert len(server.requests) == 4
    always = connect(server, cache=Cache(only_deterministic=False))
    for _ in range(2):
        await ask(always, temperature=1)
    assert len(server.requests) == 5


async def test_another_account_gets_its_own_answer(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    cache = Cache()
    await ask(connect(server, cache=cache))
    await ask(connect(server, cache=cache, api_key="sk-another"))
    assert len(server.requests) == 2
    await ask(connect(server, cache=cache, account="ours"))
    await ask(connect(server, cache=cache, api_key="sk-another", account="ours"))
    assert len(server.requests) == 3


async def test_answers_survive_the_process_on_disk(serve: Serve, connect: Connect, tmp_path: Path):
    server = await serve([ANSWER])
    first = connect(server, cache=tmp_path / "answers.sqlite")
    await ask(first)
    await first.aclose()
    again = await ask(connect(server, cache=tmp_path / "answers.sqlite"))
    assert (again.cached, len(server.requests)) == ("disk", 1)


async def test_equal_requests_at_once_are_sent_once(serve: Serve, connect: Connect):
    account_limiter = asyncio.Event()
    server = await serve([account_limiter, ANSWER])
    client = connect(server, cache=True)
    asking = [asyncio.ensure_future(ask(client)) for _ in range(20)]
    await server.arrived.wait()
    account_limiter.set()
    answers = await asyncio.gather(*asking)
    assert len(server.requests) == 1
    assert sorted(str(each.cached) for each in answers) == ["None"] + ["shared"] * 19
    assert len({id(each) for each in answers}) == 20


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stale_answer_replaces_an_error_while_the_breaker_is_open(
    serve: Serve,
    connect: Connect,
    stream: bool,
):
    down = response(b"", 503)
    server = await serve([ANSWER], [down], [down], [down])
    now = [1000.0]
    client = connect(
        server,
        cache=Cache(ttl=60, stale_if_error=3600, clock=lambda: now[0]),
        breaker=BreakerPolicy(failure_threshold=1),
        retry=1,
    )
    await ask(client)
    now[0] += 600
    for _ in range(2):
        again = await ask(client, stream=stream)
        assert (content(again), again.cached) == ("Hello", "stale")
    assert len(server.requests) == 2, "the breaker is open: nothing is sent"
    with pytest.raises(CircuitOpenError):
        await ask(client, max_tokens=7)
    now[0] += 3600
    with pytest.raises(CircuitOpenError):
        await ask(client)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([response(b"", 400)], id="an error"),
        pytest.param([response(answer("Hel", finish_reason="content_filter"))], id="a filtered answer"),
    ],
)
async def test_what_is_no_whole_answer_is_not_stored(serve: Serve, connect: Connect, script: list[Any]):
    server = await serve(script)
    client = connect(server, cache=True)
    for _ in range(2):
        with contextlib.suppress(BadRequestError):
            await ask(client)
    assert len(server.requests) == 2


async def test_a_stream_that_is_left_is_not_stored(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING, said("Hel")), SILENCE], streamed("Hello"))
    client = connect(server, cache=True)
    stream = await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES, stream=True, **SURE)
    async with stream:
        async for _ in stream:
            break
    assert content(await ask(client, stream=True)) == "Hello"


async def test_an_answer_of_another_model_is_not_stored_for_this_one(serve: Serve, connect: Connect):
    server = await serve([response(b"", 503)], [ANSWER], [ANSWER])
    client = connect(server, cache=True, fallback_models=["deepseek-v4-pro"], retry=1)
    assert (await ask(client)).fallback == "deepseek-v4-pro"
    assert (await ask(client)).cached is None


async def test_text_completions_are_stored_too(serve: Serve, connect: Connect):
    body = {"id": "c1", "object": "text_completion", "model": "deepseek-flash"}
    body["choices"] = [{"index": 0, "text": "lo", "finish_reason": "stop"}]
    server = await serve([response({**body, "usage": {"total_tokens": 3}})])
    client = connect(server, cache=Cache(only_deterministic=False))
    first = await client.completions.create(model="deepseek-flash", prompt="Hel")
    again = await client.completions.create(model="deepseek-flash", prompt="Hel")
    assert (first.choices[0].text, again.choices[0].text, again.cached) == ("lo", "lo", "memory")
    stream = await client.completions.create(model="deepseek-flash", prompt="Hel", stream=True)
    async with stream:
        assert "".join([choice.text async for part in stream for choice in part.choices]) == "lo"
    assert len(server.requests) == 1


# The budget.


Purse = Callable[..., Budget]


@pytest.fixture
async def purse(tmp_path: Path) -> AsyncIterator[Purse]:
    budgets: list[Budget] = []

    def make(daily: float, **options: Any) -> Budget:
        noon = 1_795_608_000.0  # off-peak
        budgets.append(Budget(daily, **{"path": tmp_path / "budget.sqlite", "clock": lambda: noon, **options}))
        return budgets[-1]

    yield make
    for budget in budgets:
        await budget.aclose()


COST = (4 * 0.003 + 6 * 0.15 + 5 * 0.60) / 1e6
"""Of the server's usual answer: 10 tokens in, 4 of them cached, 5 out."""


async def test_64_tasks_on_money_for_ten_calls_send_ten(serve: Serve, connect: Connect, purse: Purse):
    usage = {"prompt_tokens": 0, "completion_tokens": 100_000, "total_tokens": 100_000}
    server = await serve([response(answer(usage=usage))])
    client = connect(server, budget=purse(0.61, path=":memory:"))
    # A call costs 6 cents and a little for the prompt, which the server does not charge.
    ended = await asyncio.gather(*(ask(client, max_tokens=100_000) for _ in range(64)), return_exceptions=True)
    assert len(server.requests) == 10
    assert sum(isinstance(each, BudgetExceededError) for each in ended) == 54


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_is_settled_to_what_it_cost(serve: Serve, connect: Connect, purse: Purse, stream: bool):
    server = await serve(streamed("Hello") if stream else [ANSWER])
    budget = purse(1.0)
    client = connect(server, budget=budget)
    with labelled(tag="greetings"):
        await ask(client, stream=stream)
    assert budget.remaining == pytest.approx(1 - COST)
    (((model, tag), spent),) = (await budget.spending()).items()
    assert (model, tag, spent.calls) == ("deepseek-flash", "greetings", 1)


@pytest.mark.parametrize("script", [[response(b"", 400)], [response(b"", 503)], [response(b"", 429)]])
async def test_a_refused_call_costs_nothing(serve: Serve, connect: Connect, purse: Purse, script: list[Any]):
    server = await serve(script)
    budget = purse(1.0)
    with pytest.raises((InternalServerError, RateLimitError, Exception)):
        await ask(connect(server, budget=budget, retry=1, timeout=2))
    assert budget.remaining == pytest.approx(1.0)


async def test_an_answer_that_broke_off_costs_what_had_come_and_a_little(serve: Serve, connect: Connect, purse: Purse):
    server = await serve([begun(OPENING, said("x" * 1000)), RESET])
    budget = purse(1.0)
    with pytest.raises(StreamInterruptedError):
        await ask(connect(server, budget=budget), stream=True, max_tokens=100_000)
    spent = 1.0 - budget.remaining
    assert 1000 * 0.60 / 1e6 < spent < 3000 * 0.60 / 1e6


async def test_a_stream_that_is_left_costs_what_had_come_and_a_little(serve: Serve, connect: Connect, purse: Purse):
    server = await serve([begun(OPENING, said("x" * 1000)), SILENCE])
    budget = purse(1.0)
    client = connect(server, budget=budget)
    parameters: dict[str, Any] = {"model": "deepseek-flash", "messages": MESSAGES, "max_tokens": 100_000}
    async with await client.chat.completions.create(stream=True, **parameters) as stream:
        async for part in stream:
            if part.choices[0].delta.content:
                break
    assert 1000 * 0.60 / 1e6 < 1.0 - budget.remaining < 3000 * 0.60 / 1e6


async def test_at_the_cap_a_cheaper_model_answers(serve: Serve, connect: Connect, purse: Purse):
    server = await serve([ANSWER])
    budget = purse(0.001, at_cap="cheaper", cheaper_model="deepseek-flash")
    done = await ask(connect(server, budget=budget), model="deepseek-v4-pro", max_tokens=1000)
    assert server.requests[0].json()["model"] == "deepseek-flash"
    assert done.fallback == "deepseek-flash"
    assert budget.remaining == pytest.approx(0.001 - COST)


async def test_a_deadline_ends_the_wait_for_the_next_day(serve: Serve, connect: Connect, purse: Purse):
    server = await serve([ANSWER])
    client = connect(server, budget=purse(2.5e-5, at_cap="wait"), timeout=0.3)
    await ask(client, max_tokens=1)
    with pytest.raises(APITimeoutError, match="next day"):
        await ask(client, max_tokens=1)
    assert len(server.requests) == 1


async def test_an_answer_from_the_cache_costs_nothing(serve: Serve, connect: Connect, purse: Purse):
    server = await serve([ANSWER])
    budget = purse(1.0)
    client = connect(server, budget=budget, cache=True)
    for _ in range(5):
        await ask(client)
    assert budget.remaining == pytest.approx(1 - COST)


async def test_bulk_stops_at_the_cap_and_goes_on_the_next_day(serve: Serve, connect: Connect, purse: Purse, tmp_path):
    usage = {"prompt_tokens": 0, "completion_tokens": 100_000, "total_tokens": 100_000}
    server = await serve([response(answer(usage=usage))])
    rows = tmp_path / "in.jsonl"
    rows.write_text("".join(f'{{"prompt": "{number}", "max_tokens": 100000}}\n' for number in range(20)))
    client = connect(server, budget=purse(0.61, path=":memory:"))
    report = await client.batch.run(rows, tmp_path / "out.jsonl", concurrency=4)
    assert (report.ok, report.failed, len(server.requests)) == (10, 0, 10)
    await client.aclose()
    again = await connect(server, budget=purse(60.0, path=":memory:")).batch.run(rows, tmp_path / "out.jsonl")
    assert (again.resumed, len(server.requests)) == (10, 20)


async def test_bulk_rows_from_the_cache_are_free(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    client = connect(server, cache=True)
    rows = [{"messages": MESSAGES, "model": "deepseek-flash", **SURE}] * 5
    results = [result async for result in client.batch.map(rows, ordered=True, concurrency=1)]
    assert [result.cost for result in results[1:]] == [0.0] * 4
    assert results[0].cost == pytest.approx(COST) or results[0].cost == pytest.approx(2 * COST)  # peak hours
    assert len(server.requests) == 1


# Content.


@pytest.mark.parametrize("stream", [False, True])
async def test_a_secret_does_not_leave_and_does_not_come_back(serve: Serve, connect: Connect, stream: bool):
    told = f"Your key is {KEY}, keep it."
    pieces = [told[place : place + 3] for place in range(0, len(told), 3)]
    server = await serve(streamed(*pieces) if stream else [response(answer(told))])
    client = connect(server, content_filter=True, cache=True)
    for _ in range(2):  # the second from the cache
        done = await ask(client, stream=stream, messages=[{"role": "user", "content": f"I have {KEY}"}])
        assert content(done) == "Your key is [api_key], keep it."
        assert KEY not in json.dumps(done.to_dict())
    assert server.requests[0].json()["messages"] == [{"role": "user", "content": "I have [api_key]"}]
    assert len(server.requests) == 1


async def test_chunks_hold_nothing_that_was_taken_out(serve: Serve, connect: Connect):
    pieces = [KEY[place : place + 2] for place in range(0, len(KEY), 2)]
    server = await serve(streamed("x" * 600 + " ", *pieces, " " + "y" * 600))
    client = connect(server, content_filter=True)
    stream = await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES, stream=True)
    shown = []
    async with stream:
        async for part in stream:
            shown.append(json.dumps(part.to_dict()))
            assert KEY not in json.dumps(stream.partial.to_dict())
    assert "a1B2" not in "".join(shown)
    assert content(stream.completion) == "x" * 600 + " [api_key] " + "y" * 600


async def test_reasoning_and_tool_arguments_are_filtered_in_their_own_order(serve: Serve, connect: Connect):
    events = [
        OPENING,
        event(chunk({"reasoning_content": f"The key {KEY[:9]}"})),
        event(chunk({"reasoning_content": f"{KEY[9:]} is theirs"})),
        said("Look: "),
        event(
            chunk(
                {"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": '{"k": "' + KEY[:5]}}]}
            )
        ),
        event(chunk({"tool_calls": [{"index": 0, "function": {"arguments": KEY[5:] + '"}'}}]})),
        ending("tool_calls"),
        DONE,
    ]
    server = await serve([STREAM_HEAD + http_chunk(b"".join(events)) + LAST_CHUNK])
    client = connect(server, content_filter=True)
    stream = await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES, stream=True)
    order: list[str] = []
    arguments = ""
    async with stream:
        async for part in stream:
            delta = part.choices[0].delta
            order += [name for name in ("reasoning_content", "content") if getattr(delta, name)]
            arguments += "".join(call.function.arguments or "" for call in delta.tool_calls or () if call.function)
    message = stream.completion.choices[0].message
    assert message.reasoning_content == "The key [api_key] is theirs"
    assert message.content == "Look: "
    assert message.tool_calls[0].function.arguments == arguments == '{"k": "[api_key]"}'
    assert order == sorted(order, reverse=True), "reasoning comes before the answer"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_blocked_answer_is_withheld(serve: Serve, connect: Connect, stream: bool):
    server = await serve(streamed("mail ", "jane@example.com") if stream else [response(answer("jane@example.com"))])
    client = connect(server, content_filter=ContentFilter(personal="block"))
    with pytest.raises(ContentBlockedError) as caught:
        await ask(client, stream=stream)
    assert (caught.value.direction, caught.value.kinds) == ("output", ("email",))


async def test_a_blocked_request_is_not_sent(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    client = connect(server, content_filter=ContentFilter(input_checks=[lambda _: Block("forbidden subject")]))
    with pytest.raises(ContentBlockedError, match="forbidden subject"):
        await ask(client)
    assert server.requests == []


@pytest.mark.parametrize("stream", [False, True])
async def test_own_checks_see_answers(serve: Serve, connect: Connect, stream: bool):
    async def shout(text: str) -> Replace:
        await asyncio.sleep(0)
        return Replace(text.upper(), "shouting")

    server = await serve(streamed("Hel", "lo") if stream else [ANSWER])
    done = await ask(connect(server, content_filter=ContentFilter(output_checks=[shout])), stream=stream)
    assert content(done) == "HELLO"


# Listeners.


class Told(list[Event]):
    """What a listener was told."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    @property
    def call(self) -> CallEnded:
        (call,) = [event for event in self if isinstance(event, CallEnded)]
        return call


@pytest.mark.parametrize("stream", [False, True])
async def test_the_end_of_a_call_is_told_with_its_facts(serve: Serve, connect: Connect, stream: bool):
    told = Told()
    server = await serve(streamed("Hel", "lo") if stream else [response(answer(), x_ds_trace_id="trace1")])
    with labelled(tag="t", prompt_version="v2"):
        await ask(connect(server, listeners=[told]), stream=stream)
    call = told.call
    assert (call.operation, call.origin, call.model, call.outcome) == ("chat", server.url, "deepseek-flash", "ok")
    assert (call.served_model, call.response_id, call.request_id) == ("deepseek-flash", "5f0c", "trace1")
    assert (call.streamed, call.attempts, call.finish_reason, call.answer) == (stream, 1, "stop", "Hello")
    assert call.usage is not None
    assert call.usage.total_tokens == 15
    assert call.cost == pytest.approx(COST * (2 if call.peak else 1))
    assert (call.first_content is not None) == stream
    assert (call.labels.tag, call.labels.prompt_version) == ("t", "v2")
    assert json.loads(call.request)["messages"] == MESSAGES


async def test_retries_are_told_and_the_last_error(serve: Serve, connect: Connect):
    told = Told()
    server = await serve([response(b"", 500)])
    with pytest.raises(InternalServerError):
        await ask(connect(server, listeners=[told], retry=3, breaker=False))
    assert [type(event) for event in told] == [Retried, Retried, CallEnded]
    assert (told.call.outcome, told.call.attempts, told.call.usage) == ("internal_server", 3, None)


async def test_a_cancelled_call_is_told(serve: Serve, connect: Connect):
    told = Told()
    server = await serve([SILENCE])
    asking = asyncio.ensure_future(ask(connect(server, listeners=[told])))
    await server.arrived.wait()
    asking.cancel()
    await asyncio.wait([asking])
    assert told.call.outcome == "cancelled"


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ([begun(OPENING, said("Hel")), SILENCE], "cancelled"),
        ([begun(OPENING, said("Hel")), RESET], "stream_interrupted"),
    ],
)
async def test_a_stream_that_ends_early_is_told_once(serve: Serve, connect: Connect, script: list[Any], outcome: str):
    told = Told()
    server = await serve(script)
    client = connect(server, listeners=[told])
    stream = await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES, stream=True)
    try:
        async with stream:
            async for part in stream:
                if outcome == "cancelled" and part.choices[0].delta.content:
                    break
    except StreamInterruptedError:
        pass
    await stream.aclose()
    assert (told.call.outcome, told.call.answer) == (outcome, "Hel")


async def test_a_stream_that_is_never_read_is_told(serve: Serve, connect: Connect):
    told = Told()
    server = await serve([begun(OPENING), SILENCE])
    client = connect(server, listeners=[told])
    async with await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES, stream=True):
        pass
    assert told.call.outcome == "cancelled"


async def test_keep_alives_are_counted(serve: Serve, connect: Connect):
    told = Told()
    account_limiters = [asyncio.Event(), asyncio.Event()]
    keep_alive = http_chunk(b": keep-alive\n\n")
    server = await serve(
        [
            STREAM_HEAD + keep_alive,
            account_limiters[0],
            keep_alive,
            account_limiters[1],
            http_chunk(OPENING + said("x") + ending() + DONE),
            LAST_CHUNK,
        ],
    )
    client = connect(server, listeners=[told])
    stream = await open_stream(client)
    reading = asyncio.ensure_future(texts(stream))
    for number, account_limiter in enumerate(account_limiters, 1):
        await until(lambda number=number: stream._observer._recorder.keep_alives == number)
        account_limiter.set()
    await reading
    assert told.call.keep_alives == 2


async def test_a_listener_that_fails_changes_nothing(serve: Serve, connect: Connect):
    def fails(_: Event) -> None:
        raise RuntimeError("mine")

    server = await serve([ANSWER])
    assert content(await ask(connect(server, listeners=[fails]))) == "Hello"


async def test_what_the_filter_found_is_told(serve: Serve, connect: Connect):
    told = Told()
    server = await serve([response(answer("write to jane@example.com"))])
    checks = ContentFilter(output_checks=[lambda _: Flag("noted")])
    await ask(connect(server, listeners=[told], content_filter=checks))
    assert told.call.content == "flagged"


async def test_feedback_reaches_metrics_and_audit(serve: Serve, connect: Connect, tmp_path: Path):
    metrics, audit = Metrics(), AuditLog(tmp_path / "audit")
    server = await serve([ANSWER])
    client = connect(server, listeners=[metrics, audit])
    done = await ask(client)
    client.feedback(done.id, 0.75)
    await client.aclose()
    assert metrics.registry.get_sample_value("deepseek_async_feedback_score_sum") == 0.75
    (line,) = lines(audit.folder, Query(response_id=done.id))
    assert (line["score"], line["outcome"]) == (0.75, "ok")
    for wrong in (1.5, -1, True, "good", None):
        if wrong is not True:
            with pytest.raises(ConfigurationError, match="score"):
                client.feedback(done.id, wrong)
    with pytest.raises(ConfigurationError, match="response_id"):
        client.feedback("", 1)


async def test_gauges_show_how_the_client_stands(serve: Serve, connect: Connect, purse: Purse):
    metrics = Metrics()
    server = await serve([SILENCE])
    client = connect(server, listeners=[metrics], budget=purse(5.0), max_concurrency=7, breaker=True)
    asking = asyncio.ensure_future(ask(client))
    await server.arrived.wait()

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"deepseek_async_{name}", labels)

    assert value("in_flight") == 1
    assert value("concurrency_limit", model="deepseek-flash") == 7
    assert value("breaker_state", model="deepseek-flash") == 0
    assert value("queue_depth", lane="bulk") == 0
    assert (value("budget_usd"), value("budget_remaining_usd")) == (5.0, 5.0)
    asking.cancel()
    await asyncio.wait([asking])
    await client.aclose()
    assert value("in_flight") == 0


async def test_a_look_at_what_is_there_is_told_and_costs_nothing(serve: Serve, connect: Connect, purse: Purse):
    told = Told()
    server = await serve([response({"object": "list", "data": []})])
    budget = purse(1.0)
    client = connect(server, listeners=[told], cache=True, budget=budget, content_filter=True)
    for _ in range(2):
        await client.models.list()
    assert [(call.operation, call.path, call.cost) for call in told] == [("models.list", "/models", 0.0)] * 2
    assert (len(server.requests), budget.remaining) == (2, 1.0)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"cache": 5}, "cache"),
        ({"budget": "a lot"}, "budget"),
        ({"budget": True}, "budget"),
        ({"budget": -1}, r"budget\.daily"),
        ({"content_filter": "on"}, "content_filter"),
        ({"listeners": [5]}, "listener"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], named: str):
    with pytest.raises(ConfigurationError, match=named):
        AsyncDeepSeek(api_key="sk-x", **wrong)


async def test_a_deadline_holds_around_all_of_it(serve: Serve, connect: Connect, purse: Purse, tmp_path: Path):
    server: ScriptedServer = await serve([SILENCE])
    client = connect(
        server,
        cache=tmp_path / "a.sqlite",
        budget=purse(1.0),
        content_filter=True,
        listeners=[Metrics()],
        timeout=Timeouts(total=0.2),
    )
    with pytest.raises(Exception, match=r"total|deadline"):
        await ask(client)


async def test_services_behind_one_gateway_have_their_own_answers(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    cache = Cache()
    for path in ("/one/v1", "/two/v1", "/one/v1"):
        await ask(connect(server.url + path, cache=cache))
    assert [request.path for request in server.requests] == ["/one/v1/chat/completions", "/two/v1/chat/completions"]


@pytest.mark.parametrize(
    ("stream", "scripts"),
    [
        pytest.param(False, [[response(b'{"choices": [')], [ANSWER]], id="an answer after one that cannot be read"),
        pytest.param(False, [[response(b"", 503)], [ANSWER]], id="an answer after a refusal"),
        pytest.param(False, [[response(b'{"choices": [')]], id="no answer"),
        pytest.param(True, [[begun(OPENING, said("x" * 1000)), RESET]], id="a stream that broke off"),
        pytest.param(True, [[begun(OPENING, said("x" * 1000)), SILENCE]], id="a stream that is left"),
    ],
)
async def test_the_cost_that_is_told_is_what_the_budget_was_charged(
    serve: Serve,
    connect: Connect,
    purse: Purse,
    stream: bool,
    scripts: list[Any],
):
    told, budget = Told(), purse(1.0)
    client = connect(await serve(*scripts), budget=budget, listeners=[told], retry=2)
    with contextlib.suppress(APIError):
        done = await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES, stream=stream)
        if stream:
            async with done:
                async for part in done:
                    if part.choices[0].delta.content:
                        break
                if scripts[0][-1] is RESET:
                    await texts(done)
    assert told.call.cost == pytest.approx(1.0 - budget.remaining)
    assert told.call.cost > 0
