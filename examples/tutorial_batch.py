"""The tutorials' `batch_call`: a pool of 100 connections. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio
from collections.abc import Iterable

from deepseek_async import AsyncDeepSeek


async def batch_call(prompts: Iterable[str]) -> list[str]:
    async with AsyncDeepSeek(max_concurrency=100) as client:
        results = client.batch.map(prompts, model="deepseek-chat", ordered=True)
        return [result.content or f"failed: {result.error}" async for result in results]


print(*asyncio.run(batch_call(f"{number} * {number} = ?" for number in range(300))), sep="\n")
