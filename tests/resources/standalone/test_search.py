"""``client.tools.search`` and ``.fetch``: limits and timers of their own, money never below what was billed."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from simulating import Simulate
from support.clients import AT_ONCE, Connect
from support.servers import RESET, Script, Serve, response
from support.waiting import until

from deepseek_async import (
    APIError,
    APIResponseValidationError,
    AsyncDeepSeek,
    BadRequestError,
    BudgetExceededError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    ToolLimits,
)
from deepseek_async.admission.budget import Budget
from deepseek_async.admission.rate_limits import RateLimits
from deepseek_async.events import CallEnded
from deepseek_async.resources.standalone.patience import retry_of
from deepseek_async.simulator import Fault

SEARCH = 0.00075
"""US dollars."""


def as_json(value: Any, status: int = 200, **headers: str) -> Script:
    return [response(json.dumps(value).encode(), status, content_type="application/json", **headers)]


def found(**fields: Any) -> dict[str, Any]:
    return {"results": [{"title": "T", "url": "https://a.example/", "snippet": "s", "date": None, **fields}]}


async def ask(client: AsyncDeepSeek, way: str = "search") -> Any:
    return await (client.tools.search("what is new") if way == "search" else client.tools.fetch("https://a.example/"))


async def test_what_is_found_keeps_fields_that_nobody_declared(serve: Serve, connect: Connect):
    server = await serve(as_json({**found(ranked_by="v9"), "took": 3}))
    results = await connect(server).tools.search("q", count=1)

    assert [(one.title, one.ranked_by, one.date) for one in results] == [("T", "v9", None)]
    assert results.took == 3
    assert results.to_dict()["results"][0]["ranked_by"] == "v9"


async def test_a_search_says_what_it_was_asked_and_nothing_else(serve: Serve, connect: Connect):
    server = await serve(as_json(found()), as_json(found()))
    client = connect(server)
    await client.tools.search("q")
    await client.tools.search("q", count=50, localization="1.2.3.4", need_content=True, extra_body={"new": 1})

    assert [request.path for request in server.requests] == ["/v1/tools/search"] * 2
    assert [json.loads(request.body) for request in server.requests] == [
        {"query": "q"},
        {"query": "q", "count": 50, "localization": "1.2.3.4", "need_content": True, "new": 1},
    ]


@pytest.mark.parametrize("base", ["", "/v1", "/beta", "/anthropic"])
async def test_tools_are_asked_at_their_own_path_whatever_the_base_is(serve: Serve, connect: Connect, base: str):
    server = await serve(as_json(found()))
    await connect(server.url + base).tools.search("q")
    assert server.requests[0].path == "/v1/tools/search"


@pytest.mark.parametrize("query", ["", " \n", "x" * 129, None, 7])
async def test_a_query_that_is_refused_is_not_sent(serve: Serve, connect: Connect, query: Any):
    server = await serve()
    client = connect(server)
    for asked in (client.tools.search(query), client.tools.search("q", ori_question=query or "")):
        with pytest.raises(InvalidRequestError, match=r"Search guide"):
            await asked
    assert not server.requests


async def test_a_query_may_have_128_characters_of_any_script(serve: Serve, connect: Connect):
    server = await serve(as_json(found()))
    await connect(server).tools.search("天" * 128)
    assert json.loads(server.requests[0].body)["query"] == "天" * 128


@pytest.mark.parametrize("count", [0, 51, True, 1.5])
async def test_a_count_outside_its_range_is_not_sent(serve: Serve, connect: Connect, count: Any):
    server = await serve()
    with pytest.raises(InvalidRequestError, match="count must be an integer from 1 to 50") as caught:
        await connect(server).tools.search("q", count=count)
    assert not server.requests
    assert "(DeepSeek docs, " in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.org", "ftp://example.org/", "https://", "https://user@example.org/", "https://u:p@example.org/"),
        *("https://example.org/a b", "https://[bad/", "https://example.org/" + "x" * 8192, "https://a\x00b/", None),
    ],
)
async def test_an_address_that_cannot_be_fetched_is_not_sent(serve: Serve, connect: Connect, url: Any):
    server = await serve()
    with pytest.raises(InvalidRequestError, match=r"^url ") as caught:
        await connect(server).tools.fetch(url)
    assert not server.requests
    assert "(DeepSeek docs, " in str(caught.value)


async def test_the_fee_stands_in_the_answer_in_both_currencies(simulate: Simulate, connect: Connect):
    server = await simulate()
    client = connect(server.base_url)
    results, page = await client.tools.search("q"), await client.tools.fetch("https://a.example/")

    assert [(fee.kind, fee.count, fee.cny, fee.usd) for fee in (*results.fees, *page.fees)] == [
        ("search", 1, 0.005, SEARCH),
        ("fetch", 1, 0.005, SEARCH),
    ]
    assert results.cost == page.cost == SEARCH
    assert server.ledger.dollars == results.cost + page.cost


async def test_a_search_that_finds_nothing_and_a_page_that_is_not_there_are_free(simulate: Simulate, connect: Connect):
    server = await simulate()
    budget = Budget(1.0, path=":memory:")
    client = connect(server.base_url, budget=budget)
    nothing = await client.tools.search("site:nowhere.invalid")
    with pytest.raises(NotFoundError):
        await client.tools.fetch("https://nowhere.invalid/")

    assert (list(nothing), nothing.fees, nothing.cost) == ([], (), 0)
    assert (budget.remaining, server.ledger.dollars) == (1.0, 0)


LOST: list[tuple[str, Script]] = [
    ("a reset", [RESET]),
    ("a gateway that gave up", as_json({}, 504)),
    ("a failure inside", as_json({}, 500)),
    ("a time-out", as_json({}, 408)),
    ("an error after 200", as_json({"error": {"message": "late", "type": "server_error"}})),
    ("no JSON", [response(b"<html>", content_type="text/html")]),
    ("an empty body", [response(b"\n\n", content_type="application/json")]),
    ("no results in it", as_json({"code": 0})),
]


@pytest.mark.parametrize(("name", "lost"), LOST, ids=[name for name, _ in LOST])
async def test_an_attempt_that_may_have_been_billed_is_counted(serve: Serve, connect: Connect, name: str, lost: Script):
    server = await serve(lost, as_json(found()))
    budget = Budget(1.0, path=":memory:")
    calls: list[CallEnded] = []
    client = connect(server, budget=budget, listeners=[calls.append], retry=AT_ONCE, breaker=None)
    with suppress(APIError):
        await ask(client)
    sent = len(server.requests)

    assert 1.0 - budget.remaining == pytest.approx(SEARCH * sent)
    (call,) = [call for call in calls if isinstance(call, CallEnded)]
    assert call.cost == pytest.approx(SEARCH * sent)
    assert [(fee.kind, fee.count) for fee in call.fees] == [("search", sent)]


@pytest.mark.parametrize("status", [400, 401, 402, 404, 413, 422, 429, 503])
async def test_a_refusal_is_free(serve: Serve, connect: Connect, status: int):
    server = await serve(*[as_json({}, status)] * 3)
    budget = Budget(1.0, path=":memory:")
    with pytest.raises(APIError):
        await ask(connect(server, budget=budget, retry=AT_ONCE))
    assert budget.remaining == 1.0


async def test_a_call_that_is_left_is_billed_and_counted(simulate: Simulate, connect: Connect):
    server = await simulate(latency=3600)
    budget = Budget(1.0, path=":memory:")
    client = connect(server.base_url, budget=budget)
    asking = asyncio.ensure_future(ask(client))
    await until(lambda: server.statistics().requests == 1 and client.statistics().models[0].window.in_flight == 1)
    await until(lambda: bool(server.requests[0].body))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: len(server.ledger) == 1)

    assert 1.0 - budget.remaining == pytest.approx(server.ledger.dollars) == pytest.approx(SEARCH)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_tool_is_asked_three_times_at_most(serve: Serve, connect: Connect, status: int):
    many = RetryPolicy(max_attempts=9, base_delay=0, max_delay=0)
    server = await serve(*[as_json({}, status)] * 9)
    for way in ("search", "fetch"):
        before = len(server.requests)
        with pytest.raises(APIError):
            await ask(connect(server, retry=many, breaker=None), way)
        assert len(server.requests) - before == 3


@pytest.mark.parametrize("status", [400, 402, 404, 413])
async def test_what_is_refused_for_good_is_asked_once(serve: Serve, connect: Connect, status: int):
    server = await serve(as_json({}, status))
    with pytest.raises(APIError):
        await ask(connect(server, retry=AT_ONCE))
    assert len(server.requests) == 1


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_a_429_is_waited_out_for_one_to_ten_seconds_or_as_long_as_the_server_says(chance: float):
    policy = retry_of(RetryPolicy())
    pause = policy.pause(RateLimitError("busy"), 1, chance)
    assert pause is not None
    assert 1.0 <= pause.seconds <= 10.0
    asked = policy.pause(RateLimitError("busy", retry_after=20.0), 1, chance)
    assert asked is not None
    assert (20.0 <= asked.seconds <= 22.0, asked.everybody) == (True, True)
    assert policy.pause(RateLimitError("busy"), 3, chance) is None
    assert policy.pause(RateLimitError("busy", retry_after=3600.0), 1, chance) is None


async def test_a_site_that_is_busy_holds_up_no_other_site(serve: Serve, connect: Connect):
    busy = as_json({}, 429, **{"Retry-After": "100"})
    server = await serve(busy, as_json({"title": "", "content": "text"}))
    client = connect(server)
    waiting = asyncio.ensure_future(client.tools.fetch("https://busy.example/"))
    await until(lambda: len(server.requests) == 1)
    page = await client.tools.fetch("https://calm.example/")

    assert page.content == "text"
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_simulator_refuses_more_than_a_second_takes(simulate: Simulate, connect: Connect):
    server = await simulate(searches_per_second=2, fetches_per_second=9, fetches_of_a_site_per_second=1)
    client = connect(server.base_url, retry=1, tool_limits=ToolLimits(searches_per_second=1e6))
    await asyncio.gather(ask(client), ask(client))
    with pytest.raises(RateLimitError, match="QPS"):
        await ask(client)
    await client.tools.fetch("https://a.example/")
    await client.tools.fetch("https://b.example/")
    with pytest.raises(RateLimitError, match="site"):
        await client.tools.fetch("https://a.example/x")
    assert server.ledger.fees == {"search": 2, "fetch": 2}


async def test_each_tool_waits_for_its_own_second(simulate: Simulate, connect: Connect):
    client = connect((await simulate()).base_url, tool_limits=ToolLimits(searches_per_second=7), requests_per_minute=1)
    account_limiter = client._context.caller().account_limiter
    search, fetch, chat = (
        account_limiter.limiter(name) for name in ("/v1/tools/search", "/v1/tools/fetch", "deepseek-flash")
    )

    assert isinstance(search._rates, RateLimits)
    assert isinstance(fetch._rates, RateLimits)
    assert search._rates is not fetch._rates
    assert chat._rates is account_limiter.rates
    assert account_limiter.limiter("/v1/tools/ocr").window.size == 50


@pytest.mark.parametrize("field", ["searches_per_second", "ocr_at_once"])
@pytest.mark.parametrize("value", [0, -1, "5", True, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused_by_name(field: str, value: Any):
    with pytest.raises(ValueError, match=f"tool_limits.{field}"):
        ToolLimits(**{field: value})


async def test_nothing_is_sent_on_a_budget_that_is_used_up(simulate: Simulate, connect: Connect):
    server = await simulate()
    client = connect(server.base_url, budget=Budget(SEARCH * 1.5, path=":memory:"))
    await ask(client)
    with pytest.raises(BudgetExceededError):
        await ask(client, "fetch")
    assert len(server.requests) == 1


async def test_errors_of_the_service_say_what_it_said(serve: Serve, connect: Connect):
    server = await serve(as_json({"error": {"message": "Invalid 'localization'", "type": "x", "code": "y"}}, 400))
    with pytest.raises(BadRequestError, match="Invalid 'localization'"):
        await ask(connect(server))


async def test_an_answer_without_results_is_no_empty_search(serve: Serve, connect: Connect):
    server = await serve(as_json({"message": "hello"}))
    with pytest.raises(APIResponseValidationError):
        await ask(connect(server, retry=1))


async def test_what_the_client_counts_is_never_below_the_ledger(simulate: Simulate, connect: Connect):
    server = await simulate(fault_rate=0.4, seed=11, searches_per_second=None, fetches_per_second=None)
    budget = Budget(10.0, path=":memory:")
    limits = ToolLimits(searches_per_second=1e6, fetches_per_second=1e6)
    client = connect(server.base_url, budget=budget, retry=AT_ONCE, breaker=None, tool_limits=limits)

    async def one(number: int) -> float | None:
        try:
            return (await ask(client, "search" if number % 2 else "fetch")).cost
        except APIError:
            return None

    await asyncio.gather(*(one(number) for number in range(300)))
    told = sum(bill.dollars for bill in server.ledger if bill.usage_sent)
    spent = 10.0 - budget.remaining
    assert told <= server.ledger.dollars <= spent + 1e-9


async def test_a_call_without_faults_costs_what_the_ledger_says(simulate: Simulate, connect: Connect):
    server = await simulate()
    budget = Budget(10.0, path=":memory:")
    client = connect(server.base_url, budget=budget)
    server.script(Fault("slow_chunks", seconds=0.0))
    for way in ("search", "fetch", "search"):
        await ask(client, way)
    assert 10.0 - budget.remaining == pytest.approx(server.ledger.dollars)
