"""openai-python with the settings that it has by itself, so many calls at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Self

from openai import AsyncOpenAI
from overload.workers import at_once
from prompt import KEY, MODEL


class Client:
    def __init__(self, url: str) -> None:
        self._client = AsyncOpenAI(api_key=KEY, base_url=url)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ask(self, prompt: str) -> None:
        await self._client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": prompt}])

    async def bulk(self, width: int, ended: Callable[[Exception | None], None]) -> None:
        """Rows without end; one that its two retries did not help has failed."""
        prompts = (f"row {number}" for number in itertools.count())
        await at_once(width, prompts, self.ask, ended)
