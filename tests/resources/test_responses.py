"""Responses: what goes out, what comes back, plain and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulating import Simulate
from support.clients import Connect
from support.servers import DONE, LAST_CHUNK, RESET, SILENCE, STREAM_HEAD, Drip, Serve, event, http_chunk, response

from deepseek_async import (
    APIResponseValidationError,
    APIStatusError,
    AsyncDeepSeek,
    InternalServerError,
    InvalidRequestError,
    RateLimitError,
    ResponseStream,
    StreamInterruptedError,
)
from deepseek_async.codec.responses import ResponseReader
from deepseek_async.simulator import Fault, FaultKind

TOOL = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def whole(text: str = "Hello", status: str | None = "completed", **fields: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"type": "message", "id": "m", "role": "assistant", "status": status, "content": content, "mood": "fine"}
    usage = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12, "input_tokens_details": {"cached_tokens": 4}}
    made = {"id": "r", "object": "response", "status": status, "model": "deepseek-flash", "output": [message]}
    return {**made, "error": None, "incomplete_details": None, "usage": usage, **fields}


def delta(text: str) -> bytes:
    return event({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text})


def ending(body: dict[str, Any]) -> bytes:
    return event({"type": f"response.{body['status']}", "response": body})


def events(*pieces: bytes) -> list[bytes]:
    return [STREAM_HEAD + http_chunk(b"".join(pieces)) + LAST_CHUNK]


async def ask(client: AsyncDeepSeek, **parameters: Any) -> Any:
    return await client.responses.create(**{"model": "deepseek-flash", "input": "Hello", **parameters})


async def collected(client: AsyncDeepSeek, **parameters: Any) -> tuple[ResponseStream, list[Any]]:
    async with await ask(client, stream=True, **parameters) as stream:
        return stream, [chunk async for chunk in stream]


async def test_an_answer_has_its_text_its_steps_and_its_usage(client: AsyncDeepSeek):
    done = await ask(client, instructions="Be short.", reasoning={"effort": "low"})
    assert done.output_text.startswith("Answer to: Hello")
    assert [item.type for item in done.output] == ["reasoning", "message"]
    assert done.output[0].text
    used = done.tokens_used()
    assert used.total_tokens == done.usage.total_tokens == used.prompt_tokens + used.completion_tokens
    assert done.usage.output_tokens_details.reasoning_tokens > 0
    assert done.parallel_tool_calls is True


async def test_a_stream_ends_with_its_own_event_and_gives_the_same_answer(client: AsyncDeepSeek):
    plain = await ask(client)
    stream, chunks = await collected(client)
    assert (chunks[0].type, chunks[-1].type) == ("response.created", "response.completed")
    text = "".join(chunk.delta for chunk in chunks if chunk.type == "response.output_text.delta")
    assert text == stream.response.output_text == plain.output_text
    assert stream.response.usage.total_tokens == plain.usage.total_tokens
    assert stream.response.store is False


async def test_the_context_manager_streams_too(client: AsyncDeepSeek):
    async with client.responses.stream(model="deepseek-flash", input="Hello") as stream:
        assert [chunk async for chunk in stream][-1].type == "response.completed"


async def test_parameters_go_out_under_their_own_names(serve: Serve, connect: Connect):
    server = await serve([response(whole())])
    done = await ask(connect(server), max_output_tokens=5, store=False, extra_body={"x": 1}, extra_headers={"X-A": "1"})
    wanted = {"model": "deepseek-flash", "input": "Hello", "max_output_tokens": 5, "store": False, "x": 1}
    assert (server.requests[0].json(), server.requests[0].header("x-a")) == (wanted, "1")
    assert server.requests[0].path == "/responses"
    assert done.output[0].mood == "fine"
    assert done.tokens_used().cached_tokens == 4


@pytest.mark.parametrize("wrong", [{"model": ""}, {"input": ""}, {"input": []}, {"input": {"role": "user"}}])
async def test_what_cannot_be_sent_is_refused_before_anything_is(serve: Serve, connect: Connect, wrong: dict):
    server = await serve([response(whole())])
    with pytest.raises(InvalidRequestError):
        await ask(connect(server), **wrong)
    assert server.requests == []


async def test_functions_are_called_and_their_results_go_back(client: AsyncDeepSeek):
    asked = [{"role": "user", "content": "Ask weather"}]
    first = await ask(client, input=asked, tools=[TOOL])
    call = first.output[-1]
    assert (call.type, call.name) == ("function_call", "weather")
    stream, _ = await collected(client, input=asked, tools=[TOOL])
    assert stream.response.output[-1].arguments == call.arguments
    result = {"type": "function_call_output", "call_id": call.call_id, "output": json.dumps({"sky": "blue"})}
    turns = [*asked, *(item.to_dict() for item in first.output), result]
    assert (await ask(client, input=turns, tools=[TOOL])).output_text


async def test_a_cap_makes_an_answer_incomplete_and_is_no_error(client: AsyncDeepSeek):
    wanted = {"max_output_tokens": 3, "reasoning": {"effort": "none"}}
    plain = await ask(client, **wanted)
    stream, _ = await collected(client, **wanted)
    for done in (plain, stream.response):
        assert (done.status, done.incomplete_details.reason) == ("incomplete", "max_output_tokens")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("code", "kind"),
    [("server_error", InternalServerError), ("rate_limit_exceeded", RateLimitError), (None, InternalServerError)],
)
async def test_a_failed_answer_is_an_error(serve: Serve, connect: Connect, stream: bool, code: str, kind: type):
    error = None if code is None else {"code": code, "message": "no luck"}
    failed = whole("half", "failed", error=error)
    server = await serve(events(delta("half"), ending(failed)) if stream else [response(failed)])
    client = connect(server, retry=1)
    if code is None and not stream:
        kind = StreamInterruptedError
    with pytest.raises(kind) as caught:
        await (collected(client) if stream else ask(client))
    assert caught.value.text == "half"


async def test_a_generation_that_was_given_up_is_tried_again(simulate: Simulate, connect: Connect):
    simulator = await simulate()
    for stream in (False, True):
        simulator.script(Fault(FaultKind.FINISH_REASON, finish_reason="aborted", after_events=0))
        client = connect(simulator.base_url)
        if stream:
            found, _ = await collected(client, reasoning={"effort": "none"})
            assert found.attempts == 2
        else:
            assert (await ask(client)).output_text
    assert len(simulator.requests) == 4


@pytest.mark.parametrize("script", [[STREAM_HEAD, RESET], events(ending(whole("")))], ids=["reset", "empty"])
async def test_a_fault_before_the_first_text_is_retried_unseen(serve: Serve, connect: Connect, script: list):
    server = await serve(script, events(delta("Hello"), ending(whole())))
    stream, chunks = await collected(connect(server))
    assert [chunk.type for chunk in chunks] == ["response.output_text.delta", "response.completed"]
    assert (stream.attempts, stream.response.output_text) == (2, "Hello")


@pytest.mark.parametrize("output", [[], None])
async def test_items_that_came_before_the_ending_are_not_lost_if_it_repeats_none(
    serve: Serve, connect: Connect, output: list | None
):
    call = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}", "status": "completed"}
    done = event({"type": "response.output_item.done", "output_index": 1, "item": call})
    server = await serve(events(delta("Hel"), delta("lo"), done, ending(whole("", output=output))))
    stream, _ = await collected(connect(server))
    assert stream.response.output_text == "Hello"
    assert [item.type for item in stream.response.output] == ["message", "function_call"]
    assert stream.response.to_dict()["output"][1]["call_id"] == "call_1"
    assert len(server.requests) == 1


@pytest.mark.parametrize("last", [[RESET], [http_chunk(DONE) + LAST_CHUNK], [LAST_CHUNK]], ids=["reset", "done", "end"])
async def test_a_break_in_the_text_tells_what_had_come(serve: Serve, connect: Connect, last: list):
    begun = event({"type": "response.created", "response": whole("", "in_progress", output=[])})
    server = await serve([STREAM_HEAD + http_chunk(begun + delta("Hel") + delta("lo")), *last])
    stream = await ask(connect(server), stream=True)
    with pytest.raises(StreamInterruptedError) as caught:
        _ = [chunk async for chunk in stream]
    assert (caught.value.text, stream.partial.output_text, stream.partial.id) == ("Hello", "Hello", "r")
    assert len(server.requests) == 1


async def test_a_text_without_end_is_stopped_when_it_is_longer_than_any_answer(serve: Serve, connect: Connect):
    server = await serve([STREAM_HEAD, Drip(http_chunk(delta("x" * 1_000_000)), 0)])
    with pytest.raises(StreamInterruptedError, match=r"exceeds 33,554,432 characters"):
        await collected(connect(server))
    assert len(server.requests) == 1


async def test_leaving_early_frees_the_place_at_once(serve: Serve, connect: Connect):
    server = await serve([STREAM_HEAD + http_chunk(delta("Hel")), SILENCE], [response(whole())])
    client = connect(server, max_concurrency=1)
    async with await ask(client, stream=True) as stream:
        async for _ in stream:
            break
    assert stream.partial.output_text == "Hel"
    assert (await ask(client)).output_text == "Hello"


@pytest.mark.parametrize(
    "wrong",
    [event({"type": "error", "code": "server_error", "message": "x"}), event({"error": {"message": "x"}})],
)
async def test_an_error_event_is_an_error(serve: Serve, connect: Connect, wrong: bytes):
    server = await serve(events(delta("a"), wrong))
    with pytest.raises(APIStatusError, match="x"):
        await collected(connect(server))


async def test_an_error_in_the_place_of_a_stream_is_explained(serve: Serve, connect: Connect):
    error = {"error": {"message": "slow down", "type": "rate_limit_error"}}
    server = await serve([response(error)])
    with pytest.raises(RateLimitError, match="slow down"):
        await collected(connect(server, retry=1))


@pytest.mark.parametrize("body", [whole(""), whole("x", None), whole("x", "in_progress"), {"error": {"message": "x"}}])
async def test_what_is_no_answer_is_not_returned(serve: Serve, connect: Connect, body: dict):
    server = await serve([response(body)])
    with pytest.raises((APIResponseValidationError, StreamInterruptedError, InternalServerError)):
        await ask(connect(server, retry=1))


@given(st.lists(st.text(max_size=4), max_size=5), st.integers(1, 9))
def test_bytes_split_anywhere_give_the_same_answer(texts: list[str], size: int):
    stream = b"".join(map(delta, texts)) + b": keep-alive\n\n"
    reader = ResponseReader()
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
    assert reader.answer().output_text == "".join(texts)
    assert not reader.halted
    reader.feed(ending(whole("".join(texts))))
    assert reader.done
    assert (reader.fault(progressed=True) is None) == any(texts)


def test_calls_and_reasoning_that_broke_off_are_in_what_is_left():
    call = {"type": "function_call", "name": "f", "call_id": "c", "arguments": ""}
    reader = ResponseReader()
    reader.feed(
        event({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning"}})
        + event({"type": "response.reasoning_text.delta", "output_index": 0, "delta": "hm"})
        + event({"type": "response.output_item.added", "output_index": 1, "item": call})
        + event({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '{"a'}),
    )
    thought, made = reader.answer().output
    assert (thought.text, made.name, made.arguments) == ("hm", "f", '{"a')
