"""A model that asks Python for what it does not know. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio

from deepseek_async import AsyncDeepSeek


async def temperature(place: str, unit: str = "celsius") -> dict[str, object]:
    """Tell the temperature of a place right now.

    Args:
        place: Name of a town.
        unit: celsius or kelvin.
    """
    return {"place": place, "temperature": 271.5 if unit == "kelvin" else -1.5}


async def main() -> None:
    async with AsyncDeepSeek() as client:
        ran = await client.chat.completions.run_tools(
            model="deepseek-flash",
            messages=[{"role": "user", "content": "What is the temperature in Oslo? Use the tool."}],
            tools=[temperature],
        )
        for message in ran.messages:
            for call in message.get("tool_calls") or ():
                print(f"called {call['function']['name']}({call['function']['arguments']})")
        print(ran.content)


asyncio.run(main())
