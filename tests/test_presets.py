"""The presets are in their ranges, and go out as they are."""

from __future__ import annotations

import pytest
from support.clients import Connect
from support.servers import ANSWER, Serve

from deepseek_async import presets
from deepseek_async.presets import Sampling
from deepseek_async.simulator import Simulator

NAMED = {"CODE": presets.CODE, "CREATIVE": presets.CREATIVE, "EXPERIMENTAL": presets.EXPERIMENTAL}


def test_each_preset_is_in_the_range_of_its_kind_of_work():
    assert 0.1 <= presets.CODE["temperature"] <= 0.3
    assert 0.7 <= presets.CREATIVE["temperature"] <= 0.9
    assert (presets.CREATIVE["top_p"], presets.CREATIVE["presence_penalty"]) == (0.92, 0.6)
    assert 1 < presets.EXPERIMENTAL["temperature"] <= 2


@pytest.mark.parametrize("preset", NAMED.values(), ids=NAMED)
async def test_a_preset_goes_out_beside_other_parameters(serve: Serve, connect: Connect, preset: Sampling):
    server = await serve([ANSWER])
    await connect(server, lint="off").chat.completions.create(
        model="deepseek-flash",
        messages=[{"role": "user", "content": "Hi"}],
        **preset,
    )
    sent = server.requests[0].json()
    assert {name: sent[name] for name in preset} == preset


@pytest.mark.parametrize("preset", NAMED.values(), ids=NAMED)
async def test_the_service_takes_every_preset(connect: Connect, preset: Sampling):
    async with Simulator() as simulator:
        client = connect(simulator.base_url, lint="off")
        assert await client.responses.create(
            model="deepseek-flash",
            input="Hi",
            temperature=preset["temperature"],
        )
        assert await client.completions.create(model="deepseek-code", prompt="Hi", **preset)
