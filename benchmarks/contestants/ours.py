"""``deepseek_async``, as its documentation shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from prompt import KEY, PLAIN, STREAMED

from deepseek_async import AsyncDeepSeek


class Contestant:
    def __init__(self, base_url: str, concurrency: int, ca: str | None) -> None:
        del ca  # found through SSL_CERT_FILE
        # A retry would hide an error that the table should show.
        self.client = AsyncDeepSeek(
            api_key=KEY,
            base_url=base_url,
            max_concurrency=concurrency,
            retry=1,
        )

    async def __aenter__(self) -> Self:
        await self.client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def plain(self) -> str:
        answer = await self.client.chat.completions.create(**PLAIN)
        return answer.choices[0].message.content or ""

    async def stream(self, seen: Callable[[str], None]) -> None:
        async with await self.client.chat.completions.create(**STREAMED) as stream:
            async for chunk in stream:
                if chunk.choices:
                    seen(chunk.choices[0].delta.content or "")

    async def bulk(self, prompts: Path, answers: Path) -> Any:
        return await self.client.batch.run(str(prompts), str(answers))
