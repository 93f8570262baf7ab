"""litellm's ``acompletion`` with its DeepSeek provider."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Self

from prompt import KEY, MODEL, PLAIN, STREAMED

# litellm otherwise fetches its price list from the internet when it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"


class Contestant:
    def __init__(self, base_url: str, concurrency: int, ca: str | None) -> None:
        del concurrency, ca  # it brings its own pool; it takes part in no TLS scenario
        import litellm

        litellm.telemetry = False
        litellm.suppress_debug_info = True
        self._complete: Any = litellm.acompletion
        self._where = {
            "model": f"deepseek/{MODEL}",
            "api_base": base_url,
            "api_key": KEY,
            "max_retries": 0,
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def plain(self) -> str:
        answer = await self._complete(**PLAIN | self._where)
        return answer.choices[0].message.content or ""

    async def stream(self, seen: Callable[[str], None]) -> None:
        async for chunk in await self._complete(**STREAMED | self._where):
            if chunk.choices:
                seen(chunk.choices[0].delta.content or "")
