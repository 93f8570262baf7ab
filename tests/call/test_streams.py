"""Streamed calls over real sockets: each event once, whole or broken, and nothing held afterwards."""

from __future__ import annotations

import asyncio
import gc
import json
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from support.clients import Connect, open_stream, texts
from support.servers import (
    ANSWER,
    CLOSE,
    DONE,
    HALF_CLOSE,
    LAST_CHUNK,
    OPENING,
    RESET,
    SILENCE,
    STREAM_HEAD,
    USAGE,
    Drip,
    Serve,
    begun,
    chunk,
    ending,
    event,
    http_chunk,
    response,
    said,
    streamed,
)
from support.waiting import settled, until

from deepseek_async import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AsyncDeepSeek,
    DeepSeekError,
    InternalServerError,
    StreamInterruptedError,
    Timeouts,
)

KEEP_ALIVE = http_chunk(b": keep-alive\n\n")


async def test_each_event_comes_once_and_in_order(serve: Serve, connect: Connect):
    server = await serve(streamed("Hel", "lo"))
    async with await open_stream(connect(server)) as stream:
        assert await texts(stream) == ["opening", "Hel", "lo", "stop"]
        assert stream.completion.choices[0].message.content == "Hello"
        assert stream.completion.usage is not None
        assert stream.completion.usage.total_tokens == 15
        assert (stream.attempts, stream.request_id) == (1, "trace1")
    assert server.requests[0].json()["stream"] is True


async def test_the_context_manager_form_streams_too(serve: Serve, connect: Connect):
    server = await serve(streamed("Hello"))
    messages = [{"role": "user", "content": "Hi"}]
    async with connect(server).chat.completions.stream(model="deepseek-flash", messages=messages) as stream:
        told = [event.type async for event in stream]
        assert told == ["chunk", "content.delta", "chunk", "content.delta", "chunk", "content.delta", "content.done"]
    server = await serve(streamed("Hello"))
    async with connect(server).chat.completions.stream(model="deepseek-flash", messages=messages) as stream:
        assert await texts(stream.chunks) == ["opening", "Hello", "stop"]


async def test_anext_and_iteration_read_the_same_stream(serve: Serve, connect: Connect):
    server = await serve(streamed("Hel", "lo"))
    async with await open_stream(connect(server)) as stream:
        first = await anext(stream)
        assert first.choices[0].delta.role == "assistant"
        assert await texts(stream) == ["Hel", "lo", "stop"]


async def test_the_whole_answer_is_not_there_before_the_end(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING, said("Hel")), SILENCE])
    async with await open_stream(connect(server)) as stream:
        async for _ in stream:
            with pytest.raises(DeepSeekError, match="not ended"):
                _ = stream.completion
            assert stream.partial.choices[0].message.content == "Hel"
            break


async def test_keep_alive_comments_are_not_shown(serve: Serve, connect: Connect):
    events = OPENING + said("Hello") + ending() + DONE
    server = await serve([STREAM_HEAD, KEEP_ALIVE * 3, http_chunk(events) + LAST_CHUNK])
    async with await open_stream(connect(server)) as stream:
        assert await texts(stream) == ["opening", "Hello", "stop"]


async def test_usage_in_a_trailing_chunk_without_choices_is_kept(serve: Serve, connect: Connect):
    trailing = event({**chunk(), "choices": [], "usage": USAGE})
    events = OPENING + said("Hello") + event(chunk({}, "stop")) + trailing + DONE
    server = await serve([begun(events) + LAST_CHUNK])
    async with await open_stream(connect(server)) as stream:
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].to_dict()["choices"] == []
    assert stream.completion.usage is not None
    assert stream.completion.usage.completion_tokens == 5


async def test_a_connection_serves_again_though_the_last_bytes_come_after_done(serve: Serve, connect: Connect):
    finish = asyncio.Event()
    server = await serve([begun(OPENING, said("Hello"), ending(), DONE), finish, LAST_CHUNK], [ANSWER])
    client = connect(server)
    async with await open_stream(client) as stream:
        assert len(await texts(stream)) == 3
    assert client._context.caller().account_limiter.in_flight == 0
    pool = client._context.caller().transport._connector
    finish.set()
    await until(lambda: pool._conns)
    await client.chat.completions.create(model="deepseek-flash", messages=[{"role": "user", "content": "Hi"}])
    assert server.connections == 1


ERROR = event({"error": {"message": "engine died", "type": "server_error", "code": None}})

# What follows the head and the first events of a stream.
BROKEN = {
    "end of the body": [LAST_CHUNK],
    "done without a finish reason": [http_chunk(DONE) + LAST_CHUNK],
    "end inside an event": [http_chunk(b"data: {"), HALF_CLOSE, CLOSE],
    "error event": [http_chunk(ERROR), SILENCE],
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_fault_before_the_first_content_is_retried_unseen(serve: Serve, connect: Connect, fault: str):
    server = await serve([begun(OPENING), *BROKEN[fault]], streamed("Hello"))
    async with await open_stream(connect(server)) as stream:
        assert await texts(stream) == ["opening", "Hello", "stop"]
    assert stream.completion.choices[0].message.content == "Hello"
    assert stream.attempts == len(server.requests) == 2


async def test_the_opening_is_shown_once_though_the_next_attempt_sends_it_apart(serve: Serve, connect: Connect):
    rest = http_chunk(said("Hello") + ending() + DONE) + LAST_CHUNK
    go = asyncio.Event()
    server = await serve([begun(OPENING), RESET], [begun(OPENING), go, rest])
    async with await open_stream(connect(server)) as stream:
        assert (await anext(stream)).choices[0].delta.role == "assistant"
        go.set()
        assert await texts(stream) == ["Hello", "stop"]
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", BROKEN)
async def test_a_fault_after_content_is_told_with_what_had_arrived(serve: Serve, connect: Connect, fault: str):
    shown = asyncio.Event()  # aiohttp drops what it has not handed out when the connection breaks
    server = await serve([begun(OPENING, said("Hel")), shown, *BROKEN[fault]], streamed("Hello"))
    seen = []

    async def read() -> None:
        async with await open_stream(client) as stream:
            async for piece in stream:
                seen.append(piece.choices[0].delta.content)
                if len(seen) == 2:
                    shown.set()

    # A framing error inside a body reaches aiohttp's reader by no exception, only by silence.
    client = connect(server, timeout=Timeouts(idle=0.3))
    with pytest.raises(APIError) as caught:
        await read()
    assert seen[:2] == ["", "Hel"]
    assert isinstance(caught.value, InternalServerError if fault == "error event" else StreamInterruptedError)
    assert caught.value.text == "Hel"
    assert caught.value.partial is not None
    assert caught.value.partial.choices[0].message.content == "Hel"
    assert caught.value.request_id == "trace1"
    assert caught.value.attempts == len(server.requests) == 1


async def test_a_refusal_before_the_stream_is_retried_and_then_raised(serve: Serve, connect: Connect):
    server = await serve([response(b"", 503)], streamed("Hello"), [response(b"bad", 400)])
    client = connect(server)
    async with await open_stream(client) as stream:
        assert (await texts(stream))[1] == "Hello"
    with pytest.raises(DeepSeekError, match="bad"):
        await open_stream(client)


# Timers.


async def interrupted(client: AsyncDeepSeek, **parameters) -> APIError:
    with pytest.raises(APIError) as caught:
        async with await open_stream(client, **parameters) as stream:
            await texts(stream)
    return caught.value


async def test_silence_before_any_content_meets_the_idle_timer(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING), SILENCE], streamed("Hello"))
    async with await open_stream(connect(server, timeout=Timeouts(idle=0.05))) as stream:
        assert await texts(stream) == ["opening", "Hello", "stop"]
    assert len(server.requests) == 2


async def test_a_slow_reader_meets_no_timer(serve: Serve, connect: Connect):
    go = asyncio.Event()
    rest = http_chunk(said("lo") + ending() + DONE) + LAST_CHUNK
    server = await serve([begun(OPENING, said("Hel")), go, rest])
    timers = Timeouts(idle=0.05, stall=0.05, attempt=0.05, first_content=0.05)
    async with await open_stream(connect(server, timeout=timers)) as stream:
        assert (await anext(stream)).choices[0].delta.role == "assistant"
        await asyncio.sleep(0.2)  # the reader's own slowness, longer than every timer
        go.set()
        assert await texts(stream) == ["Hel", "lo", "stop"]


async def test_the_deadline_ends_a_stream_too(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING), Drip(http_chunk(said("x")))])
    error = await interrupted(connect(server), timeout=0.15)
    assert isinstance(error.__cause__, APITimeoutError)
    assert error.__cause__.phase == "total"


# Leaving.


async def test_leaving_early_frees_slot_and_socket(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING, said("Hel")), SILENCE])
    client = connect(server)
    async with await open_stream(client) as stream:
        async for _ in stream:
            break
    assert client._context.caller().account_limiter.in_flight == 0
    async with asyncio.timeout(120):
        await server.idle.wait()
    assert await texts(stream) == []


async def test_an_exception_in_the_loop_body_frees_slot_and_socket(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING, said("Hel")), SILENCE])
    client = connect(server)

    async def read() -> None:
        async with await open_stream(client) as stream:
            async for _ in stream:
                _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        await read()
    assert client._context.caller().account_limiter.in_flight == 0


async def test_a_stream_that_is_never_iterated_frees_its_slot_when_left(serve: Serve, connect: Connect):
    server = await serve(streamed("Hello"))
    client = connect(server)
    async with await open_stream(client):
        assert client._context.caller().account_limiter.in_flight == 1
    assert client._context.caller().account_limiter.in_flight == 0


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def first_of(stream: Any) -> None:
    async for _ in stream:
        return


READERS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "not read": lambda _: asyncio.sleep(0),
    "anext": anext,
    "async for": first_of,
    "text_deltas": lambda stream: first_of(stream.text_deltas()),
    "events": lambda stream: first_of(stream.events()),
}


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("reader", READERS)
async def test_a_dropped_stream_frees_its_slot_and_socket_without_the_collector(
    serve: Serve, connect: Connect, reader: str
):
    server = await serve([begun(OPENING, said("Hel")), SILENCE])
    client = connect(server)
    stream = await open_stream(client)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        await READERS[reader](stream)
        del stream
    async with asyncio.timeout(120):
        await until(lambda: client._context.caller().account_limiter.in_flight == 0)
        await server.idle.wait()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("broken", [b"data: {\n\n", b'data: {"id":"\xff"}\n\n'], ids=["no JSON", "no UTF-8"])
async def test_a_stream_dropped_before_its_fault_was_told_is_freed_without_the_collector(
    serve: Serve, connect: Connect, broken: bytes
):
    server = await serve([begun(OPENING, said("Hel"), broken), SILENCE])
    client = connect(server)
    stream = await open_stream(client)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        await anext(stream)
        del stream
    async with asyncio.timeout(120):
        await until(lambda: client._context.caller().account_limiter.in_flight == 0)
        await server.idle.wait()


async def test_a_dropped_stream_warns(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING, said("Hel")), SILENCE])
    client = connect(server)
    stream = await open_stream(client)
    with pytest.warns(ResourceWarning, match="async with"):  # noqa: PT031
        del stream
        gc.collect()
    async with asyncio.timeout(120):
        await server.idle.wait()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("kind", ["text_deltas", "reasoning_deltas", "events"])
async def test_closing_what_a_stream_handed_out_frees_its_slot_at_once(serve: Serve, connect: Connect, kind: str):
    server = await serve([begun(OPENING, event(chunk({"content": "Hel", "reasoning_content": "so"}))), SILENCE])
    client = connect(server)
    stream = await open_stream(client)
    pieces = getattr(stream, kind)()
    await anext(pieces)
    await pieces.aclose()
    assert client._context.caller().account_limiter.in_flight == 0
    assert await texts(stream) == []
    await server.idle.wait()


async def test_a_stream_left_by_break_can_be_read_on(serve: Serve, connect: Connect):
    server = await serve(streamed("Hel", "lo"))
    async with await open_stream(connect(server)) as stream:
        await first_of(stream)
        assert await texts(stream) == ["Hel", "lo", "stop"]


@pytest.mark.usefixtures("_no_collector")
async def test_a_stream_that_is_collected_while_the_queue_is_served_leaves_the_queue_alone(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
):
    server = await serve(*[[begun(OPENING, said("Hel")), SILENCE]] * 3, streamed("Hello"))
    client = connect(server, max_concurrency=3)
    live = await open_stream(client)
    await anext(live)
    garbage: list[Any] = []
    for _ in range(2):
        garbage.append([await open_stream(client)])
        garbage[-1].append(garbage[-1])  # only the collector frees it
    garbage.clear()
    slots = client._context.caller().account_limiter.limiter("deepseek-flash").queue
    serving = slots.policy.may_start

    def collected(now: float, *, bulk: bool = False) -> bool:
        if slots.waiting and gc.collect():
            monkeypatch.undo()
        return serving(now, bulk=bulk)

    monkeypatch.setattr(type(slots.policy), "may_start", lambda _, now, **lane: collected(now, **lane))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        async with asyncio.timeout(120), await open_stream(client) as stream:
            assert await texts(stream) == ["opening", "Hello", "stop"]
    await live.aclose()
    assert (client._context.caller().account_limiter.in_flight, slots.waiting) == (0, 0)


async def test_two_tasks_that_read_one_stream_are_told_so(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING), SILENCE])
    async with await open_stream(connect(server)) as stream:
        await anext(stream)
        reading = asyncio.ensure_future(anext(stream))
        await settled()
        with pytest.raises(RuntimeError, match="another task is already reading"):
            await anext(stream)
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await reading


async def test_closing_a_stream_wakes_the_task_that_reads_it(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING, said("Hel")), SILENCE])
    client = connect(server)
    stream = await open_stream(client)
    reading = asyncio.ensure_future(texts(stream))
    await until(lambda: stream.partial.choices)
    await stream.aclose()
    assert await reading == ["opening", "Hel"]
    await stream.aclose()


async def test_closing_a_stream_that_begins_again_ends_it(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING), RESET], [SILENCE], streamed("Hello"))
    client = connect(server)
    stream = await open_stream(client)
    reading = asyncio.ensure_future(texts(stream))
    await until(lambda: len(server.requests) == 2)
    await stream.aclose()
    await client.aclose()
    with pytest.raises(APIConnectionError):
        await reading


async def test_closing_a_stream_while_it_waits_to_begin_again_sends_no_more(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING), RESET], [begun(OPENING, said("Hello")), SILENCE])
    client = connect(server, max_concurrency=1)
    stream = await open_stream(client)
    account_limiter = client._context.caller().account_limiter
    waiting = asyncio.ensure_future(account_limiter.limiter("deepseek-flash").admit(1, 0, bulk=False))
    reading = asyncio.ensure_future(texts(stream))
    lease = await waiting
    await until(lambda: account_limiter.waiting)
    await stream.aclose()
    lease.abandoned(sent=False)
    assert await reading == ["opening"]
    assert account_limiter.in_flight == 0


async def test_closing_the_client_ends_its_streams(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING, said("Hel")), SILENCE])
    client = connect(server)
    stream = await open_stream(client)
    await anext(stream)
    account_limiter = client._context.caller().account_limiter
    await client.aclose()
    with pytest.raises(StreamInterruptedError) as caught:
        await texts(stream)
    assert caught.value.text == "Hel"
    assert account_limiter.in_flight == 0


async def test_undeclared_fields_of_a_chunk_are_reachable(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING, event(chunk({"content": "x"}, mood="fine")), ending(), DONE) + LAST_CHUNK])
    async with await open_stream(connect(server)) as stream:
        moods = [piece.to_dict().get("mood") async for piece in stream]
    assert moods == [None, "fine", None]
    assert json.loads(stream.completion.to_json())["object"] == "chat.completion"
