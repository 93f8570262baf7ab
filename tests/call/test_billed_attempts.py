"""Usage and cost are sums over every attempt that was billed, and the attempts can be told apart."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clients import MESSAGES, Connect, failure_of
from support.servers import DONE, Script, Serve, begun, chunk, event, response

from deepseek_async import (
    APIResponseValidationError,
    Budget,
    ContentBlockedError,
    ReasoningBudgetExhaustedError,
    RetryPolicy,
    StructuredOutputError,
)
from deepseek_async.content import ContentFilter
from deepseek_async.events import CallEnded
from deepseek_async.pricing.prices import price_table
from deepseek_async.types import CompletionTokensDetails, CompletionUsage, PromptTokensDetails
from deepseek_async.types.usage import added

AT_ONCE = RetryPolicy(base_delay=0, max_delay=0)


def usage_of(prompt: int, completion: int, hit: int = 0, reasoning: int = 0) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_cache_hit_tokens": hit,
        "prompt_cache_miss_tokens": prompt - hit,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def answered(content: str, usage: dict[str, Any], model: str = "deepseek-flash") -> Script:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": model}
    return [
        response(json.dumps({**body, "choices": [choice], "usage": usage}).encode(), content_type="application/json")
    ]


def streamed_with(content: str, usage: dict[str, Any]) -> Script:
    said = event(chunk({"role": "assistant", "content": content}))
    end = event({**chunk({}, "stop"), "usage": usage})
    return [begun(said, end, DONE) + b"0\r\n\r\n"]


counts = st.one_of(st.none(), st.integers(0, 10**9))
usages = st.builds(
    CompletionUsage,
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    counts,
    counts,
    st.one_of(st.none(), st.builds(PromptTokensDetails, counts)),
    st.one_of(st.none(), st.builds(CompletionTokensDetails, counts)),
)


@given(st.lists(usages, max_size=5))
def test_a_sum_of_usages_adds_every_counter(several: list[CompletionUsage]):
    total = added(several)
    for name in ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens"):
        assert getattr(total, name) == sum(getattr(usage, name) for usage in several), name


async def test_a_plain_answer_counts_the_empty_ones_before_it(serve: Serve, connect: Connect):
    server = await serve(
        answered("", usage_of(100, 7, 10, 5)), answered("", usage_of(100, 8)), answered("yes", usage_of(100, 9))
    )
    answer = await connect(server, retry=AT_ONCE).chat.completions.create(model="deepseek-flash", messages=MESSAGES)

    assert answer.usage == CompletionUsage(300, 24, 324, 10, 290, None, CompletionTokensDetails(5))
    assert [attempt.usage.completion_tokens for attempt in answer.billed_attempts] == [7, 8, 9]
    assert [attempt.failure for attempt in answer.billed_attempts] == ["APIResponseValidationError"] * 2 + [None]


async def test_an_answer_at_the_first_attempt_has_its_own_usage_and_no_others(serve: Serve, connect: Connect):
    server = await serve(answered("yes", usage_of(100, 9)))
    answer = await connect(server).chat.completions.create(model="deepseek-flash", messages=MESSAGES)

    assert answer.usage is not None
    assert answer.usage.total_tokens == 109
    assert answer.billed_attempts == ()


async def test_a_failed_call_tells_what_all_its_attempts_were_billed(serve: Serve, connect: Connect):
    server = await serve(*[answered("", usage_of(100, 7))] * 4)
    events: list[Any] = []
    budget = Budget(1.0, path=":memory:")
    client = connect(server, retry=AT_ONCE, listeners=[events.append], budget=budget)
    with pytest.raises(APIResponseValidationError) as caught:
        await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES)

    error, sent = caught.value, len(server.requests)
    assert sent > 1
    assert len(error.billed_attempts) == sent
    assert error.partial is not None
    assert error.partial.usage is not None
    assert error.partial.usage.total_tokens == 107 * sent
    (ended,) = [each for each in events if isinstance(each, CallEnded)]
    assert ended.usage == error.partial.usage
    cost = sum(price_table().cost(each.usage, each.model, each.at) or 0 for each in error.billed_attempts)
    assert ended.cost == pytest.approx(cost)
    assert 1.0 - budget.remaining == pytest.approx(cost)


async def test_a_stream_counts_the_empty_ones_before_it(serve: Serve, connect: Connect):
    server = await serve(streamed_with("", usage_of(100, 7)), streamed_with("yes", usage_of(100, 9)))
    events: list[Any] = []
    client = connect(server, retry=AT_ONCE, listeners=[events.append])
    async with await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES, stream=True) as stream:
        async for _ in stream:
            pass

    assert stream.completion.usage is not None
    assert stream.completion.usage.total_tokens == 107 + 109
    assert len(stream.completion.billed_attempts) == 2
    assert stream.partial.usage == stream.completion.usage, "asked again, it is the same"
    (ended,) = [each for each in events if isinstance(each, CallEnded)]
    assert ended.usage == stream.completion.usage


async def test_a_structured_answer_counts_every_asking(serve: Serve, connect: Connect):
    server = await serve(
        answered('{"stars": "many"}', usage_of(100, 7)),
        answered("", usage_of(100, 1)),
        answered('{"stars": 4}', usage_of(150, 9)),
    )
    client = connect(server, retry=AT_ONCE)
    answer = await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES, response_format=stars())

    assert answer.usage is not None
    assert answer.usage.total_tokens == 107 + 101 + 159
    assert len(answer.billed_attempts) == 3


async def test_a_structured_answer_that_never_fits_tells_what_every_asking_cost(serve: Serve, connect: Connect):
    server = await serve(*[answered('{"stars": "many"}', usage_of(100, 7))] * 3)
    with pytest.raises(StructuredOutputError) as caught:
        await connect(server).chat.completions.create(
            model="deepseek-flash", messages=MESSAGES, response_format=stars()
        )

    assert caught.value.partial is not None
    assert caught.value.partial.usage is not None
    assert caught.value.partial.usage.total_tokens == 321
    assert len(caught.value.billed_attempts) == 3


async def test_an_error_in_a_later_asking_tells_what_the_earlier_ones_cost(serve: Serve, connect: Connect):
    server = await serve(answered('{"stars": "many"}', usage_of(100, 7)), [response(b"{}", 400)])
    with pytest.raises(Exception, match="400") as caught:
        await connect(server).chat.completions.create(
            model="deepseek-flash", messages=MESSAGES, response_format=stars()
        )
    assert [attempt.usage.total_tokens for attempt in caught.value.billed_attempts] == [107]  # type: ignore[attr-defined]


async def test_a_fallback_is_charged_at_its_own_price_and_the_first_model_at_its_own(serve: Serve, connect: Connect):
    server = await serve(answered("", usage_of(1000, 7)), answered("yes", usage_of(1000, 9), "deepseek-v4-pro"))
    events: list[Any] = []
    client = connect(server, retry=1, fallback_models=["deepseek-v4-pro"], listeners=[events.append])
    await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES)

    (ended,) = [each for each in events if isinstance(each, CallEnded)]
    first, second = (
        price_table().cost(usage, model, ended.started)
        for usage, model in (
            (CompletionUsage(1000, 7, 1007, 0, 1000), "deepseek-flash"),
            (CompletionUsage(1000, 9, 1009, 0, 1000), "deepseek-v4-pro"),
        )
    )
    assert first is not None
    assert second is not None
    assert ended.cost == pytest.approx(first + second)


async def test_a_row_its_line_and_the_report_count_every_attempt(serve: Serve, connect: Connect, tmp_path: Path):
    server = await serve(
        answered("", usage_of(100, 7)), answered("yes", usage_of(100, 9)), *[answered("", usage_of(10, 1))] * 6
    )
    client = connect(server, retry=RetryPolicy(max_attempts=6, base_delay=0, max_delay=0), max_concurrency=1)
    (tmp_path / "in.jsonl").write_text('{"custom_id":"a","prompt":"a"}\n{"custom_id":"b","prompt":"b"}\n')
    report = await client.batch.run(tmp_path / "in.jsonl", tmp_path / "out.jsonl")

    assert (report.ok, report.failed) == (1, 1)
    empty = len(server.requests) - 2
    assert report.progress.prompt_tokens == 200 + 10 * empty
    assert report.progress.completion_tokens == 16 + empty
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    facts = {line["custom_id"]: line["deepseek_async"] for line in lines if line.get("custom_id") in ("a", "b")}
    assert [bill["usage"]["completion_tokens"] for bill in facts["a"]["billed"]] == [7, 9]
    assert len(facts["b"]["billed"]) == empty
    assert sum(fact["cost"] for fact in facts.values()) == pytest.approx(report.cost)
    again = await client.batch.run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", budget=100)
    assert again.spent == pytest.approx(report.cost)


def stars() -> Any:
    from dataclasses import make_dataclass

    return make_dataclass("Review", [("stars", int)])


async def test_a_blocked_answer_was_billed_like_any_other(serve: Serve, connect: Connect):
    server = await serve(answered("jane@example.com", usage_of(100, 7)))
    events: list[Any] = []
    client = connect(server, content_filter=ContentFilter(personal="block"), listeners=[events.append])
    with pytest.raises(ContentBlockedError) as caught:
        await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES)
    (row,) = [result async for result in client.batch.map(["Hi"])]

    assert [attempt.usage.total_tokens for attempt in caught.value.billed_attempts] == [107]
    assert row.usage is not None
    assert row.usage.total_tokens == 107
    told = [(each.usage.total_tokens, each.cost) for each in events if isinstance(each, CallEnded) and each.usage]
    assert [tokens for tokens, _ in told] == [107, 107]
    assert row.cost == pytest.approx(told[1][1])
    assert row.cost > 0


async def test_a_blocked_stream_whose_usage_had_come_was_billed_that(serve: Serve, connect: Connect):
    server = await serve(streamed_with("jane@example.com", usage_of(100, 7)))
    client = connect(server, content_filter=ContentFilter(personal="block"))
    failure = await failure_of(client, stream=True)
    assert isinstance(failure, ContentBlockedError)
    assert [attempt.usage.total_tokens for attempt in failure.billed_attempts] == [107]


async def test_a_blocked_answer_from_the_cache_was_not_billed_again(serve: Serve, connect: Connect):
    server = await serve(answered("jane@example.com", usage_of(100, 7)))
    client = connect(server, content_filter=ContentFilter(personal="block"), cache=True)
    billed = []
    for _ in range(2):
        with pytest.raises(ContentBlockedError) as caught:
            await client.chat.completions.create(
                model="deepseek-flash", messages=MESSAGES, temperature=0, thinking=False
            )
        billed.append(len(caught.value.billed_attempts))
    assert billed == [1, 0]


@pytest.mark.parametrize("bulk", [False, True])
async def test_an_asking_counts_although_the_next_one_is_answered_by_the_cache(
    serve: Serve, connect: Connect, bulk: bool
):
    server = await serve(
        answered('{"a": "x"}', usage_of(100, 7)),
        answered('{"a": 1}', usage_of(300, 8)),
        answered('{"a": 1}', usage_of(300, 8)),
        answered('{"a": "x"}', usage_of(100, 7)),
    )
    messages = [{"role": "user", "content": "json"}]
    asked: dict[str, Any] = {"model": "deepseek-flash", "messages": messages, "temperature": 0, "thinking": False}
    await connect(server).chat.completions.create(**asked, response_format=Number)
    client = connect(server, cache=True)
    await client.chat.completions.create(**server.requests[1].json())

    if bulk:
        row = {**asked, "thinking": {"type": "disabled"}}
        (result,) = [each async for each in client.batch.map([row], response_format=Number)]
        usage, cached = result.usage, result.completion and result.completion.cached
        assert result.cost
    else:
        answer = await client.chat.completions.create(**asked, response_format=Number)
        usage, cached = answer.usage, answer.cached
    assert cached == "memory"
    assert usage is not None
    assert usage.total_tokens == 107


async def test_askings_of_a_model_without_a_price_cost_what_the_model_that_was_asked_costs(
    serve: Serve, connect: Connect
):
    wrong = answered('{"a": "x"}', usage_of(100, 7), model="of-a-gateway")
    server = await serve(wrong, answered('{"a": 1}', usage_of(100, 7), model="of-a-gateway"), wrong)
    client = connect(server)
    rows = [{"model": "deepseek-flash", "messages": [{"role": "user", "content": "json"}]}]
    (twice,) = [each async for each in client.batch.map(rows, response_format=Number)]
    (once,) = [each async for each in client.batch.map(rows)]
    assert once.cost
    assert twice.cost == pytest.approx(2 * once.cost)


class Number(msgspec.Struct):
    a: int


@pytest.mark.parametrize("told", [-(10**9), 10**15])
async def test_reasoning_without_an_answer_costs_what_can_be_true(serve: Serve, connect: Connect, told: int):
    thought = event(chunk({"role": "assistant", "reasoning_content": "Hm"}))
    end = event({**chunk({}, "length"), "usage": usage_of(told, told)})
    server = await serve([begun(thought, end, DONE) + b"0\r\n\r\n"])
    budget = Budget(5.0, path=":memory:")
    client = connect(server, budget=budget)
    failure = await failure_of(client, stream=True, max_tokens=100)
    assert isinstance(failure, ReasoningBudgetExhaustedError)
    assert 4.9 < budget.remaining < 5.0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_dearer_model_that_answers_costs_the_budget_its_own_price(serve: Serve, connect: Connect, stream: bool):
    usage, pro = usage_of(1000, 1000), "deepseek-v4-pro"
    said = event(chunk({"role": "assistant", "content": "yes"}, model=pro))
    end = event({**chunk({}, "stop", model=pro), "usage": usage})
    streamed = [begun(said, end, DONE) + b"0\r\n\r\n"]
    empty = answered("", usage, model=pro)
    server = await serve(*([streamed] if stream else [empty, answered("yes", usage, model=pro)]))
    budget = Budget(5.0, path=":memory:")
    client = connect(server, budget=budget, retry=AT_ONCE)
    answer = await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES, stream=stream)
    if stream:
        async for _ in answer:
            pass
        answer = answer.completion
    assert answer.usage is not None
    cost = price_table().cost(answer.usage, pro, time.time())
    assert 5.0 - budget.remaining == pytest.approx(cost)
