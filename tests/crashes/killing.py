"""Kill the real command again and again, at random moments, and count what it cost.

    python tests/crashes/killing.py --rounds 100 [--asks mixed | --asks ocr]

A server on loopback counts every request. After each SIGKILL the output is looked at: no line may be lost or
doubled, every row that was reported as done is in it, and at most the rows in flight and those of one group were
asked for in vain. A last run, which is not killed, does the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import re
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

REPOSITORY = Path(__file__).parents[2]
GROUP = 256
KEY = "sk-killed-0123456789abcdef"


CHAT, MIXED, OCR = "chat", "mixed", "ocr"
URLS = {
    "/v1/chat/completions": lambda text: {"messages": [{"role": "user", "content": text}]},
    "/v1/completions": lambda text: {"prompt": text},
    "/v1/responses": lambda text: {"input": text},
    "/v1/messages": lambda text: {"messages": [{"role": "user", "content": text}]},
    "/v1/embeddings": lambda text: {"model": "bge-m3", "input": text},
}
QUESTION = re.compile(rb"Question \d+")
USAGE = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}


class CountingServer:
    """Answers every request after a few milliseconds, and counts them by what they ask."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.asked: Counter[str] = Counter()
        self.requests = 0
        self._server: asyncio.Server | None = None
        self._more = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._answers_left: float = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1024)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def answer_at_most(self, answers: float) -> None:
        """Leave every request after the next ``answers`` waiting, so that a command cannot end before it is killed."""
        self._answers_left = answers

    async def until(self, requests: int) -> None:
        while self.requests < requests:
            self._more.clear()
            await self._more.wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                path = head.split(b" ", 2)[1].decode()
                question = QUESTION.search(body)
                assert question is not None, body
                self.requests += 1
                self.asked[question[0].decode()] += 1
                self._more.set()
                if self._answers_left < 1:
                    await asyncio.Event().wait()
                self._answers_left -= 1
                await asyncio.sleep(self._chance.uniform(0.002, 0.02))
                answer = json.dumps(self._answer(path, question[0].decode())).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer)
                )
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    def _answer(self, path: str, question: str) -> dict[str, Any]:
        text = question + " " + "x" * self._chance.randint(0, 3000)
        common = {"id": f"{self.requests}", "created": 1795450000, "model": "deepseek-flash", "usage": USAGE}
        match path.rpartition("/")[2]:
            case "messages":
                content = [{"type": "text", "text": text}]
                usage = {"input_tokens": 10, "output_tokens": 20}
                return {**common, "type": "message", "content": content, "stop_reason": "end_turn", "usage": usage}
            case "responses":
                item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
                usage = {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}
                return {**common, "status": "completed", "output": [item], "usage": usage}
            case "embeddings":
                usage = {"prompt_tokens": 10, "total_tokens": 10}
                vector = {"index": 0, "embedding": [0.5], "object": "embedding", "of": text}
                return {"object": "list", "model": "bge-m3", "data": [vector], "usage": usage}
            case "ocr":
                pages = [{"index": 0, "text": text, "finish_reason": "stop"}]
                return {"id": "ocr-1", "object": "ocr.result", "page_count": 1, "pages": pages}
        if path.endswith("/chat/completions"):
            message = {"role": "assistant", "content": text}
            return {**common, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        return {**common, "choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}


@dataclass
class Round:
    """One life of the command, and its end."""

    number: int
    killed_after: float
    lines: int
    new: int
    requests: int
    reported: int

    @property
    def in_vain(self) -> int:
        """Requests whose answer is not in the output."""
        return self.requests - self.new


@dataclass
class Killing:
    """Rows that are asked for while the command is killed."""

    folder: Path
    rows: int
    concurrency: int
    chance: random.Random
    answers: int
    """The most that one life gets, so that rows are left for all lives after it."""
    asks: str = CHAT
    """Rows of chat, of every endpoint, or documents."""
    rounds: list[Round] = field(default_factory=list)

    @property
    def output(self) -> Path:
        return self.folder / "out.jsonl"

    @property
    def allowed(self) -> int:
        """Requests that one kill may cost."""
        return self.concurrency + GROUP

    def write_input(self) -> None:
        if self.asks == OCR:
            for number in range(self.rows):
                (self.folder / f"{number}.txt").write_text(self._asked(number))
            return
        with (self.folder / "in.jsonl").open("w") as file:
            for number in range(self.rows):
                # Every third row has no name, and every ninth is there twice.
                name = {} if number % 3 == 0 else {"custom_id": f"row-{number}"}
                file.write(json.dumps({**name, **self._request(number)}) + "\n")

    def _asked(self, number: int) -> str:
        return f"Question {number - 9 if number % 18 == 9 else number}"

    def _request(self, number: int) -> dict[str, Any]:
        text = self._asked(number)
        if self.asks == CHAT:
            return {"prompt": text}
        # Equal rows ask the same thing at the same place.
        url = list(URLS)[int(text.split()[1]) % len(URLS)]
        return {"url": url, "body": URLS[url](text)}

    async def kill_once(self, server: CountingServer) -> Round:
        """Start the command, kill it at a random moment, look at what is left."""
        before, requests = len(self.whole_lines()), server.requests
        server.answer_at_most(self.answers)
        process = await self._start(server)
        began = asyncio.get_running_loop().time()
        if self.chance.random() < 0.25:
            # While it starts, opens the output, or reads what is there.
            await asyncio.sleep(self.chance.uniform(0.0, 1.5))
        else:
            # After so many answers, and anywhere between two of them.
            await server.until(requests + self.chance.randint(1, self.answers // 2))
            await asyncio.sleep(self.chance.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        lasted = asyncio.get_running_loop().time() - began
        _, said = await process.communicate()
        assert process.returncode == -signal.SIGKILL, said
        lines = self.whole_lines()
        ended = Round(
            number=len(self.rounds) + 1,
            killed_after=lasted,
            lines=len(lines),
            new=len(lines) - before,
            requests=server.requests - requests,
            reported=max(
                (int(found.replace(",", "")) for found in re.findall(r": ([\d,]+)/", said.decode())), default=0
            ),
        )
        self.rounds.append(ended)
        names = [line["custom_id"] for line in lines]
        assert len(set(names)) == len(names), "a row has two lines"
        assert ended.new >= 0, "a line is lost"
        assert ended.reported <= ended.lines, "a row that was reported is lost"
        assert ended.in_vain <= self.allowed, ended
        return ended

    async def finish(self, server: CountingServer) -> None:
        """Run the command to its end, and hold the whole against what was promised."""
        server.answer_at_most(math.inf)
        process = await self._start(server)
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()
        lines = self.whole_lines()
        assert len({line["custom_id"] for line in lines}) == len(lines) == self.rows
        answered = Counter(
            QUESTION.findall(json.dumps(line["response"]["body"]).encode())[0].decode() for line in lines
        )
        wanted = Counter(map(self._asked, range(self.rows)))
        # And by name: a row that has one asks what its number says.
        for line in lines:
            if not line["custom_id"].startswith("row-") or line["custom_id"].count("-") > 1:
                continue
            assert f'"{self._asked(int(line["custom_id"][4:]))} ' in json.dumps(line["response"]["body"])
        assert answered == wanted, "a row has another's answer"
        assert all(server.asked[question] >= number for question, number in wanted.items())
        assert server.requests <= self.rows + len(self.rounds) * self.allowed

    def whole_lines(self) -> list[dict[str, Any]]:
        """The lines of the output; what follows the last line feed was being written."""
        if not self.output.exists():
            return []
        return [json.loads(line) for line in self.output.read_bytes().split(b"\n")[:-1]]

    async def _start(self, server: CountingServer) -> asyncio.subprocess.Process:
        files = tuple(f"{number}.txt" for number in range(self.rows))
        what = ("ocr", *files) if self.asks == OCR else ("batch", "run", "in.jsonl")
        command = (*what, "-o", "out.jsonl", "-c", str(self.concurrency), "--progress-every", "0.1")
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deepseek_async", *command),
            cwd=self.folder,
            env={**os.environ, "DEEPSEEK_API_KEY": KEY, "DEEPSEEK_BASE_URL": server.url, "PYTHONPATH": str(REPOSITORY)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )


async def kill_again_and_again(
    folder: Path, *, rounds: int, rows: int, concurrency: int, seed: int, asks: str = CHAT
) -> tuple[Killing, CountingServer]:
    chance = random.Random(seed)
    killing = Killing(folder, rows, concurrency, chance, answers=rows // (rounds + 1), asks=asks)
    killing.write_input()
    async with CountingServer(chance) as server:
        for _ in range(rounds):
            await killing.kill_once(server)
        await killing.finish(server)
    return killing, server


def table(killing: Killing, server: CountingServer) -> str:
    rows = ["round  killed after  lines  new lines  requests  in vain  reported as done"]
    rows += [
        f"{ended.number:5}  {ended.killed_after:10.2f} s {ended.lines:6,}  {ended.new:9,}  {ended.requests:8,}  "
        f"{ended.in_vain:7,}  {ended.reported:16,}"
        for ended in killing.rounds
    ]
    kills, in_vain = len(killing.rounds), sum(ended.in_vain for ended in killing.rounds)
    worst = max((ended.in_vain for ended in killing.rounds), default=0)
    rows.append(
        f"{killing.rows:,} rows, each with one line and its own answer, after {kills} kills: {server.requests:,} "
        f"requests, {server.requests - killing.rows:,} more than rows (allowed {kills * killing.allowed:,}: {kills} "
        f"kills x ({killing.concurrency} in flight + {GROUP} of a group)); in vain by a kill: "
        f"{in_vain / max(1, kills):.1f} on average, {worst} at most",
    )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--rows", type=int, default=80_000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--asks", choices=(CHAT, MIXED, OCR), default=CHAT)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    sys.stdout.write(f"seed {options.seed}\n")
    with tempfile.TemporaryDirectory(prefix="killing-") as folder:
        killing, server = asyncio.run(
            kill_again_and_again(
                Path(folder),
                rounds=options.rounds,
                rows=options.rows,
                concurrency=options.concurrency,
                seed=options.seed,
                asks=options.asks,
            ),
        )
    sys.stdout.write(table(killing, server) + "\n")


if __name__ == "__main__":
    main()
