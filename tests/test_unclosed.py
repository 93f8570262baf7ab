"""A client that nobody closed says so once, in words of this library, and gives back what it held."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import textwrap
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from certificate import Authority
from support.clients import ask, open_stream
from support.servers import ANSWER, CANARY, DONE, LAST_CHUNK, OPENING, Serve, begun, ending, http_chunk, said

from deepseek_async import AsyncDeepSeek


@pytest.fixture
def told() -> Iterator[Callable[[], list[str]]]:
    """What the collector's finalizers warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")

        def so_far() -> list[str]:
            gc.collect()
            return [f"{warning.category.__name__}: {warning.message}" for warning in caught]

        yield so_far


@pytest.fixture
async def complaints() -> AsyncIterator[list[dict[str, Any]]]:
    """What the loop's exception handler was given."""
    given: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: given.append(context))
    yield given
    assert given == []


def used(url: str, **options: Any) -> AsyncDeepSeek:
    return AsyncDeepSeek(api_key=CANARY, base_url=url, **options)


def warning_of(url: str) -> str:
    return (
        f"ResourceWarning: unclosed <AsyncDeepSeek {url}>: use 'async with AsyncDeepSeek() as client:', "
        "or await client.aclose() before the event loop ends"
    )


Told = Callable[[], list[str]]


@pytest.mark.usefixtures("complaints")
async def test_a_dropped_client_warns_once_and_closes_its_connections(serve: Serve, told: Told):
    server = await serve([ANSWER])
    client = used(server.url)
    await asyncio.gather(*(ask(client) for _ in range(3)))
    del client
    assert told() == [warning_of(server.url)]
    async with asyncio.timeout(120):
        await server.idle.wait()
    assert told() == [warning_of(server.url)]


@pytest.mark.usefixtures("complaints")
async def test_one_client_is_one_warning_however_many_servers_it_used(serve: Serve, told: Told):
    server, other = await serve([ANSWER]), await serve([ANSWER])
    client = used(server.url, fallback=other.url, endpoints={"embeddings": f"{other.url}/more"})
    quick = client.with_options(timeout=100)
    await ask(client)
    await ask(quick)
    client._context.caller_of("embeddings")
    del client
    assert told() == []
    del quick
    assert told() == [warning_of(server.url)]


@pytest.mark.usefixtures("complaints")
async def test_a_client_without_connections_left_open_says_nothing(serve: Serve, told: Told):
    server = await serve([ANSWER])
    used(server.url)
    closed = used(server.url)
    await ask(closed)
    await closed.aclose()
    del closed
    async with used(server.url) as within:
        await ask(within)
    del within
    assert told() == []


@pytest.mark.usefixtures("complaints")
async def test_nothing_of_aiohttps_session_is_said_either(serve: Serve, told: Told, monkeypatch: pytest.MonkeyPatch):
    original = aiohttp.ClientSession._request

    async def replaced(session: aiohttp.ClientSession, *arguments: Any, **options: Any) -> Any:
        return await original(session, *arguments, **options)

    monkeypatch.setattr(aiohttp.ClientSession, "_request", replaced)
    server = await serve([ANSWER])
    client = used(server.url)
    await ask(client)
    del client
    assert told() == [warning_of(server.url)]
    async with asyncio.timeout(120):
        await server.idle.wait()


@pytest.mark.usefixtures("complaints")
async def test_a_stream_goes_on_when_its_client_is_dropped(serve: Serve, told: Told):
    rest = asyncio.Event()
    server = await serve([begun(OPENING, said("Hel")), rest, http_chunk(said("lo") + ending() + DONE) + LAST_CHUNK])
    client = used(server.url)
    stream = await open_stream(client)
    del client
    assert set(told()) <= {warning_of(server.url)}
    rest.set()
    assert [text async for text in stream.text_deltas()] == ["Hel", "lo"]
    del stream
    assert told() == [warning_of(server.url)]
    async with asyncio.timeout(120):
        await server.idle.wait()


PROGRAM = """
    import asyncio, gc, os, sys
    from support.clients import ask
    from deepseek_async import AsyncDeepSeek

    async def main():
        client = AsyncDeepSeek(api_key=os.environ["KEY"], base_url=os.environ["URL"])
        await asyncio.gather(ask(client), ask(client))
        return client

    {end}
"""
ENDS = {
    "collected after its loop": "client = asyncio.run(main()); del client; gc.collect()",
    "alive at the end of the process": "client = asyncio.run(main())",
    "alive in a forked child": """
    client = asyncio.run(main())
    if os.fork() == 0:
        del client
        gc.collect()
        sys.exit()
    os.wait()
    asyncio.run(client.aclose())
    """,
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("end", ENDS)
async def test_a_process_in_development_mode_shows_no_other_word(serve: Serve, tmp_path: Path, end: str, tls: bool):
    authority = Authority(tmp_path)
    server = await serve([ANSWER], tls=authority.server_context() if tls else None)
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-c", textwrap.dedent(PROGRAM.format(end=ENDS[end]))),
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "KEY": CANARY,
            "URL": server.url,
            "SSL_CERT_FILE": str(authority.trusted),
        },
        stderr=asyncio.subprocess.PIPE,
    )
    _, said_last = await running.communicate()
    lines = [
        line for line in said_last.decode().splitlines() if "Warning" in line or "rror" in line or "nclosed" in line
    ]
    expected = [] if "forked" in end else [warning_of(server.url)]
    assert [line.partition(": ")[2] for line in lines] == expected, said_last.decode()
    assert running.returncode == 0
