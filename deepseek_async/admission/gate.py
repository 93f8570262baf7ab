"""The order of the doors that every attempt passes: rate first, because waiting there holds nothing; slot last."""

from __future__ import annotations

from deepseek_async.admission.lease import Lease
from deepseek_async.admission.rate import RateLimits
from deepseek_async.admission.slots import Slots


class Gate:
    """Hands out leases. Bound to the event loop on which it is first waited for."""

    __slots__ = ("_rates", "_slots")

    def __init__(
        self,
        max_concurrency: int,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        self._slots = Slots(max_concurrency)
        limited = requests_per_minute is not None or tokens_per_minute is not None
        self._rates = RateLimits(requests_per_minute, tokens_per_minute) if limited else None

    @property
    def counts_tokens(self) -> bool:
        """Whether ``admit`` wants an estimate of the request's tokens."""
        return self._rates is not None and self._rates.counts_tokens

    @property
    def in_flight(self) -> int:
        """Attempts that run now."""
        return self._slots.in_use

    @property
    def waiting(self) -> int:
        """Attempts that wait for a slot."""
        return self._slots.waiting

    async def admit(self, tokens: int = 0) -> Lease:
        """Wait until one attempt of about ``tokens`` tokens may start."""
        rates = self._rates
        if rates is not None:
            await rates.wait(tokens)
        if not self._slots.take_nowait():
            try:
                await self._slots.take()
            except BaseException:
                if rates is not None:
                    rates.settle(tokens, 0)
                raise
        return Lease(self._slots, rates, tokens)
