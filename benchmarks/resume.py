"""How long a resume takes when every row is finished, and what it costs in memory: a million rows by default.

Each job is run in a process of its own, which reports its resident memory before it looks at the files and its
high-water mark after. Nothing is sent: the address is one where nobody listens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import peak_resident_mb, resident_kb

from deepseek_async import AsyncDeepSeek
from deepseek_async.batch.digests import Occurrences
from deepseek_async.batch.line_encoder import encode_line
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.row import Defaults, RowReader
from deepseek_async.batch.row_identity import request_hash, unnamed
from deepseek_async.codec.chat_body import decode_completion

SECONDS, GROWTH_MB = 10.0, 100.0


def write_job(folder: Path, rows: int, *, size: int, named: bool) -> None:
    """An input, and the output of a run that has answered all of it, with lines of ``size`` bytes."""
    reader, occurrences = RowReader(Defaults()), Occurrences()
    with (folder / "in.jsonl").open("wb") as source, (folder / "out.jsonl").open("wb") as output:
        for number in range(rows):
            name = {"custom_id": f"row-number-{number}"} if named else {}
            value = {**name, "prompt": f"What is {number} times three, and why do you think so?"}
            source.write(json.dumps(value).encode() + b"\n")
            row = reader.read(value)
            hashed = request_hash(row)
            custom_id = row.custom_id or unnamed(hashed, occurrences.next(hashed))
            output.write(encode_line(_answer(number, size), custom_id, hashed))


def _answer(number: int, size: int) -> BatchResult:
    said = {"role": "assistant", "content": "x" * (size - 690)}
    body = {
        "id": f"5f0c8a52-3b1e-4d77-9c40-{number:012x}",
        "object": "chat.completion",
        "created": 1795450000,
        "model": "deepseek-flash",
        "choices": [{"index": 0, "message": said, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 120, "total_tokens": 140, "prompt_cache_hit_tokens": 0},
    }
    completion = decode_completion(json.dumps(body).encode())
    return BatchResult(
        index=number,
        answer=completion,
        attempts=1,
        started=1795450000.123,
        latency=2.5,
        cost=3.6e-5,
        request_id="0123456789abcdef",
    )


async def resume(folder: Path) -> dict[str, float]:
    """Resume the job in this process."""
    async with AsyncDeepSeek(api_key="sk-benchmark", base_url="http://127.0.0.1:1") as client:
        before = resident_kb() / 1024
        began, worked = time.perf_counter(), time.process_time()
        report = await client.batch.run(folder / "in.jsonl", folder / "out.jsonl")
        seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    if report.exit_code or report.progress.requests:
        raise ValueError(f"the job was not finished: {report}")
    return {"seconds": seconds, "cpu": cpu, "growth_mb": peak_resident_mb() - before, "rows": report.resumed}


def main() -> None:
    """Make the job, resume it in fresh processes, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=1000, help="bytes of an output line")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(asyncio.run(resume(options.here))))
        return
    for named in (True, False):
        kind = "with" if named else "without"
        with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
            folder = Path(name)
            write_job(folder, options.rows, size=options.size, named=named)
            mean = (folder / "out.jsonl").stat().st_size / options.rows
            print(f"{options.rows:,} finished rows {kind} custom_id, output lines of {mean:,.0f} bytes:")
            for _ in range(options.repeats):
                command = [sys.executable, __file__, "--here", name]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                figures = json.loads(done.stdout)
                good = figures["seconds"] <= SECONDS and figures["growth_mb"] <= GROWTH_MB
                print(
                    f"  {figures['seconds']:6.2f} s (at most {SECONDS:g}; CPU {figures['cpu']:.2f} s), "
                    f"{figures['growth_mb']:6.1f} MB more "
                    f"(at most {GROWTH_MB:g}): {'kept' if good else 'missed'}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
