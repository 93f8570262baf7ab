"""What a broken connection still holds: the answer of a server that refuses a request by its head."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from certificate import Authority
from support.servers import CANARY, response

from deepseek_async.configuration.credential import ApiKey
from deepseek_async.transport.pool import Pool
from deepseek_async.transport.protocol import HTTPRequest
from deepseek_async.transport.session import Session
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.transport.unread_bytes import rest_of
from deepseek_async.transport.watchdog import Watchdog

REFUSAL = response(b'{"error": {"message": "too large"}}', status=413, connection="close")


@contextmanager
def refusing(tls: ssl.SSLContext | None) -> Iterator[int]:
    """The port of a server that answers from the head alone and resets the connection on what still comes."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def serve() -> None:
        with suppress(OSError):
            while True:
                accepted, _ = listening.accept()
                end = accepted if tls is None else tls.wrap_socket(accepted, server_side=True)
                seen = b""
                while b"\r\n\r\n" not in seen:
                    seen += end.recv(4096)
                end.sendall(REFUSAL)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        listening.close()


@pytest.mark.real_time
@pytest.mark.parametrize("size", [100_000, 3_000_000])
@pytest.mark.parametrize("kind", [Pool, Session], ids=["pool", "session"])
async def test_an_early_refusal_is_told_and_not_the_reset_that_follows_it(kind: type[Pool | Session], size: int):
    with refusing(None) as port:
        transport = kind(f"http://127.0.0.1:{port}", ApiKey(CANARY), limit=1)
        for _ in range(20):
            answer = await transport.send(HTTPRequest("POST", "/", b"x" * size), watchdog())
            assert (answer.status, await answer.read(1000)) == (413, b'{"error": {"message": "too large"}}')
            answer.release()
        await transport.aclose()


@pytest.mark.real_time
async def test_an_early_refusal_over_tls_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.trusted))
    with refusing(authority.server_context()) as port:
        transport = Pool(f"https://127.0.0.1:{port}", ApiKey(CANARY), limit=1)
        for _ in range(20):
            answer = await transport.send(HTTPRequest("POST", "/", b"x" * 100_000), watchdog())
            assert (answer.status, await answer.read(1000)) == (413, b'{"error": {"message": "too large"}}')
            answer.release()
        await transport.aclose()


def watchdog() -> Watchdog:
    return Watchdog(Timeouts(), asyncio.get_running_loop())


class Endless:
    """A transport whose socket never runs dry."""

    def __init__(self) -> None:
        self.descriptor = os.open("/dev/zero", os.O_RDONLY)

    def get_extra_info(self, _: str) -> Endless:
        return self

    def fileno(self) -> int:
        return self.descriptor


def test_of_a_server_that_goes_on_and_on_a_bounded_rest_is_read():
    transport = Endless()
    assert sum(map(len, rest_of(transport))) == 4 << 20
    os.close(transport.descriptor)
