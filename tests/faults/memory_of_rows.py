"""A program that reads a file and tells what its rows are and how much memory it took. Arguments: path, limit."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from memory_of_a_call import fresh_peak, peak

from deepseek_async.batch.row import Defaults, Row
from deepseek_async.batch.row_source import read_ids, read_rows


def shown(row: Row) -> list[object]:
    prompt = None if row.body is None else row.body["messages"][0]["content"][:40]
    return [row.line, prompt, row.error and row.error.message]


def main(path: Path, limit: int) -> None:
    defaults = Defaults(max_row_bytes=limit)
    small = path.with_name(f"small{''.join(path.suffixes)}")
    list(read_rows(small, defaults))  # what the first file loads and keeps is not counted
    before = fresh_peak()
    ids = [line for line, _ in read_ids(path, defaults)]
    rows = [shown(row) for row in read_rows(path, defaults)]
    sys.stdout.write(json.dumps({"ids": ids, "rows": rows, "grown": peak() - before}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
