"""Messages: what goes out, what comes back, plain and streamed, and how it ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from simulating import Simulate
from support.clients import AT_ONCE, Connect
from support.servers import LAST_CHUNK, RESET, SILENCE, STREAM_HEAD, Serve, http_chunk, response

from deepseek_async import (
    APIResponseValidationError,
    APIStatusError,
    AsyncDeepSeek,
    BadRequestError,
    ContentRiskError,
    IgnoredParameterWarning,
    InvalidRequestError,
    Message,
    MessageStream,
    RateLimitError,
    RetryPolicy,
    ServerOverloadedError,
    StreamInterruptedError,
    Timeouts,
)
from deepseek_async.admission.budget import Budget
from deepseek_async.content import ContentFilter
from deepseek_async.simulator import Fault, FaultKind, Simulator
from deepseek_async.types.json_text import write

OFF_PEAK = 1_795_608_000.0
SECRET = "sk-" + "a1B2" * 8
TURNS = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
USAGE = {"input_tokens": 44, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 256, "output_tokens": 3}


def event(data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (data["type"].encode(), write(data))


def begun(name: str = "m") -> bytes:
    message = {"id": name, "type": "message", "role": "assistant", "model": "deepseek-flash", "content": []}
    usage = {**USAGE, "output_tokens": 0}
    return event({"type": "message_start", "message": {**message, "stop_reason": None, "usage": usage}})


OPENING = event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
PING = event({"type": "ping"})
CLOSING = event({"type": "content_block_stop", "index": 0})
STOP = event({"type": "message_stop"})


def delta(text: str) -> bytes:
    return event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})


def reason(stop_reason: str = "end_turn", **fields: Any) -> bytes:
    ending = {"stop_reason": stop_reason, "stop_sequence": None, **fields}
    return event({"type": "message_delta", "delta": ending, "usage": USAGE})


WHOLE = [begun(), OPENING, PING, delta("Hel"), delta("lo"), CLOSING, reason(), STOP]


def events(*pieces: bytes) -> list[bytes]:
    return [STREAM_HEAD + http_chunk(b"".join(pieces)) + LAST_CHUNK]


def whole(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    made = {"id": "m", "type": "message", "role": "assistant", "model": "deepseek-flash", "stop_reason": "end_turn"}
    return {**made, "content": [{"type": "text", "text": text, "mood": "fine"}], "usage": USAGE, **fields}


async def ask(client: AsyncDeepSeek, **parameters: Any) -> Any:
    return await client.messages.create(**{"model": "deepseek-flash", "messages": TURNS, **parameters})


async def collected(client: AsyncDeepSeek, **parameters: Any) -> tuple[MessageStream, list[Any]]:
    async with await ask(client, stream=True, **parameters) as stream:
        return stream, [each async for each in stream]


async def test_an_answer_has_its_blocks_its_ending_and_its_usage(client: AsyncDeepSeek):
    done = await ask(client)
    assert isinstance(done, Message)
    assert [block.type for block in done.content] == ["thinking", "text"]
    assert done.content[0].signature
    assert done.content[1].text == done.text
    assert done.text.startswith("Answer to: Hello")
    assert (done.stop_reason, done.stop_sequence, done.usage.service_tier) == ("end_turn", None, "standard")


async def test_a_stream_gives_the_same_answer(client: AsyncDeepSeek):
    plain = await ask(client)
    async with client.messages.stream(model="deepseek-flash", messages=TURNS) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text == final.text == plain.text
    assert final.content[0].thinking == plain.content[0].thinking
    assert final.usage.output_tokens == plain.usage.output_tokens


async def test_events_come_as_the_server_sent_them(serve: Serve, connect: Connect):
    server = await serve(events(*WHOLE))
    stream, came = await collected(connect(server))
    assert b"".join(map(event, (each.to_dict() for each in came))) == b"".join(WHOLE)
    assert [each.delta.text for each in came if each.type == "content_block_delta"] == ["Hel", "lo"]
    assert (stream.message.text, stream.message.usage.cache_read_input_tokens) == ("Hello", 256)


async def test_parameters_go_out_under_their_own_names(serve: Serve, connect: Connect):
    server = await serve([response(whole())])
    done = await ask(connect(server), max_tokens=5, system="Be short.", odd=3, extra_body={"top_k": 1}, betas=["a"])
    received = server.requests[0]
    wanted = {
        "model": "deepseek-flash",
        "messages": TURNS,
        "max_tokens": 5,
        "system": "Be short.",
        "odd": 3,
        "top_k": 1,
    }
    assert (received.json(), received.path, received.header("anthropic-beta")) == (
        wanted,
        "/anthropic/v1/messages",
        "a",
    )
    assert done.content[0].mood == "fine"


@pytest.mark.parametrize("base", ["", "/v1", "/beta", "/anthropic", "/anthropic/v1"])
async def test_the_path_stands_beside_every_base(simulate: Simulate, connect: Connect, base: str):
    simulator = await simulate()
    await ask(connect(simulator.base_url + base))
    assert simulator.requests[0].path == "/anthropic/v1/messages"


async def test_a_server_of_this_format_alone_is_told_its_version(serve: Serve, connect: Connect):
    server = await serve([response(whole())])
    client = connect("http://127.0.0.1:1", endpoints={"messages": f"{server.url}/v1"})
    await ask(client)
    assert server.requests[0].path == "/v1/messages"
    assert server.requests[0].header("anthropic-version") == "2023-06-01"


async def test_files_are_sent_with_the_beta_that_they_need(serve: Serve, connect: Connect):
    server = await serve([response(whole())])
    document = {"type": "document", "source": {"type": "file", "file_id": "file-api-1"}}
    turns = [{"role": "user", "content": [document, document]}]
    await ask(connect(server), messages=turns, extra_headers={"Anthropic-Beta": "mine"})
    assert server.requests[0].header("anthropic-beta") == "mine,files-api-2025-04-14"


@pytest.mark.parametrize("wrong", [{"model": ""}, {"messages": []}, {"messages": "Hi"}, {"messages": {"role": "user"}}])
async def test_what_cannot_be_sent_is_refused_before_anything_is(serve: Serve, connect: Connect, wrong: dict):
    server = await serve([response(whole())])
    with pytest.raises(InvalidRequestError):
        await ask(connect(server), **wrong)
    assert server.requests == []


async def test_what_the_service_would_refuse_is_told_before_it_is_sent(serve: Serve, connect: Connect):
    server = await serve([response(whole())], [response(whole())])
    client = connect(server)
    tools = [{"type": "custom", **WEATHER}]
    with pytest.raises(InvalidRequestError, match=r"tools\[0\].type: 'custom' is rejected"):
        await ask(client, tools=tools, lint="error")
    assert server.requests == []
    await ask(client, tools=tools, temperature=3, lint="fix")
    assert (server.requests[0].json()["tools"], server.requests[0].json()["temperature"]) == ([WEATHER], 2)
    assert tools[0]["type"] == "custom"
    with pytest.warns(IgnoredParameterWarning, match="top_k"):
        await ask(client, top_k=3)


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_are_called_and_the_answer_goes_back_as_it_came(simulate: Simulate, connect: Connect, stream: bool):
    simulator = await simulate(unknown_blocks=True)
    client = connect(simulator.base_url)
    turns: list[dict[str, Any]] = [{"role": "user", "content": "Ask weather"}]
    asked = {"model": "deepseek-v4-pro", "tools": [WEATHER]}
    done = (await collected(client, messages=turns, **asked))[0].message if stream else None
    first = done or await ask(client, messages=turns, **asked)
    call = first.content[-1]
    assert (first.stop_reason, call.name, set(call.input)) == ("tool_use", "weather", {"city"})
    assert first.content[1].to_dict() == {
        "type": "weather_report",
        "celsius": 7,
        "places": [{"name": "Oslo", "seen": None}],
        "sky": "grey",
    }
    turns.append({"role": "assistant", "content": first.content})
    turns.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "rain"}]})
    assert (await ask(client, messages=turns, **asked)).stop_reason == "end_turn"
    assert simulator.requests[-1].body["messages"][1]["content"] == [block.to_dict() for block in first.content]


@pytest.mark.parametrize("stop_reason", ["refusal", "pause_turn", "max_tokens", "a_word_of_2027"])
async def test_every_stop_reason_is_handed_out_once(serve: Serve, connect: Connect, stop_reason: str):
    server = await serve(
        [response(whole(stop_reason=stop_reason))],
        events(begun(), OPENING, delta("Hel"), CLOSING, reason(stop_reason, title="Hi"), STOP),
    )
    client = connect(server, retry=AT_ONCE)
    assert (await ask(client)).stop_reason == stop_reason
    stream, _ = await collected(client)
    assert (stream.message.stop_reason, stream.message.title) == (stop_reason, "Hi")
    assert stream.refused == (stop_reason == "refusal")
    assert len(server.requests) == 2


def cuts() -> list[list[Any]]:
    """A connection that breaks, closes or ends its body in order after each event before the last."""
    made: list[list[Any]] = []
    for number in range(len(WHOLE)):
        sent = STREAM_HEAD + (http_chunk(b"".join(WHOLE[:number])) if number else b"")
        made += [[sent, RESET], [sent], [sent + LAST_CHUNK]]
    return made


@pytest.mark.parametrize("script", cuts())
async def test_a_stream_without_its_end_is_never_an_answer(serve: Serve, connect: Connect, script: list):
    shown = b"Hel" in b"".join(piece for piece in script if isinstance(piece, bytes))
    server = await serve(script, events(begun("second"), *WHOLE[1:]))
    stream = await ask(connect(server, retry=AT_ONCE), stream=True)
    came: list[Any] = []
    if not shown:
        came = [each async for each in stream]
        assert [each.type for each in came][:2] == ["message_start", "content_block_start"]
        assert (stream.message.text, stream.message.id, stream.attempts) == ("Hello", "second", 2)
        return
    with pytest.raises(StreamInterruptedError) as caught:
        came += [each async for each in stream]
    partial = caught.value.partial
    assert isinstance(partial, Message)
    assert partial.id == "m"
    assert partial.content[0].text == partial.text == caught.value.text == stream.partial.text
    assert partial.text in {"Hel", "Hello"}
    assert len(server.requests) == 1


async def test_a_block_that_is_open_at_the_end_is_a_cut_answer(serve: Serve, connect: Connect):
    server = await serve(events(begun(), OPENING, delta("Hel"), reason(), STOP))
    with pytest.raises(StreamInterruptedError, match="inside a content block"):
        await collected(connect(server, retry=AT_ONCE))


async def test_an_end_without_text_is_asked_again(serve: Serve, connect: Connect):
    server = await serve(events(begun(), OPENING, CLOSING, reason(), STOP), events(*WHOLE))
    stream, came = await collected(connect(server, retry=AT_ONCE))
    assert [each.type for each in came].count("message_start") == 1
    assert (stream.message.text, stream.attempts) == ("Hello", 2)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("overloaded_error", ServerOverloadedError),
        ("rate_limit_error", RateLimitError),
        ("invalid_request_error", BadRequestError),
        ("api_error", APIStatusError),
        ("an_error_of_2027", APIStatusError),
    ],
)
async def test_an_error_event_is_an_error(serve: Serve, connect: Connect, kind: str, wanted: type):
    error = {"type": "error", "error": {"type": kind, "message": "no luck"}}
    server = await serve(events(begun(), OPENING, delta("Hel"), event(error)), [response(error)])
    with pytest.raises(wanted, match="no luck") as caught:
        await collected(connect(server, retry=1))
    assert caught.value.text == "Hel"
    with pytest.raises(wanted, match="no luck"):
        await ask(connect(server, retry=1))


@pytest.mark.parametrize("anthropic_errors", [False, True])
async def test_errors_are_read_in_either_envelope(simulate: Simulate, connect: Connect, anthropic_errors: bool):
    simulator = await simulate(anthropic_errors=anthropic_errors)
    client = connect(simulator.base_url, retry=1)
    with pytest.raises(BadRequestError, match="unknown variant `wizard`"):
        await ask(client, messages=[{"role": "wizard", "content": "x"}])
    simulator.script(Fault(FaultKind.RATE_LIMIT))
    with pytest.raises(RateLimitError) as caught:
        await ask(client)
    assert caught.value.type == "rate_limit_error"


@pytest.mark.parametrize(
    "body", [{}, whole(stop_reason=None), whole(""), {"error": {"message": "x"}}, whole(content=[])]
)
async def test_what_is_no_answer_is_not_returned(serve: Serve, connect: Connect, body: dict):
    server = await serve([response(body)])
    with pytest.raises((APIResponseValidationError, StreamInterruptedError, APIStatusError)):
        await ask(connect(server, retry=1))


async def test_an_error_beside_a_message_without_its_end_is_told(serve: Serve, connect: Connect):
    error = {"type": "rate_limit_error", "message": "slow down"}
    server = await serve([response(whole(stop_reason=None, error=error))], [response(whole())])
    with pytest.raises(RateLimitError, match="slow down") as caught:
        await ask(connect(server, retry=RetryPolicy(max_attempts=1)))
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hello"


@pytest.mark.parametrize("error", ["Content Exists Risk", {"message": "Content Exists Risk"}], ids=["text", "object"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_refusal_in_a_200_is_not_asked_again_whatever_its_form(
    serve: Serve, connect: Connect, error: Any, stream: bool
):
    server = await serve([response({"error": error})])
    client = connect(server, retry=AT_ONCE)
    with pytest.raises(ContentRiskError):
        await (collected(client) if stream else ask(client))
    assert len(server.requests) == 1


async def test_a_whole_message_in_the_place_of_a_stream_is_taken(serve: Serve, connect: Connect):
    server = await serve([response(whole())])
    stream, came = await collected(connect(server))
    assert came[-1].type == "message_stop"
    assert stream.message.content[0].to_dict() == whole()["content"][0]


async def test_a_stream_in_the_place_of_a_message_is_taken(serve: Serve, connect: Connect):
    server = await serve(events(*WHOLE[:-1]), events(*WHOLE))
    assert (await ask(connect(server, retry=AT_ONCE))).text == "Hello"
    assert len(server.requests) == 2


async def test_leaving_early_frees_the_place_at_once(serve: Serve, connect: Connect):
    server = await serve([STREAM_HEAD + http_chunk(b"".join(WHOLE[:4])), SILENCE], [response(whole())])
    client = connect(server, max_concurrency=1)
    async with await ask(client, stream=True) as stream:
        async for _ in stream.text_stream:
            break
    assert stream.partial.text == "Hel"
    assert (await ask(client)).text == "Hello"


async def test_with_raw_response(serve: Serve, connect: Connect):
    server = await serve([response(whole(), x_ds_trace_id="t1")], events(*WHOLE))
    raw = connect(server).messages.with_raw_response
    one = await raw.create(model="deepseek-flash", messages=TURNS)
    assert (one.parse().text, one.status_code, one.request_id) == ("Hello", 200, "t1")
    stream = (await raw.create(model="deepseek-flash", messages=TURNS, stream=True)).parse()
    assert (await stream.get_final_text()) == "Hello"


async def test_a_secret_that_comes_in_pieces_is_not_let_out(serve: Serve, connect: Connect):
    pieces = [SECRET[place : place + 5] for place in range(0, len(SECRET), 5)]
    odd = [
        event({"type": "content_block_delta", "index": 0, "delta": {"type": "x_delta", "x": piece}}) for piece in pieces
    ]
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"title": f"key {SECRET}"}]}
    blocks = [
        event({"type": "content_block_start", "index": 1, "content_block": found}),
        event({"type": "content_block_stop", "index": 1}),
    ]
    sent = [begun(), OPENING, *map(delta, pieces), PING, delta(" and more"), *odd, CLOSING, *blocks, reason(), STOP]
    server = await serve(events(*sent))
    stream, came = await collected(connect(server, content_filter=True))
    assert SECRET not in "".join(each.delta.text for each in came if getattr(each.delta, "text", ""))
    assert SECRET not in "".join(str(each.to_dict()) for each in came) + str(stream.message.to_dict())
    assert stream.message.text == "[api_key] and more"
    assert stream.message.content[0].x == "[api_key]"
    assert stream.message.content[1].content == [{"title": "key [api_key]"}]


async def test_signatures_and_pictures_are_sent_as_they_are_under_a_filter(simulate: Simulate, connect: Connect):
    simulator = await simulate()
    signed = {"type": "thinking", "thinking": "hm", "signature": SECRET}
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": SECRET}}
    call = {"type": "tool_use", "id": "c", "name": "weather", "input": {"signature": SECRET, "data": SECRET}}
    result = {"type": "tool_result", "tool_use_id": "c", "content": "x"}
    turns = [
        {"role": "assistant", "content": [signed, call]},
        {"role": "user", "content": [result, picture]},
    ]
    client = connect(simulator.base_url, content_filter=ContentFilter())
    await ask(client, messages=turns, tools=[WEATHER])
    first, second = (turn["content"] for turn in simulator.requests[0].body["messages"])
    assert (first[0], second[1]) == (signed, picture)
    assert SECRET not in str(first[1])


async def test_pauses_and_refusals_are_not_kept_in_the_cache(serve: Serve, connect: Connect):
    script = [[response(whole(stop_reason=word))] for word in ("refusal", "pause_turn", "end_turn")]
    server = await serve(*script)
    client = connect(server, cache=True)
    answers = [await ask(client, temperature=0, thinking={"type": "disabled"}) for _ in range(4)]
    assert [answer.cached for answer in answers] == [None, None, None, "memory"]
    assert answers[3].to_dict() == answers[2].to_dict()


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_service_found_is_not_taken_for_words_of_the_model(serve: Serve, connect: Connect, stream: bool):
    page = {"type": "web_search_result", "url": "https://example.org", "title": "A", "encrypted_content": "x" * 300_000}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [page]}
    block = event({"type": "content_block_start", "index": 1, "content_block": found})
    closing = event({"type": "content_block_stop", "index": 1})
    whole_stream = events(*WHOLE[:-2], block, closing, *WHOLE[-2:])
    content = [found, {"type": "text", "text": "Hello"}]
    server = await serve(whole_stream if stream else [response(whole(content=content))])
    client = connect(server)
    done = (await collected(client))[0].message if stream else await ask(client)
    assert (done.usage.output_tokens, done.usage.corrected) == (3, None)


def total(simulator: Simulator) -> tuple[int, int, int]:
    ledger = simulator.ledger
    return ledger.prompt_tokens, ledger.cache_hit_tokens, ledger.completion_tokens


async def test_what_is_accounted_is_what_was_billed(simulate: Simulate, connect: Connect):
    simulator = await simulate()
    budget = Budget(10.0, path=":memory:", clock=lambda: OFF_PEAK)
    client = connect(simulator.base_url, budget=budget, retry=AT_ONCE)
    answers: list[Message] = []
    turns = [{"role": "user", "content": "word " * 1000}]
    for number in range(6):
        if number % 2:
            answers.append((await collected(client, messages=turns))[0].message)
        else:
            answers.append(await ask(client, messages=turns))
    used = [answer.tokens_used() for answer in answers]
    assert total(simulator) == tuple(
        sum(getattr(each, name) for each in used)
        for name in ("prompt_tokens", "prompt_cache_hit_tokens", "completion_tokens")
    )
    assert 10.0 - budget.remaining == pytest.approx(simulator.ledger.dollars)
    await budget.aclose()


@pytest.mark.parametrize("kind", ["reset_mid_event", "eof_before_finish", "eof_without_done", "error_event", "stall"])
async def test_what_broke_off_is_accounted_for_no_less_than_it_was_billed(
    simulate: Simulate, connect: Connect, kind: str
):
    simulator = await simulate()
    budget = Budget(10.0, path=":memory:", clock=lambda: OFF_PEAK)
    client = connect(simulator.base_url, budget=budget, retry=AT_ONCE)
    for after in (0, 1, 3, 8, 20):
        simulator.script(Fault(kind, after_events=after, seconds=0.0))
        with suppress(StreamInterruptedError, APIStatusError):
            await collected(client)
    await simulator.until(lambda now: now.in_flight == 0)
    assert 10.0 - budget.remaining >= simulator.ledger.dollars - 1e-12
    await budget.aclose()


async def test_a_stall_between_blocks_ends_at_its_timer(serve: Serve, connect: Connect):
    server = await serve([STREAM_HEAD + http_chunk(b"".join(WHOLE[:4])), SILENCE])
    with pytest.raises(StreamInterruptedError) as caught:
        async with asyncio.timeout(30):
            await collected(connect(server, retry=1, timeout=Timeouts(idle=0.2)))
    assert caught.value.text == "Hel"
