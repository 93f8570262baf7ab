"""Answers a dataset on a Ray cluster: ADDRESS ROWS JOURNAL OUT [NAME=JSON …]. OUT gets the rows as JSON lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import ray

from deepseek_async.integrations.ray import answered


def main() -> None:
    address, rows, journal, out, *arguments = sys.argv[1:]
    ray.init(address=address, log_to_driver=False)
    prompts = [{"prompt": f"Question {number}", "number": number} for number in range(int(rows))]
    prompts.append({"prompt": None, "number": int(rows)})
    given = {name: json.loads(value) for name, _, value in (text.partition("=") for text in arguments)}
    dataset = answered(ray.data.from_items(prompts), actors=2, journal=journal, **{"batch_size": 50, **given})
    Path(out).write_text("".join(json.dumps(row) + "\n" for row in dataset.take_all()))


if __name__ == "__main__":
    main()
