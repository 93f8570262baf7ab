"""openai-python, as its documentation uses it against another base URL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from openai import AsyncOpenAI
from prompt import KEY, PLAIN, STREAMED


class Contestant:
    def __init__(self, base_url: str, concurrency: int, ca: str | None) -> None:
        del concurrency, ca  # its own pool allows 1,000 connections; it takes part in no TLS scenario
        # A retry would hide an error that the table should show.
        self._client = AsyncOpenAI(api_key=KEY, base_url=base_url, max_retries=0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def plain(self) -> str:
        answer = await self._client.chat.completions.create(**PLAIN)
        return answer.choices[0].message.content or ""

    async def stream(self, seen: Callable[[str], None]) -> None:
        async for chunk in await self._client.chat.completions.create(**STREAMED):
            if chunk.choices:
                seen(chunk.choices[0].delta.content or "")
