"""One question, one answer. Reads DEEPSEEK_API_KEY, and DEEPSEEK_BASE_URL if it is set."""

import asyncio

from deepseek_async import AsyncDeepSeek


async def main() -> None:
    async with AsyncDeepSeek() as client:
        question = [{"role": "user", "content": "Name three rivers of Europe."}]
        done = await client.chat.completions.create(model="deepseek-flash", messages=question)
        print(done.choices[0].message.content)


asyncio.run(main())
