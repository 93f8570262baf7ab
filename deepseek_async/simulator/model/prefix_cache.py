"""Prompt prefix cache: 128-token blocks, separate for each model and `user_id`.

DeepSeek docs, Context Caching page; the block size and the rule that a unit becomes usable only after
the request that wrote it were measured by the public agent-harness notes of August 2026.
"""

from __future__ import annotations

from collections import OrderedDict

from deepseek_async.simulator.model.tokens import block_ends

BLOCK_TOKENS = 128


def block_keys(domain: tuple[str, ...], prompt: bytes) -> tuple[int, ...]:
    """Return one key per complete block; a key covers everything before it, so equal keys are equal prefixes."""
    keys: list[int] = []
    key = hash(domain)
    start = 0
    for end in block_ends(prompt, BLOCK_TOKENS):
        key = hash((key, prompt[start:end]))
        keys.append(key)
        start = end
    return tuple(keys)


class PrefixCache:
    """An LRU set of blocks."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blocks)

    def hit_tokens(self, keys: tuple[int, ...]) -> int:
        """Return the number of leading cached tokens, in whole blocks from the first token on."""
        known = 0
        blocks = self._blocks
        for key in keys:
            if key not in blocks:
                break
            blocks.move_to_end(key)
            known += 1
        return known * BLOCK_TOKENS

    def remember(self, keys: tuple[int, ...]) -> None:
        """Store blocks; called when the request that wrote them has ended, so concurrent cold requests all miss."""
        blocks = self._blocks
        for key in keys:
            blocks[key] = None
            blocks.move_to_end(key)
        while len(blocks) > self._capacity:
            blocks.popitem(last=False)
