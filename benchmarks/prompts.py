"""Files of prompts for the bulk scenarios, and the check of what came out."""

from __future__ import annotations

import json
from pathlib import Path


def write_prompts(path: Path, rows: int) -> None:
    """OpenAI Batch lines with short prompts."""
    with path.open("w") as file:
        for number in range(rows):
            messages = [{"role": "user", "content": f"What is {number} times three?"}]
            body = {"model": "deepseek-flash", "messages": messages}
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
