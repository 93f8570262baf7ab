"""What the model searches and reads is paid by the piece: held before, counted after, a line of its own everywhere."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from simulating import Simulate
from support.clients import Connect
from support.servers import Serve, response
from ways import recording

from deepseek_async import Budget
from deepseek_async.batch.review.job_summary import JobSummary
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.review.page import page
from deepseek_async.call.searches import UNCOUNTED, most_fees
from deepseek_async.cli.summary import summary
from deepseek_async.events import CallEnded
from deepseek_async.observe.audit import AuditLog
from deepseek_async.observe.metrics import Metrics
from deepseek_async.pricing.prices import price_table
from deepseek_async.simulator import Fault, FaultKind

TOOLS: Any = [{"type": "deepseek_web_search"}, {"type": "deepseek_read_url"}]
NAMED: Any = [{**tool, "name": tool["type"]} for tool in TOOLS]
QUESTION = "What is the weather in Oslo?"
MODEL = "deepseek-flash"
TODAY = datetime.now(UTC).date()
HOLIDAYS = [TODAY + timedelta(days=days) for days in range(-1, 3)]
"""Off peak whenever the test runs, as the simulator's prices are."""
NANO = 1e-8
SHAPES = ("fields", "blocks")

Ask = Callable[..., Awaitable[Any]]


def _asked(thinking: bool, **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "thinking": thinking, **fields}


def _message(thinking: bool, **fields: Any) -> dict[str, Any]:
    switch = {"type": "enabled" if thinking else "disabled"}
    return {**_asked(thinking), "thinking": switch, "tools": NAMED, **fields}


def _responding(thinking: bool, **fields: Any) -> dict[str, Any]:
    effort = {"effort": "high" if thinking else "none"}
    return {"model": MODEL, "input": QUESTION, "reasoning": effort, "tools": TOOLS, **fields}


async def _chat(client: Any, thinking: bool, **fields: Any) -> Any:
    return await client.chat.completions.create(**_asked(thinking, **{"tools": TOOLS, **fields}))


async def _chat_streamed(client: Any, thinking: bool, **fields: Any) -> Any:
    async with client.chat.completions.stream(**_asked(thinking, **{"tools": TOOLS, **fields})) as stream:
        async for _ in stream:
            pass
    return stream.completion


async def _response(client: Any, thinking: bool, **fields: Any) -> Any:
    return await client.responses.create(**_responding(thinking, **fields))


async def _response_streamed(client: Any, thinking: bool, **fields: Any) -> Any:
    async with client.responses.stream(**_responding(thinking, **fields)) as stream:
        async for _ in stream:
            pass
    return stream.response


async def _a_message(client: Any, thinking: bool, **fields: Any) -> Any:
    return await client.messages.create(**_message(thinking, **fields))


async def _message_streamed(client: Any, thinking: bool, **fields: Any) -> Any:
    async with client.messages.stream(**_message(thinking, **fields)) as stream:
        async for _ in stream:
            pass
    return stream.message


WAYS: dict[str, Ask] = {
    "chat": _chat,
    "chat streamed": _chat_streamed,
    "response": _response,
    "response streamed": _response_streamed,
    "message": _a_message,
    "message streamed": _message_streamed,
}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def ask(request: pytest.FixtureRequest) -> Ask:
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "settings", [{"web_shape": shape, "count_server_tools": counted} for shape in SHAPES for counted in (True, False)]
)
@pytest.mark.parametrize("thinking", [True, False], ids=["thinking", "at once"])
async def test_fees_are_those_of_the_ledger_by_counters_or_by_blocks(
    simulate: Simulate, connect: Connect, ask: Ask, settings: dict[str, Any], thinking: bool
):
    simulator = await simulate(**settings)
    events: list[Any] = []
    budget = Budget(1.0, path=":memory:", prices=price_table().with_holidays(HOLIDAYS))
    client = connect(simulator.base_url, lint="off", listeners=[events.append], budget=budget, holidays=HOLIDAYS)
    answer = await ask(client, thinking)
    (bill,) = simulator.ledger
    assert answer.usage.fees == bill.fees == ({"search": 2, "fetch": 1} if thinking else {"search": 1})
    assert not answer.usage.estimated
    (ended,) = [each for each in events if isinstance(each, CallEnded)]
    assert {fee.kind: (fee.count, fee.cny) for fee in ended.fees} == {
        kind: (count, pytest.approx(count * 0.005)) for kind, count in bill.fees.items()
    }
    assert ended.cost == pytest.approx(bill.dollars, abs=NANO)
    assert budget.daily - budget.remaining == pytest.approx(bill.dollars, abs=NANO)


async def test_where_only_links_tell_of_a_search_the_most_is_counted_and_marked(
    simulate: Simulate, connect: Connect, ask: Ask
):
    simulator = await simulate(web_shape="links", count_server_tools=False)
    client = connect(simulator.base_url, lint="off")
    answer = await ask(client, False)
    (bill,) = simulator.ledger
    told = sum(answer.usage.fees.values())
    if "search" in str(answer.to_dict().get("output")):
        assert (told, answer.usage.estimated) == (sum(bill.fees.values()), False)  # a response has items all the same
    else:
        assert (told, answer.usage.corrected) == (5, UNCOUNTED)


async def test_an_answer_without_a_search_has_no_fees(simulate: Simulate, connect: Connect, ask: Ask):
    client = connect((await simulate()).base_url, lint="off")
    say = (
        {"input": "Stay offline"}
        if "response" in ask.__name__
        else {"messages": [{"role": "user", "content": "Stay offline"}]}
    )
    answer = await ask(client, True, **say)
    assert answer.usage.fees is None
    assert answer.billed_attempts == ()


async def test_a_budget_holds_twenty_searches_while_the_model_thinks_and_settles_to_what_was_done(
    simulate: Simulate, connect: Connect, ask: Ask
):
    simulator = await simulate()
    held = []

    class Watched(Budget):
        def hold_nowait(self, most: Any, model: str) -> Any:
            held.append(dict(most.fees))
            return super().hold_nowait(most, model)

    client = connect(simulator.base_url, lint="off", budget=Watched(1.0, path=":memory:"))
    await ask(client, True)
    await ask(client, False)
    assert held == [{"search": 20}, {"search": 5}]
    too_small = connect(simulator.base_url, lint="off", budget=Budget(0.014, path=":memory:"))
    with pytest.raises(Exception, match="budget"):
        await ask(too_small, True, **_few_tokens(ask))
    assert len(simulator.ledger) == 2


def _few_tokens(ask: Ask) -> dict[str, int]:
    return {"max_output_tokens" if "response" in ask.__name__ else "max_tokens": 8}


@pytest.mark.parametrize("budget", [True, False])
async def test_a_search_that_was_lost_counts_at_most_and_is_marked(
    simulate: Simulate, connect: Connect, ask: Ask, budget: bool
):
    simulator = await simulate()
    simulator.script(Fault(FaultKind.RESET_BEFORE_HEADERS))
    events: list[Any] = []
    client = connect(
        simulator.base_url,
        lint="off",
        listeners=[events.append],
        budget=Budget(1.0, path=":memory:") if budget else None,
    )
    answer = await ask(client, True)
    lost, answered = answer.billed_attempts
    assert (lost.usage.fees, lost.usage.estimated) == ({"search": 20}, True)
    assert (answered.usage.fees, answered.usage.estimated) == ({"search": 2, "fetch": 1}, False)
    assert answer.usage.fees == {"search": 22, "fetch": 1}
    (ended,) = [each for each in events if isinstance(each, CallEnded)]
    assert sum(fee.count for fee in ended.fees) == 23
    assert ended.cost > 23 * 0.00075


async def test_a_stream_that_is_left_counts_its_searches_at_most(simulate: Simulate, connect: Connect):
    simulator = await simulate(tokens_per_second=20.0)
    events: list[Any] = []
    client = connect(simulator.base_url, lint="off", listeners=[events.append])
    async with client.chat.completions.stream(**_asked(True, tools=TOOLS)) as stream:
        async for _ in stream:
            break
    (ended,) = [each for each in events if isinstance(each, CallEnded)]
    assert {fee.kind: fee.count for fee in ended.fees} == {"search": 20}
    assert ended.usage.estimated


def test_what_can_be_searched_is_known_before():
    assert most_fees({"model": MODEL, "tools": [{"type": "function"}]}) is None
    links = {"messages": [{"role": "user", "content": "https://a.example"}, {"role": "assistant", "content": "://"}]}
    assert most_fees({"tools": [{"type": "deepseek_read_url"}], **links}) == {"fetch": 20}
    assert most_fees({"tools": TOOLS, "thinking": {"type": "disabled"}, **links}) == {"search": 5, "fetch": 1}
    many = {"input": " ".join(f"https://a.example/{number}" for number in range(30))}
    assert most_fees({"tools": [{"type": "deepseek_read_url"}], **many}) == {"fetch": 30}
    assert most_fees({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}) == {"search": 20}


def _call(**action: Any) -> dict[str, Any]:
    return {"type": "web_search_call", "action": action}


FUNCTION = {"id": "c", "type": "function", "function": {"name": "search", "arguments": "{}"}}
STEP = {"type": "server_tool_use", "id": "s1", "name": "deepseek_web_search", "input": {"query": "a"}}


@pytest.mark.parametrize(
    ("message", "usage", "fees"),
    [
        ({"steps": [STEP, STEP]}, {}, {"search": 1}),
        ({"steps": [STEP]}, {"server_tool_use": {"web_search_requests": 3}}, {"search": 3}),
        ({"steps": [STEP]}, {"server_tool_use": {"web_search_requests": 0}}, None),
        ({"steps": [_call(type="search", queries=["a", "b"])]}, {}, {"search": 2}),
        ({"steps": [_call(type="open_page", url="https://a")]}, {}, {"fetch": 1}),
        ({"steps": [STEP]}, {"page_requests": 2, "search_result_tokens": 9}, {"search": 1, "fetch": 2}),
        ({"tool_calls": [FUNCTION]}, {}, None),
        ({"steps": [{"type": "tool_use", "name": "f", "input": {"type": "search"}}]}, {}, None),
    ],
)  # fmt: skip
async def test_counters_and_steps_are_told_by_their_words(
    serve: Serve, connect: Connect, message: dict[str, Any], usage: dict[str, Any], fees: dict[str, int] | None
):
    body = {
        "id": "1",
        "model": MODEL,
        "choices": [{"message": {"role": "assistant", "content": "Hi", **message}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 90, "total_tokens": 95, **usage},
    }
    client = connect(await serve([response(body)]), lint="off")
    answer = await _chat(client, False)
    assert answer.usage.fees == fees


async def test_what_an_answer_cost_has_its_fees_apart(simulate: Simulate, connect: Connect, ask: Ask):
    simulator = await simulate()
    client = connect(simulator.base_url, lint="off", holidays=HOLIDAYS)
    cost = client.cost_of(await ask(client, True))
    (bill,) = simulator.ledger
    assert {fee.kind: fee.count for fee in cost.fees} == bill.fees
    assert cost.tokens == pytest.approx(bill.dollars - 3 * 0.00075, abs=NANO)
    assert cost.total == pytest.approx(bill.dollars, abs=NANO)


async def test_a_fee_without_a_price_in_dollars_is_shown_and_not_converted(simulate: Simulate, connect: Connect):
    client = connect((await simulate()).base_url)
    read = await client.tools.transcribe(recording(0.5))
    cost = client.cost_of(read)
    assert [(fee.kind, fee.count, fee.usd) for fee in cost.fees] == [("audio_seconds", 1, None)]
    assert cost.total is None
    paid = connect((await simulate()).base_url, currency_rates={"CNY": 0.15})
    assert paid.cost_of(await paid.tools.transcribe(recording(0.5))).total == pytest.approx(0.15 * 0.39 / 3600)


async def test_every_place_that_shows_money_shows_fees_as_a_line_of_their_own(
    simulate: Simulate, connect: Connect, tmp_path: Path
):
    simulator = await simulate()
    metrics, audit = Metrics(), AuditLog(tmp_path / "audit")
    client = connect(simulator.base_url, lint="off", listeners=[metrics, audit], holidays=HOLIDAYS)
    rows = [{"messages": [{"role": "user", "content": f"What happened in {town}?"}], "tools": TOOLS} for town in "ab"]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = await client.batch.run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", model=MODEL, thinking=True)
    (searches, fetches) = report.fees
    assert (searches.kind, searches.count, fetches.kind, fetches.count) == ("search", 4, "fetch", 2)
    assert report.cost == pytest.approx(simulator.ledger.dollars, abs=NANO)
    lines = list(summary(report, source=Path("in"), output=Path("out"), simulated=True, cancelled=False, resume=""))
    assert [line.split(":")[0] for line in lines if line.startswith("  fees")] == [
        "  fees      4 search",
        "  fees      2 fetch",
    ]
    output = OutputReader(tmp_path / "out.jsonl")
    output.read()
    account = JobSummary(client.prices)
    for _, line, latest in output.lines():
        account.add(line, latest=latest)
    assert account.fees == report.fees
    assert account.cost == pytest.approx(report.cost, abs=NANO)
    shown = page(account, client.prices, name="out.jsonl")
    assert "4 search (¥0.0200)" in shown
    audit.close()
    (audited,) = (tmp_path / "audit").glob("*.jsonl")
    fees = {"search": {"count": 2, "CNY": 0.01, "USD": 0.0015}, "fetch": {"count": 1, "CNY": 0.005, "USD": 0.00075}}
    assert [json.loads(line)["fees"] for line in audited.read_text().splitlines()] == [fees] * 2
    assert b'kind="search",model="deepseek-flash"} 4.0' in metrics.exposition()


async def test_what_the_service_found_is_not_taken_for_words_of_the_model(serve: Serve, connect: Connect):
    found = [
        {"type": "web_search_result", "url": f"https://a.example/{number}", "title": "x" * 99} for number in range(999)
    ]
    message = {
        "role": "assistant",
        "content": "Rain.",
        "steps": [STEP, {"type": "web_search_tool_result", "content": found}],
    }
    usage = {"prompt_tokens": 900, "completion_tokens": 5, "total_tokens": 905}
    body = {"id": "1", "model": MODEL, "choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
    answer = await _chat(connect(await serve([response(body)]), lint="off"), False)
    assert (answer.usage.completion_tokens, answer.usage.corrected) == (5, None)


@pytest.mark.parametrize("counters", [{"search": "2", "fetch": 1.0}, {"search": 2.0, "fetch": "1"}])
async def test_counters_that_are_written_otherwise_are_counters(serve: Serve, connect: Connect, counters: dict):
    told = {"web_search_requests": counters["search"], "deepseek_read_url_requests": counters["fetch"]}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "server_tool_use": told, "odd": [None]}
    body = {"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}], "usage": usage}
    answer = await _chat(connect(await serve([response(body)]), lint="off"), False)
    assert answer.usage.fees == {"search": 2, "fetch": 1}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("created", [None, 0, 1, -5], ids=str)
async def test_an_answer_that_names_no_moment_costs_what_it_did_when_it_was_asked(
    simulate: Simulate, connect: Connect, serve: Serve, way: str, created: int | None
):
    simulator = await simulate()
    client = connect(simulator.base_url, holidays=HOLIDAYS)
    answer = await WAYS[way](client, False, tools=None)
    (bill,) = simulator.ledger
    assert client.cost_of(answer).total == pytest.approx(bill.dollars, abs=NANO)
    bare = {name: value for name, value in answer.to_dict().items() if not name.startswith("created")}
    bare |= {} if created is None else {"created": created, "created_at": created}
    again = connect(await serve([response(bare)]), holidays=HOLIDAYS)
    other = await WAYS[way.removesuffix(" streamed")](again, False, tools=None)
    assert again.cost_of(other).total == pytest.approx(bill.dollars, abs=NANO)
