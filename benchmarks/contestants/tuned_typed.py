"""Tuned aiohttp whose chunks are typed objects, decoded by msgspec: what a typed stream costs at least."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import orjson
from contestants import tuned
from prompt import STREAMED


class Delta(msgspec.Struct, gc=False):
    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None


class Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: Delta = msgspec.field(default_factory=Delta)
    finish_reason: str | None = None


class Usage(msgspec.Struct, gc=False):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_cache_hit_tokens: int = 0
    prompt_cache_miss_tokens: int = 0


class Chunk(msgspec.Struct, gc=False):
    id: str = ""
    object: str = ""
    created: int = 0
    model: str = ""
    choices: list[Choice] = []
    usage: Usage | None = None
    system_fingerprint: str | None = None


class Contestant(tuned.Contestant):
    _decode = msgspec.json.Decoder(Chunk).decode

    async def stream(self, seen: Callable[[str], None]) -> None:
        decode = self._decode
        async with self.session.post(self.url, data=orjson.dumps(STREAMED)) as response:
            response.raise_for_status()
            rest = b""
            while block := await response.content.readany():
                *events, rest = (rest + block).split(b"\n\n")
                for event in events:
                    if event == tuned.DONE:
                        continue
                    choices = decode(event[6:]).choices
                    if choices:
                        seen(choices[0].delta.content or "")
