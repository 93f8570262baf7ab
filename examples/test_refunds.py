"""Tests of a program, for pytest: the plugin gives a simulator that says what the test wants, and a client of it."""

from __future__ import annotations

import asyncio

from deepseek_async import AsyncDeepSeek
from deepseek_async.simulator import Simulator


async def status_of(client: AsyncDeepSeek, order: str) -> str:
    """The code under test: the model calls a function, and says what it returned."""

    async def look_up(order: str) -> str:
        """Look up an order."""
        return f"{order} has left"

    run = await client.chat.completions.run_tools(
        model="deepseek-flash", messages=[{"role": "user", "content": f"Where is {order}?"}], tools=[look_up]
    )
    return run.completion.choices[0].message.content or ""


def test_the_model_looks_the_order_up(deepseek_simulator: Simulator, deepseek_client: AsyncDeepSeek) -> None:
    deepseek_simulator.answer(when="order 7", tool_calls=[{"name": "look_up", "arguments": {"order": "order 7"}}])
    deepseek_simulator.answer(when="order 7", content="It has left.")

    assert asyncio.run(status_of(deepseek_client, "order 7")) == "It has left."
    assert deepseek_simulator.requests[1].body["messages"][-1]["content"] == "order 7 has left"
