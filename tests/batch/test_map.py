"""``client.batch.map``: many requests out of an iterable, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from bulk import QUICK, Bulk, Start

from deepseek_async import (
    APIConnectionError,
    AuthenticationError,
    ConfigurationError,
    ContentRiskError,
    InputFormatError,
    InternalServerError,
    InvalidRequestError,
    ReasoningBudgetExhaustedError,
    ServerOverloadedError,
)
from deepseek_async.batch import BatchResult
from deepseek_async.pricing.prices import price_table
from deepseek_async.simulator import Fault

HELLO = [{"role": "user", "content": "Hello"}]


async def answers(bulk: Bulk, requests: Any, **options: Any) -> list[BatchResult]:
    return [result async for result in bulk.client.batch.map(requests, **{**QUICK, **options})]


def others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


async def test_every_form_of_request_is_answered_alike(bulk: Bulk):
    requests = [
        "Hello",
        HELLO,
        {"messages": HELLO},
        {"prompt": "Hello"},
        {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": HELLO}},
    ]
    results = await answers(bulk, requests, ordered=True)

    assert [result.index for result in results] == [0, 1, 2, 3, 4]
    assert [result.custom_id for result in results] == [None, None, None, None, "a"]
    assert len({result.content for result in results}) == 1
    assert results[0].content
    sent = {"model": "deepseek-flash", "messages": HELLO, **QUICK}
    assert [record.body for record in bulk.simulator.requests] == [sent] * len(requests)


async def test_a_result_says_what_came_and_what_it_cost(bulk: Bulk):
    (result,) = await answers(bulk, ["Hello"], thinking={"type": "enabled"}, max_tokens=200)

    assert result.ok
    assert result.error is None
    assert result.completion is not None
    assert result.content == result.completion.choices[0].message.content
    assert result.reasoning
    assert result.usage is result.completion.usage
    assert result.usage is not None
    assert result.usage.completion_tokens > 0
    assert result.attempts == 1
    assert result.latency > 0
    assert result.request_id
    assert result.raise_for_error() is result
    now = result.completion.created
    assert result.cost in {price_table().cost(result.usage, "deepseek-flash", at) for at in (now - 1, now, now + 1)}, (
        "the price of the hour in which it was asked"
    )


async def test_ordered_results_come_in_the_order_of_the_requests(start: Start):
    bulk = await start(latency_spread=0.01)
    results = await answers(bulk, [f"Question {number}" for number in range(100)], ordered=True)

    assert [result.index for result in results] == list(range(100))
    assert all(result.ok for result in results)


async def test_requests_may_come_from_an_async_iterable(bulk: Bulk):
    async def requests() -> AsyncIterator[str]:
        for number in range(30):
            await asyncio.sleep(0)
            yield f"Question {number}"

    results = await answers(bulk, requests())

    assert sorted(result.index for result in results) == list(range(30))
    assert bulk.requests == 30


async def test_no_requests_give_no_results_and_no_traffic(bulk: Bulk):
    assert await answers(bulk, []) == []
    assert bulk.requests == 0


async def test_a_requests_own_parameters_win(bulk: Bulk):
    await answers(bulk, ["a", {"prompt": "b", "model": "deepseek-v4-pro", "max_tokens": 3}], ordered=True)

    bodies = {record.body["messages"][0]["content"]: record.body for record in bulk.simulator.requests}
    assert (bodies["a"]["model"], bodies["a"]["max_tokens"]) == ("deepseek-flash", 8)
    assert (bodies["b"]["model"], bodies["b"]["max_tokens"]) == ("deepseek-v4-pro", 3)


async def test_failures_are_values_beside_the_other_results(bulk: Bulk):
    bulk.simulator.script(Fault("content_risk"))
    requests = ["refused by the service", "fine", {"messages": []}, 7, "cut \ud83d off", "fine too"]
    results = await answers(bulk, requests, ordered=True, concurrency=1)

    kinds = [ContentRiskError, None, InputFormatError, InputFormatError, InvalidRequestError, None]
    assert [type(result.error) if result.error else None for result in results] == kinds
    assert [result.attempts for result in results] == [1, 1, 0, 0, 0, 1]
    assert [result.ok for result in results] == [kind is None for kind in kinds]
    for result in results:
        if result.error is not None:
            assert (result.content, result.reasoning, result.usage, result.cost) == (None, None, None, None)
            with pytest.raises(type(result.error)):
                result.raise_for_error()
    assert "request 3: " in str(results[2].error)
    assert "messages[0].content contains a lone surrogate" in str(results[4].error)


async def test_a_failure_that_was_paid_for_says_what_it_cost(bulk: Bulk):
    (result,) = await answers(bulk, ["Hello"], thinking={"type": "enabled"}, max_tokens=2)

    assert isinstance(result.error, ReasoningBudgetExhaustedError)
    assert result.completion is None
    assert result.usage is not None
    assert result.usage.completion_tokens == 2
    assert result.cost


@pytest.mark.parametrize(
    "kind",
    [
        "rate_limit",
        "rate_limit_without_numbers",
        "reset_before_headers",
        "close_before_headers",
        "reset_after_headers",
        "server_error",
        "bad_gateway",
        "whitespace_body",
        "empty_body",
        "truncated_json",
        "html_200",
    ],
)
async def test_a_passing_fault_costs_an_attempt_and_not_the_row(bulk: Bulk, kind: str):
    bulk.simulator.script(Fault(kind))
    (result,) = await answers(bulk, ["Hello"])

    assert result.raise_for_error().content
    assert result.attempts == 2
    assert bulk.requests == 2


async def test_a_row_that_never_succeeds_ends_with_its_last_error(start: Start):
    bulk = await start(client={"retry": 1})
    bulk.simulator.script(Fault("overloaded"))
    (result,) = await answers(bulk, ["Hello"])

    assert isinstance(result.error, ServerOverloadedError)
    assert result.error.attempts == result.attempts == 1
    assert result.latency > 0


async def test_a_row_has_more_attempts_than_a_single_call(start: Start):
    bulk = await start(client={"retry": None, "breaker": False})
    bulk.simulator.script(*[Fault("server_error", retry_after="0") for _ in range(6)])
    (result,) = await answers(bulk, ["Hello"])

    assert isinstance(result.error, InternalServerError)
    assert result.attempts == 6


async def test_many_rows_survive_random_faults(start: Start):
    kinds = ("rate_limit", "server_error", "reset_before_headers", "reset_after_headers", "whitespace_body")
    bulk = await start(fault_rate=0.1, fault_kinds=kinds, client={"max_concurrency": 50})
    results = await answers(bulk, (f"Question {number}" for number in range(300)))

    assert sorted(result.index for result in results) == list(range(300))
    assert sum(result.ok for result in results) >= 299
    assert sum(result.attempts for result in results) == bulk.requests


async def test_a_service_that_is_not_there_makes_every_row_a_value(start: Start):
    bulk = await start(client={"retry": 1})
    await bulk.simulator.aclose()
    results = await answers(bulk, ["a", "b", "c"])

    assert [type(result.error) for result in results] == [APIConnectionError] * 3


async def test_a_wrong_key_makes_every_row_a_value(start: Start):
    bulk = await start(api_keys=frozenset({"sk-other"}))
    results = await answers(bulk, ["a", "b", "c"])

    assert [type(result.error) for result in results] == [AuthenticationError] * 3


# How many at once, and how far ahead


async def test_no_more_requests_at_once_than_were_asked_for(start: Start):
    bulk = await start(latency_spread=0.01)
    await answers(bulk, (f"Question {number}" for number in range(60)), concurrency=7)

    assert bulk.simulator.statistics().peak_in_flight == 7


async def test_the_clients_own_limit_holds_for_a_larger_concurrency(start: Start):
    bulk = await start(latency_spread=0.01, client={"max_concurrency": 5})
    results = await answers(bulk, (f"Question {number}" for number in range(60)), concurrency=40)

    assert all(result.ok for result in results)
    assert bulk.simulator.statistics().peak_in_flight == 5


@pytest.mark.parametrize("concurrency", [0, -1])
async def test_a_concurrency_below_one_is_refused(bulk: Bulk, concurrency: int):
    with pytest.raises(ConfigurationError, match="concurrency must be at least 1"):
        await answers(bulk, ["Hello"], concurrency=concurrency)


@pytest.mark.parametrize("model", ["", " ", None])
async def test_a_model_that_is_none_is_refused_before_every_row_of_it_fails(bulk: Bulk, model: Any):
    bulk.ask(["Hi"])
    with pytest.raises(ConfigurationError, match="model must be a model"):
        await anext(bulk.client.batch.map(["Hi"], model=model))
    with pytest.raises(ConfigurationError, match="model must be a model"):
        await bulk.run(model=model)
    assert not bulk.output.exists()
    assert bulk.requests == 0


@pytest.mark.parametrize("one", ["Hello", "prompts.jsonl", b"Hello", {"prompt": "Hello"}])
async def test_a_single_request_is_not_taken_for_many(bulk: Bulk, one: Any):
    with pytest.raises(ConfigurationError, match="requests must be an iterable of requests, got a single"):
        await answers(bulk, one)
    assert bulk.requests == 0


async def test_requests_are_pulled_lazily(bulk: Bulk):
    pulled = 0

    def endless() -> Iterator[str]:
        nonlocal pulled
        while True:
            pulled += 1
            yield f"Question {pulled}"

    taken = 0
    async with aclosing(bulk.client.batch.map(endless(), concurrency=4, **QUICK)) as results:
        async for result in results:
            assert result.ok
            taken += 1
            assert pulled <= taken + 8
            if taken == 50:
                break


# Leaving early


async def test_leaving_early_frees_slots_and_tasks(start: Start):
    bulk = await start(latency=60, client={"max_concurrency": 5})
    bulk.simulator.script(*[Fault("bad_request")] * 2)
    before = others()
    async with aclosing(bulk.client.batch.map((f"Question {n}" for n in range(100)), **QUICK)) as results:
        await anext(results)
        await bulk.simulator.until(lambda now: now.in_flight == 5)
        assert bulk.client._context.caller().account_limiter.in_flight == 5

    assert bulk.client._context.caller().account_limiter.in_flight == 0
    assert bulk.client._context.caller().account_limiter.waiting == 0
    await bulk.simulator.until(lambda now: now.in_flight == 0)
    assert {task for task in others() - before if "batch" in repr(task.get_coro())} == set()


async def test_a_plain_break_frees_them_too(start: Start):
    bulk = await start(latency=60, client={"max_concurrency": 5})
    bulk.simulator.script(Fault("bad_request"))
    async for result in bulk.client.batch.map((f"Question {n}" for n in range(100)), **QUICK):
        assert not result.ok
        await bulk.simulator.until(lambda now: now.in_flight == 5)
        break

    await bulk.simulator.until(lambda now: now.in_flight == 0)
    assert bulk.client._context.caller().account_limiter.in_flight == 0


async def test_a_cancelled_consumer_frees_them_too(start: Start):
    bulk = await start(latency=60, client={"max_concurrency": 5})
    consuming = asyncio.create_task(answers(bulk, (f"Question {n}" for n in range(100))))
    await bulk.simulator.until(lambda now: now.in_flight == 5)
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming

    assert bulk.client._context.caller().account_limiter.in_flight == 0
    await bulk.simulator.until(lambda now: now.in_flight == 0)


async def test_what_the_source_raises_reaches_the_consumer_after_the_answers(bulk: Bulk):
    def requests() -> Iterator[str]:
        yield from ("a", "b")
        raise ValueError("no more")

    taken = []

    async def consume() -> None:
        async for result in bulk.client.batch.map(requests(), **QUICK):
            taken.append(result.index)  # noqa: PERF401  what came before the error counts

    with pytest.raises(ValueError, match="no more"):
        await consume()
    assert sorted(taken) == [0, 1]


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        (zip([1, 2], ["a", "b"], strict=True), "a tuple of int, str does not identify the prompt"),
        (
            {"a": "b"}.items(),
            'a tuple of str, str does not identify the prompt: pass an object, for example {"custom',
        ),
    ],
)
async def test_a_pair_is_no_request(bulk: Bulk, requests: Any, said: str):
    results = await answers(bulk, requests)
    assert results
    assert all(said in str(result.error) for result in results)
    assert bulk.requests == 0


async def test_an_open_text_file_is_a_prompt_a_line_without_line_ends_and_blank_lines(bulk: Bulk, tmp_path: Path):
    path = tmp_path / "prompts.txt"
    path.write_bytes(b"one\r\n\n  two \nthree")
    with path.open(newline="") as file:
        await answers(bulk, file, ordered=True)
    asked = [record.body["messages"][0]["content"] for record in bulk.simulator.requests]
    assert sorted(asked) == ["one", "three", "two"]


@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("in.jsonl", "r", "the lines of .* are rows, not prompts: pass the path to run"),
        ("in.csv", "r", "are rows, not prompts"),
        ("in.txt", "rb", "is open in binary mode"),
    ],
)
async def test_an_open_file_of_rows_is_not_paid_for_as_prompts(
    bulk: Bulk, tmp_path: Path, name: str, mode: str, said: str
):
    (tmp_path / name).write_text('{"prompt": "a"}\n')
    with (tmp_path / name).open(mode) as file, pytest.raises(ConfigurationError, match=said):
        await answers(bulk, file)
    assert bulk.requests == 0


async def test_a_prompt_beside_messages_is_carried_along(bulk: Bulk):
    (result,) = await answers(bulk, [{"prompt": "of it", "messages": HELLO, "label": 1}])
    assert bulk.simulator.requests[0].body["messages"] == HELLO
    assert result.columns == {"prompt": "of it", "label": 1}
