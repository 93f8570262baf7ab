"""Deterministic pseudo-random numbers: same seed and prompt, same numbers. Pure."""

from __future__ import annotations

from hashlib import blake2b


class Draw:
    """Small numbers from a digest: cheaper than a generator, and stable across Python versions."""

    __slots__ = ("_digest", "_state")

    def __init__(self, digest: bytes) -> None:
        self._digest = digest
        self._state = int.from_bytes(digest, "big")

    def below(self, bound: int) -> int:
        if self._state < bound:
            self._digest = blake2b(self._digest, digest_size=32).digest()
            self._state = int.from_bytes(self._digest, "big")
        self._state, number = divmod(self._state, bound)
        return number

    def around(self, mean: int, spread: float) -> int:
        reach = int(mean * spread)
        return mean - reach + self.below(2 * reach + 1)

    def fraction(self) -> float:
        return self.below(1 << 20) / (1 << 20)


def draw(seed: int, prompt: bytes) -> Draw:
    key = seed.to_bytes(16, "big", signed=True)
    return Draw(blake2b(prompt, key=key, digest_size=32).digest())
