"""Cost of a call from usage, serving model and time. Pure; the figures are in prices.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec

from deepseek_async.types import BilledAttempt, CompletionUsage, FeeCharge
from deepseek_async.types.fee import fees_together

_MILLION: Final = 1_000_000
_BEIJING: Final = timedelta(hours=8)
_MINUTE: Final = 60
_HOUR: Final = 3600
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_HOURS_LOOKED_AHEAD: Final = 366 * 24


class Price(msgspec.Struct, frozen=True):
    """Off-peak price of one model from a given date, in US dollars per million tokens."""

    model: str
    start: datetime
    cache_hit: float
    cache_miss: float
    output: float
    peak_factor: float = 1.0
    """Multiplier in peak hours."""


class Fee(msgspec.Struct, frozen=True):
    """Price of an item that is not counted in tokens, from a given date, in its published currencies."""

    kind: str
    start: datetime
    per: int
    """Number of items that the price covers."""
    CNY: float
    USD: float | None = None

    def charge(self, count: int) -> FeeCharge:
        """Return the charge for ``count`` items."""
        share = count / self.per
        return FeeCharge(self.kind, count, self.CNY * share, None if self.USD is None else self.USD * share)


class Rate(msgspec.Struct, frozen=True):
    """Prices and fees at one moment: US dollars per million tokens and the peak multiplier."""

    cache_hit: float
    cache_miss: float
    output: float
    factor: float
    fees: Mapping[str, Fee] = {}
    """Fees by kind. Not multiplied in peak hours: no page on fees mentions them."""

    def cost(self, usage: CompletionUsage) -> float:
        """Return US dollars for ``usage``, without fees that have no price in US dollars (see ``lacks_dollars``)."""
        return self.charge(usage)[0]

    def fees_of(self, usage: CompletionUsage) -> tuple[FeeCharge, ...]:
        """Return the charges of ``usage`` beside tokens, one per kind."""
        fees = usage.fees or {}
        return tuple(self._fee(kind).charge(count) for kind, count in fees.items() if count)

    def lacks_dollars(self, usage: CompletionUsage) -> list[str]:
        """Return the kinds of fees in ``usage`` that have no price in US dollars."""
        return [fee.kind for fee in self.fees_of(usage) if fee.usd is None]

    def _fee(self, kind: str) -> Fee:
        return self.fees.get(kind) or Fee(kind, _EPOCH, 1, 0.0)

    def charge(self, usage: CompletionUsage) -> tuple[float, float]:
        """Return US dollars for ``usage``, and the saving through its cached tokens."""
        hit = usage.cached_tokens
        saved = hit * (self.cache_miss - self.cache_hit)
        dollars = usage.prompt_tokens * self.cache_miss - saved + usage.completion_tokens * self.output
        scale = self.factor / _MILLION
        if usage.fees:
            return dollars * scale + sum(fee.usd or 0.0 for fee in self.fees_of(usage)), saved * scale
        return dollars * scale, saved * scale


class AnswerCost(msgspec.Struct, frozen=True):
    """Cost of one answer over all attempts."""

    tokens: float
    """US dollars for tokens."""
    fees: tuple[FeeCharge, ...] = ()
    """Charges beside tokens, one per kind, in the currencies that DeepSeek publishes."""

    @property
    def total(self) -> float | None:
        """Return total US dollars; None if a fee has no price in US dollars and no exchange rate was configured."""
        fees = [fee.usd for fee in self.fees]
        return None if None in fees else self.tokens + sum(fee for fee in fees if fee is not None)


class Meter:
    """Charges a series of answers. Prices change on full minutes, so a rate is cached per model and minute."""

    __slots__ = ("_minute", "_rates", "_table", "_unpriced")

    def __init__(self, table: PriceTable, unpriced: Callable[[str, str], None] | None = None) -> None:
        """``unpriced`` is called with the name of a model without a price and the model it is charged as."""
        self._unpriced = unpriced
        self._table = table
        self._minute = -1.0
        self._rates: dict[str, Rate | None] = {}

    def rate(self, model: str, at: float) -> Rate | None:
        """Cached ``PriceTable.rate``, for answers in order of time."""
        minute = at // _MINUTE
        if minute != self._minute:
            self._minute = minute
            self._rates.clear()
        try:
            return self._rates[model]
        except KeyError:
            rate = self._rates[model] = self._table.rate(model, at)
            return rate

    def rate_of(self, served: str | None, asked: str, at: float) -> Rate:
        """Return the rate of the model that ``served`` the answer, else of the one ``asked``, else the highest rate.

        A model without a price is charged too; ``unpriced`` is called with the substitute.
        """
        rate = self.rate(served, at) if served else None
        if rate is not None:
            return rate
        name, rate = self._table.instead(asked, at)
        if self._unpriced is not None and name != (served or asked):
            self._unpriced(served or asked, name)
        return rate

    def charge(self, attempts: Iterable[BilledAttempt]) -> tuple[float | None, float]:
        """Return US dollars for all ``attempts``, each at its model and time, and the saving through cached tokens.

        None if ``attempts`` is empty.
        """
        charges = [self.rate_of(each.model, each.asked or each.model, each.at).charge(each.usage) for each in attempts]
        return sum(cost for cost, _ in charges) if charges else None, sum(saved for _, saved in charges)

    def fees(self, attempts: Iterable[BilledAttempt]) -> tuple[FeeCharge, ...]:
        """Return the charges of all ``attempts`` beside tokens, one per kind, each at the fees of its time."""
        every = [each for each in attempts if each.usage.fees]
        rates = [self.rate_of(each.model, each.asked or each.model, each.at) for each in every]
        return fees_together(fee for rate, each in zip(rates, every, strict=True) for fee in rate.fees_of(each.usage))

    def cost_of(self, attempts: Sequence[BilledAttempt]) -> AnswerCost:
        """Return the cost of all ``attempts``, with tokens and fees separate."""
        fees = self.fees(attempts)
        return AnswerCost((self.charge(attempts)[0] or 0.0) - sum(fee.usd or 0.0 for fee in fees), fees)


class PriceTable(msgspec.Struct, frozen=True):
    """All dated prices and fees, and the peak hours."""

    prices: dict[str, list[Price]]
    """Prices by model, newest first."""
    aliases: dict[str, str]
    peak_hours: list[tuple[int, int]]
    """Peak hours on working days, as (start, end) in UTC."""
    weekends_off_peak_since: date
    holidays: frozenset[date]
    """Chinese public holidays (Beijing calendar); off-peak all day."""
    fees: dict[str, list[Fee]] = {}
    """Fees by kind, newest first."""
    endpoints: frozenset[str] = frozenset()
    """Paths of endpoints that charge only fees."""
    currency_rates: Mapping[str, float] = {}
    """US dollars per unit of another currency, for fees without a price in US dollars. Configured rates only; there is
    no default."""

    def is_peak(self, at: float) -> bool:
        """Whether the peak price applies at ``at`` (Unix time)."""
        moment = datetime.fromtimestamp(at, UTC)
        day = (moment + _BEIJING).date()
        if day in self.holidays:
            return False
        if day.weekday() >= 5 and day >= self.weekends_off_peak_since:  # Saturday
            return False
        return any(start <= moment.hour < end for start, end in self.peak_hours)

    def next_change(self, at: float) -> float:
        """Return the Unix time of the next start or end of peak hours after ``at``.

        Peak hours start and end on full hours. Without peak hours, one year from ``at``.
        """
        peak = self.is_peak(at)
        hour = at // _HOUR * _HOUR
        for _ in range(_HOURS_LOOKED_AHEAD):
            hour += _HOUR
            if self.is_peak(hour) != peak:
                break
        return hour

    def with_holidays(self, days: Iterable[date]) -> PriceTable:
        """Return a table in which ``days`` replace the holidays of the same years."""
        given = frozenset(days)
        if not given:
            return self
        years = {day.year for day in given}
        kept = frozenset(day for day in self.holidays if day.year not in years)
        return msgspec.structs.replace(self, holidays=kept | given)

    def with_rates(self, currency_rates: Mapping[str, float]) -> PriceTable:
        """Return a table with ``currency_rates``: US dollars per unit of each currency."""
        return msgspec.structs.replace(self, currency_rates=currency_rates) if currency_rates else self

    def fees_at(self, at: float) -> dict[str, Fee]:
        """Return the fee of each kind at ``at``; before the first entry, the first one."""
        moment = datetime.fromtimestamp(at, UTC)
        return {
            kind: self._in_dollars(next((fee for fee in dated if fee.start <= moment), dated[-1]))
            for kind, dated in self.fees.items()
        }

    def _in_dollars(self, fee: Fee) -> Fee:
        rate = self.currency_rates.get("CNY")
        return fee if fee.USD is not None or rate is None else msgspec.structs.replace(fee, USD=fee.CNY * rate)

    def price(self, model: str, at: float) -> Price | None:
        """Return the off-peak price of ``model`` at ``at``; None if the table does not have the model."""
        moment = datetime.fromtimestamp(at, UTC)
        for price in self.prices.get(self.aliases.get(model, model), ()):
            if price.start <= moment:
                return price
        return None

    def instead(self, asked: str, at: float) -> tuple[str, Rate]:
        """Return the substitute model and rate for a model without a price: the one ``asked``, else the dearest.

        A time before the first entry uses the first entry, because a server may report any time.
        """
        at = max(at, min(dated[-1].start for dated in self.prices.values()).timestamp())
        rate = self.rate(asked, at)
        return self.dearest(at) if rate is None else (asked, rate)

    def dearest(self, at: float) -> tuple[str, Rate]:
        """Return the model with the highest rate at ``at`` and its rate, as the substitute for an unknown model."""
        rates = [(model, rate) for model in self.prices if (rate := self.rate(model, at)) is not None]
        return max(rates, key=lambda each: each[1].output * each[1].factor)

    def cost(self, usage: CompletionUsage, model: str, at: float) -> float | None:
        """Return US dollars for ``usage``, or None if the model has no known price.

        ``model`` is the one named in the answer and ``at`` the start of the request; DeepSeek does not document
        whether start or end decides at a boundary of the peak hours.
        """
        rate = self.rate(model, at)
        return None if rate is None else rate.cost(usage)

    def rate(self, model: str, at: float) -> Rate | None:
        """Return the rate of ``model`` at ``at``, peak hours applied; None if the table does not have the model.

        For endpoints that charge only fees, ``model`` is the path of the endpoint.
        """
        if model in self.endpoints:
            return Rate(0.0, 0.0, 0.0, 1.0, self.fees_at(at))
        price = self.price(model, at)
        if price is None:
            return None
        factor = price.peak_factor if price.peak_factor != 1.0 and self.is_peak(at) else 1.0
        return Rate(price.cache_hit, price.cache_miss, price.output, factor, self.fees_at(at))


@cache
def price_table() -> PriceTable:
    """Return the price table that ships with the library."""
    return load_prices(files("deepseek_async.pricing").joinpath("prices.toml").read_text("utf-8"))


def load_prices(text: str) -> PriceTable:
    """Parse a price table from TOML in the format of ``prices.toml``."""
    content: dict[str, Any] = tomllib.loads(text)
    prices: dict[str, list[Price]] = {}
    for entry in content["price"]:
        price = msgspec.convert(entry, Price)
        prices.setdefault(price.model, []).append(price)
    for dated in prices.values():
        dated.sort(key=lambda price: price.start, reverse=True)
    fees: dict[str, list[Fee]] = {}
    for entry in content.get("fee", ()):
        fee = msgspec.convert(entry, Fee)
        fees.setdefault(fee.kind, []).append(fee)
    for each in fees.values():
        each.sort(key=lambda fee: fee.start, reverse=True)
    peak = content["peak"]
    return PriceTable(
        prices=prices,
        aliases=content["aliases"],
        peak_hours=[(start, end) for start, end in peak["hours_utc"]],
        weekends_off_peak_since=peak["weekends_off_peak_since"],
        holidays=frozenset(peak["holidays"]),
        fees=fees,
        endpoints=frozenset(content.get("fees_only", {}).get("endpoints", ())),
    )
