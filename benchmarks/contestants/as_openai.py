"""openai-python over ``deepseek_async``, as ``as_openai`` makes it."""

from __future__ import annotations

from contestants import openai, ours

from deepseek_async.integrations.openai import as_openai


class Contestant(openai.Contestant):
    def __init__(self, base_url: str, concurrency: int, ca: str | None) -> None:
        self._engine = ours.Contestant(base_url, concurrency, ca).client
        self._client = as_openai(self._engine)

    async def __aexit__(self, *_: object) -> None:
        await self._engine.aclose()
