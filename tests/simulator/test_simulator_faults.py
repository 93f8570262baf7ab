"""Faults on the wire, as a bare client meets them."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator_caller import CLOCK, WEATHER, Caller, Start, chat_body

from deepseek_async.simulator import Fault, FaultKind, parse_fault
from deepseek_async.simulator.faults import ENDLESS, OF_UPLOADS, REFUSING, FaultPlan
from deepseek_async.simulator.wire.delivery import COMMENT, DeliveryTiming, StreamEnding, StreamPause, plan


async def read_until_it_breaks(caller: Caller, fault: Fault, **body: object) -> tuple[bytes, Exception | None]:
    """The bytes that arrived, and what the client made of the end."""
    caller.simulator.script(fault)
    received = b""
    try:
        async with caller.request("POST", "/chat/completions", json=chat_body(**body)) as response:
            async for data in response.content.iter_any():
                received += data
    except aiohttp.ClientError as error:
        return received, error
    return received, None


def events_in(received: bytes) -> int:
    return received.count(b"\n\n")


async def test_a_reset_before_headers_is_a_reset(caller: Caller):
    received, error = await read_until_it_breaks(caller, Fault("reset_before_headers"))

    assert received == b""
    assert isinstance(error, aiohttp.ClientOSError)
    assert (await caller.chat()).status == 200
    assert caller.simulator.statistics().served == 1


async def test_a_close_before_headers_is_a_disconnect(caller: Caller):
    _, error = await read_until_it_breaks(caller, Fault("close_before_headers"))

    assert isinstance(error, aiohttp.ServerDisconnectedError)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_reset_after_headers_breaks_the_body(caller: Caller, stream: bool):
    caller.simulator.script(Fault("reset_after_headers"))
    async with caller.request("POST", "/chat/completions", json=chat_body(stream=stream)) as response:
        assert response.status == 200
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ClientPayloadError)):
            await response.read()


@pytest.mark.parametrize("kind", ["reset_mid_event", "close_mid_event"])
@pytest.mark.parametrize("after", [0, 3])
async def test_a_break_in_mid_event_leaves_half_of_it(caller: Caller, kind: str, after: int):
    received, error = await read_until_it_breaks(caller, Fault(kind, after_events=after), stream=True)

    assert error is not None
    assert events_in(received) == after
    assert caller.simulator.statistics().served == 0
    assert not received.endswith(b"\n\n")
    assert b'"usage"' not in received


async def test_a_plain_body_can_break_too(caller: Caller):
    received, error = await read_until_it_breaks(caller, Fault("reset_mid_event"))

    assert error is not None
    assert received.startswith(b'{"id"')
    with pytest.raises(json.JSONDecodeError):
        json.loads(received)


@pytest.mark.parametrize("after", [2, 1000])
@pytest.mark.parametrize(("kind", "finished"), [("eof_before_finish", False), ("eof_without_done", True)])
async def test_a_stream_may_end_cleanly_without_done(caller: Caller, kind: str, finished: bool, after: int):
    received, error = await read_until_it_breaks(caller, Fault(kind, after_events=after), stream=True)

    assert error is None
    assert b"[DONE]" not in received
    assert (b'"finish_reason":"stop"' in received) is finished


async def test_a_stall_delivers_its_events_and_then_nothing(caller: Caller):
    caller.simulator.script(Fault(FaultKind.STALL, after_events=2))
    async with caller.request("POST", "/chat/completions", json=chat_body(stream=True)) as response:
        received = b""
        while events_in(received) < 2:
            received += await response.content.readany()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await response.content.readany()


async def test_a_stall_of_limited_length_goes_on(caller: Caller):
    received, error = await read_until_it_breaks(caller, Fault("stall", seconds=0.01), stream=True)

    assert error is None
    assert received.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(("stream", "idle"), [(True, b": keep-alive\n\n"), (False, b"\n")])
async def test_keep_alives_can_go_on_for_ever(start: Start, stream: bool, idle: bytes):
    caller = await start(keep_alive_interval=0.002)
    caller.simulator.script(Fault("keep_alives_for_ever"))
    async with caller.request("POST", "/chat/completions", json=chat_body(stream=stream)) as response:
        assert response.status == 200
        assert await response.content.readexactly(len(idle) * 5) == idle * 5


async def test_keep_alives_may_follow_content(start: Start):
    caller = await start(keep_alive_interval=0.002)
    caller.simulator.script(Fault("keep_alives_after_content", after_events=1))
    async with caller.request("POST", "/chat/completions", json=chat_body(stream=True)) as response:
        received = b""
        while not received.endswith(COMMENT * 3):
            received += await response.content.readany()
    assert received.startswith(b'data: {"id"')


async def test_a_queued_request_is_served_in_the_end(start: Start):
    caller = await start(keep_alive_interval=0.004)
    received, error = await read_until_it_breaks(caller, Fault("queue", seconds=0.01), stream=True)

    assert error is None
    assert received.startswith(COMMENT * 3 + b"data: ")
    assert received.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("kind", ["byte_by_byte", "slow_chunks"])
@pytest.mark.parametrize("stream", [True, False])
async def test_slicing_changes_no_byte(caller: Caller, kind: str, stream: bool):
    whole = (await caller.chat("Ünïcode 🎉", stream=stream)).body
    sliced, error = await read_until_it_breaks(caller, Fault(kind, seconds=0.0005), content="Ünïcode 🎉", stream=stream)

    assert error is None
    assert without_identity(sliced) == without_identity(whole)


def without_identity(data: bytes) -> list[bytes]:
    return [part.split(b'"choices"', 1)[-1].split(b'"usage"', 1)[0] for part in data.split(b"\n\n")]


async def test_a_malformed_event_sits_between_good_ones(caller: Caller):
    received, _ = await read_until_it_breaks(caller, Fault("malformed_event", after_events=1), stream=True)
    events = received.decode().strip().split("\n\n")

    json.loads(events[0].removeprefix("data: "))
    json.loads(events[2].removeprefix("data: "))
    with pytest.raises(json.JSONDecodeError):
        json.loads(events[1].removeprefix("data: "))


@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_object_may_come_with_status_200(caller: Caller, stream: bool):
    fault = Fault("error_event", after_events=1, message="overloaded", error_code="server_overloaded")
    received, error = await read_until_it_breaks(caller, fault, stream=stream)

    assert error is None
    text = received.decode().split("\n\n")[1 if stream else 0].removeprefix("data: ")
    assert json.loads(text)["error"] == {
        "message": "overloaded", "type": "server_error", "param": None, "code": "server_overloaded"
    }  # fmt: skip


@pytest.mark.parametrize(
    "reason",
    ["stop", "length", "tool_calls", "content_filter", "insufficient_system_resource", "aborted", "moonphase"],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_any_finish_reason_can_be_given(caller: Caller, reason: str, stream: bool):
    caller.simulator.script(Fault("finish_reason", finish_reason=reason))
    reply = await caller.chat(stream=stream)
    last = reply.chunks[-1] if stream else reply.json

    assert last["choices"][0]["finish_reason"] == reason
    assert last["usage"]


async def test_a_success_may_be_empty(caller: Caller):
    caller.simulator.script(Fault("empty_success"))
    choice = (await caller.chat(thinking=...)).json["choices"][0]

    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "stop")


async def test_arguments_may_lack_a_brace(caller: Caller):
    caller.simulator.script(Fault("broken_arguments"))
    (call,) = (await caller.chat("clock", tools=[CLOCK, WEATHER])).json["choices"][0]["message"]["tool_calls"]

    assert call["function"]["arguments"] == "{"


async def test_line_separators_of_unicode_stay_inside_their_event(caller: Caller):
    caller.simulator.script(Fault("line_separator"))
    chunks = (await caller.chat(stream=True)).chunks

    assert "\u2028\u2029\x85" in [chunk["choices"][0]["delta"]["content"] for chunk in chunks]


async def test_usage_may_come_on_a_chunk_without_choices(caller: Caller):
    caller.simulator.script(Fault("usage_on_trailing_chunk"))
    *chunks, trailing = (await caller.chat(stream=True)).chunks

    assert trailing["choices"] == []
    assert trailing["usage"]["total_tokens"] > 0
    assert all(chunk.get("usage") is None for chunk in chunks)


@pytest.mark.parametrize("stream", [True, False])
async def test_usage_may_be_missing(caller: Caller, stream: bool):
    caller.simulator.script(Fault("usage_missing"))
    reply = await caller.chat(stream=stream)

    assert b'"usage"' not in reply.body
    assert b'"finish_reason":"stop"' in reply.body


@pytest.mark.parametrize("stream", [True, False])
async def test_a_body_may_be_whitespace_nothing_or_half_of_itself(caller: Caller, stream: bool):
    caller.simulator.script(Fault("whitespace_body"), Fault("empty_body"), Fault("truncated_json", after_events=1))

    assert (await caller.chat(stream=stream)).body.strip() == b""
    assert (await caller.chat(stream=stream)).body == b""
    assert (await caller.chat(stream=stream)).body[-1:] not in (b"}", b"\n")


async def test_bytes_may_not_be_text(caller: Caller):
    received, _ = await read_until_it_breaks(caller, Fault("invalid_utf8"), stream=True)

    with pytest.raises(UnicodeDecodeError):
        received.decode()


async def test_lines_may_end_in_carriage_returns(caller: Caller):
    caller.simulator.script(Fault("carriage_returns"))
    reply = await caller.chat(stream=True)

    assert reply.body.endswith(b"data: [DONE]\r\n\r\n")
    assert b"}\n" not in reply.body
    assert reply.chunks


async def test_a_stream_may_go_on_after_done(caller: Caller):
    caller.simulator.script(Fault("events_after_done"))
    events = (await caller.chat(stream=True)).events

    assert events.count("[DONE]") == 2
    assert events[-1] == "[DONE]"


async def test_scripted_faults_come_in_order_and_then_all_is_well(caller: Caller):
    caller.simulator.script(Fault("overloaded"), Fault("rate_limit"))
    assert caller.simulator.scripted == 2

    assert [(await caller.chat()).status for _ in range(3)] == [503, 429, 200]
    assert caller.simulator.scripted == 0
    assert caller.simulator.statistics().faulted == 2


async def test_a_header_asks_for_a_fault_with_parameters(caller: Caller):
    reply = await caller.chat(headers={"x-simulate-fault": "rate_limit; current=9; limit=8; retry_after=2.5"})

    assert "concurrency is 9, which exceeds your concurrency limit of 8." in reply.message
    assert reply.headers["Retry-After"] == "2.5"
    unknown = await caller.chat(headers={"x-simulate-fault": "sunspots"})
    assert unknown.status == 400
    assert "sunspots" in unknown.message


async def test_random_faults_repeat_with_the_seed(start: Start):
    kinds = (FaultKind.OVERLOADED, FaultKind.BAD_GATEWAY)

    async def statuses(seed: int) -> list[int]:
        caller = await start(seed=seed, fault_rate=0.5, fault_kinds=kinds)
        return [(await caller.chat()).status for _ in range(30)]

    first = await statuses(1)
    assert first == await statuses(1) != await statuses(2)
    assert set(first) == {200, 502, 503}


async def test_any_fault_that_ends_by_itself_lets_the_server_go_on(start: Start):
    """Every kind, plain and streamed: whatever the client sees, the next request is served."""
    caller = await start(keep_alive_interval=0.001)
    for kind in FaultKind:
        if kind in ENDLESS:
            continue
        for stream in (True, False):
            await read_until_it_breaks(caller, Fault(kind, seconds=0.001), stream=stream)
            assert (await caller.chat()).status == 200
    assert caller.simulator.statistics().in_flight == 0


async def test_faults_reach_the_other_endpoints_too(caller: Caller):
    caller.simulator.script(Fault("bad_gateway"))

    assert (await caller.send("GET", "/models")).status == 502
    caller.simulator.script(Fault("whitespace_body"))
    assert (await caller.send("GET", "/user/balance")).body.strip() == b""
    caller.simulator.script(Fault("truncated_json"))
    body = {"model": "deepseek-flash", "prompt": "x"}
    with pytest.raises(json.JSONDecodeError):
        json.loads((await caller.send("POST", "/beta/completions", json=body)).body)


def test_chance_never_picks_an_endless_fault_or_one_of_uploads():
    chance = FaultPlan(0, 1.0, ())
    drawn = {chance.next({}).kind for _ in range(2000)}

    assert drawn == set(FaultKind) - ENDLESS - OF_UPLOADS


@given(
    kind=st.sampled_from([kind for kind in FaultKind if kind not in ENDLESS | REFUSING]),
    count=st.integers(1, 12),
    after=st.integers(0, 15),
    stream=st.booleans(),
)
def test_every_plan_is_finite_and_breaks_off_at_most_once(kind: FaultKind, count: int, after: int, stream: bool):
    frames = [b'data: {"n":"%d"}\n\n' % number for number in range(count)]
    steps = list(plan(frames, Fault(kind, after_events=after), DeliveryTiming(), stream=stream))

    endings = [step for step in steps if isinstance(step, StreamEnding)]
    assert len(endings) <= 1
    assert not endings or steps[-1] is endings[0]
    assert all(step.seconds < 100 for step in steps if isinstance(step, StreamPause))


def test_a_fault_can_be_written_as_text():
    assert parse_fault("stall") == Fault(FaultKind.STALL)
    assert parse_fault(" stall ; after_events=5; seconds=1.5 ") == Fault("stall", after_events=5, seconds=1.5)
    with pytest.raises(ValueError, match="unknown fault parameter 'colour'"):
        parse_fault("stall; colour=red")
    with pytest.raises(ValueError, match="not a valid FaultKind"):
        Fault("sunspots")
