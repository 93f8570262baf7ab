"""Programs written for openai-python give the same value with this client, or fail before anything is paid."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest
from support.clients import AT_ONCE
from table import DIFFERENT, IDIOMS, It, autospec

import deepseek_async
from deepseek_async.simulator import Simulator, SimulatorSettings

KEY = "sk-test-1234"
Run = Callable[..., Any]


@pytest.fixture
async def ours() -> AsyncIterator[It]:
    async with AsyncExitStack() as stack:
        yield await _ours(stack)


async def _ours(stack: AsyncExitStack) -> It:
    simulator = await stack.enter_async_context(Simulator(SimulatorSettings(seed=7)))

    def make(**options: Any) -> Any:
        made = {"api_key": KEY, "base_url": simulator.base_url, "retry": AT_ONCE, "max_retries": None, **options}
        if "max_retries" not in options:
            made.pop("max_retries")
        return deepseek_async.AsyncDeepSeek(**made)

    client = await stack.enter_async_context(make(retry=None, max_retries=0))
    return It(deepseek_async, client, simulator, make)


async def _theirs(stack: AsyncExitStack) -> It:
    import openai

    simulator = await stack.enter_async_context(Simulator(SimulatorSettings(seed=7)))

    def make(**options: Any) -> Any:
        # Without certificates, whose loading takes longer than all the rest of a program.
        made = {"api_key": KEY, "max_retries": 0, "http_client": httpx2.AsyncClient(verify=False), **options}
        return openai.AsyncOpenAI(**{"base_url": f"{simulator.base_url}/v1", **made})

    client = await stack.enter_async_context(make())
    return It(openai, client, simulator, make)


@pytest.mark.parametrize("name", IDIOMS)
async def test_a_program_gives_the_same_value_with_both_clients(name: str):
    async with AsyncExitStack() as stack:
        expected = await IDIOMS[name](await _theirs(stack))
        assert await IDIOMS[name](await _ours(stack)) == expected


@pytest.mark.parametrize("name", DIFFERENT)
async def test_what_is_different_fails_before_it_is_paid_and_says_what_to_write(ours: It, name: str):
    with pytest.raises(
        (deepseek_async.ConfigurationError, deepseek_async.InvalidRequestError, AttributeError)
    ) as caught:
        await DIFFERENT[name].program(ours)
    assert re.search(DIFFERENT[name].says, str(caught.value))
    assert list(ours.simulator.requests) == []
    assert len(ours.simulator.ledger) == 0


async def test_a_mock_by_autospec_has_the_resources(ours: It):
    assert await autospec(ours) == "mocked"
