"""The tutorials' `call_with_retry`: back-off up to 30 s on 429. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio

from deepseek_async import AsyncDeepSeek, RateLimitError, RetryPolicy

RETRY = RetryPolicy(max_attempts=3, base_delay=1.0, max_delay=30.0)


async def call_with_retry(prompt: str) -> str:
    async with AsyncDeepSeek(retry=RETRY) as client:
        try:
            return (await client.completions.create(model="deepseek-chat", prompt=prompt)).choices[0].text
        except RateLimitError as error:
            return f"still refused after {error.attempts} attempts: {error}"


print(asyncio.run(call_with_retry("解释量子计算原理")))
