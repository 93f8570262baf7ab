"""One row's request: made ahead of its turn, sent in it, and an error as a value."""

from __future__ import annotations

import asyncio

import pytest
from support.clients import Connect
from support.servers import ANSWER, SILENCE, Serve
from support.waiting import until

from deepseek_async import AsyncDeepSeek, InputFormatError, InvalidRequestError, RetryPolicy, Timeouts
from deepseek_async.batch.row import Row
from deepseek_async.batch.row_executor import RowExecutor
from deepseek_async.pricing.prices import Meter, price_table

BODY = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "Hi"}]}
TOTAL = 0.3


def answerer(client: AsyncDeepSeek) -> RowExecutor:
    return RowExecutor(client.chat.completions, RetryPolicy(max_attempts=1), Meter(price_table()))


async def test_a_row_that_is_prepared_long_before_its_turn_has_its_whole_deadline(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    desk = answerer(connect(server, timeout=Timeouts(total=TOTAL)))
    row = Row(0, 1, "a", BODY)
    call = desk.prepare(row)
    loop = asyncio.get_running_loop()
    late = loop.time() + TOTAL
    await until(lambda: loop.time() > late)

    result = await desk.answer(row, call)
    assert result.error is None
    assert result.latency < TOTAL


async def test_a_row_is_counted_with_others_of_its_model_however_long_ago_it_was_prepared(
    serve: Serve,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("deepseek_async.admission.account_limiter._MOST_MODELS", 1)
    server = await serve([SILENCE])
    client = connect(server)
    desk, account_limiter = answerer(client), client._context.caller().account_limiter
    row = Row(0, 1, "a", BODY)
    call = desk.prepare(row)
    desk.prepare(Row(1, 2, "b", {**BODY, "model": "another"}))  # the idle limiter of the first is dropped
    answering = asyncio.ensure_future(desk.answer(row, call))
    await until(lambda: server.requests)
    assert account_limiter.limiter(str(BODY["model"])).window.in_flight == 1
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering


async def test_preparing_a_row_sends_nothing(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    client = connect(server)
    answerer(client).prepare(Row(0, 1, "a", BODY))
    assert server.requests == []
    assert client._context.caller().account_limiter.in_flight == 0


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (Row(0, 1, "a", error=InputFormatError("in.jsonl, line 1: not JSON")), InputFormatError),
        (Row(0, 1, "a"), InputFormatError),
        (Row(0, 1, "a", {**BODY, "model": "a\nb"}), InvalidRequestError),
    ],
    ids=["unreadable", "without a request", "refused before it is sent"],
)
async def test_a_row_that_makes_no_call_ends_with_the_reason(
    serve: Serve,
    connect: Connect,
    row: Row,
    kind: type[Exception],
):
    server = await serve([ANSWER])
    desk = answerer(connect(server))
    result = await desk.answer(row, desk.prepare(row))
    assert isinstance(result.error, kind)
    assert (result.index, result.custom_id, result.attempts) == (0, "a", 0)
    assert server.requests == []


async def test_a_row_gives_way_to_answers_that_have_come_before_it_is_sent(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    client = connect(server)
    desk = answerer(client)
    row = Row(0, 1, "a", BODY)
    answering = asyncio.ensure_future(desk.answer(row, desk.prepare(row)))
    in_flight: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: in_flight.append(client._context.caller().account_limiter.in_flight))
    assert (await answering).ok
    assert in_flight == [0]
