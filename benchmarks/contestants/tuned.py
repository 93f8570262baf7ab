"""aiohttp's public API, tuned: orjson, no timers, no cookies, bulk reading. Answers are plain dicts."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Self

import aiohttp
import orjson
from prompt import KEY, PLAIN, STREAMED

DONE = b"data: [DONE]"


class Contestant:
    def __init__(self, base_url: str, concurrency: int, ca: str | None) -> None:
        self.url = f"{base_url}/chat/completions"
        self._concurrency = concurrency
        self._ca = ca

    async def __aenter__(self) -> Self:
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._concurrency,
                ssl=ssl.create_default_context(cafile=self._ca) if self._ca else True,
            ),
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def plain(self) -> str:
        async with self.session.post(self.url, data=orjson.dumps(PLAIN)) as response:
            response.raise_for_status()
            answer: dict[str, Any] = orjson.loads(await response.read())
        content: str = answer["choices"][0]["message"]["content"]
        return content

    async def stream(self, seen: Callable[[str], None]) -> None:
        async with self.session.post(self.url, data=orjson.dumps(STREAMED)) as response:
            response.raise_for_status()
            rest = b""
            while block := await response.content.readany():
                *events, rest = (rest + block).split(b"\n\n")
                for event in events:
                    if event == DONE:
                        continue
                    choices = orjson.loads(event[6:])["choices"]
                    if choices:
                        seen(choices[0]["delta"]["content"])
