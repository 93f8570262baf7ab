"""A data frame with its answers as columns. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL. Needs pandas."""

import asyncio

import pandas as pd

from deepseek_async import AsyncDeepSeek


async def main() -> None:
    cities = pd.DataFrame({"city": ["Lagos", "Oslo", "Lima"], "country": ["Nigeria", "Norway", "Peru"]})
    async with AsyncDeepSeek() as client:
        answered = await client.batch.table(cities, template="One sentence about {city} in {country}.")
    print(answered[["city", "answer", "error"]])
    print(f"${answered['cost'].sum():.6f}")


asyncio.run(main())
