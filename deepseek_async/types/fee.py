"""Fees beside tokens, and answers billed by fees only. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from deepseek_async.types.answer import OpenAnswer
from deepseek_async.types.answer_part import OURS
from deepseek_async.types.usage import BilledAttempt, CompletionUsage

SEARCH: Final = "search"
FETCH: Final = "fetch"
PAGE: Final = "page"
SPEECH_CHARACTERS: Final = "speech_characters"
AUDIO_SECONDS: Final = "audio_seconds"
"""Kinds of fees, as used in ``prices.toml`` and ``usage.fees``."""


class FeeCharge(msgspec.Struct, frozen=True, gc=False):
    """One billing item: a count of one kind of fee, with its price in the published currency."""

    kind: str
    """``search``, ``fetch``, ``page``, ``speech_characters`` or ``audio_seconds``."""
    count: int
    cny: float
    """Yuan."""
    usd: float | None
    """US dollars; None if DeepSeek publishes no dollar price and no rate is configured (``currency_rates``)."""

    def __str__(self) -> str:
        dollars = "" if self.usd is None else f", ${self.usd:.6f}"
        return f"{self.count:,} {self.kind.replace('_', ' ')}: {self.cny:.6f} yuan{dollars}"


def fees_together(charges: Iterable[FeeCharge]) -> tuple[FeeCharge, ...]:
    """Sum charges by kind; US dollars only if all charges of a kind have them."""
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
    """An answer of a standalone tool (``client.tools``): billed by fees, not by tokens."""

    fees: tuple[FeeCharge, ...] = msgspec.field(default=(), name=OURS + "fees")
    """Fees billed for the call, over all attempts. A failed or timed-out attempt counts as charged."""
    _used: CompletionUsage | None = msgspec.field(default=None, name=OURS + "used")

    @property
    def cost(self) -> float | None:
        """US dollars; None if one of ``fees`` has no dollar price."""
        prices = [fee.usd for fee in self.fees]
        return None if None in prices else sum(price for price in prices if price is not None)

    def units(self) -> dict[str, int]:
        """Internal: return the billed units of this answer, by kind of fee."""
        return {}

    def tokens_used(self) -> CompletionUsage | None:
        """Internal: return a usage of fees only: no tokens are billed."""
        return self._used if self._used is not None else CompletionUsage(fees=self.units())

    def bill(self, attempts: Iterable[BilledAttempt], total: CompletionUsage) -> None:
        """Internal: see ``Answer.bill``."""
        self._billed = tuple(attempts)
        self._used = total
