"""A gateway and what stands behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import openai

from deepseek_async.gateway import AsyncGateway
from deepseek_async.simulator import Simulator

QUESTION = [{"role": "user", "content": "What is 7?"}]
MODEL = "deepseek-flash"
CHAT = "/v1/chat/completions"


@dataclass
class Gated:
    """A gateway in front of a simulator."""

    simulator: Simulator
    gateway: AsyncGateway
    folder: Path
    keys: dict[str, str] = field(default_factory=dict)
    """By name of the caller."""

    def openai(self, caller: str = "") -> openai.AsyncOpenAI:
        """openai-python, as its users have it, with another base URL."""
        return openai.AsyncOpenAI(
            base_url=f"{self.gateway.url}/v1", api_key=self.keys.get(caller, "none"), max_retries=0
        )

    async def ask(
        self, method: str, path: str, *, key: str | None = None, headers: dict[str, str] | None = None, **options: Any
    ) -> tuple[int, Any]:
        """Send a request as it is; return status and decoded body."""
        sent = {**({"Authorization": f"Bearer {key}"} if key is not None else {}), **(headers or {})}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.gateway.url + path, headers=sent, **options) as response,
        ):
            text = await response.text()
            return response.status, json.loads(text) if "json" in response.content_type else text

    async def raw(
        self, method: str, target: str, *, key: str = "", head: str = "", body: bytes = b""
    ) -> tuple[int, str]:
        """Send a request with a target that no client normalizes; return status and everything that came."""
        host, port = self.gateway.url.removeprefix("http://").rsplit(":", 1)
        known = f"Authorization: Bearer {self.keys[key]}\r\n" if key else ""
        said = f"{method} {target} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n{known}{head}\r\n"
        return await self.exchanged(said.encode() + body)

    async def exchanged(self, said: bytes) -> tuple[int, str]:
        """Send bytes; return the status of the first answer and everything that came until the end."""
        host, port = self.gateway.url.removeprefix("http://").rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(said)
            text = (await reader.read()).decode("utf-8", "replace")
        finally:
            writer.close()
        return int(text.split()[1]) if text else 0, text


StartGateway = Callable[..., Awaitable[Gated]]


def batch_line(number: int, **changed: Any) -> dict[str, Any]:
    """A row of a batch."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": f"What is {number}?"}]}
    return {"custom_id": f"row-{number}", "method": "POST", "url": CHAT, "body": body, **changed}


def jsonl(lines: Sequence[Any]) -> bytes:
    """Lines as a file."""
    return b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
