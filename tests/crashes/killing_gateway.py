"""Kill a real gateway again and again while it has a batch, and count what comes out.

    python tests/crashes/killing_gateway.py --rounds 30 --rows 50000

A server on loopback counts every request. The gateway is started by ``deepseek-async serve`` on one folder, killed at
a random moment (while it starts, reads its journal, sends, writes), and started again; the last life is not killed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from killing import GROUP, KEY, QUESTION, REPOSITORY, USAGE, CountingServer

from deepseek_async.admission.budget.ledger import NANO
from deepseek_async.admission.budget.store_file import looked_up
from deepseek_async.gateway.callers import Callers
from deepseek_async.pricing.prices import price_table
from deepseek_async.types import CompletionUsage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHAT = "/v1/chat/completions"
CALLER = "team-a"
SATURDAY = datetime(2026, 11, 28, tzinfo=UTC).timestamp()
COST = price_table().cost(CompletionUsage(**USAGE), "deepseek-flash", SATURDAY) or 0.0
"""US dollars that the server bills for a request, at half price as on all of ``cheap_days``."""
ENDED = {"completed", "failed", "expired", "cancelled"}


def _today() -> str:
    return str(datetime.now(UTC).date())


def cheap_days() -> str:
    """Holidays: at peak hours a batch waits for half prices."""
    today = datetime.now(UTC).date()
    return ",".join(str(today + timedelta(days=days)) for days in range(-1, 3))


@dataclass
class Served:
    """A gateway process and its address."""

    process: asyncio.subprocess.Process
    url: str = ""

    async def listen(self) -> None:
        """Wait for its address. Raises ConnectionError if it ends before."""
        assert self.process.stdout is not None
        self.url = (await self.process.stdout.readline()).decode().strip()
        if not self.url:
            raise ConnectionError

    def resident(self) -> float:
        """MB that it holds now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


@dataclass
class GatewayKilling:
    """A batch of a gateway that is killed while it runs."""

    folder: Path
    rows: int
    concurrency: int
    chance: random.Random
    rounds: int
    key: str = ""
    """Of the caller whose batch it is."""
    batch_id: str = ""
    in_vain: int = 0
    resident: list[float] = field(default_factory=list)
    """MB of the gateway before each kill, and at the end."""
    batch: dict[str, Any] = field(default_factory=dict)
    counted: float = 0.0
    """US dollars that the caller's budget says are spent or may be."""
    billed: float = 0.0
    """US dollars for all requests that the server got."""

    async def run(self, server: CountingServer) -> None:
        self.folder.mkdir(parents=True)
        self.key = Callers(self.folder / "keys.json").add(CALLER, daily=1_000.0)
        days = {_today()}
        await self._create(server)
        for _ in range(self.rounds):
            await self._kill_once(server)
        await self._finish(server)
        self._check_money(server, days | {_today()})

    def _check_money(self, server: CountingServer, days: set[str]) -> None:
        """What the caller is said to have spent is no less than what was billed, killed requests included."""
        stored = self.folder / "budgets" / f"{CALLER}.sqlite"
        self.counted = sum(looked_up(stored, day)[1].held for day in days) / NANO
        self.billed = server.requests * COST
        assert self.counted >= self.billed, (self.counted, self.billed)
        assert self.batch["cost"] >= self.rows * COST * (1 - 1e-9)

    async def _create(self, server: CountingServer) -> None:
        server.answer_at_most(0)
        async with self.served(server) as served, self._session(served) as session:
            content = b"".join(self._line(number) for number in range(self.rows))
            form = aiohttp.FormData({"purpose": "batch"})
            form.add_field("file", content, filename="in.jsonl")
            async with session.post("/v1/files", data=form) as answer:
                given = (await answer.json())["id"]
            asked = {"input_file_id": given, "endpoint": CHAT, "completion_window": "24h"}
            async with session.post("/v1/batches", json=asked) as answer:
                self.batch_id = (await answer.json())["id"]
            served.process.kill()

    def _line(self, number: int) -> bytes:
        body = {"model": "deepseek-flash", "messages": [{"role": "user", "content": f"Question {number}"}]}
        return json.dumps({"custom_id": f"row-{number}", "method": "POST", "url": CHAT, "body": body}).encode() + b"\n"

    async def _kill_once(self, server: CountingServer) -> None:
        before, answers = server.requests, self.rows // (self.rounds + 1)
        written = self._written()
        server.answer_at_most(answers)
        async with self.served(server, listening=False) as served:
            if self.chance.random() < 0.25:
                await asyncio.sleep(self.chance.uniform(0.0, 1.5))  # while it starts, or reads what is there
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(60):
                        await server.until(before + self.chance.randint(1, max(1, answers // 2)))
                await asyncio.sleep(self.chance.uniform(0.0, 0.15))
            self.resident.append(served.resident())
            served.process.kill()
        self.in_vain += server.requests - before - (self._written() - written)

    def _written(self) -> int:
        journal = self.folder / "batches" / f"{self.batch_id}.journal.jsonl"
        return journal.read_bytes().count(b"\n") if journal.exists() else 0

    async def _finish(self, server: CountingServer) -> None:
        server.answer_at_most(inf)
        async with self.served(server) as served, self._session(served) as session:
            while self.batch.get("status") not in ENDED:
                await asyncio.sleep(0.05)  # a poll over HTTP, as users do it
                async with session.get(f"/v1/batches/{self.batch_id}") as answer:
                    self.batch = await answer.json()
            self.resident.append(served.resident())
            async with session.get(f"/v1/files/{self.batch['output_file_id']}/content") as answer:
                lines = [json.loads(line) for line in (await answer.read()).splitlines()]
            async with session.get("/v1/files") as answer:
                listed = [(each["purpose"], each["id"]) for each in (await answer.json())["data"]]
            served.process.send_signal(signal.SIGTERM)
            _, said = await served.process.communicate()
            assert served.process.returncode == 0, said.decode()
        self._check(lines, server)
        assert sorted(purpose for purpose, _ in listed) == ["batch", "batch_output"], "files of nobody"

    def _check(self, lines: list[dict[str, Any]], server: CountingServer) -> None:
        batch, counts = self.batch, self.batch["request_counts"]
        assert batch["status"] == "completed"
        assert batch["error_file_id"] is None
        assert counts == {"total": self.rows, "completed": self.rows, "failed": 0}
        assert Counter(line["custom_id"] for line in lines) == {f"row-{number}": 1 for number in range(self.rows)}
        for line in lines:
            question = QUESTION.findall(json.dumps(line["response"]["body"]).encode())[0].decode()
            assert question == f"Question {line['custom_id'][4:]}", "a row has another's answer"
        assert batch["usage"]["input_tokens"] >= USAGE["prompt_tokens"] * self.rows
        assert batch["usage"]["output_tokens"] >= USAGE["completion_tokens"] * self.rows
        assert server.requests <= self.rows + (self.rounds + 1) * (self.concurrency + GROUP)
        left = {path.name for path in self.folder.rglob("*") if path.is_file()}
        given = {batch["input_file_id"], batch["output_file_id"]}
        files = given | {f"{each}.json" for each in given}
        kept = {f"{self.batch_id}.json", f"{CALLER}.sqlite", "gateway.lock", "keys.json"}
        assert left == {*files, *kept}, "something is left"

    def _session(self, served: Served) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(served.url, headers={"Authorization": f"Bearer {self.key}"})

    @asynccontextmanager
    async def served(self, server: CountingServer, *, listening: bool = True) -> AsyncIterator[Served]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deepseek_async", "serve", "--port", "0", "--no-access-log"),
            *("--folder", str(self.folder)),
            env={
                **os.environ,
                "DEEPSEEK_API_KEY": KEY,
                "DEEPSEEK_BASE_URL": server.url,
                "DEEPSEEK_ASYNC_MAX_CONCURRENCY": str(self.concurrency),
                "DEEPSEEK_ASYNC_HOLIDAYS": cheap_days(),
                "PYTHONPATH": str(REPOSITORY),
                "HOME": str(self.folder.parent),
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        served = Served(process)
        try:
            if listening:
                await served.listen()
            yield served
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.communicate()


async def kill_gateway_again_and_again(
    folder: Path, *, rounds: int, rows: int, concurrency: int, seed: int
) -> tuple[GatewayKilling, CountingServer]:
    chance = random.Random(seed)
    killing = GatewayKilling(folder, rows, concurrency, chance, rounds)
    async with CountingServer(chance) as server:
        await killing.run(server)
    return killing, server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}\n")
    with tempfile.TemporaryDirectory(prefix="killing-") as folder:
        killing, server = asyncio.run(
            kill_gateway_again_and_again(
                Path(folder) / "gateway",
                rounds=options.rounds,
                rows=options.rows,
                concurrency=options.concurrency,
                seed=options.seed,
            )
        )
    sys.stdout.write(
        f"{killing.rows:,} rows, each once in the output, after {killing.rounds} kills: {server.requests:,} requests, "
        f"{server.requests - killing.rows:,} more than rows; cost ${killing.batch['cost']:.4f}, billed "
        f"${killing.billed:.4f}, counted ${killing.counted:.4f}; resident "
        f"{killing.resident[0]:.0f} MB at the first kill, {max(killing.resident):.0f} MB at most, "
        f"{killing.resident[-1]:.0f} MB at the end\n"
    )


if __name__ == "__main__":
    main()
