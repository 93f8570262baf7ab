"""A search and the text of what it finds, with what both cost. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio

from deepseek_async import AsyncDeepSeek


async def main() -> None:
    async with AsyncDeepSeek() as client:
        found = await client.tools.search("asyncio task groups", count=3)
        page = await client.tools.fetch(found.results[0].url)
    for result in found:
        print(f"{result.title}: {result.url}")
    print(page.content)
    for fee in (*found.fees, *page.fees):
        print(f"{fee.count} {fee.kind}: {fee.cny} yuan, {fee.usd} US dollars")


asyncio.run(main())
