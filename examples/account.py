"""The models that there are, and what is left of the balance. Reads DEEPSEEK_API_KEY and DEEPSEEK_BASE_URL."""

import asyncio

from deepseek_async import AsyncDeepSeek


async def main() -> None:
    async with AsyncDeepSeek() as client:
        models = await client.models.list()
        balance = await client.user.balance()
    print("models:", ", ".join(model.id for model in models.data))
    for amount in balance.balance_infos:
        print(f"left: {amount.total_balance} {amount.currency}")


asyncio.run(main())
