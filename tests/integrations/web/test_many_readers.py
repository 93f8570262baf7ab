"""Two hundred streams relayed by FastAPI in one process of uvicorn, while readers leave and reload as they like."""

from __future__ import annotations

import asyncio
import random

import aiohttp
import pytest
from relaying import RunService, Simulate, Site, service
from support.clients import MESSAGES
from support.event_source import Event, EventSource

from deepseek_async.integrations.web import ResumableAnswers
from deepseek_async.integrations.web.relay import Relay

STREAMS, RELOADING = 200, 20
GRACE = 0.5
"""Seconds for a reader to come back in; those who do not are given up then."""


@pytest.mark.real_time
async def test_every_place_is_free_soon_and_who_reloads_has_each_event_once(
    simulate: Simulate, run_service: RunService, request: pytest.FixtureRequest
):
    for seed in range(request.config.getoption("--rounds") or 1):
        await relay_to_readers_who_come_and_go(simulate, run_service, random.Random(seed))


async def relay_to_readers_who_come_and_go(simulate: Simulate, run_service: RunService, chance: random.Random) -> None:
    simulator, client = await simulate(tokens_per_second=60, answer_tokens=60, reasoning_tokens=0)
    async with ResumableAnswers(grace=GRACE) as answers:
        source = lambda: client.chat.completions.stream(model="deepseek-flash", messages=MESSAGES)  # noqa: E731
        kept = await run_service(service("fastapi", source, resumable=answers))
        plain = await run_service(service("fastapi", source))
        whole = [reads_to_the_end(kept if number % 2 else plain) for number in range(STREAMS // 2 - RELOADING)]
        leaving = [leaves(kept if number % 2 else plain, chance.randint(1, 40)) for number in range(STREAMS // 2)]
        reloading = [reloads(kept, sorted(chance.sample(range(1, 50), 3))) for _ in range(RELOADING)]
        everybody = asyncio.gather(*whole, *leaving, *reloading)
        left = await everybody
        began = asyncio.get_running_loop().time()
        await simulator.until(lambda statistics: statistics.in_flight == 0)
        assert asyncio.get_running_loop().time() - began < 1
        statistics = client.statistics()
        assert [(model.window.in_flight, model.queued_interactive) for model in statistics.models] == [(0, 0)]
        assert answers.running == 0
    assert simulator.statistics().requests == STREAMS  # no reload asked for a second answer
    for seen in left[STREAMS // 2 - RELOADING + STREAMS // 2 :]:
        assert [event.number for event in seen] == list(range(1, len(seen) + 1))
        assert seen[-1].kind == "end"


async def reads_to_the_end(site: Site) -> list[Event]:
    async with site.get("/answer") as page:
        return EventSource().feed(await page.read())


async def leaves(site: Site, after: int) -> list[Event]:
    """Reads so many events, and is gone."""
    async with site.get("/answer") as page:
        seen = await some(page, EventSource(), after)
        page.close()
        return seen


async def reloads(site: Site, after: list[int]) -> list[Event]:
    """Breaks off after each of these numbers of events and comes back, then reads to the end."""
    source, seen = EventSource(), list[Event]()
    for number in after:
        async with site.get("/answer", source.last_event_id or None) as page:
            seen += await some(page, source, number - len(seen))
            page.close()
        if seen[-1].kind == "end":
            return seen
    async with site.get("/answer", source.last_event_id) as page:
        return seen + source.feed(await page.read())


async def some(page: aiohttp.ClientResponse, source: EventSource, count: int) -> list[Event]:
    seen: list[Event] = []
    while len(seen) < count and not (seen and seen[-1].kind == "end"):
        block = await page.content.readany()
        if not block:
            break
        seen += source.feed(block)
    return seen


@pytest.mark.parametrize("way", ["stream", "create"])
async def test_a_request_that_is_cancelled_at_any_moment_leaves_nothing(way: str, simulate: Simulate):
    simulator, client = await simulate(tokens_per_second=3_000)
    parameters = {"model": "deepseek-flash", "messages": MESSAGES}

    async def respond() -> None:
        completions = client.chat.completions
        source = (
            completions.stream(**parameters) if way == "stream" else completions.create(**parameters, stream=True)  # type: ignore[call-overload]
        )
        reader = await Relay(source, "ui").reader(None)
        assert reader is not None
        try:
            with reader:
                assert [block async for block in reader]
        finally:
            await reader.left()

    for turns in range(1, 100, 3):
        responding = asyncio.create_task(respond())
        for _ in range(turns):
            await asyncio.sleep(0)
        responding.cancel()
        await asyncio.wait((responding,))
    await simulator.until(lambda statistics: statistics.in_flight == 0)
    limiter = client._runtime.opened.account_limiter  # type: ignore[union-attr]
    assert (limiter.in_flight, limiter.waiting) == (0, 0)
