"""Why prompts miss the service's prefix cache. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio
from datetime import UTC, datetime

from deepseek_async import AsyncDeepSeek, PromptCacheWatch

RULES = "Answer in one sentence, and be kind to everybody whom you meet. " * 100


async def main() -> None:
    async with AsyncDeepSeek(listeners=[PromptCacheWatch()]) as client:
        for question in ("What is a tide?", "What is a fjord?", "What is a glacier?"):
            system = f"It is {datetime.now(UTC)}. {RULES}"  # the mistake: it changes with each prompt
            await client.chat.completions.create(
                model="deepseek-flash",
                messages=[{"role": "system", "content": system}, {"role": "user", "content": question}],
            )
        print(client.cache_report())


asyncio.run(main())
