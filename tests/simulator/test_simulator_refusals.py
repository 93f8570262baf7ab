"""Errors on the wire: status, body and the content type, which is often wrong or absent."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import pytest
from simulator_caller import Caller, Start, chat_body

from deepseek_async.simulator import Fault, FaultKind


@pytest.mark.parametrize(
    ("kind", "status", "content_type", "fragment"),
    [
        ("bad_request", 400, "application/json", b'"type":"invalid_request_error"'),
        ("bad_request_octets", 400, "application/octet-stream", b'"type":"invalid_request_error"'),
        ("unparsable_body", 400, "application/octet-stream", b"Failed to parse the request body as JSON: "),
        ("content_risk", 400, "application/json", b"Content Exists Risk"),
        ("context_overflow", 400, "application/json", b"maximum context length is 1048576 tokens"),
        ("wrong_key", 401, "application/json", b'"type":"authentication_error"'),
        ("missing_authorization", 401, None, b"Authentication Fails (governor)"),
        ("insufficient_balance", 402, "application/json", b'"message":"Insufficient Balance","type":"unknown_error"'),
        ("not_found", 404, None, b""),
        ("method_not_allowed", 405, None, b""),
        ("too_large", 413, "text/plain; charset=utf-8", b"length limit exceeded"),
        ("unsupported_media_type", 415, "text/plain; charset=utf-8", b"`Content-Type: application/json`"),
        ("unprocessable", 422, "application/json", b"Failed to deserialize"),
        ("rate_limit", 429, "application/json", b"Your current concurrency is 26"),
        ("rate_limit_balance", 429, "application/json", b"based on your remaining balance"),
        ("rate_limit_without_numbers", 429, "application/json", b'"type":"rate_limit_error"'),
        ("rate_limit_empty", 429, None, b""),
        ("rate_limit_html", 429, "text/html", b"<center>openresty</center>"),
        ("server_error", 500, "application/json", b'"error"'),
        ("server_error_html", 500, "text/html", b"<title>500 Internal Server Error</title>"),
        ("bad_gateway", 502, "text/html", b"502 Bad Gateway"),
        ("overloaded", 503, "text/plain; charset=utf-8", b"service is too busy"),
        ("gateway_timeout", 504, "text/html", b"504 Gateway Time-out"),
        ("html_200", 200, "text/html", b"<html>"),
    ],
)
async def test_each_refusal_has_its_own_shape(
    caller: Caller, kind: str, status: int, content_type: str | None, fragment: bytes
):
    reply = await caller.chat(headers={"x-simulate-fault": kind})

    assert reply.status == status
    assert reply.headers.get("Content-Type") == content_type
    assert fragment in reply.body
    assert bool(reply.body) == bool(fragment)
    assert len(reply.headers["x-ds-trace-id"]) == 32


async def test_the_429_sentence_is_the_captured_one_to_the_letter(caller: Caller):
    caller.simulator.script(Fault(FaultKind.RATE_LIMIT_BALANCE, current=26, limit=25))

    assert (await caller.chat()).body == (
        b'{"error":{"message":"Too many requests. Your current concurrency is 26, which exceeds your concurrency '
        b"limit of 25 based on your remaining balance. Please top up your balance to restore your concurrency."
        b'","type":"rate_limit_error","param":null,"code":"invalid_request_error"}}'
    )


async def test_retry_after_and_date_are_sent_verbatim(caller: Caller):
    caller.simulator.script(
        Fault(FaultKind.RATE_LIMIT_EMPTY, retry_after="soon", date="Tue, 24 Nov 2026 00:00:00 GMT"),
        Fault(FaultKind.RATE_LIMIT),
    )
    told, silent = await caller.chat(), await caller.chat()

    assert told.headers["Retry-After"] == "soon"
    assert told.headers["Date"] == "Tue, 24 Nov 2026 00:00:00 GMT"
    assert "Retry-After" not in silent.headers


@pytest.mark.parametrize("raw", [b"", b"{", b'{"model": nope}', b"\x00"])
async def test_broken_json_is_answered_in_plain_text(caller: Caller, raw: bytes):
    reply = await caller.send("POST", "/chat/completions", data=raw, headers={"Content-Type": "application/json"})

    assert reply.status == 400
    assert reply.headers["Content-Type"] == "application/octet-stream"
    assert reply.body.startswith(b"Failed to parse the request body as JSON: ")
    assert b" at line 1 column " in reply.body


async def test_another_content_type_is_415(caller: Caller):
    reply = await caller.send("POST", "/chat/completions", data=b"{}", headers={"Content-Type": "text/plain"})

    assert reply.status == 415


async def test_a_body_over_the_limit_is_413(start: Start):
    caller = await start(max_body_bytes=1000)

    assert (await caller.chat("x" * 2000)).status == 413
    assert (await caller.chat("x" * 100)).status == 200


async def test_a_boolean_thinking_switch_is_422(caller: Caller):
    reply = await caller.chat(thinking=False)

    assert reply.status == 422
    assert reply.message.startswith("Failed to deserialize the JSON body into the target type: ")


@pytest.mark.parametrize("path", ["/batches", "/", "/nothing", "//chat/completions", "/chat/completions/", "/models/"])
async def test_what_does_not_exist_is_404_with_an_empty_body(caller: Caller, path: str):
    reply = await caller.send("POST", path, json={})

    assert (reply.status, reply.body) == (404, b"")


@pytest.mark.parametrize(
    "path",
    ["/embeddings", "/v1/embeddings", "/images/generations", "/v1/fine_tunes", "/fine_tunes/ft-1/cancel"],
)
async def test_what_only_tutorials_name_is_404_on_the_live_service(start: Start, path: str):
    caller = await start(live_only=True)
    reply = await caller.send("POST", path, json={})

    assert (reply.status, reply.body) == (404, b"")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/chat/completions"), ("POST", "/models"), ("PUT", "/user/balance")]
)
async def test_a_wrong_method_is_405_with_an_empty_body(caller: Caller, method: str, path: str):
    reply = await caller.send(method, path)

    assert (reply.status, reply.body) == (405, b"")


async def test_without_a_key_the_gateway_answers_and_with_a_wrong_one_the_service(start: Start):
    caller = await start(api_keys=frozenset({"sk-good-0001"}))
    url = caller.simulator.base_url + "/models"

    async with caller.session.get(url) as missing:
        assert (missing.status, await missing.read()) == (401, b"Authentication Fails (governor)")
        assert "Content-Type" not in missing.headers
    wrong = await caller.send("GET", "/models", headers={"Authorization": "Bearer sk-wrong-9876"})
    assert wrong.status == 401
    assert "****9876" in wrong.message
    assert (await caller.send("GET", "/models", headers={"Authorization": "Bearer sk-good-0001"})).status == 200


async def test_json_schema_is_unavailable_on_the_chat_endpoint(caller: Caller):
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}

    assert (await caller.chat(response_format=schema)).message == "This response_format type is unavailable now"


async def test_a_user_id_is_limited_in_length(caller: Caller):
    assert (await caller.chat(user_id="a" * 512)).status == 200
    assert (await caller.chat(user_id="ü b" * 128)).status == 200
    assert (await caller.chat(user_id="ü" * 257)).message.startswith("Invalid 'user_id': string too long.")
    assert (await caller.chat(user_id="a" * 513)).message.startswith("Invalid 'user_id': string too long.")


async def test_prompt_and_max_tokens_together_must_fit_the_window(caller: Caller):
    body = io.BytesIO(json.dumps(chat_body("你好" * 600_000, max_tokens=393216)).encode())
    reply = await caller.send("POST", "/chat/completions", data=body, headers={"Content-Type": "application/json"})

    assert reply.status == 400
    assert reply.message.startswith("This model's maximum context length is 1048576 tokens. However, you requested")


@pytest.mark.parametrize(("model", "status"), [("deepseek-flash", 200), ("deepseek-v4-pro", 400)])
async def test_only_pro_insists_on_replayed_reasoning(caller: Caller, model: str, status: int):
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "r"},
    ]

    assert (await caller.chat(messages=messages, model=model, thinking=...)).status == status


async def test_an_empty_account_is_402_and_says_so(start: Start):
    caller = await start(balance=Decimal("0.00001"))
    first, second = await caller.chat("word " * 20), await caller.chat()

    assert first.status == 200
    assert (second.status, second.message) == (402, "Insufficient Balance")
    balance = (await caller.send("GET", "/user/balance")).json
    assert balance["is_available"] is False
    assert balance["balance_infos"][0]["total_balance"] == "0.00"


async def test_a_request_is_charged_at_the_current_price(start: Start):
    caller = await start(balance=Decimal(10))
    usage = (await caller.chat("word " * 200, model="deepseek-v4-pro")).json["usage"]

    spent = Decimal(10) - caller.simulator.remaining_balance("sk-test-1234")
    assert spent == (usage["prompt_tokens"] * Decimal("0.66") + usage["completion_tokens"] * Decimal("1.98")) / 10**6


async def test_unknown_keys_are_ignored(caller: Caller):
    assert (await caller.chat(best_of=3, seed=5, user="me", metadata={"a": 1})).status == 200


async def test_fill_in_the_middle_has_its_own_cap(caller: Caller):
    body = {"model": "deepseek-flash", "prompt": "x", "max_tokens": 4097}

    reply = await caller.send("POST", "/beta/completions", json=body)
    assert reply.message == "Invalid max_tokens value, the valid range of max_tokens is [1, 4096]"


async def test_a_record_keeps_the_refused_body_but_never_the_key(caller: Caller):
    await caller.send("POST", "/chat/completions", json=chat_body(n=2))
    (record,) = caller.simulator.requests

    assert (record.method, record.path, record.status) == ("POST", "/chat/completions", 400)
    assert record.body["n"] == 2
    assert record.headers["content-type"] == "application/json"
    assert "authorization" not in record.headers
    assert "sk-test" not in repr(record)
