"""Answers that are asked for once and replayed afterwards, without a network. Reads DEEPSEEK_API_KEY once."""

import asyncio

from deepseek_async import AsyncDeepSeek
from deepseek_async.testing import recording


async def main() -> None:
    transport = recording("cassettes/tides.jsonl")
    async with AsyncDeepSeek(transport=transport) as client:
        question = [{"role": "user", "content": "Explain tides to a child."}]
        done = await client.chat.completions.create(model="deepseek-flash", messages=question)
        print(done.choices[0].message.content)


asyncio.run(main())
