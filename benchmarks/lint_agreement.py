"""How often the request lint and DeepSeek's official request reader agree, over generated chat requests.

    python benchmarks/lint_agreement.py [REQUESTS] [SEED]

Prints what both say of 20,000 requests, and an example of every disagreement by the official sentence.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "lint"))

from generated_requests import official_verdict, our_verdict, requests


def compare(count: int, start: int) -> tuple[Counter[tuple[bool, bool]], dict[str, Any], Counter[str]]:
    """Counts by (official refuses, we refuse), and by sentence an example and the number of disagreements."""
    counts: Counter[tuple[bool, bool]] = Counter()
    examples: dict[str, Any] = {}
    sentences: Counter[str] = Counter()

    @seed(start)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(body=requests())
    def ask_both(body: dict[str, Any]) -> None:
        official, ours = official_verdict(body), our_verdict(body)
        counts[official is not None, ours is not None] += 1
        if (official is None) != (ours is None):
            sentence = (f"only they: {official}" if official else f"only we: {ours}")[:150]
            sentences[sentence] += 1
            examples.setdefault(sentence, body)

    ask_both()
    return counts, examples, sentences


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    start = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    counts, examples, sentences = compare(count, start)
    accepted, refused = sum(counts[False, ours] for ours in (False, True)), counts[True, True] + counts[True, False]
    for sentence, times in sentences.most_common(20):
        print(f"{times:6}  {sentence}\n        {json.dumps(examples[sentence], ensure_ascii=False)[:1500]}")
    print(f"requests              {accepted + refused:7,}")
    print(f"officially accepted   {accepted:7,}   of these refused by the lint {counts[False, True]:,}")
    print(f"officially refused    {refused:7,}   of these caught by the lint {counts[True, True]:,}", end="")
    print(f" = {counts[True, True] / max(refused, 1):.2%}")
    return 1 if counts[False, True] or counts[True, True] < 0.95 * refused else 0


if __name__ == "__main__":
    sys.exit(main())
