"""A gateway and what stands behind it."""

from __future__ import annotations

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


StartGateway = Callable[..., Awaitable[Gated]]


def batch_line(number: int, **changed: Any) -> dict[str, Any]:
    """A row of a batch."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": f"What is {number}?"}]}
    return {"custom_id": f"row-{number}", "method": "POST", "url": CHAT, "body": body, **changed}


def jsonl(lines: Sequence[Any]) -> bytes:
    """Lines as a file."""
    return b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
