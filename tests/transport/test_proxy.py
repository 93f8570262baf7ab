"""Requests through an HTTP proxy: a real one, which tunnels bytes to wherever CONNECT asks it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from certificate import Authority
from clients import Connect
from servers import ANSWER, CANARY, Serve

from deepseek_async import APIConnectionError

MESSAGES = [{"role": "user", "content": "Hi"}]


class Tunnel:
    """A proxy that knows CONNECT only. What it is shown of a request is kept in ``heads``."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            host, _, port = head.split(b" ")[1].decode().rpartition(":")
            onward_reader, onward_writer = await asyncio.open_connection(host, int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(copy(reader, onward_writer), copy(onward_reader, writer))
        writer.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while block := await reader.read(65536):
            writer.write(block)
            await writer.drain()
    writer.close()


@pytest.fixture
async def tunnel() -> AsyncIterator[tuple[Tunnel, str]]:
    made = Tunnel()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        yield made, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_proxy_carries_the_call_and_sees_neither_key_nor_prompt(
    serve: Serve,
    connect: Connect,
    tunnel: tuple[Tunnel, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.trusted))
    server = await serve([ANSWER], tls=authority.server_context())
    proxy, url = tunnel
    client = connect(server, proxy=url)
    done = await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES)
    assert done.choices[0].message.content == "Hello"
    await client.aclose()
    assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{server.port} ".encode())
    assert CANARY.encode() not in b"".join(proxy.heads)


async def test_a_proxy_that_is_not_there_is_named_as_what_failed(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    client = connect(server, proxy="http://127.0.0.1:1", retry=1)
    with pytest.raises(APIConnectionError, match="proxy"):
        await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES)
    assert server.requests == []
