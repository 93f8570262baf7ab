"""A file of prompts to a file of answers: does memory stay the same when the file is ten times as long?"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from measure import Stopwatch
from trial import Trial

ABOUT = "`client.batch.run`, JSONL to JSONL, short prompts, 100 at a time"
UNIT = "row"
CONTESTANTS = ("ours",)
CASES = ("10000", "100000")
CONCURRENCY = 100
SERVER: tuple[str, ...] = ()


async def run(trial: Trial) -> dict[str, float]:
    rows = trial.amount(int(trial.case))
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        prompts, answers = Path(folder, "prompts.jsonl"), Path(folder, "answers.jsonl")
        _write_prompts(prompts, rows)
        with Stopwatch() as watch:
            await trial.contestant.bulk(prompts, answers)
        return watch.per(rows) | {"errors": rows - _answered(answers, rows)}


def _write_prompts(path: Path, rows: int) -> None:
    with path.open("w") as file:
        for number in range(rows):
            messages = [{"role": "user", "content": f"What is {number} times three?"}]
            body = {"model": "deepseek-flash", "messages": messages}
            line = {"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            file.write(json.dumps(line) + "\n")


def _answered(path: Path, rows: int) -> int:
    """Rows with an answer. It keeps no list of them, which would count as memory of the client."""
    count = total = 0
    with path.open("rb") as file:
        for line in file:
            row = json.loads(line)
            if row["response"] and row["response"]["status_code"] == 200:
                count += 1
                total += int(row["custom_id"].removeprefix("row-"))
    if count == rows and total != rows * (rows - 1) // 2:
        raise ValueError("some rows were answered twice and others not at all")
    return count
