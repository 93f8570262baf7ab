"""The example service with two workers of uvicorn, Redis between them, and a real Chromium before it."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
from ports import ReservedPort
from program import Program
from support.browser import Browser
from support.event_source import EventSource
from support.redis_server import RedisServer

from deepseek_async.simulator import Simulator, SimulatorSettings

FOLDER = Path(__file__).parents[3] / "examples" / "chat_service"
STORY = "Once upon a time, a queue met a server. " * 5


async def test_a_page_that_is_reloaded_shows_the_whole_answer_and_its_cost_and_one_that_stops_stops_it(tmp_path: Path):
    port = ReservedPort()
    async with (
        Browser() as browser,
        Simulator(SimulatorSettings(seed=7, tokens_per_second=40, reasoning_tokens=0)) as simulator,
        RedisServer(tmp_path) as redis,
    ):
        simulator.answer(content=STORY, times=9)
        command = (sys.executable, "-m", "uvicorn", "app:app", "--app-dir", str(FOLDER), "--workers", "2")
        options = ("--host", "127.0.0.1", "--port", str(port.number), "--timeout-graceful-shutdown", "1")
        environment = {
            **os.environ,
            "DEEPSEEK_API_KEY": "sk-chat-service",
            "DEEPSEEK_BASE_URL": simulator.base_url,
            "REDIS_URL": redis.url,
        }
        async with Program(*command, *options, ready=b"startup complete", environment=environment) as service:
            url = f"http://127.0.0.1:{port.number}/"
            await listening(url)
            await look_at(browser, url, simulator)
            await reload_at_the_other_worker(url)
        assert "Traceback" not in service.said
    port.release()


async def listening(url: str) -> None:
    """A worker says that its startup is complete before it listens."""
    async with aiohttp.ClientSession() as session:
        while True:
            with suppress(aiohttp.ClientConnectionError):
                async with session.get(url):
                    return
            await asyncio.sleep(0.02)


async def look_at(browser: Browser, url: str, simulator: Simulator) -> None:
    await browser.visit(url)
    await ask(browser)
    await shown(browser, "document.getElementById('answer').textContent.length > 20")
    await browser.visit(url)
    # Shown from its first word on, and while it is written.
    assert await browser.measure("document.getElementById('stop').hidden") is False
    await shown(browser, "document.getElementById('state').textContent.startsWith('cost $0.0')")
    assert await browser.measure("document.getElementById('answer').textContent") == STORY
    assert simulator.statistics().requests == 1

    await ask(browser)
    await shown(browser, "document.getElementById('answer').textContent.length > 20")
    await browser.measure("document.getElementById('stop').click()")
    await shown(browser, "document.getElementById('state').textContent === 'stopped'")
    text = await browser.measure("document.getElementById('answer').textContent")
    assert STORY.startswith(text)
    assert text != STORY
    assert browser.complaints == []
    assert all(request.startswith((url, "data:")) for request in browser.requests if request != "about:blank")


async def ask(browser: Browser) -> None:
    await browser.measure(
        "document.getElementById('question').value = 'Tell <b>me</b>.', document.getElementById('form').requestSubmit()"
    )


async def shown(browser: Browser, condition: str) -> None:
    """Until the page fulfils the condition."""
    await browser.measure(
        f"new Promise(done => {{ const look = () => ({condition}) ? done() : setTimeout(look, 20); look(); }})"
    )


async def reload_at_the_other_worker(url: str) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        async with session.post(f"{url}answers", json={"question": "Hi"}) as page:
            here, answer_id = page.headers["x-worker"], page.headers["x-answer-id"]
            source, seen = EventSource(), []
            while len(seen) < 5:
                seen += source.feed(await page.content.readany())
        while True:
            headers = {"Last-Event-ID": source.last_event_id}
            async with session.get(f"{url}answers/{answer_id}", headers=headers) as page:
                if page.headers["x-worker"] != here:
                    seen += source.feed(await page.read())
                    break
    assert [event.number for event in seen] == list(range(1, len(seen) + 1))
    assert "".join(event.value for event in seen if event.kind == "message") == STORY
    assert seen[-1].kind == "end"
