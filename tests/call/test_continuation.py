"""A stream of text that the network cut off goes on, once, when the caller has asked for that."""

from __future__ import annotations

from typing import Any

import pytest
from support.clients import Connect
from support.servers import (
    CLOSE,
    DONE,
    LAST_CHUNK,
    OPENING,
    RESET,
    SILENCE,
    Drip,
    Script,
    Serve,
    begun,
    chunk,
    ending,
    event,
    http_chunk,
    response,
    said,
)
from support.waiting import until

from deepseek_async import (
    APIError,
    AsyncDeepSeek,
    BadRequestError,
    InvalidRequestError,
    Limits,
    StreamInterruptedError,
    Timeouts,
)
from deepseek_async.simulator import Simulator, SimulatorSettings
from deepseek_async.simulator.faults import Fault

ASKED = [{"role": "user", "content": "question"}]
TEXT = "The quick brown fox jumps over the lazy dog, and then it does so again."
CUTS: list[Script] = [
    [begun(OPENING, said(TEXT)), RESET],
    [begun(OPENING, said(TEXT)), CLOSE],
    [begun(OPENING, said(TEXT)) + LAST_CHUNK],
]
REST: Script = [begun(OPENING, said(" And again."), ending(), DONE) + LAST_CHUNK]


async def read(client: AsyncDeepSeek, **parameters: Any) -> tuple[str, Any]:
    async with client.chat.completions.stream(
        **{"model": "deepseek-flash", "messages": ASKED, "resume": "prefix", **parameters}
    ) as stream:
        return "".join([text async for text in stream.text_deltas()]), stream


@pytest.mark.parametrize("cut", CUTS, ids=["reset", "broken off", "ended"])
async def test_a_cut_text_goes_on_from_where_it_stopped(serve: Serve, connect: Connect, cut: Script):
    server = await serve(cut, REST)
    text, stream = await read(connect(server), thinking=False, max_tokens=100)

    assert text == stream.completion.choices[0].message.content == f"{TEXT} And again."
    assert stream.resumed
    assert stream.completion.resumed
    assert stream.completion.choices[0].finish_reason == "stop"
    assert stream.attempts == 2
    first, second = server.requests
    assert (first.path, second.path) == ("/chat/completions", "/beta/chat/completions")
    prefix = {"role": "assistant", "content": TEXT, "prefix": True}
    rest = second.json()
    assert rest["messages"] == [*ASKED, prefix]
    assert 70 < rest.pop("max_tokens") < 90
    assert {**rest, "messages": ASKED, "max_tokens": 100} == first.json()


async def test_the_reasoning_goes_along(serve: Serve, connect: Connect):
    thought = event(chunk({"reasoning_content": "Let me think."}))
    server = await serve([begun(OPENING, thought, said(TEXT)), RESET], REST)
    _, stream = await read(connect(server))

    assert server.requests[1].json()["messages"][-1]["reasoning_content"] == "Let me think."
    assert stream.completion.choices[0].message.reasoning_content == "Let me think."


async def test_a_silent_stream_goes_on_too(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING, said(TEXT)), SILENCE], REST)
    text, _ = await read(connect(server, timeout=Timeouts(stall=0.05)))

    assert text == f"{TEXT} And again."


async def test_it_goes_on_once_and_the_error_then_has_all_that_came(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING, said(TEXT)), RESET])
    with pytest.raises(StreamInterruptedError) as caught:
        await read(connect(server))
    assert caught.value.text == TEXT + TEXT
    assert len(server.requests) == 2


async def test_the_second_response_has_the_size_limits_of_the_first(serve: Serve, connect: Connect):
    endless = [begun(OPENING), Drip(http_chunk(b"data: x\n" * 9_000), 0)]
    server = await serve([begun(OPENING, said(TEXT)), RESET], endless)
    with pytest.raises(StreamInterruptedError, match="exceeds 50,000 bytes") as caught:
        await read(connect(server, limits=Limits(event=50_000)))
    assert caught.value.text == TEXT


async def test_a_continuation_that_is_refused_leaves_the_first_error_with_its_text(serve: Serve, connect: Connect):
    refusal = response({"error": {"message": "no prefix here", "type": "invalid_request_error"}}, 400)
    server = await serve([begun(OPENING, said(TEXT)), RESET], [refusal])
    with pytest.raises(StreamInterruptedError) as caught:
        await read(connect(server))
    assert caught.value.text == TEXT
    assert isinstance(caught.value.__cause__, BadRequestError)


TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    "parameters",
    [
        {"resume": None},
        {"tools": [TOOL]},
        {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "json"}]},
        {"stop": ["x"]},
        {"logprobs": True},
        {"messages": [*ASKED, {"role": "assistant", "content": "So", "prefix": True}]},
    ],
)
async def test_only_plain_text_that_was_asked_to_goes_on(serve: Serve, connect: Connect, parameters: dict[str, Any]):
    server = await serve([begun(OPENING, said(TEXT)), RESET])
    with pytest.raises(StreamInterruptedError):
        await read(connect(server), **parameters)
    assert len(server.requests) == 1


CALL = event(chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}]}))


@pytest.mark.parametrize(
    "script",
    [
        [begun(OPENING, said(TEXT[:63])), RESET],
        [begun(OPENING, event(chunk({"reasoning_content": TEXT}))), RESET],
        [begun(OPENING, said(TEXT), CALL), RESET],
        [begun(OPENING, said(TEXT), ending("insufficient_system_resource"), DONE) + LAST_CHUNK],
        [begun(OPENING, said(TEXT), ending("who knows"), DONE) + LAST_CHUNK],
        [begun(OPENING, said(TEXT), event({"error": {"message": "overloaded", "code": 503}}))],
        [begun(OPENING, said(TEXT), b"data: {broken\n\n")],
    ],
    ids=["short", "reasoning", "tool call", "gave up", "unknown reason", "error event", "garbage"],
)
async def test_what_is_no_cut_in_plain_text_does_not_go_on(serve: Serve, connect: Connect, script: Script):
    server = await serve(script)
    with pytest.raises(APIError):
        await read(connect(server))
    assert len(server.requests) == 1


async def test_leaving_a_resumed_stream_early_frees_its_connection(serve: Serve, connect: Connect):
    server = await serve([begun(OPENING, said(TEXT)), RESET], [begun(OPENING, said("a"), said("b")), SILENCE])
    client = connect(server)
    async with client.chat.completions.stream(model="deepseek-flash", messages=ASKED, resume="prefix") as stream:
        texts = stream.text_deltas()
        assert [await anext(texts), await anext(texts)] == [TEXT, "a"]
    await until(lambda: client._context.caller().account_limiter.in_flight == 0)


@pytest.mark.parametrize("parameters", [{"resume": "prefix"}, {"resume": "again", "stream": True}])
async def test_resume_is_for_streams_and_has_one_way(connect: Connect, parameters: dict[str, Any]):
    with pytest.raises(InvalidRequestError, match="resume"):
        await connect("http://127.0.0.1:1").chat.completions.create(
            model="deepseek-flash", messages=ASKED, **parameters
        )


@pytest.mark.parametrize("fault", ["reset_mid_event", "eof_before_finish", "close_mid_event"])
async def test_the_simulators_cut_streams_go_on(connect: Connect, fault: str):
    async with Simulator(SimulatorSettings(seed=3, answer_tokens=200)) as simulator:
        simulator.script(Fault(fault, after_events=60))
        client = connect(simulator.base_url)
        text, stream = await read(client, thinking=False)
        assert stream.resumed
        assert text.startswith("Answer to: question")
        assert [request.path for request in simulator.requests] == ["/chat/completions", "/beta/chat/completions"]
        assert text.startswith(simulator.requests[1].body["messages"][-1]["content"])
        await client.aclose()
