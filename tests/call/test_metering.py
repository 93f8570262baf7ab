"""A usage is believed only as far as it can be true, and what is missing is estimated: money never goes down."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clients import MESSAGES, Connect
from support.servers import DONE, LAST_CHUNK, SILENCE, Script, Serve, answer, begun, chunk, event, response

from deepseek_async import Budget
from deepseek_async.call.usage_check import MOST_COMPLETION, UsageBounds, believed, is_plain
from deepseek_async.events import CallEnded
from deepseek_async.pricing.prices import Meter, price_table
from deepseek_async.types import CompletionTokensDetails, CompletionUsage, PromptTokensDetails

REQUEST = {"model": "deepseek-flash", "messages": MESSAGES, "max_tokens": 100}
SENT = UsageBounds(json.dumps(REQUEST).encode(), REQUEST)
SAID = "Hello"
MOST = 10**7
"""Tokens that no answer to this request can have taken, by far."""

numbers = st.one_of(st.integers(-(2**70), 2**70), st.integers(-10, 300))
counts = st.one_of(st.none(), numbers)
usages = st.builds(
    CompletionUsage,
    numbers,
    numbers,
    numbers,
    counts,
    counts,
    st.one_of(st.none(), st.builds(PromptTokensDetails, counts)),
    st.one_of(st.none(), st.builds(CompletionTokensDetails, counts)),
)


@given(usages)
def test_whatever_is_claimed_what_is_believed_can_be_true(claimed: CompletionUsage):
    usage = believed(claimed, SENT, SAID)

    assert 0 < usage.prompt_tokens < MOST
    assert 0 < usage.completion_tokens <= MOST_COMPLETION
    assert 0 <= usage.cached_tokens <= usage.prompt_tokens
    assert 0 <= usage.reasoning_tokens <= usage.completion_tokens
    rate = Meter(price_table()).rate_of("deepseek-flash", "deepseek-flash", 1.79e9)
    assert 0 < rate.cost(usage) < 10


@given(usages)
def test_what_is_put_right_is_marked_and_the_rest_is_left_alone(claimed: CompletionUsage):
    usage = believed(claimed, SENT, SAID)

    if usage.corrected is None:
        changed = msgspec.structs.replace(usage, total_tokens=claimed.total_tokens)
        assert changed == claimed
    assert believed(usage, SENT, SAID) is usage, "what can be true is believed"


@given(st.integers(1, 300), st.integers(1, 300), st.data())
def test_a_usage_as_deepseek_sends_it_takes_no_closer_look(prompt: int, completion: int, data: st.DataObject):
    hit = data.draw(st.integers(0, prompt))
    reasoning = data.draw(st.integers(0, completion))
    usage = CompletionUsage(
        prompt,
        completion,
        prompt + completion,
        hit,
        prompt - hit,
        PromptTokensDetails(hit),
        CompletionTokensDetails(reasoning),
    )
    assert is_plain(usage, len(SENT.wire), len(SAID))
    assert believed(usage, SENT, SAID) is usage


def test_a_document_or_a_search_may_take_many_tokens_that_were_not_sent():
    searched = {**REQUEST, "tools": [{"type": "deepseek_web_search"}]}
    usage = CompletionUsage(900_000, 50, 900_050, 0, 900_000)
    assert believed(usage, UsageBounds(json.dumps(searched).encode(), searched), SAID) is usage
    assert believed(usage, SENT, SAID).corrected is not None


@pytest.mark.parametrize("stream", [False, True])
async def test_a_long_answer_was_not_made_of_one_token(serve: Serve, connect: Connect, stream: bool):
    long, one = "long word " * 20_000, {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    if stream:
        script = [begun(event(chunk({"content": long})), event(chunk({}, "stop", usage=one)), DONE) + LAST_CHUNK]
    else:
        script = [response(answer(long, usage=one))]
    budget = Budget(5.0, path=":memory:")
    client = connect(await serve(script), budget=budget)
    asked = await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES, stream=stream)
    done = await whole(asked) if stream else asked
    assert done.usage.completion_tokens > len(long) / 10
    assert "completion_tokens 1 " in (done.usage.corrected or "")
    rate = Meter(price_table()).rate_of("deepseek-flash", "deepseek-flash", 1.79e9)
    assert 5.0 - budget.remaining >= rate.cost(CompletionUsage(10, len(long) // 10)) / 2
    await budget.aclose()


async def whole(stream: Any) -> Any:
    async with stream:
        async for _ in stream:
            pass
    return stream.completion


def test_a_figure_of_tokens_that_were_not_cached_is_one_that_can_be():
    usage = believed(CompletionUsage(20, 5, 25, 20, -156), SENT, SAID)
    assert (usage.prompt_cache_hit_tokens, usage.prompt_cache_miss_tokens) == (20, 0)
    assert usage.corrected is not None


def answered(usage: Any, model: str = "deepseek-flash") -> Script:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}
    return [response(json.dumps(body).encode(), content_type="application/json")]


ODD: list[Any] = [
    None,
    {},
    [],
    "many",
    7,
    {"prompt_tokens": "12", "completion_tokens": 3.0},
    {"prompt_tokens": None, "completion_tokens": [1]},
    {"prompt_tokens": True, "completion_tokens": 1.5},
    {"prompt_tokens": -100, "completion_tokens": -500, "total_tokens": 600},
    {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    {"prompt_tokens": 10**30, "completion_tokens": 10**30, "total_tokens": 0},
    {"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 60, "prompt_cache_hit_tokens": 10**5},
    {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "completion_tokens_details": "none"},
]


@pytest.mark.parametrize("usage", ODD)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_odd_usage_loses_no_answer_and_costs_something(
    serve: Serve, connect: Connect, usage: Any, stream: bool
):
    if stream:
        said = event(chunk({"role": "assistant", "content": "Hello"}))
        server = await serve([begun(said, event({**chunk({}, "stop"), "usage": usage}), DONE) + b"0\r\n\r\n"])
    else:
        server = await serve(answered(usage))
    budget = Budget(1.0, path=":memory:")
    events: list[Any] = []
    client = connect(server, budget=budget, listeners=[events.append], retry=1)
    if stream:
        async with await client.chat.completions.create(**REQUEST, stream=True) as parts:  # type: ignore[arg-type]
            async for _ in parts:
                pass
        answer = parts.completion
    else:
        answer = await client.chat.completions.create(**REQUEST)  # type: ignore[call-overload]

    assert answer.choices[0].message.content == "Hello"
    assert answer.usage is not None
    assert 0 < answer.usage.prompt_tokens < MOST
    assert 0 < answer.usage.completion_tokens < 2000
    (ended,) = [each for each in events if isinstance(each, CallEnded)]
    assert ended.cost is not None
    assert 0 < ended.cost <= 1.0 - budget.remaining + 1e-9
    await budget.aclose()


@pytest.mark.parametrize("model", ["deepseek-flash-1126", "", "somebody-elses"])
async def test_an_unknown_model_is_charged_as_the_one_that_was_asked(serve: Serve, connect: Connect, model: str):
    usage = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
    server = await serve(answered(usage, model), answered(usage))
    client = connect(server, retry=1)
    prices = [result.cost async for result in client.batch.map(["a", "b"], concurrency=1)]
    assert prices[0] == pytest.approx(prices[1])


async def test_a_model_that_nobody_has_a_price_for_is_charged_as_the_dearest(serve: Serve, connect: Connect):
    usage = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
    server = await serve(answered(usage, "new"), answered(usage, "deepseek-v4-pro"))
    client = connect(server, retry=1, lint="off")
    first = [result.cost async for result in client.batch.map(["a"], model="new")]
    second = [result.cost async for result in client.batch.map(["a"], model="deepseek-v4-pro")]
    assert first[0] == pytest.approx(second[0])
    assert first[0]


async def test_a_job_budget_holds_whatever_the_answers_say(serve: Serve, connect: Connect, tmp_path: Any):
    for number, (usage, model) in enumerate([(None, "deepseek-flash"), ({"prompt_tokens": -5}, "x"), (ODD[-2], "")]):
        server = await serve(*[answered(usage, model)] * 300)
        client = connect(server, retry=1, max_concurrency=4)
        source, output = tmp_path / f"in{number}.jsonl", tmp_path / f"out{number}.jsonl"
        source.write_text("".join(json.dumps({"prompt": f"q{row}"}) + "\n" for row in range(300)))
        report = await client.batch.run(source, output, budget=0.0005)
        assert "exhausted" in str(report.stopped)
        assert len(server.requests) < 300
        assert report.cost > 0


@pytest.mark.parametrize("tokens", [10**6, 10**15])
async def test_an_absurd_answer_does_not_block_the_token_limit_nor_turn_the_estimate_over(
    serve: Serve, connect: Connect, tokens: int
):
    absurd = {"prompt_tokens": tokens, "completion_tokens": 10**9, "total_tokens": tokens}
    sane = {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11}
    server = await serve(answered(absurd), *[answered(sane)] * 3)
    client = connect(server, retry=1, tokens_per_minute=100_000)
    async with asyncio.timeout(120):  # a minute's limit would hold them up for 20 s and more
        for _ in range(4):
            await client.chat.completions.create(**REQUEST)  # type: ignore[call-overload]
    assert len(server.requests) == 4
    estimate = client.chat.completions.count_tokens(model="deepseek-flash", messages=MESSAGES)
    assert estimate.prompt_tokens < 100


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x" * 400},
        {"reasoning_content": "x" * 400},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "x" * 400}}]},
    ],
)
async def test_a_stream_that_is_left_is_charged_by_what_had_come_of_whatever_kind(
    serve: Serve, connect: Connect, delta: dict[str, Any]
):
    many = event(chunk(delta)) * 100
    server = await serve([begun(many), SILENCE])
    budget = Budget(5.0, path=":memory:")
    client = connect(server, retry=1, budget=budget)
    stream = await client.chat.completions.create(
        model="deepseek-flash", messages=MESSAGES, max_tokens=60_000, stream=True
    )
    async with stream:
        for _ in range(100):
            await anext(stream)
    spent = 5.0 - budget.remaining
    rate = Meter(price_table()).rate_of("deepseek-flash", "deepseek-flash", 1.79e9)
    assert spent >= rate.cost(CompletionUsage(0, 40_000 // 4)) / 2
    await budget.aclose()
