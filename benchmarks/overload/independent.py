"""What is written by hand around aiohttp: a fixed number at a time, each call with retries that know of no other call.

Full jitter, and ``Retry-After`` where the server sends it. A bulk row is asked until it is answered; a call that
somebody waits for is given up after as many attempts as ours makes by itself.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
from collections.abc import Callable
from typing import Self

import aiohttp
from overload.workers import at_once
from prompt import KEY, MODEL

INTERACTIVE_ATTEMPTS = 4
FIRST_DELAY, LONGEST_DELAY = 0.5, 8.0
TRANSIENT = frozenset({429, 500, 502, 503, 504})


class Client:
    def __init__(self, url: str) -> None:
        self._url = f"{url}/chat/completions"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers={"Authorization": f"Bearer {KEY}"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, prompt: str, attempts: int | None = INTERACTIVE_ATTEMPTS) -> None:
        """One answer. Raises what the last attempt ended with; ``attempts`` None: there is no last one."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}]}
        for attempt in itertools.count(1):
            asked: float | None = None
            try:
                async with self._session.post(self._url, json=body) as response:
                    if response.status not in TRANSIENT or attempt == attempts:
                        response.raise_for_status()
                        await response.json()
                        return
                    asked = float(response.headers.get("Retry-After", 0)) or None
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
                if attempt == attempts:
                    raise
            longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempt, 10))
            await asyncio.sleep(random.uniform(0, longest) if asked is None else asked)

    async def bulk(self, width: int, ended: Callable[[Exception | None], None]) -> None:
        """Rows without end, each until it is answered."""
        prompts = (f"row {number}" for number in itertools.count())
        await at_once(width, prompts, functools.partial(self.ask, attempts=None), ended)
