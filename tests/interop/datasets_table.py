"""What ``client.batch.table`` makes of real Hugging Face data sets, as one line of JSON; run by test_notebook.py."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import datasets

from deepseek_async import AsyncDeepSeek, ConfigurationError

QUICK: dict[str, Any] = {"template": "Say {text}", "thinking": {"type": "disabled"}, "max_tokens": 8}


async def main() -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    rows = datasets.Dataset.from_dict(
        {"text": [f"row{number}" for number in range(300)], "label": [number % 2 for number in range(300)]},
        features=features,
    )
    async with AsyncDeepSeek(max_concurrency=20) as client:
        # A selection in another order, which a data set keeps as indices beside its data.
        chosen = rows.shuffle(seed=1).select(range(40))
        answered = await client.batch.table(chosen.with_format("numpy", columns=["text"]), **QUICK)
        empty = await client.batch.table(rows.select([]), **QUICK)
        mapped = [result async for result in client.batch.map(chosen.select(range(3)), ordered=True, **QUICK)]
        refused = []
        for frame in (datasets.DatasetDict(train=rows), rows.to_iterable_dataset(), rows.rename_column("text", "t")):
            try:
                await client.batch.table(frame, **QUICK)
            except ConfigurationError as error:
                refused.append(error.message)
    plain = answered.with_format(None)
    told = {
        "kind": type(answered).__module__.partition(".")[0],
        "columns": answered.column_names,
        "format": [answered.format["type"], answered.format["columns"]],
        "label": answered.features["label"].names,
        "texts": plain["text"][:] == chosen["text"][:],
        "answers": [row["text"] in row["answer"] and row["error"] is None for row in plain],
        "usage": sorted(plain[0]["usage"]),
        "empty": [len(empty), empty.features == plain.features],
        "mapped": [[result.index, result.columns] for result in mapped],
        "mapped texts": [chosen[place]["text"] in (result.content or "") for place, result in enumerate(mapped)],
        "refused": refused,
    }
    sys.stdout.write(json.dumps(told))


asyncio.run(main())
