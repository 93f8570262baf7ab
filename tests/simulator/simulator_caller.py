"""A plain HTTP client for one simulator, and the request bodies that the tests share."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from deepseek_async.simulator import Simulator

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 3},
                "unit": {"enum": ["celsius", "kelvin"]},
                "tags": {"type": "array", "items": {"type": "string"}},
                "note": {"type": "string"},
            },
            "required": ["city", "days", "unit", "tags"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}

AUTHORIZATION = {"Authorization": "Bearer sk-test-1234"}


@dataclass
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return self.json["error"]["message"]

    @property
    def events(self) -> list[str]:
        """The data of each event, `[DONE]` included. Comments are left out."""
        blocks = self.body.replace(b"\r\n", b"\n").decode().split("\n\n")
        return [block.removeprefix("data: ") for block in blocks if block.startswith("data: ")]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        assert self.events[-1] == "[DONE]"
        return [json.loads(event) for event in self.events[:-1]]


class Caller:
    """Sends requests to one simulator the way a bare HTTP client does."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.session = session

    def request(self, method: str, path: str, **options: Any) -> Any:
        headers = {**AUTHORIZATION, **options.pop("headers", {})}
        return self.session.request(method, self.simulator.base_url + path, headers=headers, **options)

    async def send(self, method: str, path: str, **options: Any) -> Reply:
        async with self.request(method, path, **options) as response:
            return Reply(response.status, response.headers, await response.read())

    async def chat(self, content: Any = "Hello", *, headers: dict[str, str] | None = None, **body: Any) -> Reply:
        return await self.send("POST", "/chat/completions", json=chat_body(content, **body), headers=headers or {})


def chat_body(content: Any = "Hello", **body: Any) -> dict[str, Any]:
    """A request whose thinking is off unless it says otherwise, because most tests are about something else."""
    made: dict[str, Any] = {
        "model": "deepseek-flash",
        "messages": [{"role": "user", "content": content}],
        "thinking": {"type": "disabled"},
        **body,
    }
    return {key: value for key, value in made.items() if value is not ...}


Start = Callable[..., Awaitable[Caller]]
