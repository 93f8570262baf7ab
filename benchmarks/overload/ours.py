"""``deepseek_async`` with the settings that it has by itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Self

from prompt import KEY, MODEL

from deepseek_async import AsyncDeepSeek


class Client:
    def __init__(self, url: str) -> None:
        self._client = AsyncDeepSeek(api_key=KEY, base_url=url)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def ask(self, prompt: str) -> None:
        await self._client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": prompt}])

    async def bulk(self, width: int, ended: Callable[[Exception | None], None]) -> None:
        """Rows without end, as many at a time as the client finds right."""
        del width
        async for result in self._client.batch.map(f"row {number}" for number in itertools.count()):
            ended(result.error)
