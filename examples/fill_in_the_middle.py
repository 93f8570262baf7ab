"""Code between what stands before and what stands after. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio

from deepseek_async import AsyncDeepSeek, presets

BEFORE = "def greatest_common_divisor(a: int, b: int) -> int:\n"
AFTER = "    return a\n"


async def main() -> None:
    async with AsyncDeepSeek() as client:
        done = await client.completions.create(
            model="deepseek-v4-pro",
            prompt=BEFORE,
            suffix=AFTER,
            max_tokens=200,
            **presets.CODE,
        )
        print(BEFORE, done.choices[0].text, AFTER, sep="")


asyncio.run(main())
