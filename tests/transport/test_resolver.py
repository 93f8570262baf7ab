"""Names to addresses: what is dead is not asked again, and this machine is found by either family."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from support.clients import Connect, ask, failure_of, said_by
from support.servers import ANSWER, CLOSE, Serve

from deepseek_async import APIConnectionError

DEAD, ANOTHER = "127.0.0.2", "127.0.0.3"
"""Nobody listens at the first: a connection is refused."""

Names = dict[str, list[str]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """What the machine's resolver knows; each look-up adds a name to ``asked`` of it."""
    known: Names = {"asked": []}
    original = socket.getaddrinfo

    def look_up(host: str, port: Any, *arguments: Any, **options: Any) -> list[Any]:
        if host not in known:
            return original(host, port, *arguments, **options)
        known["asked"].append(host)
        return [found for address in known[host] for found in original(address, port, type=socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


async def test_a_dead_address_is_looked_up_anew_before_each_attempt(serve: Serve, connect: Connect, names: Names):
    server = await serve([ANSWER, CLOSE])
    names["localhost"] = [DEAD]
    client = connect(f"http://localhost:{server.port}", retry=3)
    error = await failure_of(client, stream=False)
    assert isinstance(error, APIConnectionError)
    assert error.reason == "unreachable"
    assert len(names["asked"]) == 3
    names["localhost"] = ["127.0.0.1"]
    assert await said_by(client, stream=False) == "Hello"


async def test_an_address_that_dies_is_given_up_within_the_call(serve: Serve, connect: Connect, names: Names):
    server = await serve([ANSWER, CLOSE])
    names["localhost"] = ["127.0.0.1"]
    client = connect(f"http://localhost:{server.port}", retry=2)
    await ask(client)
    await server.idle.wait()
    there = await serve([ANSWER], address=(ANOTHER, server.port))
    await server.stop()
    names["localhost"] = [ANOTHER]
    assert await said_by(client, stream=False) == "Hello"
    assert len(there.requests) == 1
    assert names["asked"] == ["localhost", "localhost"]


async def test_an_address_that_works_is_not_looked_up_for_each_connection(serve: Serve, connect: Connect, names: Names):
    server = await serve([ANSWER, CLOSE])
    names["localhost"] = ["127.0.0.1"]
    client = connect(f"http://localhost:{server.port}")
    for _ in range(3):
        await ask(client)
        await server.idle.wait()
    assert (server.connections, len(names["asked"])) == (3, 1)


async def test_a_dead_address_is_passed_over_for_a_living_one(serve: Serve, connect: Connect, names: Names):
    server = await serve([ANSWER])
    names["localhost"] = [DEAD, "127.0.0.1"]
    assert await said_by(connect(f"http://localhost:{server.port}", retry=1), stream=False) == "Hello"


async def test_a_call_that_meets_a_dead_proxy_looks_its_name_up_anew(connect: Connect, names: Names):
    names["localhost"] = [DEAD]
    client = connect("https://api.invalid", proxy="http://localhost:1", retry=2)
    error = await failure_of(client, stream=False)
    assert "proxy http://localhost:1 is unreachable" in str(error)
    assert len(names["asked"]) == 2


def ipv6_is_here() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not ipv6_is_here(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "[::1]"])
async def test_a_server_that_listens_on_ipv6_only_is_found(serve: Serve, connect: Connect, host: str):
    server = await serve([ANSWER], address=("::1", 0))
    assert await said_by(connect(f"http://{host}:{server.port}", retry=1), stream=False) == "Hello"
