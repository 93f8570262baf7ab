"""A program that makes one call and tells how it ended and how much memory it took. Arguments: URL, plain or stream."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from deepseek_async import AsyncDeepSeek, DeepSeekError, Timeouts

MESSAGES = [{"role": "user", "content": "Hi"}]


def peak() -> int:
    """Kilobytes of memory used at most; ``ru_maxrss`` would begin with what the parent process had used."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def fresh_peak() -> int:
    """Let the peak begin again at what is used now (proc(5))."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


async def call(client: AsyncDeepSeek, *, stream: bool) -> DeepSeekError | None:
    try:
        answer = await client.chat.completions.create(model="deepseek-flash", messages=MESSAGES, stream=stream)
        if stream:
            async with answer:
                async for _ in answer:
                    pass
    except DeepSeekError as error:
        return error
    return None


async def main(url: str, *, stream: bool) -> None:
    async with AsyncDeepSeek(base_url=url, retry=1, timeout=Timeouts(attempt=20)) as client:
        await call(client, stream=stream)  # what the first call loads and keeps is not counted
        before = fresh_peak()
        error = await call(client, stream=stream)
        grown = peak() - before
    cause = error.__cause__ if error is not None else None
    sys.stdout.write(
        json.dumps({"kinds": [type(one).__name__ for one in (error, cause)], "said": str(error), "grown": grown})
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], stream=sys.argv[2] == "stream"))
