"""What hostile callers, and a hostile server behind, cannot do to a gateway."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import Any

import pytest
from gateways import CHAT, MODEL, QUESTION, Gated, StartGateway
from support.servers import ANSWER, CANARY, Serve, begun, event, response, said

from deepseek_async.gateway import arrival
from deepseek_async.gateway import gateway as gateway_module

BODY = {"model": MODEL, "messages": QUESTION}
WIRE = json.dumps(BODY).encode()


def posted(*fields: str, body: bytes = WIRE, length: bool = True) -> bytes:
    head = [f"POST {CHAT} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", "Content-Type: application/json", *fields]
    if length:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


SMUGGLED = b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(WIRE), WIRE)


async def test_a_body_with_two_framings_is_refused_and_nothing_in_it_is_a_request(gated: Gated):
    for name, wire in {
        "both": posted("Transfer-Encoding: chunked", body=CHUNKED + SMUGGLED),
        "two lengths": posted("Content-Length: 5", body=WIRE + SMUGGLED),
        "two codings": posted("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=CHUNKED, length=False),
        "unknown coding": posted("Transfer-Encoding: xchunked", body=CHUNKED + SMUGGLED, length=False),
        "not last": posted("Transfer-Encoding: chunked, gzip", body=CHUNKED + SMUGGLED, length=False),
        "space before the colon": posted("Transfer-Encoding : chunked", body=CHUNKED, length=False),
        "signed length": posted("Content-Length: +5", body=WIRE + SMUGGLED, length=False),
        "bad chunk": posted("Transfer-Encoding: chunked", body=b"zz\r\n" + WIRE, length=False),
        "folded": posted("X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 0", body=SMUGGLED, length=False),
    }.items():
        status, text = await gated.exchanged(wire)
        assert status in {0, 400, 501}, (name, text)
        assert text.count("HTTP/1.1 ") <= 1, (name, text)
    assert gated.simulator.statistics().requests == 0


async def test_a_chunked_body_is_read_whole(gated: Gated):
    status, text = await gated.exchanged(posted("Transfer-Encoding: chunked", body=CHUNKED, length=False))

    assert status == 200, text


async def test_a_caller_that_expects_a_100_gets_it_before_it_sends_its_body(gated: Gated):
    host, port = gated.gateway.url.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(posted("Expect: 100-continue", f"Content-Length: {len(WIRE)}", body=b"", length=False))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")

    writer.write(WIRE)

    assert b"HTTP/1.1 200" in await reader.read()
    writer.close()


async def test_head_and_options_are_answered_without_asking_deepseek(gated: Gated):
    for method in ("HEAD", "OPTIONS", "TRACE"):
        status, text = await gated.raw(method, "/v1/models")
        assert (status, "allow: get, post, delete" in text.lower()) == (405, True), method
    assert (await gated.raw("HEAD", "/healthz"))[0] == 200
    assert gated.simulator.statistics().requests == 0


async def test_headers_beyond_their_limit_are_refused(gated: Gated):
    for fields in ([f"X-A: {'a' * 40_000}"], [f"X-{n}: a" for n in range(1_000)]):
        assert (await gated.exchanged(posted(*fields)))[0] in {400, 431}
    assert (await gated.raw("GET", "/v1/models/" + "a" * 20_000))[0] in {400, 414}
    assert gated.simulator.statistics().requests == 0


async def test_a_caller_that_sends_its_headers_byte_by_byte_is_cut_off(
    gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gateway_module, "_IDLE_SECONDS", 0.3)
    gated = await gateway()
    host, port = gated.gateway.url.removeprefix("http://").rsplit(":", 1)
    for first in (b"", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"):  # also on a connection that was good once
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(first)
        dripping = asyncio.create_task(drip(writer, b"GET /healthz HTTP/1.1\r\nX-A: " + b"a" * 10_000))

        async with asyncio.timeout(10):
            await ended(reader)
        dripping.cancel()
        writer.close()
        await asyncio.wait((dripping,))


async def test_a_caller_that_sends_its_body_byte_by_byte_is_cut_off_and_holds_no_place(
    gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(arrival, "PERIOD", 0.2)
    gated = await gateway(keys={"owner": {"max_concurrency": 1}})
    key = f"Authorization: Bearer {gated.keys['owner']}\r\n"
    host, port = gated.gateway.url.removeprefix("http://").rsplit(":", 1)
    form = "Content-Type: multipart/form-data; boundary=b\r\n"
    for path, more in ((CHAT, ""), ("/v1/files", form), ("/v1/batches", "")):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{key}{more}Content-Length: 9999\r\n\r\n".encode())
        dripping = asyncio.create_task(drip(writer, b"--b\r\n" + b" " * 9_000))
        async with asyncio.timeout(10):
            status = await reader.readline()
            assert status.startswith(b"HTTP/1.1 408"), path
            # Its one place is free.
            assert (await gated.ask("POST", CHAT, key=gated.keys["owner"], json=BODY))[0] == 200
        dripping.cancel()
        writer.close()
        await asyncio.wait((dripping,))


async def drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    for place in range(len(data)):
        writer.write(data[place : place + 1])
        await asyncio.sleep(0.02)  # is the caller's pace, not a wait for anything


async def ended(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        await reader.read()


async def test_the_target_and_host_of_a_request_choose_no_server(gated: Gated):
    for target, host in (
        ("http://evil.example/v1/models", "127.0.0.1"),
        ("http://169.254.169.254/v1/models", "127.0.0.1"),
        ("/v1/models", "localhost"),
    ):
        status, text = await gated.exchanged(
            f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )
        assert status in {200, 400, 403}
        assert status != 200 or MODEL in text
    for host in ("evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "[::1].evil.example", ""):
        status, _ = await gated.exchanged(
            f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )
        assert status in {400, 403}, host


async def test_urls_in_a_request_are_fetched_by_nobody_here(gated: Gated, serve: Serve):
    inner = await serve([ANSWER])
    parts = [
        {"type": "image_url", "image_url": {"url": f"{inner.url}/a.png"}},
        {"type": "text", "text": f"{inner.url}/b"},
    ]
    bodies = {
        CHAT: {**BODY, "messages": [{"role": "user", "content": parts}]},
        "/v1/tools/fetch": {"url": f"{inner.url}/c"},
        "/v1/responses": {"model": MODEL, "input": f"{inner.url}/d"},
    }
    for path, body in bodies.items():
        await gated.ask("POST", path, json=body)

    assert not inner.requests


async def test_a_callers_header_fields_stay_here_but_for_those_of_the_protocols(behind: Any):
    gated, server = await behind([ANSWER])
    sent = {
        "anthropic-beta": "files-api",
        "traceparent": "00-1",
        "Idempotency-Key": "k",
        "Authorization": "Bearer none",
        "X-Forwarded-For": "10.0.0.1",
        "X-HTTP-Method-Override": "DELETE",
        "Cookie": "a=b",
        "Connection": "X-Secret",
        "X-Secret": "1",
        "Range": "bytes=0-1",
        "If-None-Match": "x",
        "x-api-key": "none",
        "Proxy-Authorization": "Basic x",
        "X-Original-URL": "/files",
    }

    status, _ = await gated.ask("POST", CHAT, headers=sent, json=BODY)

    arrived = {name.lower(): value for name, value in server.requests[0].headers}
    assert status == 200
    assert (arrived["anthropic-beta"], arrived["traceparent"], arrived["idempotency-key"]) == ("files-api", "00-1", "k")
    assert arrived["authorization"] == f"Bearer {CANARY}"
    refused = {name.lower() for name in sent} - {"anthropic-beta", "traceparent", "idempotency-key", "authorization"}
    assert not (refused - {"connection"}) & set(arrived)
    assert "secret" not in arrived.get("connection", "").lower()


async def test_a_line_end_in_a_callers_header_begins_no_other_field(behind: Any):
    gated, server = await behind([ANSWER])
    for value in ("a\rX-Evil: 1", "a\nX-Evil: 1", "a\0b"):
        status, _ = await gated.exchanged(posted(f"traceparent: {value}"))
        assert status in {200, 400}
    assert not any(name.lower() == "x-evil" for request in server.requests for name, _ in request.headers)


async def test_header_fields_of_the_server_that_a_browser_would_obey_are_not_passed_on(behind: Any):
    hostile = {
        "set_cookie": "a=b",
        "access_control_allow_origin": "*",
        "clear_site_data": '"*"',
        "location": "https://evil.example",
        "refresh": "0;url=https://evil.example",
        "link": "<https://evil.example>; rel=preload",
        "x_request_id": "r1",
    }
    gated, _ = await behind([response(json.loads(ANSWER.partition(b"\r\n\r\n")[2]), **hostile)])

    status, text = await gated.exchanged(posted())

    head = text.partition("\r\n\r\n")[0].lower()
    assert status == 200
    assert "x-request-id: r1" in head
    assert not [name for name in hostile if f"{name.replace('_', '-')}:" in head and name != "x_request_id"]
    assert "evil" not in head


async def test_a_line_end_in_a_header_of_the_server_splits_no_response(behind: Any):
    body = ANSWER.partition(b"\r\n\r\n")[2]
    for value in (b"a\rX-Evil: 1", b"a\n X-Evil: 1", b"a\x00b", b"a\x0bb"):
        wire = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: %b\r\nContent-Length: %d\r\n\r\n%b"
        gated, _ = await behind([wire % (value, len(body), body)])
        _, text = await gated.exchanged(posted())
        head = text.partition("\r\n\r\n")[0]
        assert "\r\nx-evil" not in head.lower(), value
        assert all(line.isprintable() for line in head.split("\r\n")), value
        await gated.gateway.aclose()


ECHO = f'{{"error": {{"message": "Bad key {CANARY}", "type": "Bearer {CANARY}", "code": "{CANARY}"}}}}'.encode()
ECHOES: dict[str, list[Any]] = {
    "401": [response(ECHO, 401)],
    "500": [response(ECHO, 500)],
    "text": [response(f"Authorization: Bearer {CANARY}".encode(), 400)],
    "header": [response(json.loads(ANSWER.partition(b"\r\n\r\n")[2]), x_request_id=CANARY, x_ds_trace_id=CANARY)],
    "answer": [response(json.loads(ANSWER.partition(b"\r\n\r\n")[2].replace(b"Hello", CANARY.encode())))],
    "field": [response({**json.loads(ANSWER.partition(b"\r\n\r\n")[2]), "key": CANARY})],
    "error in a stream": [begun(said("x"), event(ECHO.decode()))],
    "event": [begun(said(CANARY), said("x"))],
}


@pytest.mark.parametrize("stream", [False, True])
async def test_deepseeks_key_is_in_no_response_and_no_log_also_if_the_server_says_it(
    behind: Any, caplog: pytest.LogCaptureFixture, stream: bool
):
    caplog.set_level(logging.DEBUG)
    for name, script in ECHOES.items():
        for path in (CHAT, "/anthropic/v1/messages", "/v1/unknown"):
            gated, _ = await behind(script)
            body = {**BODY, "max_tokens": 9, **({"stream": True} if stream else {})}
            _, text = await gated.ask("POST", path, json=body)
            _, state = await gated.ask("GET", "/v1/models")
            assert CANARY not in f"{text}{state}", (name, path)
            await gated.gateway.aclose()
    assert CANARY not in caplog.text
