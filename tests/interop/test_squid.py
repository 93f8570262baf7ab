"""A real squid as the proxy that a company lets its programs out by."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from certificate import Authority
from foreign_servers import Run, Simulate
from program import Program
from support.clients import Connect, failure_of, said_by
from support.servers import ANSWER, CANARY, Serve, streamed

from deepseek_async import APIConnectionError

PASSWORD = "c0rrect"
CONFIGURATION = """
http_port 127.0.0.1:{port}
visible_hostname proxy.example
access_log stdio:{folder}/access.log
cache_log /dev/null
cache deny all
pid_filename none
pinger_enable off
coredump_dir {folder}
shutdown_lifetime 0 seconds
{rules}
http_access allow all
"""
WITH_PASSWORD = """
auth_param basic program /usr/bin/env sed -u -e s/^user.c0rrect$/OK/ -e t -e s/.*/ERR/
acl known proxy_auth REQUIRED
http_access deny !known
"""
TUNNELS_ONLY_TO_443 = """
acl secure port 443
http_access deny CONNECT !secure
"""


@dataclass(frozen=True)
class Squid:
    """A running squid."""

    program: Program
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def tunnels_asked_for(self) -> int:
        """How many there were; it is ended to know."""
        await self.program.stop()
        return self.log.read_text().count("CONNECT")


async def _listening(port: int) -> None:
    """Squid says that it accepts connections a moment before it does."""
    async with asyncio.timeout(60):
        while True:
            with suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.01)


Start = Callable[..., Awaitable[Squid]]


@pytest.fixture
def squid(run: Run, free_port: Callable[[], int]) -> Iterator[Start]:
    """Starts a squid."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)  # started by root, squid becomes a user of its own

        async def start(rules: str = "") -> Squid:
            port = free_port()
            configuration = folder / "squid.conf"
            configuration.write_text(CONFIGURATION.format(port=port, folder=folder, rules=rules))
            # What two of the same name share in memory is not for both.
            command = ["squid", "-N", "-n", f"test{port}", "-d", "1", "-f", str(configuration)]
            program = await run(*command, ready=b"Accepting HTTP Socket")
            await _listening(port)
            return Squid(program, port, folder / "access.log")

        yield start


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """What both sides trust."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.trusted))
    return made


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_to_an_unencrypted_server_comes_through(
    simulate: Simulate, squid: Start, connect: Connect, stream: bool
):
    simulator = await simulate()
    proxy = await squid()
    client = connect(simulator.base_url, proxy=proxy.url)
    assert await said_by(client, stream=stream) == await said_by(connect(simulator.base_url), stream=stream)
    await client.aclose()


async def test_calls_go_through_one_tunnel_with_the_proxy_s_password(
    serve: Serve, squid: Start, connect: Connect, authority: Authority
):
    server = await serve([ANSWER], streamed("Hel", "lo"), [ANSWER], tls=authority.server_context())
    proxy = await squid(WITH_PASSWORD)
    client = connect(server, proxy=f"http://user:{PASSWORD}@127.0.0.1:{proxy.port}")
    for stream in (False, True, False):
        assert await said_by(client, stream=stream) == "Hello"
    assert "proxy-authorization" not in b"".join(request.head for request in server.requests).lower().decode()
    assert server.connections == 1
    await client.aclose()


@pytest.mark.parametrize("name", ["", "user:wr0ng@"])
async def test_a_refused_password_is_told_once_as_the_proxy_s_and_never_shown(
    serve: Serve, squid: Start, connect: Connect, authority: Authority, name: str
):
    server = await serve([ANSWER], tls=authority.server_context())
    proxy = await squid(WITH_PASSWORD)
    client = connect(server, proxy=f"http://{name}127.0.0.1:{proxy.port}")
    error = await failure_of(client, stream=False)
    assert isinstance(error, APIConnectionError)
    assert (error.reason, error.status_code, error.attempts) == ("proxy", 407, 1)
    assert f"127.0.0.1:{proxy.port}" in str(error)
    assert "wr0ng" not in repr(error)
    assert CANARY not in repr(error)
    await client.aclose()
    assert await proxy.tunnels_asked_for() == 1
    assert server.requests == []


async def test_a_tunnel_that_is_forbidden_is_told_once(
    serve: Serve, squid: Start, connect: Connect, authority: Authority
):
    server = await serve([ANSWER], tls=authority.server_context())
    proxy = await squid(TUNNELS_ONLY_TO_443)
    client = connect(server, proxy=proxy.url)
    error = await failure_of(client, stream=False)
    assert isinstance(error, APIConnectionError)
    assert (error.reason, error.status_code, error.attempts) == ("proxy", 403, 1)
    assert "allow 127.0.0.1 on the proxy" in str(error)
    assert f"127.0.0.1:{proxy.port}" in str(error)
    await client.aclose()
    assert await proxy.tunnels_asked_for() == 1


async def test_a_server_that_the_proxy_cannot_reach_is_asked_for_again(
    squid: Start, connect: Connect, free_port: Callable[[], int]
):
    proxy = await squid()
    client = connect(f"https://127.0.0.1:{free_port()}", proxy=proxy.url)
    error = await failure_of(client, stream=False)
    assert isinstance(error, APIConnectionError)
    assert (error.reason, error.status_code, error.attempts) == ("unreachable", 503, 4)
    assert f"127.0.0.1:{proxy.port}" in str(error)
    await client.aclose()
    assert await proxy.tunnels_asked_for() == 4
