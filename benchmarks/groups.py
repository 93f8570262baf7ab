"""Prompts in groups that begin alike, shuffled, and what of them a prefix cache could give."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from deepseek_async.simulator.model.tokens import count_tokens

BLOCK_TOKENS = 128
TEXT = """
the a of and to in that it is was for on with as by at from his they be this have or had not but what all were when we
there can an your which their said if do will each about how up out them then she many some so these would other into
has more her two like him see time could no make than first been its who now people my made over did down only way find
use may water long little very after words called just where most know
"""


def grouped(groups: int, size: int, shared_tokens: int) -> list[dict[str, Any]]:
    """Rows with a system text of so many tokens, one a group, in an order that is the same in every run."""
    chance = random.Random(20)
    rows = []
    for group in range(groups):
        text = _text(chance, shared_tokens)
        for number in range(size):
            messages = [
                {"role": "system", "content": text},
                {"role": "user", "content": f"Question {number} about text {group}: what does it say?"},
            ]
            rows.append({"custom_id": f"{group}-{number}", "messages": messages})
    chance.shuffle(rows)
    return rows


def reachable(groups: int, size: int, shared_tokens: int) -> int:
    """Tokens that all rows but the first of each group can get from a cache of 128-token blocks."""
    return groups * (size - 1) * (shared_tokens // BLOCK_TOKENS * BLOCK_TOKENS)


def write(rows: list[dict[str, Any]], path: Path) -> None:
    """As JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _text(chance: random.Random, tokens: int) -> str:
    known = TEXT.split()
    words = [chance.choice(known) for _ in range(2 * tokens)]
    low, high = 1, len(words)
    while low < high:
        middle = (low + high) // 2
        if count_tokens(" ".join(words[:middle])) < tokens:
            low = middle + 1
        else:
            high = middle
    return " ".join(words[:low])
