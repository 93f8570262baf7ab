"""Many questions at once, answered in their order. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL.

The questions may be any iterable, also an endless or an async one: it is read only as fast as answers come.
"""

import asyncio

from deepseek_async import AsyncDeepSeek

CITIES = ("Lagos", "Oslo", "Lima", "Osaka", "Tunis", "Perth", "Quito", "Riga", "Accra", "Hanoi")


async def main() -> None:
    async with AsyncDeepSeek(max_concurrency=50) as client:
        questions = (f"Write one sentence about {city}." for city in CITIES)
        spent = 0.0
        async for result in client.batch.map(questions, ordered=True, thinking={"type": "disabled"}):
            # A question that fails is a result too; the others go on.
            print(result.content if result.ok else f"failed: {result.error}")
            spent += result.cost or 0.0
    print(f"{len(CITIES)} answers for ${spent:.6f}")


asyncio.run(main())
