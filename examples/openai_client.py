"""openai-python over this engine, with a budget. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio

from deepseek_async import AsyncDeepSeek
from deepseek_async.integrations.openai import as_openai


async def main() -> None:
    async with AsyncDeepSeek(budget=5) as client:
        question = {"role": "user", "content": "Name three rivers of Europe."}
        stream = await as_openai(client).chat.completions.create(
            model="deepseek-flash", messages=[question], stream=True
        )
        async for chunk in stream:
            print(chunk.choices[0].delta.content or "", end="", flush=True)


asyncio.run(main())
