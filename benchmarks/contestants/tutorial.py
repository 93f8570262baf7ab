"""aiohttp as tutorials show it: ``json=``, ``await r.json()``, one line of a stream after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Self

import aiohttp
from prompt import KEY, PLAIN, STREAMED


class Contestant:
    def __init__(self, base_url: str, concurrency: int, ca: str | None) -> None:
        del ca  # takes part in no TLS scenario
        self._url = f"{base_url}/chat/completions"
        self._concurrency = concurrency
        self._headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=self._concurrency))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def plain(self) -> str:
        response = await self._session.post(self._url, headers=self._headers, json=PLAIN)
        answer = await response.json()
        content: str = answer["choices"][0]["message"]["content"]
        return content

    async def stream(self, seen: Callable[[str], None]) -> None:
        async with self._session.post(self._url, headers=self._headers, json=STREAMED) as response:
            async for line in response.content:
                text = line.decode("utf-8").strip()
                if text.startswith("data: ") and text != "data: [DONE]":
                    chunk = json.loads(text[6:])
                    seen(chunk["choices"][0]["delta"]["content"])
