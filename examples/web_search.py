"""An answer from the web, and where it has it from. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio

from deepseek_async import AnswerWithdrawn, AsyncDeepSeek, Reading, Searching, TextDelta, TitleGiven


async def main() -> None:
    async with AsyncDeepSeek() as client:
        stream = await client.chat.completions.create(
            model="deepseek-flash",
            messages=[{"role": "user", "content": "What happened in Oslo today?"}],
            tools=[{"type": "deepseek_web_search"}, {"type": "deepseek_read_url"}],
            # While the model thinks, which is the default, one answer takes about twenty paid searches.
            thinking=False,
            safety_check="high",
            title=True,
            stream=True,
        )
        async for event in stream.events():
            match event:
                case Searching(queries):
                    print("searching:", ", ".join(queries))
                case Reading(url):
                    print("reading:", url)
                case TextDelta(text):
                    print(text, end="", flush=True)
                case TitleGiven(title):
                    print(f"\ntitle: {title}")
                case AnswerWithdrawn():
                    print("\n[the service withdraws this answer]")
        for source in stream.completion.sources:
            print(f"- {source.title}: {source.url}")


asyncio.run(main())
