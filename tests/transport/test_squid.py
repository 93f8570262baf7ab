"""Calls through a real squid: what our own small proxy is believed to do, squid does."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from certificate import Authority
from clients import AT_ONCE, Connect, failure_of, said_by
from servers import ANSWER, Serve, streamed
from squid_server import SquidServer

from deepseek_async import APIConnectionError

pytestmark = pytest.mark.skipif(shutil.which("squid") is None, reason="squid is not installed")


@pytest.fixture
async def squid() -> AsyncIterator[SquidServer]:
    async with SquidServer() as running:
        yield running


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.trusted))
    return made


@pytest.mark.parametrize("tls", [True, False], ids=["tunnel", "forwarding"])
async def test_calls_and_streams_go_through_it(
    serve: Serve, connect: Connect, squid: SquidServer, authority: Authority, tls: bool
):
    server = await serve([ANSWER], streamed("Hel", "lo"), [ANSWER], tls=authority.server_context() if tls else None)
    client = connect(server, proxy=squid.url_with_password)
    for stream in (False, True, False):
        assert await said_by(client, stream=stream) == "Hello"
    if tls:  # how squid reaches a server of which it sees the requests is its own affair
        assert server.connections == 1
    assert "secret" not in f"{[request.head for request in server.requests]}"
    await client.aclose()


async def test_its_refusals_are_told_once_and_what_may_pass_is_tried_again(connect: Connect, squid: SquidServer):
    unknown = await failure_of(connect("https://api.invalid", proxy=squid.url), stream=False)
    assert isinstance(unknown, APIConnectionError)
    assert (unknown.reason, unknown.status_code, unknown.attempts) == ("proxy", 407, 1)
    assert "Name it with user name and password" in str(unknown)
    refused = await failure_of(connect("https://api.refused.invalid", proxy=squid.url_with_password), stream=False)
    assert isinstance(refused, APIConnectionError)
    assert (refused.reason, refused.status_code, refused.attempts) == ("proxy", 403, 1)
    assert "Have api.refused.invalid allowed there" in str(refused)
    dead = await failure_of(connect("https://127.0.0.1:1", proxy=squid.url_with_password), stream=False)
    assert isinstance(dead, APIConnectionError)
    assert (dead.reason, dead.status_code, dead.attempts) == ("unreachable", 503, AT_ONCE.max_attempts)
    assert squid.url in str(dead)
