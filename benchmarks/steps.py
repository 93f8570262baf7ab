"""What the package does for a call, counted in byte-code steps: the same on a busy machine, so two checkouts compare.

    python benchmarks/steps.py                                   # of this checkout
    PYTHONPATH=/path/to/other python benchmarks/steps.py         # of another one, by the same script

Counted are frames of ``deepseek_async`` on the event loop's thread, and nothing of C. ``scripts/bench`` counts time.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import answers
from prompt import KEY, PLAIN, STREAMED
from prompts import write_prompts

import deepseek_async
from deepseek_async import AsyncDeepSeek

PACKAGE = str(Path(deepseek_async.__file__).parent) + "/"
TIMES, ROWS = 50, 100


class Answerer(asyncio.Protocol):
    """Answers at once; of a stream it sends the opening, and leaves the rest to who has ``streams``."""

    streams: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if b'"stream":true' in data:
            Answerer.streams = self._transport
            self._transport.write(answers.stream_head() + answers.opening_event())
        else:
            self._transport.write(answers.plain_response())


@contextmanager
def counting(counts: Counter[str]) -> Iterator[None]:
    """Count the steps inside ``with`` by module."""

    def begin(frame: FrameType, _event: str, _arg: object) -> Any:
        module = frame.f_code.co_filename.removeprefix(PACKAGE)
        if module == frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False

        def step(_frame: FrameType, event: str, _arg: object) -> Any:
            counts[module] += event == "opcode"
            return step

        return step

    sys.settrace(begin)
    try:
        yield
    finally:
        sys.settrace(None)


async def reads(client: AsyncDeepSeek, events: int) -> Counter[str]:
    """A stream that is waited for, so many ``events`` a read."""
    counts: Counter[str] = Counter()
    before, after = answers.stamped_halves()
    block = (before + b"0" * answers.STAMP_DIGITS + after) * events
    async with await client.chat.completions.create(**STREAMED) as stream:
        await anext(stream)
        for time in range(2 * TIMES):
            with counting(counts if time >= TIMES else Counter()):
                Answerer.streams.write(block)
                for _ in range(events):
                    await anext(stream)
    return counts


async def rows(client: AsyncDeepSeek, number: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="steps-") as folder:
        write_prompts(Path(folder, "prompts.jsonl"), number)
        with counting(counts):
            await client.batch.run(f"{folder}/prompts.jsonl", f"{folder}/answers.jsonl")
    return counts


def show(what: str, counts: Counter[str], times: int) -> None:
    print(f"{sum(counts.values()) / times:8.1f}  {what}")
    print(*(f"{steps / times:16.1f}  {module}" for module, steps in counts.most_common() if steps >= times), sep="\n")


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Answerer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with AsyncDeepSeek(api_key=KEY, base_url=f"http://127.0.0.1:{port}", max_concurrency=100) as client:
        counts: Counter[str] = Counter()
        for _ in range(2):  # the first round warms up
            counts.clear()
            with counting(counts):
                for _ in range(TIMES):
                    await client.chat.completions.create(**PLAIN)
        show("steps a plain call", counts, TIMES)
        for events in (1, 20):
            show(f"steps a read with chunks: {events}", await reads(client, events), TIMES)
        fewer, more = await rows(client, ROWS), await rows(client, 3 * ROWS)
        more.subtract(fewer)
        show("steps a row of a bulk job", more, 2 * ROWS)


if __name__ == "__main__":
    asyncio.run(main())
