"""A load test with Locust, against the simulator or any DeepSeek-shaped server.

    scripts/load-test                                   # the simulator, 50 users, 30 seconds
    scripts/load-test --users 200 --run-time 2m --host http://127.0.0.1:8000

Locust is a client of its own: it measures the server it is pointed at. The second user class calls through
deepseek_async, so that what users wait for is measured with retries, limits and streams in place.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

from locust import HttpUser, User, constant_throughput, events, task

PROMPT = "用Python实现快速排序"
KEY = os.environ.get("DEEPSEEK_API_KEY", "test_key")
REQUEST = {
    "model": "deepseek-flash",
    "messages": [{"role": "user", "content": PROMPT}],
    "thinking": {"type": "disabled"},
    "max_tokens": 200,
}


class DeepseekUser(HttpUser):
    """Raw HTTP, as in the usual tutorial."""

    wait_time = constant_throughput(5)

    @task
    def call_api(self) -> None:
        """One plain chat completion."""
        headers = {"Authorization": f"Bearer {KEY}"}
        with self.client.post("/chat/completions", json=REQUEST, headers=headers, catch_response=True) as response:
            choices = response.json().get("choices") if response.status_code == 200 else None
            if not choices or choices[0].get("finish_reason") not in {"stop", "length"}:
                response.failure(f"{response.status_code}: no whole answer")

    @task
    def complete_text(self) -> None:
        """The tutorial's own call: a text completion."""
        headers = {"Authorization": f"Bearer {KEY}"}
        body = {"model": "deepseek-flash", "prompt": PROMPT, "max_tokens": 100}
        self.client.post("/beta/completions", json=body, headers=headers)


class ThroughTheClient(User):
    """The same through deepseek_async, plain and streamed, on one event loop beside Locust's greenlets."""

    wait_time = constant_throughput(5)

    @task
    def ask(self) -> None:
        """One plain chat completion."""
        self._measured("chat", _ask(str(self.host)))

    @task
    def stream(self) -> None:
        """One streamed chat completion, to its end."""
        self._measured("chat, streamed", _stream(str(self.host)))

    def _measured(self, name: str, work: Coroutine[Any, Any, int]) -> None:
        begun = time.perf_counter()
        failure: BaseException | None = None
        size = 0
        try:
            size = _wait_for(_LOOP.run(work))
        except Exception as error:  # noqa: BLE001  Locust counts it
            failure = error
        events.request.fire(
            request_type="deepseek_async",
            name=name,
            response_time=1000 * (time.perf_counter() - begun),
            response_length=size,
            exception=failure,
        )


class _Loop:
    """An event loop in a thread, and one client on it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._client: Any = None
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def run(self, work: Coroutine[Any, Any, int]) -> Future[int]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def client(self, host: str) -> Any:
        if self._client is None:
            from deepseek_async import AsyncDeepSeek

            self._client = AsyncDeepSeek(api_key=KEY, base_url=host)
        return self._client


_LOOP = _Loop()


def _wait_for(future: Future[int]) -> int:
    # Locust's sleep yields to the other greenlets; a future's own wait would stop them all.
    import gevent

    while not future.done():
        gevent.sleep(0.001)
    return future.result()


async def _ask(host: str) -> int:
    done = await _LOOP.client(host).chat.completions.create(**REQUEST)
    return len(done.choices[0].message.content or "")


async def _stream(host: str) -> int:
    async with await _LOOP.client(host).chat.completions.create(**REQUEST, stream=True) as stream:
        async for _ in stream:
            pass
    return len(stream.completion.choices[0].message.content or "")
