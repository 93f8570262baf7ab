"""Plain calls over real sockets: what the server does, and what the caller gets."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref

import pytest
from support.clients import Connect, ask
from support.servers import ANSWER, CANARY, HALF_CLOSE, RESET, SILENCE, Serve, answer, head, response
from support.waiting import settled, until

from deepseek_async import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncDeepSeek,
    AuthenticationError,
    ConcurrencyLimitError,
    ConfigurationError,
    InternalServerError,
    InvalidRequestError,
    RateLimitError,
    RetryPolicy,
    ServerOverloadedError,
    Timeouts,
)


async def test_an_answer_comes_back_typed_and_whole(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    done = await ask(connect(server))
    assert done.choices[0].message.content == "Hello"
    assert done.choices[0].finish_reason == "stop"
    assert done.usage is not None
    assert done.usage.prompt_cache_hit_tokens == 4
    assert done.to_dict() == answer()


@pytest.mark.parametrize(
    "fault",
    [
        *(
            pytest.param([response(b"oops", status)], id=str(status))
            for status in (408, 409, 425, 429, 500, 502, 503, 504, 520, 524, 529)
        ),
    ],
)
async def test_a_fault_that_may_pass_is_tried_again(serve: Serve, connect: Connect, fault: list):
    server = await serve(fault, [ANSWER])
    done = await ask(connect(server))
    assert done.choices[0].message.content == "Hello"
    assert len(server.requests) == 2
    assert server.requests[0].body == server.requests[1].body


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 413, 415, 422, 501, 505, 301, 302, 307, 308])
async def test_a_refusal_that_will_stay_is_not_tried_again(serve: Serve, connect: Connect, status: int):
    server = await serve([response(b"no", status, location="https://elsewhere.invalid/")])
    with pytest.raises(APIStatusError) as caught:
        await ask(connect(server))
    assert caught.value.status_code == status
    assert not caught.value.retryable
    assert caught.value.attempts == len(server.requests) == 1


async def test_a_tool_call_without_content_is_an_answer(serve: Serve, connect: Connect):
    call = {"index": 0, "id": "call_00_a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = answer(finish_reason="tool_calls")
    body["choices"][0]["message"] = {"role": "assistant", "content": None, "tool_calls": [call]}
    server = await serve([response(body)])
    done = await ask(connect(server))
    assert done.choices[0].message.tool_calls is not None
    assert done.choices[0].message.tool_calls[0].function.name == "f"


async def test_attempts_end_with_the_last_error_and_its_facts(serve: Serve, connect: Connect):
    busy = {"error": {"message": "busy", "type": "server_error", "code": "x", "param": None}}
    server = await serve([response(busy, 503, x_ds_trace_id="abc")])
    with pytest.raises(ServerOverloadedError) as caught:
        await ask(connect(server, retry=RetryPolicy(max_attempts=2, base_delay=0, max_delay=0)), timeout=60)
    error = caught.value
    assert (error.attempts, error.status_code, error.request_id) == (2, 503, "abc")
    assert (error.type, error.code, error.param) == ("server_error", "x", None)
    assert error.body == busy["error"]
    assert len(server.requests) == 2


async def test_the_numbers_of_a_concurrency_refusal_are_read(serve: Serve, connect: Connect):
    message = (
        "Too many requests. Your current concurrency is 26, which exceeds your concurrency limit of 25 "
        "based on your remaining balance. Please top up your balance to restore your concurrency."
    )
    refused = {"error": {"message": message, "type": "rate_limit_error", "code": "invalid_request_error"}}
    server = await serve([response(refused, 429)])
    with pytest.raises(ConcurrencyLimitError) as caught:
        await ask(connect(server, retry=1))
    assert (caught.value.current, caught.value.limit, caught.value.balance_bound) == (26, 25, True)


@pytest.mark.parametrize(
    "body", [b"", b"slow down", b"<html><title>Slow</title></html>", b"{", b'{"error": null}', b"\xff"]
)
async def test_any_other_429_is_a_rate_limit_without_numbers(serve: Serve, connect: Connect, body: bytes):
    server = await serve([response(body, 429)])
    with pytest.raises(RateLimitError) as caught:
        await ask(connect(server, retry=1))
    assert not isinstance(caught.value, ConcurrencyLimitError)
    assert caught.value.retryable


async def test_the_servers_waiting_time_is_honoured_by_the_whole_model(serve: Serve, connect: Connect):
    server = await serve([response(b"", 429, retry_after="7")], [ANSWER])
    client = connect(server)
    asking = asyncio.ensure_future(ask(client))
    account_limiter = client._context.caller().account_limiter
    await until(lambda: account_limiter.waiting)
    asking_too = asyncio.ensure_future(ask(client))
    await until(lambda: account_limiter.waiting == 2)
    (model,) = client.statistics().models
    assert 6.5 < model.paused_for <= 7.7
    assert "2 queued, paused for" in repr(client)
    client.reset()
    await asyncio.gather(asking, asking_too)


async def test_a_longer_waiting_time_is_the_callers_to_wait(serve: Serve, connect: Connect):
    server = await serve([response(b"", 503, retry_after="3600")])
    with pytest.raises(ServerOverloadedError) as caught:
        await ask(connect(server))
    assert caught.value.retry_after == 3600
    assert len(server.requests) == 1


async def test_an_error_page_larger_than_we_read_keeps_its_status(serve: Serve, connect: Connect):
    server = await serve([response(b"<p>" + b"x" * 500_000, 500)])
    with pytest.raises(InternalServerError):
        await ask(connect(server, retry=1))


async def test_an_error_body_that_breaks_off_keeps_its_status(serve: Serve, connect: Connect):
    server = await serve([head(401, "-", content_length="1000") + b'{"error"', RESET])
    with pytest.raises(AuthenticationError):
        await ask(connect(server))


# Timers. The servers below never send what the client waits for; only the scaled timer can end the call.


async def timed_out(client: AsyncDeepSeek, **parameters) -> APITimeoutError:
    with pytest.raises(APITimeoutError) as caught:
        await ask(client, **parameters)
    return caught.value


async def test_a_server_that_sends_no_head_meets_the_headers_timer(serve: Serve, connect: Connect):
    server = await serve([SILENCE])
    error = await timed_out(connect(server, timeout=Timeouts(headers=0.05), retry=2))
    assert (error.phase, error.attempts, error.retryable) == ("headers", 2, True)
    assert len(server.requests) == 2


@pytest.mark.parametrize("last", [SILENCE, HALF_CLOSE])
async def test_a_server_that_falls_silent_meets_the_idle_timer(serve: Serve, connect: Connect, last):
    server = await serve([ANSWER[:-20], last, SILENCE])
    with pytest.raises(APIConnectionError) as caught:
        await ask(connect(server, timeout=Timeouts(idle=0.05), retry=1))
    if last is SILENCE:
        assert isinstance(caught.value, APITimeoutError)
        assert caught.value.phase == "idle"
        assert caught.value.connected


async def test_the_deadline_bounds_one_attempt(serve: Serve, connect: Connect):
    server = await serve([SILENCE])
    error = await timed_out(connect(server), timeout=0.05)
    assert (error.phase, error.attempts, error.retryable) == ("total", 1, False)


async def test_the_deadline_bounds_the_wait_for_a_slot(serve: Serve, connect: Connect):
    server = await serve([SILENCE], [ANSWER])
    client = connect(server, max_concurrency=1)
    holding = asyncio.ensure_future(ask(client))
    await server.arrived.wait()
    error = await timed_out(client, timeout=0.05)
    assert (error.phase, error.attempts) == ("total", 0)
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert len(server.requests) == 1


async def test_the_deadline_bounds_the_back_off(serve: Serve, connect: Connect):
    server = await serve([response(b"busy", 503, retry_after="60")])
    with pytest.raises(ServerOverloadedError) as caught:
        await ask(connect(server), timeout=5)
    assert caught.value.attempts == len(server.requests) == 1


@pytest.mark.parametrize("text", ["", "current concurrency is 26, which exceeds your concurrency limit of 25"])
async def test_a_deadline_that_ends_the_wait_after_a_refusal_tells_the_refusal(
    serve: Serve, connect: Connect, text: str
):
    server = await serve([response(text.encode(), 429, x_ds_trace_id="t1")])
    with pytest.raises(RateLimitError) as caught:
        await ask(connect(server), timeout=0.6)
    error = caught.value
    assert (error.status_code, error.request_id, error.retryable) == (429, "t1", True)
    assert error.attempts == len(server.requests) >= 1


async def test_an_error_after_refusals_leaves_nothing_behind(serve: Serve, connect: Connect):
    client = connect(await serve([response(b"", 429)]))

    async def refused() -> weakref.ref[RateLimitError]:
        try:
            await ask(client, timeout=0.4)
        except RateLimitError as error:
            return weakref.ref(error)
        raise AssertionError

    gone = await refused()
    await settled()  # a timer of the call ends
    gc.collect()
    assert gone() is None


class Conversation(list):
    """Messages that can be watched."""


async def test_a_pause_that_was_asked_for_does_not_keep_the_prompt_of_a_call(serve: Serve, connect: Connect):
    client = connect(await serve([response(b"", 503, retry_after="0")], [ANSWER]), fallback_models=["deepseek-v4-pro"])
    conversation = Conversation([{"role": "user", "content": "Hi"}])
    gone = weakref.ref(conversation)
    await ask(client, messages=conversation)
    del conversation
    await settled()
    gc.collect()
    assert gone() is None


async def test_the_deadline_bounds_all_attempts_together(serve: Serve, connect: Connect):
    server = await serve([RESET])
    client = connect(server, retry=RetryPolicy(max_attempts=1_000_000, base_delay=0, max_delay=0))
    with pytest.raises(APIConnectionError) as caught:
        await ask(client, timeout=0.1)
    # The deadline may end an attempt before its request has arrived.
    assert 0 <= caught.value.attempts - len(server.requests) <= 1


# The connection and what travels on it.


async def test_the_key_travels_in_the_authorization_header_and_nowhere_else(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    await ask(connect(server))
    (request,) = server.requests
    assert request.header("Authorization") == f"Bearer {CANARY}"
    assert request.head.count(CANARY.encode()) == 1
    assert CANARY.encode() not in request.body
    assert (request.method, request.path) == ("POST", "/chat/completions")
    assert request.header("Content-Type") == "application/json"
    assert request.header("Accept-Encoding") == "identity"


async def test_a_path_of_the_base_url_is_kept(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    await ask(connect(f"{server.url}/beta/"))
    assert server.requests[0].path == "/beta/chat/completions"


async def test_cookies_are_not_kept(serve: Serve, connect: Connect):
    server = await serve([response(answer(), set_cookie="a=b; Path=/")])
    client = connect(server)
    await ask(client)
    await ask(client)
    assert server.requests[1].header("Cookie") is None


async def test_calls_one_after_another_share_a_connection(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    client = connect(server)
    for _ in range(3):
        await ask(client)
    assert server.connections == 1


async def test_a_prompt_of_a_megabyte_arrives_whole_on_every_attempt(serve: Serve, connect: Connect):
    text = "äöü—" * 300_000
    server = await serve([response(b"", 500)], [ANSWER])
    await connect(server).chat.completions.create(
        model="deepseek-flash",
        messages=[{"role": "user", "content": text}],
        lint="off",
    )
    assert [request.json()["messages"][0]["content"] == text for request in server.requests] == [True, True]


async def test_no_more_requests_are_in_flight_than_allowed(serve: Serve, connect: Connect):
    go = asyncio.Event()
    server = await serve([go, ANSWER])
    client = connect(server, max_concurrency=3)
    asking = [asyncio.ensure_future(ask(client)) for _ in range(10)]
    while len(server.requests) < 3:
        server.arrived.clear()
        await server.arrived.wait()
    account_limiter = client._context.caller().account_limiter
    assert (account_limiter.in_flight, account_limiter.waiting) == (3, 7)
    assert "deepseek-flash: 3 of 3 in flight" in repr(client)
    assert "7 queued" in repr(client)
    go.set()
    await asyncio.gather(*asking)
    assert server.connections <= 3


async def test_a_gzip_body_that_nobody_asked_for_is_read_all_the_same(serve: Serve, connect: Connect):
    import gzip

    server = await serve([response(gzip.compress(json.dumps(answer()).encode()), content_encoding="gzip")])
    assert (await ask(connect(server))).choices[0].message.content == "Hello"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b"])
async def test_a_line_break_in_a_header_is_refused_before_anything_is_sent(serve: Serve, connect: Connect, value: str):
    server = await serve([ANSWER])
    with pytest.raises(InvalidRequestError):
        await ask(connect(server), extra_headers={"X-Mine": value})
    assert server.requests == []


# The client's life.


async def test_a_closed_client_says_so(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    client = connect(server)
    await ask(client)
    await client.aclose()
    await client.aclose()
    with pytest.raises(ConfigurationError, match="closed"):
        await ask(client)
    assert "closed" in repr(client)


async def test_closing_ends_the_calls_that_still_run(serve: Serve, connect: Connect):
    server = await serve([SILENCE])
    client = connect(server, max_concurrency=2)
    asking = [asyncio.ensure_future(ask(client)) for _ in range(4)]
    while len(server.requests) < 2:
        server.arrived.clear()
        await server.arrived.wait()
    account_limiter = client._context.caller().account_limiter
    await client.aclose()
    failures = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(failure) for failure in failures] == [APIConnectionError] * 4
    assert (account_limiter.in_flight, account_limiter.waiting) == (0, 0)
    assert len(server.requests) == 2


async def test_leaving_the_context_closes_the_client(serve: Serve):
    server = await serve([ANSWER])
    async with AsyncDeepSeek(api_key=CANARY, base_url=server.url) as client:
        await ask(client)
    async with asyncio.timeout(120):
        await server.idle.wait()
    with pytest.raises(ConfigurationError):
        async with client:
            pass
