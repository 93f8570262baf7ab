"""Clients that others wrote run unmodified against a gateway: each call of each client passes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from foreign_servers import ENVIRONMENTS, Simulate
from support.clients import Connect
from support.servers import CANARY

from deepseek_async.gateway import AsyncGateway
from deepseek_async.gateway.callers import Callers
from deepseek_async.simulator import Simulator

HERE = Path(__file__).parent
SECONDS = 120.0

CALLS: dict[str, tuple[str, ...]] = {
    "openai": (
        *("chat", "stream", "tools", "parse", "completions", "responses", "responses_stream", "files", "batches"),
        *("embeddings", "models", "errors"),
    ),
    "openai-async": (
        *("chat", "stream", "stream_helper", "tools", "parse", "responses", "files", "batches", "embeddings"),
        "models",
    ),
    "anthropic": ("messages", "messages_async", "stream", "stream_async", "tools", "errors"),
    "langchain-deepseek": ("invoke", "ainvoke", "astream", "tools", "structured"),
    "pydantic-ai": ("run", "run_stream", "tools", "structured"),
    "instructor": ("create", "create_partial"),
    "openai-node": ("chat", "stream", "tools", "responses", "files", "batches", "embeddings", "models", "errors"),
    "ai-sdk": ("generateText", "streamText", "tools"),
}
"""What passes, by client."""

ENVIRONMENT_OF: dict[str, tuple[str, ...]] = {
    "": ("openai", "openai-async", "anthropic"),
    "frameworks": ("langchain-deepseek", "pydantic-ai"),
    "frameworks-httpx": ("instructor", "openai", "openai-async"),
}
"""Clients by the environment that they run in; the unnamed one is that of these tests, with openai-python 2."""


@dataclass
class Served:
    """A gateway with one caller, and the caller's key."""

    url: str
    key: str
    simulator: Simulator


def asks_for_the_weather(request: Any) -> bool:
    said = request.get("messages") or [{}]
    return said[-1].get("role") == "user" and "weather" in str(said[-1].get("content"))


def has_the_weather(request: Any) -> bool:
    return (request.get("messages") or [{}])[-1].get("role") == "tool"


@pytest.fixture
async def served(
    simulate: Simulate, connect: Connect, tmp_path: Path, half_prices_today: None
) -> AsyncIterator[Served]:
    simulator = await simulate()
    simulator.answer(when="Say hello", content="Hello")
    simulator.answer(when="A city as JSON", parsed={"name": "Oslo", "country": "Norway"})
    simulator.answer(when="No money", status=402)
    simulator.answer(when=asks_for_the_weather, tool_calls=[{"name": "weather", "arguments": {"city": "Oslo"}}])
    simulator.answer(when=has_the_weather, content="It is sunny.")
    key = Callers(tmp_path / "keys.json").add("team-a", daily=5)
    async with AsyncGateway(connect(simulator.base_url), folder=tmp_path, port=0, drain=5) as gateway:
        yield Served(gateway.url, key, simulator)


async def said_by(*command: str, **environment: str) -> str:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *command, env={**kept, **environment}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(SECONDS):
            said, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, complained.decode()
    assert CANARY not in said.decode()
    return said.decode()


def table(said: str) -> dict[str, dict[str, str | None]]:
    """How each call failed, by client and call."""
    found: dict[str, dict[str, str | None]] = {}
    for line in said.splitlines():
        if line.startswith('["'):
            client, call, failure = json.loads(line)
            found.setdefault(client, {})[call] = failure
    return found


def passed(*clients: str) -> dict[str, dict[str, None]]:
    return {client: dict.fromkeys(CALLS[client]) for client in clients}


@pytest.mark.parametrize("environment", ENVIRONMENT_OF)
async def test_each_call_of_a_python_client_passes(served: Served, python_with: Callable[[str], str], environment: str):
    python = python_with(environment) if environment else sys.executable
    clients = ENVIRONMENT_OF[environment]

    said = await said_by(python, str(HERE / "gateway_clients.py"), served.url, served.key, *clients)

    assert table(said) == passed(*clients)


async def test_each_call_of_a_javascript_client_passes(served: Served):
    modules = Path(ENVIRONMENTS or "/nonexistent") / "node" / "node_modules"
    if shutil.which("node") is None or not modules.is_dir():
        pytest.skip("needs node, and tests/interop/node/package.json installed in INTEROP_ENVIRONMENTS/node")
    # Modules are looked for beside the file that imports them.
    program = modules.parent / "gateway_clients.mjs"
    program.write_bytes((HERE / "node" / "gateway_clients.mjs").read_bytes())

    said = await said_by("node", "--no-warnings", str(program), served.url, served.key)

    assert table(said) == passed("openai-node", "ai-sdk")


async def test_curl_shows_a_stream_as_it_comes(served: Served):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    body = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "Say hello"}], "stream": True}
    asked = ("-sN", f"{served.url}/v1/chat/completions", "-H", f"Authorization: Bearer {served.key}")

    said = await said_by("curl", *asked, "-H", "Content-Type: application/json", "-d", json.dumps(body))

    events = [json.loads(line[6:]) for line in said.splitlines() if line.startswith("data: {")]
    texts = [choice["delta"].get("content") or "" for event in events for choice in event["choices"]]
    assert "".join(texts) == "Hello"
    assert said.rstrip().endswith("data: [DONE]")
