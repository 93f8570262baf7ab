"""An answer while it is being written, and what it cost in tokens. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio

from deepseek_async import AsyncDeepSeek


async def main() -> None:
    async with AsyncDeepSeek() as client:
        question = [{"role": "user", "content": "Explain tides to a child."}]
        # Leaving the block early, by break or by an exception, frees the connection at once.
        async with client.chat.completions.stream(model="deepseek-flash", messages=question) as stream:
            async for event in stream:
                if event.type == "content.delta":
                    print(event.delta, end="", flush=True)
        print()
        usage = stream.completion.usage
        if usage is not None:
            print(
                f"{usage.prompt_tokens} tokens in, {usage.cached_tokens} from the cache, {usage.completion_tokens} out"
            )


asyncio.run(main())
