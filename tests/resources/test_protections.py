"""Budget, content filter, cache, listeners, audit log and labels stand around every call, at every server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from simulating import Simulate
from support.clients import Connect
from support.waiting import until
from ways import SENDS_NOTHING, WAYS, Given, Way, callables

import deepseek_async
from deepseek_async import AsyncDeepSeek, BudgetExceededError, ContentBlockedError, Endpoint, labelled
from deepseek_async.admission.budget import Budget
from deepseek_async.cache import Cache
from deepseek_async.content import Block, ContentFilter
from deepseek_async.events import CallEnded, Event
from deepseek_async.observe.audit import AuditLog
from deepseek_async.observe.audit.query import Query, lines
from deepseek_async.observe.logs import CallLog
from deepseek_async.observe.metrics import Metrics
from deepseek_async.observe.telemetry import Telemetry
from deepseek_async.pricing.prices import price_table
from deepseek_async.simulator import Fault, Simulator
from deepseek_async.types import CompletionUsage

KEY = "sk-account-of-both-servers-0123"
SECRET = "sk-" + "a1B2" * 8
PRICES = price_table().with_rates({"CNY": 0.1})
NOON = 1_795_608_000.0
"""Off-peak."""

HERE, TWIN, ELSEWHERE, FALLBACK = "own server", "client of with_options", "endpoint elsewhere", "fallback"

PLACES = [
    pytest.param(way, place, id=f"{way.name} at {place}")
    for way in WAYS
    for place in (HERE, TWIN, ELSEWHERE if way.family else None, FALLBACK if way.is_chat else None)
    if place is not None
]


class Walk:
    """One way at one place: a client with every protection, and the servers it may reach."""

    def __init__(self, way: Way, place: str, servers: tuple[Simulator, Simulator], given: Given) -> None:
        self.way = way
        self.place = place
        self.own, self.other = servers
        self.given = given
        self.calls: list[CallEnded] = []
        self.budget = Budget(10.0, path=":memory:", prices=PRICES, clock=lambda: NOON)
        self.metrics = Metrics()
        self.audit = AuditLog(given.folder / "audit")

    def listen(self, event: Event) -> None:
        if isinstance(event, CallEnded):
            self.calls.append(event)

    @property
    def server(self) -> Simulator:
        """The one that is to answer."""
        return self.own if self.place in {HERE, TWIN} else self.other

    @property
    def spent(self) -> float:
        """US dollars."""
        return 10.0 - self.budget.remaining

    def options(self) -> dict[str, Any]:
        """What sends the way to its place."""
        if self.place == FALLBACK:
            return {"fallback": Endpoint(self.other.base_url, KEY), "breaker": False, "retry": 1}
        if self.place == ELSEWHERE and self.way.family is not None:
            return {"endpoints": {self.way.family: Endpoint(self.other.base_url, KEY)}}
        return {}

    async def go(self, client: AsyncDeepSeek, text: str = "Hello there") -> Any:
        if self.place == FALLBACK:
            # Bulk has more attempts than its client; each of them fails here.
            self.own.script(*[Fault("server_error")] * 12)
        if self.place == TWIN:
            client = client.with_options(timeout=60, max_retries=1)
        return await self.way.gone(client, text, self.given)

    def sent(self) -> list[str]:
        """All that has reached a server, since ``forget``."""
        return [
            json.dumps([record.path, record.body, dict(record.headers)])
            for server in (self.own, self.other)
            for record in server.requests
        ]

    def forget(self) -> None:
        for server in (self.own, self.other):
            server.requests.clear()


@pytest.fixture
async def walk(
    way: Way,
    place: str,
    simulate: Simulate,
    connect: Connect,
    tmp_path: Path,
) -> AsyncIterator[Walk]:
    own, other = await simulate(), await simulate(seed=8)
    server = own if place in {HERE, TWIN} else other
    given = Given(tmp_path)
    if way.family in {"files", "fine_tunes"}:
        plain = connect(server.base_url, api_key=KEY)
        line = b'{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}\n'
        given.file = (await plain.files.create(file=("a.jsonl", line), purpose="fine-tune")).id
        given.job = (await plain.fine_tunes.create(training_file=given.file, model="deepseek-base")).id
    walk = Walk(way, place, (own, other), given)
    walk.forget()
    yield walk
    await walk.budget.aclose()
    walk.audit.close()


def test_every_method_that_sends_is_walked():
    found = set(callables(AsyncDeepSeek(api_key=KEY)))
    assert found - SENDS_NOTHING == {way.method for way in WAYS}


@pytest.mark.parametrize(("way", "place"), PLACES)
async def test_a_call_is_told_charged_labelled_and_kept(
    walk: Walk,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
):
    client = connect(
        walk.own.base_url,
        **{"api_key": KEY, "budget": walk.budget, "content_filter": True, **walk.options()},
        listeners=[walk.listen, walk.metrics, walk.audit, CallLog(), Telemetry(capture_content=True)],
    )
    with labelled(tag="walk"):
        await walk.go(client)
    (call,) = walk.calls
    assert call.ok
    assert not [record for record in caplog.records if record.exc_info], "no listener fails on it"
    assert (call.origin, call.labels.tag) == (walk.server.base_url.removesuffix("/v1"), "walk")
    assert walk.spent == pytest.approx(call.cost)
    assert (walk.spent > 0) == walk.way.billed
    spending = await walk.budget.spending()
    assert all(tag == "walk" for _, tag in spending)
    walk.audit.flush()
    (line,) = lines(walk.audit.folder, Query())
    assert (line["origin"], line["path"], line["tag"], line["outcome"]) == (call.origin, call.path, "walk", "ok")
    name = call.model or call.operation
    counted = {"model": name, "outcome": "ok"}
    assert walk.metrics.registry.get_sample_value("deepseek_async_requests_total", counted) == 1


@pytest.mark.parametrize(("way", "place"), PLACES)
async def test_no_secret_reaches_a_server_in_any_field(walk: Walk, connect: Connect):
    client = connect(walk.own.base_url, api_key=KEY, content_filter=True, **walk.options())
    done = await walk.go(client, f"My key is {SECRET} and that is it")
    assert walk.sent()
    assert not [sent for sent in walk.sent() if SECRET in sent]
    if walk.way.method == "files.create":
        assert (done.filename, SECRET.encode() in await _content(walk.server, done.id)) == (
            "My key is [api_key] and that is it.jsonl",
            False,
        )


async def _content(server: Simulator, file: str) -> bytes:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{server.base_url}/files/{file}/content", headers=headers) as r,
    ):
        return await r.read()


@pytest.mark.parametrize(("way", "place"), PLACES)
async def test_a_check_of_requests_sees_every_text_before_it_is_sent(walk: Walk, connect: Connect):
    seen: list[str] = []

    def look(text: str) -> Block | None:
        seen.append(text)
        return Block("canary") if "canary" in text else None

    content = ContentFilter(input_checks=[look])
    client = connect(walk.own.base_url, api_key=KEY, content_filter=content, listeners=[walk.listen], **walk.options())
    await walk.go(client)
    walk.forget()
    assert any("Hello" in text for text in seen) == walk.way.says
    if not walk.way.says:
        return
    walk.calls.clear()
    with pytest.raises(ContentBlockedError):
        await walk.go(client, "a canary sings")
    assert walk.sent() == []
    assert [call.outcome for call in walk.calls] == ["content_blocked"]
    assert b"canary" not in walk.calls[0].request


@pytest.mark.parametrize(("way", "place"), [each for each in PLACES if each.values[0].speaks])
async def test_a_check_of_answers_sees_every_kind_of_answer(walk: Walk, connect: Connect):
    content = ContentFilter(output_checks=[lambda _: Block("nothing may pass")])
    client = connect(walk.own.base_url, api_key=KEY, content_filter=content, listeners=[walk.listen], **walk.options())
    with pytest.raises(ContentBlockedError) as caught:
        await walk.go(client)
    assert caught.value.direction == "output"
    assert [call.outcome for call in walk.calls] == ["content_blocked"]


@pytest.mark.parametrize(("way", "place"), [each for each in PLACES if each.values[0].billed])
async def test_nothing_that_is_billed_is_sent_on_a_budget_that_is_used_up(walk: Walk, connect: Connect):
    budget = Budget(1e-9, path=":memory:", prices=PRICES, clock=lambda: NOON)
    client = connect(walk.own.base_url, api_key=KEY, budget=budget, listeners=[walk.listen], **walk.options())
    with pytest.raises(BudgetExceededError):
        await walk.go(client)
    assert walk.sent() == []
    assert [call.outcome for call in walk.calls] == ["budget_exceeded"]


@pytest.mark.parametrize(("way", "place"), [each for each in PLACES if each.values[1] != FALLBACK])
async def test_what_can_be_stored_is_bought_once(walk: Walk, connect: Connect):
    client = connect(
        walk.own.base_url,
        **{"api_key": KEY, "budget": walk.budget, "cache": Cache(), **walk.options()},
        listeners=[walk.listen],
    )
    if not walk.way.cached:
        if walk.way.method in {"files.delete", "fine_tunes.cancel"}:
            return  # can be done once only
        for _ in range(2):
            await walk.go(client)
        assert [call.tier for call in walk.calls] == [None, None]
        return
    await walk.go(client)
    spent, sent = walk.spent, len(walk.sent())
    await walk.go(client)
    assert [call.tier for call in walk.calls] == [None, "memory"]
    assert (walk.spent, len(walk.sent())) == (spent, sent)
    other = connect(
        walk.own.base_url,
        **{"api_key": "sk-another-account-0123", "cache": client._runtime.features.cache, **walk.options()},
    )
    if walk.server is walk.own:
        await walk.go(other)
        assert len(walk.sent()) == sent + 1, "another account gets its own answer"


def test_requests_leave_through_one_function():
    package = Path(deepseek_async.__file__).parent
    # In these folders a transport may wrap another, and the conformance checks try one.
    wrapping = {package / "transport", package / "testing"}
    code = "".join(path.read_text() for path in package.rglob("*.py") if path.parent not in wrapping)
    assert code.count("transport.send(") == 1


async def test_what_costs_nothing_does_not_wait_for_the_next_day(simulate: Simulate, connect: Connect):
    budget = Budget(1e-4, path=":memory:", at_cap="wait", clock=lambda: NOON)
    client = connect((await simulate()).base_url, budget=budget)
    charge = await budget.hold(CompletionUsage(completion_tokens=160), "deepseek-flash")
    charge.served(None)
    messages = [{"role": "user", "content": "Hi"}]
    waiting = asyncio.ensure_future(
        client.chat.completions.create(model="deepseek-flash", messages=messages, max_tokens=10),
    )
    await until(budget._turn.locked)
    assert (await client.user.balance()).is_available
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
