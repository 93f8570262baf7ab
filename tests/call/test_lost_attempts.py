"""An attempt whose usage never came may have been billed: it is counted at most, the same with a budget and without."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.clients import AT_ONCE, MESSAGES, Connect, failure_of, open_stream
from support.servers import ANSWER, DONE, LAST_CHUNK, OPENING, RESET, SILENCE, Script, Serve, begun, ending, head, said
from support.waiting import until

from deepseek_async import Budget, StreamInterruptedError, Timeouts
from deepseek_async.batch import BatchResult
from deepseek_async.call.bill import LOST
from deepseek_async.events import CallEnded
from deepseek_async.pricing.prices import Meter, price_table

CUT_BODY: Script = [head(content_length="500"), b'{"id":', RESET]
SPENT = Timeouts(headers=0.2, first_content=0.2)
WHOLE: Script = [begun(OPENING, said("Hello"), ending(), DONE) + LAST_CHUNK]
PER_TOKEN = 0.6e-6
"""US dollars at least, of an answer's token (deepseek-flash)."""


async def events_of(connect: Connect, server: Any, call: Any, **options: Any) -> list[CallEnded]:
    events: list[Any] = []
    client = connect(server, listeners=[events.append], **options)
    await call(client)
    return [each for each in events if isinstance(each, CallEnded)]


async def ask(client: Any, **parameters: Any) -> Any:
    asked = {"model": "deepseek-flash", "messages": MESSAGES, "max_tokens": 100, **parameters}
    return await client.chat.completions.create(**asked)


LOSSES: dict[str, Script] = {
    "reset before an answer": [RESET],
    "cut in the answer": CUT_BODY,
    "silence before an answer": [SILENCE],
    "silence in the answer": [head(content_length="500"), b"\n", SILENCE],
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
async def test_what_is_lost_costs_the_most_that_it_can_with_a_budget_and_without(
    serve: Serve, connect: Connect, loss: Script
):
    told = []
    for budget in (None, Budget(5.0, path=":memory:")):
        server = await serve(loss, [ANSWER])
        options = {"retry": AT_ONCE, "timeout": SPENT, "budget": budget}
        (ended,) = await events_of(connect, server, ask, **options)
        assert ended.attempts == 2
        assert ended.cost is not None
        told.append(ended.cost)
        lost, answered = ended.billed_attempts
        assert (lost.usage.completion_tokens, lost.usage.corrected) == (100, LOST)
        assert lost.failure is not None
        assert not answered.usage.estimated
        assert ended.usage is not None
        assert ended.usage.estimated, "and so is the sum"

    assert told[0] == pytest.approx(told[1], abs=5e-9)
    assert told[0] > 100 * PER_TOKEN


async def test_a_stream_that_is_cut_costs_what_its_text_speaks_for(serve: Serve, connect: Connect):
    cut: Script = [begun(OPENING, said("x" * 1000)), RESET]
    failures = [
        await failure_of(connect(await serve(cut), budget=budget), stream=True, max_tokens=50_000)
        for budget in (None, Budget(5.0, path=":memory:"))
    ]
    for failure in failures:
        assert isinstance(failure, StreamInterruptedError)
        (lost,) = failure.billed_attempts
        assert 1000 < lost.usage.completion_tokens < 3000
        assert failure.partial is not None
        assert failure.partial.usage == lost.usage


async def test_a_stream_that_is_left_costs_what_its_text_speaks_for(serve: Serve, connect: Connect):
    async def leave(client: Any) -> None:
        async with await open_stream(client) as stream:
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    break

    (ended,) = await events_of(connect, await serve([begun(OPENING, said("Hello")), SILENCE]), leave)
    (lost,) = ended.billed_attempts
    assert (ended.outcome, lost.usage.corrected) == ("cancelled", LOST)
    assert ended.cost
    assert lost.usage.completion_tokens < 1000


async def test_a_call_that_is_cancelled_may_have_been_billed(serve: Serve, connect: Connect):
    server = await serve([head(content_length="500"), b"\n", SILENCE])

    async def cancel(client: Any) -> None:
        call = asyncio.ensure_future(ask(client))
        await until(lambda: server.requests)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    (ended,) = await events_of(connect, server, cancel)
    assert ended.cost is not None
    assert ended.cost > 100 * PER_TOKEN
    assert [each.failure for each in ended.billed_attempts] == ["CancelledError"]


async def test_what_a_server_refuses_and_who_cannot_be_reached_bills_nothing(serve: Serve, connect: Connect):
    server = await serve([b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"], [ANSWER])
    (ended,) = await events_of(connect, server, ask, retry=AT_ONCE)
    assert (ended.attempts, ended.billed_attempts) == (2, ())
    client = connect(f"http://127.0.0.1:{server.port}", retry=1)
    await server.stop()
    assert (await failure_of(client, stream=False)).billed_attempts == ()


async def test_a_stream_that_ends_whole_has_lost_nothing(serve: Serve, connect: Connect):
    async with await open_stream(connect(await serve(WHOLE))) as stream:
        async for _ in stream:
            pass
    assert stream.completion.billed_attempts == ()


async def test_a_row_and_its_report_tell_what_was_lost_on_the_way(serve: Serve, connect: Connect, tmp_path: Any):
    client = connect(await serve(CUT_BODY, [ANSWER], CUT_BODY, [ANSWER]), retry=AT_ONCE, max_concurrency=1)
    (tmp_path / "in.jsonl").write_text('{"prompt": "a", "max_tokens": 100}\n')
    report = await client.batch.run(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    (row,) = [each async for each in client.batch.map([{"prompt": "a", "max_tokens": 100}])]

    assert isinstance(row, BatchResult)
    assert row.cost == pytest.approx(report.cost)
    assert report.progress.estimated_requests == 1
    lost = row.billed_attempts[0]
    rate = Meter(price_table()).rate_of(None, "deepseek-flash", lost.at)
    assert report.progress.estimated_cost == pytest.approx(rate.cost(lost.usage)) == row.estimated_cost
    assert 0 < report.progress.estimated_cost < report.cost
