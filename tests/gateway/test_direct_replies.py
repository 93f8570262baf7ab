"""What the gateway writes to a connection itself: whole, at the speed of its reader, and nothing after a broken end."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from typing import Any

import pytest
from gateways import CHAT, MODEL, QUESTION, Gated, StartGateway
from support.servers import ANSWER, DONE, LAST_CHUNK, SILENCE, begun, ending, http_chunk, said
from support.waiting import settled, until

from deepseek_async.gateway import direct_replies, relaying
from deepseek_async.gateway.access_log import ACCESS
from deepseek_async.gateway.direct_replies import WholeReply

BODY = {"model": MODEL, "messages": QUESTION}


def wire(body: dict[str, Any] = BODY, *fields: str, version: str = "1.1") -> bytes:
    sent = json.dumps(body).encode()
    lines = [f"POST {CHAT} HTTP/{version}", "Host: 127.0.0.1", f"Content-Length: {len(sent)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + sent


STREAM = {**BODY, "stream": True}


def unchunked(body: bytes) -> bytes:
    """The body that chunks frame; fails unless they end."""
    read = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert body == b"\r\n"
            return read
        read += body[:length]
        assert body[length : length + 2] == b"\r\n"
        body = body[length + 2 :]


def slow_reader(gated: Gated) -> socket.socket:
    """A connection of a caller whose system takes little at a time."""
    host, port = gated.gateway.url.removeprefix("http://").rsplit(":", 1)
    caller = socket.socket()
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    caller.connect((host, int(port)))
    caller.setblocking(False)
    return caller


async def read_all(caller: socket.socket, piece: int = 65_536) -> bytes:
    loop, read = asyncio.get_running_loop(), bytearray()
    while got := await loop.sock_recv(caller, piece):
        read += got
    return bytes(read)


async def test_a_slow_reader_gets_every_byte_and_holds_back_the_writer(behind: Any, monkeypatch: pytest.MonkeyPatch):
    texts = [f"{number} " + "x" * 20_000 for number in range(300)]
    gated, _ = await behind(
        [begun(said("a")), *(http_chunk(said(text)) for text in texts), http_chunk(ending() + DONE + LAST_CHUNK)]
    )
    unsent: list[int] = []
    send = direct_replies.send

    async def watched(request: Any, data: bytes) -> None:
        await send(request, data)
        unsent.append(request.transport.get_write_buffer_size())

    monkeypatch.setattr(direct_replies, "send", watched)
    caller = slow_reader(gated)
    await asyncio.get_running_loop().sock_sendall(caller, wire(STREAM, "Connection: close"))

    await settled(2_000)
    head, _, body = (await read_all(caller, 3_000)).partition(b"\r\n\r\n")
    caller.close()

    events = [json.loads(line[6:]) for line in unchunked(body).split(b"\n\n") if line[:7] == b"data: {"]
    assert [event["choices"][0]["delta"]["content"] for event in events] == ["a", *texts, ""]
    assert b"transfer-encoding: chunked" in head.lower()
    assert max(unsent) < 200_000


async def test_a_reader_that_takes_nothing_is_left_and_is_no_error_in_the_log(
    behind: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(direct_replies, "READER_PATIENCE", 0.05)
    gated, _ = await behind([begun(said("a")), *(http_chunk(said("x" * 100_000)) for _ in range(100))])
    caller = slow_reader(gated)
    await asyncio.get_running_loop().sock_sendall(caller, wire(STREAM))

    await until(lambda: gated.gateway.client.statistics().in_flight == 1)
    await until(lambda: gated.gateway.client.statistics().in_flight == 0)
    came = await read_all(caller)
    caller.close()

    assert came.count(b"HTTP/1.1 ") == 1
    assert not came.endswith(LAST_CHUNK)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_fault_of_ours_in_a_stream_ends_it_without_another_response(
    behind: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def faulty(piece: bytes) -> bytes:
        if b"second" in piece:
            raise RuntimeError("of ours")
        return piece

    monkeypatch.setattr(relaying, "mask_in", faulty)
    gated, _ = await behind([begun(said("first")), http_chunk(said("second"))])

    _, text = await gated.exchanged(wire(STREAM))

    assert text.count("HTTP/1.1 ") == 1
    assert not text.endswith(LAST_CHUNK.decode())
    assert [record.name for record in caplog.records if record.levelno >= logging.ERROR] == ["deepseek_async.gateway"]


async def test_callers_that_leave_end_their_requests_and_are_no_error_in_the_log(
    gateway: StartGateway, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, logger=ACCESS.name)
    gated = await gateway(tokens_per_second=200, answer_tokens=20_000)
    host, port = gated.gateway.url.removeprefix("http://").rsplit(":", 1)
    callers = [await asyncio.open_connection(host, int(port)) for _ in range(10)]
    for _, writer in callers:
        writer.write(wire(STREAM))
    for reader, _ in callers:
        await reader.readuntil(b"data: {")

    for _, writer in callers:
        writer.transport.abort()

    await until(lambda: gated.simulator.statistics().in_flight == 0)
    await until(lambda: gated.gateway.client.statistics().in_flight == 0)
    accesses = [record.getMessage() for record in caplog.records if record.name == ACCESS.name]
    assert [json.loads(line)["status"] for line in accesses] == [499] * 10
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_the_request_to_the_server_ends_in_the_turn_in_which_the_callers_leaving_is_seen(behind: Any):
    gated, _ = await behind([begun(said("a")), SILENCE])
    host, port = gated.gateway.url.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(wire(STREAM))
    await reader.readuntil(b"data: {")
    ((connection, body),) = gated.gateway._relaying._open.items()

    gated.gateway._relaying.lost(connection)

    with pytest.raises(Exception, match="closed"):
        await body._stream._response.read_available()
    writer.close()


async def test_requests_sent_together_are_answered_in_order_on_one_connection(gated: Gated):
    bodies = [{**BODY, "messages": [{"role": "user", "content": f"What is {n}?"}]} for n in range(3)]
    sent = b"".join(map(wire, bodies[:2])) + wire(bodies[2], "Connection: close")

    _, text = await gated.exchanged(sent)

    assert text.count("HTTP/1.1 200 OK") == 3
    assert text.lower().count("connection: close") == 1
    assert text.lower().count("\r\ndate: ") == 3


@pytest.mark.parametrize("fields", [(), ("Connection: keep-alive",)])
async def test_a_caller_of_http_1_0_gets_no_chunks(gated: Gated, fields: tuple[str, ...]):
    status, text = await gated.exchanged(wire(STREAM, *fields, version="1.0"))
    head, _, body = text.partition("\r\n\r\n")

    assert status == 200
    assert "transfer-encoding" not in head.lower()
    assert body.startswith("data: {")
    assert body.endswith("data: [DONE]\n\n")


async def test_an_answer_without_a_body_has_no_length(behind: Any):
    gated, _ = await behind([ANSWER])

    async def empty(_request: Any, _caller: Any) -> WholeReply:
        return WholeReply(204, {}, b"")

    gated.gateway._routes.answer = empty
    _, text = await gated.exchanged(wire(BODY, "Connection: close"))

    assert text.startswith("HTTP/1.1 204 No Content")
    assert "content-length" not in text.lower()
    assert text.endswith("\r\n\r\n")


async def test_a_header_field_with_a_line_end_is_never_sent(behind: Any, caplog: pytest.LogCaptureFixture):
    gated, _ = await behind([ANSWER])

    async def split(_request: Any, _caller: Any) -> WholeReply:
        return WholeReply(200, {"x-a": "b\r\nX-Evil: 1"}, b"")

    gated.gateway._routes.answer = split
    _, text = await gated.exchanged(wire(BODY, "Connection: close"))

    assert "x-evil" not in text.lower()
    assert caplog.records
