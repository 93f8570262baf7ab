"""Several choices of one request: n requests behind one cached prompt, told as one answer."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from simulating import Simulate
from support.clients import Connect, ask, open_stream
from support.servers import RESET, SILENCE, Serve, answer, begun, response, said, streamed

from deepseek_async import (
    AsyncDeepSeek,
    BadRequestError,
    BudgetExceededError,
    ChatCompletion,
    DeepSeekError,
    InvalidRequestError,
    RetryPolicy,
    StreamInterruptedError,
    StructuredOutputError,
)
from deepseek_async.admission.budget import Budget
from deepseek_async.cache import Cache
from deepseek_async.simulator import Simulator, SimulatorSettings

LONG = [{"role": "user", "content": "A long text that is worth keeping. " * 300}]

NO = [response({"error": {"message": "no"}}, 400)]


def near(client: AsyncDeepSeek, done: ChatCompletion) -> float:
    return client.cost_of(done).tokens


def contents(done: ChatCompletion) -> list[str | None]:
    return [choice.message.content for choice in done.choices]


async def read_to_the_end(client: AsyncDeepSeek, **parameters: Any) -> ChatCompletion:
    async with await open_stream(client, **parameters) as streaming:
        async for _ in streaming:
            pass
    return streaming.completion


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("messages", [[{"role": "user", "content": "Hi"}], LONG], ids=["short", "long"])
async def test_usage_and_cost_are_those_of_the_ledger(
    simulate: Simulate, connect: Connect, streams: bool, messages: list[Any]
):
    simulator = await simulate()
    client = connect(simulator.base_url)
    done = await (read_to_the_end if streams else ask)(client, n=4, messages=messages)

    assert [choice.index for choice in done.choices] == [0, 1, 2, 3]
    assert [choice["index"] for choice in done.to_dict()["choices"]] == [0, 1, 2, 3]
    assert all(choice.message.content for choice in done.choices)
    ledger = simulator.ledger
    assert done.usage is not None
    assert len(ledger) == 4
    assert done.usage.prompt_tokens == ledger.prompt_tokens
    assert done.usage.completion_tokens == ledger.completion_tokens
    assert done.usage.cached_tokens == ledger.cache_hit_tokens
    assert near(client, done) == pytest.approx(ledger.dollars)
    assert {attempt.response_id for attempt in done.billed_attempts} == {bill.id for bill in ledger}
    assert all("n" not in record.body for record in simulator.requests)


async def test_a_long_prompt_is_paid_for_once_at_the_full_price(simulate: Simulate, connect: Connect):
    simulator = await simulate()
    await ask(connect(simulator.base_url), n=5, messages=LONG)

    first, *others = simulator.ledger
    assert first.cache_hit_tokens == 0
    assert all(other.cache_miss_tokens < 128 for other in others)


@pytest.mark.parametrize("streams", [False, True])
async def test_one_that_fails_is_said_and_the_paid_ones_are_kept(serve: Serve, connect: Connect, streams: bool):
    good = streamed("fine") if streams else [response(answer("fine"))]
    server = await serve(good, NO, good)
    client = connect(server, max_concurrency=1)
    with pytest.raises(BadRequestError, match=r"choice 1 of 3: .*no; 2 of 3 choices arrived") as caught:
        await (read_to_the_end if streams else ask)(client, n=3)

    partial = caught.value.partial
    assert isinstance(partial, ChatCompletion)
    assert [(choice.index, choice.message.content) for choice in partial.choices] == [(0, "fine"), (2, "fine")]
    assert len(caught.value.billed_attempts) == 2
    assert near(client, partial) > 0


async def test_a_stream_that_breaks_keeps_what_all_choices_said(serve: Serve, connect: Connect):
    server = await serve([begun(said("half")), RESET], streamed("whole"))
    chunks = []
    streaming = await open_stream(connect(server, max_concurrency=1), n=2)

    async def read() -> None:
        async with streaming:
            async for chunk in streaming:
                chunks.extend((choice.index, choice.delta.content) for choice in chunk.choices if choice.delta.content)

    with pytest.raises(StreamInterruptedError) as caught:
        await read()
    assert chunks == [(0, "half"), (1, "whole")]
    assert isinstance(caught.value.partial, ChatCompletion)
    assert contents(caught.value.partial) == ["half", "whole"]


async def test_others_are_not_asked_for_if_the_first_of_a_long_prompt_fails(serve: Serve, connect: Connect):
    server = await serve(NO)
    with pytest.raises(BadRequestError, match="choice 0 of 3: "):
        await ask(connect(server), n=3, messages=LONG)
    assert len(server.requests) == 1


async def test_chunks_name_their_choice_and_the_last_has_the_usage_of_all(simulate: Simulate, connect: Connect):
    simulator = await simulate()
    client = connect(simulator.base_url)
    texts = ["", "", ""]
    usages = []
    async with await open_stream(client, n=3) as streaming:
        async for chunk in streaming:
            assert chunk.to_dict()["choices"][0]["index"] == chunk.choices[0].index
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
            usages.append(chunk.usage)

    assert texts == contents(streaming.completion)
    assert usages[:-1] == [None] * (len(usages) - 1)
    assert usages[-1] == streaming.completion.usage
    assert usages[-1].completion_tokens == simulator.ledger.completion_tokens
    async with await open_stream(client, n=2) as streaming:
        with pytest.raises(InvalidRequestError, match="no place for the choice"):
            streaming.text_deltas()
        named = {event.choice async for event in streaming.events() if hasattr(event, "choice")}
    assert named == {0, 1}


@pytest.mark.parametrize("streams", [False, True])
async def test_a_cache_has_a_place_for_each_choice(simulate: Simulate, connect: Connect, streams: bool):
    simulator = await simulate()
    client = connect(simulator.base_url, cache=Cache(only_deterministic=False))
    asked = read_to_the_end if streams else ask
    once, again = [await asked(client, n=3) for _ in range(2)]

    assert len(simulator.ledger) == 3
    assert contents(again) == contents(once)
    assert again.cached == "memory"
    assert near(client, again) == 0
    more = await asked(client, n=4)
    assert len(simulator.ledger) == 4
    assert more.cached is None
    assert more.usage is not None
    assert more.usage.completion_tokens == list(simulator.ledger)[-1].completion_tokens


async def test_a_budget_sees_each_choice(simulate: Simulate, connect: Connect):
    simulator = await simulate()
    budget = Budget(0.0001)
    with pytest.raises(BudgetExceededError) as caught:
        await ask(connect(simulator.base_url, budget=budget), n=8, max_tokens=64, max_completion_tokens=64)
    kept = caught.value.partial
    assert kept is None or len(kept.choices) == len(simulator.ledger) < 8


class Stars(msgspec.Struct):
    stars: int


@dataclass
class DataStars:
    stars: int


class ModelStars(BaseModel):
    stars: int


@pytest.mark.parametrize("kind", [Stars, DataStars, ModelStars])
async def test_each_choice_is_an_object_of_the_class(serve: Serve, connect: Connect, kind: type[Any]):
    server = await serve(*([response(answer(f'{{"stars": {stars}}}'))] for stars in (1, 2, 3)))
    done = await ask(connect(server, max_concurrency=1), n=3, response_format=kind)
    assert [choice.message.parsed for choice in done.choices] == [kind(stars=stars) for stars in (1, 2, 3)]
    assert [choice["message"].get("parsed") for choice in done.to_dict()["choices"]] == [None] * 3
    assert json.loads(done.to_json())["choices"][2]["message"]["content"] == '{"stars": 3}'


@pytest.mark.parametrize("kind", [Stars, DataStars, ModelStars])
async def test_choices_that_fit_the_class_are_kept_beside_one_that_does_not(
    serve: Serve, connect: Connect, kind: type[Any]
):
    wrong = [response(answer("no stars"))]
    server = await serve([response(answer('{"stars": 1}'))], wrong, wrong, wrong)
    with pytest.raises(StructuredOutputError) as caught:
        await ask(connect(server, max_concurrency=1), n=2, response_format=kind)
    partial = caught.value.partial
    assert [choice.message.content for choice in partial.choices] == ['{"stars": 1}', "no stars"]
    assert json.loads(partial.to_json())["choices"][0]["message"]["content"] == '{"stars": 1}'


@pytest.mark.parametrize("turns", range(0, 40, 4))
@pytest.mark.parametrize("streams", [False, True])
async def test_a_call_that_is_cancelled_anywhere_leaves_nothing(
    simulate: Simulate, connect: Connect, turns: int, streams: bool
):
    simulator = await simulate()
    client = connect(simulator.base_url)
    task = asyncio.create_task((read_to_the_end if streams else ask)(client, n=3))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    limiter = client._runtime.caller().account_limiter
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


async def test_a_stream_left_early_gives_its_connections_back(serve: Serve, connect: Connect):
    server = await serve([begun(said("a")), SILENCE])
    client = connect(server)
    async with await open_stream(client, n=3) as streaming:
        async for _ in streaming:
            break
        assert streaming.partial.choices
    assert client._runtime.caller().account_limiter.in_flight == 0
    assert [chunk async for chunk in streaming] == []


@pytest.mark.parametrize("n", [129, 10**9])
async def test_too_many_are_refused_before_any_is_sent(simulate: Simulate, connect: Connect, n: int):
    client = connect((await simulate()).base_url)
    with pytest.raises(InvalidRequestError, match="n must be at most 128"):
        await ask(client, n=n)
    with pytest.raises(InvalidRequestError, match="omit n"):
        await client.chat.completions.run_tools(model="deepseek-flash", messages=LONG, tools=[len], n=2)


async def test_n_in_extra_body_goes_to_a_server_that_knows_it(serve: Serve, connect: Connect):
    server = await serve([response(answer("Hi"))])
    await ask(connect(server, lint="off"), extra_body={"n": 2})
    assert [request.json()["n"] for request in server.requests] == [2]


async def test_a_row_has_its_choices_in_one_line(simulate: Simulate, connect: Connect, tmp_path: Path):
    simulator = await simulate()
    rows, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows.write_text(
        json.dumps({"custom_id": "a", "messages": LONG, "n": 3})
        + "\n"
        + json.dumps({"custom_id": "b", "prompt": "Hi", "n": 2, "response_format": {"type": "text"}})
        + "\n"
    )
    client = connect(simulator.base_url)
    report = await client.batch.run(rows, output)

    lines = {line["custom_id"]: line for line in map(json.loads, output.read_text().splitlines())}
    assert [len(lines[name]["response"]["body"]["choices"]) for name in "ab"] == [3, 2]
    assert [choice["index"] for choice in lines["a"]["response"]["body"]["choices"]] == [0, 1, 2]
    assert len(simulator.ledger) == report.progress.requests == 5
    assert report.cost == pytest.approx(simulator.ledger.dollars)
    assert lines["a"]["response"]["body"]["usage"]["prompt_cache_hit_tokens"] > 2 * 1024
    again = await client.batch.run(rows, output)
    assert (again.resumed, len(simulator.ledger)) == (2, 5)


async def test_a_row_of_which_one_choice_fails_keeps_the_others(serve: Serve, connect: Connect, tmp_path: Path):
    server = await serve([response(answer("fine"))], NO)
    output = tmp_path / "out.jsonl"
    rows = [{"custom_id": "a", "prompt": "Hi", "n": 2}, {"prompt": "Hi", "n": 2, "response_format": Stars}]
    client = connect(server)
    results = [result async for result in client.batch.map(rows, ordered=True)]
    assert [result.ok for result in results] == [False, False]
    assert results[0].cost == pytest.approx(client.cost_of(results[0].error.partial).tokens)
    assert "parsed into a class" in str(results[1].error)

    client = connect(await serve([response(answer("fine"))], NO))
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps(rows[0]) + "\n")
    report = await client.batch.run(source, output)
    (line,) = map(json.loads, output.read_text().splitlines())
    assert report.failed == 1
    assert [choice["message"]["content"] for choice in line["error"]["choices"]] == ["fine"]


@settings(max_examples=12, deadline=None)
@given(
    faults=st.lists(st.sampled_from(["fine", "overload", "refused"]), min_size=2, max_size=6),
    streams=st.booleans(),
)
async def test_whatever_fails_what_was_billed_is_summed(faults: list[str], streams: bool):
    """Sums of usage equal the ledger's, in an answer and in an error."""
    async with (
        Simulator(SimulatorSettings(seed=7)) as simulator,
        AsyncDeepSeek(
            api_key="sk-a", base_url=simulator.base_url, retry=RetryPolicy(max_attempts=2, base_delay=0, max_delay=0),
            shared="off", breaker=False,
        ) as client,
    ):  # fmt: skip
        for fault in faults:
            if fault == "fine":
                simulator.answer(content="fine")
            else:
                simulator.answer(status=503 if fault == "overload" else 400)
        try:
            done = await (read_to_the_end if streams else ask)(client, n=len(faults))
            bills = done.billed_attempts
        except DeepSeekError as error:
            bills = tuple(error.billed_attempts)
            done = error.partial
        if isinstance(done, ChatCompletion) and done.usage is not None:
            assert done.usage.prompt_tokens == simulator.ledger.prompt_tokens
        assert sum(bill.usage.completion_tokens for bill in bills) == simulator.ledger.completion_tokens
        assert len(bills) == len(simulator.ledger)
