"""A simulator, a client of it, and a folder with input and output: what the tests of jobs and maps share."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepseek_async import AsyncDeepSeek
from deepseek_async.batch import BatchReport
from deepseek_async.simulator import Simulator

QUICK = {"thinking": {"type": "disabled"}, "max_tokens": 8}


@dataclass
class Bulk:
    simulator: Simulator
    client: AsyncDeepSeek
    folder: Path

    @property
    def source(self) -> Path:
        return self.folder / "in.jsonl"

    @property
    def output(self) -> Path:
        return self.folder / "out.jsonl"

    @property
    def requests(self) -> int:
        """Requests that the service has received."""
        return self.simulator.statistics().requests

    def ask(self, rows: Iterable[Any], *, end: str = "\n") -> None:
        """Write the input: a str is a line as it stands, anything else becomes JSON."""
        lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        self.source.write_bytes("".join(line + end for line in lines).encode())

    async def run(self, **options: Any) -> BatchReport:
        return await self.client.batch.run(self.source, self.output, **{**QUICK, **options})

    def lines(self) -> list[dict[str, Any]]:
        """The output, which must be whole lines of JSON."""
        return read_lines(self.output)

    def named(self) -> dict[str, dict[str, Any]]:
        """The output by ``custom_id``, each of which must have exactly one line."""
        lines = self.lines()
        named = {line["custom_id"]: line for line in lines}
        assert len(named) == len(lines)
        return named


def read_lines(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    assert content == b"" or content.endswith(b"\n")
    return [json.loads(line) for line in content.split(b"\n")[:-1]]


@dataclass
class AfterCalls:
    """A listener that acts once, in the turn of the loop in which so many calls have ended.

    Reports of progress follow what is durable: on a slow disk, all rows may be answered before the first.
    """

    left: int
    act: Callable[[], object] | None = None

    def __call__(self, _: object) -> None:
        self.left -= 1
        if self.left == 0:
            assert self.act is not None
            self.act()


def numbered(size: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"custom_id": f"{number}", "prompt": f"Question {number}"} for number in range(start, start + size)]


Start = Callable[..., Awaitable[Bulk]]
