"""The tutorials' streaming program: text while it is written. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio

from deepseek_async import AsyncDeepSeek


async def stream_response() -> None:
    async with (
        AsyncDeepSeek() as client,
        client.completions.stream(model="deepseek-chat", prompt="解释量子计算原理") as stream,
    ):
        async for chunk in stream:
            print(chunk.choices[0].text, end="", flush=True)


asyncio.run(stream_response())
