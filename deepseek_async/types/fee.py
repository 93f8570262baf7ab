"""What is paid beside tokens, and answers that cost nothing else. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from deepseek_async.types.answer import OpenAnswer
from deepseek_async.types.part import OURS
from deepseek_async.types.usage import BilledAttempt, CompletionUsage

SEARCH: Final = "search"
FETCH: Final = "fetch"
PAGE: Final = "page"
SPEECH_CHARACTERS: Final = "speech_characters"
AUDIO_SECONDS: Final = "audio_seconds"
"""Kinds of fees, as ``prices.toml`` and ``usage.fees`` name them."""


class FeeCharge(msgspec.Struct, frozen=True, gc=False):
    """One line of a bill: so many of one kind, in the currency that the fee is published in."""

    kind: str
    """search, fetch, page, speech_characters or audio_seconds."""
    count: int
    cny: float
    """Yuan."""
    usd: float | None
    """US dollars; None where DeepSeek publishes no price in them and no rate was given (``currency_rates``)."""

    def __str__(self) -> str:
        dollars = "" if self.usd is None else f", ${self.usd:.6f}"
        return f"{self.count:,} {self.kind.replace('_', ' ')}: {self.cny:.6f} yuan{dollars}"


def fees_together(charges: Iterable[FeeCharge]) -> tuple[FeeCharge, ...]:
    """One line for each kind; US dollars only where each of its charges has a price in them."""
    sums: dict[str, FeeCharge] = {}
    for charge in charges:
        so_far = sums.get(charge.kind)
        if so_far is None:
            sums[charge.kind] = charge
            continue
        usd = None if so_far.usd is None or charge.usd is None else so_far.usd + charge.usd
        sums[charge.kind] = FeeCharge(charge.kind, so_far.count + charge.count, so_far.cny + charge.cny, usd)
    return tuple(sums.values())


class PaidAnswer(OpenAnswer):
    """An answer of a tool of its own (``client.tools``): paid by fees and by no token."""

    fees: tuple[FeeCharge, ...] = msgspec.field(default=(), name=OURS + "fees")
    """What the call was billed for, all its attempts together. One that failed or timed out counts as charged."""
    _used: CompletionUsage | None = msgspec.field(default=None, name=OURS + "used")

    @property
    def cost(self) -> float | None:
        """US dollars; None where one of ``fees`` has no price in them."""
        prices = [fee.usd for fee in self.fees]
        return None if None in prices else sum(price for price in prices if price is not None)

    def units(self) -> dict[str, int]:
        """What is billed for this answer, by kind of fee."""
        return {}

    def tokens_used(self) -> CompletionUsage | None:
        """Its fees alone: no token is billed."""
        return self._used if self._used is not None else CompletionUsage(fees=self.units())

    def bill(self, attempts: Iterable[BilledAttempt], total: CompletionUsage) -> None:
        """See ``Answer.bill``."""
        self._billed = tuple(attempts)
        self._used = total
