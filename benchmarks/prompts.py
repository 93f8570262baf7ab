"""Files of prompts for the bulk scenarios, and the check of what came out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def requests(rows: int) -> Iterator[dict[str, Any]]:
    """Short prompts, each another one."""
    for number in range(rows):
        messages = [{"role": "user", "content": f"What is {number} times three?"}]
        yield {"model": "deepseek-flash", "messages": messages}


def write_prompts(path: Path, rows: int) -> None:
    """The same as OpenAI Batch lines."""
    with path.open("w") as file:
        for number, body in enumerate(requests(rows)):
            line = {"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            file.write(json.dumps(line) + "\n")


def answered(path: Path, rows: int) -> int:
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
