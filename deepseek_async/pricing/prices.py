"""What a call costs, from its usage, the model that served it, and the hour. Pure; the figures are in prices.toml."""

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
    """US dollars per million tokens of one model, off-peak, from one date on."""

    model: str
    start: datetime
    cache_hit: float
    cache_miss: float
    output: float
    peak_factor: float = 1.0
    """What these prices are multiplied by in peak hours."""


class Fee(msgspec.Struct, frozen=True):
    """The price of something that is not counted in tokens, in the currencies it is published in, from a date on."""

    kind: str
    start: datetime
    per: int
    """How many of them cost so much."""
    CNY: float
    USD: float | None = None

    def charge(self, count: int) -> FeeCharge:
        """What ``count`` of them cost."""
        share = count / self.per
        return FeeCharge(self.kind, count, self.CNY * share, None if self.USD is None else self.USD * share)


class Rate(msgspec.Struct, frozen=True):
    """US dollars per million tokens, and what they are multiplied by at one moment; and the fees of that moment."""

    cache_hit: float
    cache_miss: float
    output: float
    factor: float
    fees: Mapping[str, Fee] = {}
    """By kind. Peak hours are those of tokens: no page on fees names any."""

    def cost(self, usage: CompletionUsage) -> float:
        """US dollars for ``usage``, without fees that have no price in US dollars: ``lacks_dollars`` names them."""
        return self.charge(usage)[0]

    def fees_of(self, usage: CompletionUsage) -> tuple[FeeCharge, ...]:
        """What ``usage`` costs beside tokens, a line for each kind."""
        fees = usage.fees or {}
        return tuple(self._fee(kind).charge(count) for kind, count in fees.items() if count)

    def lacks_dollars(self, usage: CompletionUsage) -> list[str]:
        """Kinds of fees in ``usage`` that have no price in US dollars."""
        return [fee.kind for fee in self.fees_of(usage) if fee.usd is None]

    def _fee(self, kind: str) -> Fee:
        return self.fees.get(kind) or Fee(kind, _EPOCH, 1, 0.0)

    def charge(self, usage: CompletionUsage) -> tuple[float, float]:
        """US dollars for ``usage``, and what it would have cost more without its cached tokens."""
        hit = usage.cached_tokens
        saved = hit * (self.cache_miss - self.cache_hit)
        dollars = usage.prompt_tokens * self.cache_miss - saved + usage.completion_tokens * self.output
        scale = self.factor / _MILLION
        if usage.fees:
            return dollars * scale + sum(fee.usd or 0.0 for fee in self.fees_of(usage)), saved * scale
        return dollars * scale, saved * scale


class AnswerCost(msgspec.Struct, frozen=True):
    """What one answer cost, all its attempts together."""

    tokens: float
    """US dollars for tokens."""
    fees: tuple[FeeCharge, ...] = ()
    """What was paid beside tokens, a line for each kind, in the currencies that DeepSeek publishes."""

    @property
    def total(self) -> float | None:
        """US dollars in all; None where a fee has no price in them: nothing is converted by a rate that nobody gave."""
        fees = [fee.usd for fee in self.fees]
        return None if None in fees else self.tokens + sum(fee for fee in fees if fee is not None)


class Meter:
    """Charges many answers by a table. Prices change on full minutes, so within one minute a model has one rate."""

    __slots__ = ("_minute", "_rates", "_table", "_unpriced")

    def __init__(self, table: PriceTable, unpriced: Callable[[str, str], None] | None = None) -> None:
        """``unpriced`` is told the name of a model without a price, and as which one it is charged."""
        self._unpriced = unpriced
        self._table = table
        self._minute = -1.0
        self._rates: dict[str, Rate | None] = {}

    def rate(self, model: str, at: float) -> Rate | None:
        """``PriceTable.rate`` for answers that come one after the other."""
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
        """What an answer costs: by the model that ``served`` it, else by the one ``asked``, else as the dearest does.

        A model without a price costs something all the same; ``unpriced`` is told as which one.
        """
        rate = self.rate(served, at) if served else None
        if rate is not None:
            return rate
        name, rate = self._table.instead(asked, at)
        if self._unpriced is not None and name != (served or asked):
            self._unpriced(served or asked, name)
        return rate

    def charge(self, attempts: Iterable[BilledAttempt]) -> tuple[float | None, float]:
        """US dollars for all ``attempts``, each at its model and hour, and what their cached tokens saved.

        None if there are none.
        """
        charges = [self.rate_of(each.model, each.asked or each.model, each.at).charge(each.usage) for each in attempts]
        return sum(cost for cost, _ in charges) if charges else None, sum(saved for _, saved in charges)

    def fees(self, attempts: Iterable[BilledAttempt]) -> tuple[FeeCharge, ...]:
        """What all ``attempts`` cost beside tokens, a line for each kind, each at the fees of its hour."""
        every = [each for each in attempts if each.usage.fees]
        rates = [self.rate_of(each.model, each.asked or each.model, each.at) for each in every]
        return fees_together(fee for rate, each in zip(rates, every, strict=True) for fee in rate.fees_of(each.usage))

    def cost_of(self, attempts: Sequence[BilledAttempt]) -> AnswerCost:
        """What all ``attempts`` cost, tokens and fees apart."""
        fees = self.fees(attempts)
        return AnswerCost((self.charge(attempts)[0] or 0.0) - sum(fee.usd or 0.0 for fee in fees), fees)


class PriceTable(msgspec.Struct, frozen=True):
    """All prices with their dates, and the clock that says when it is peak."""

    prices: dict[str, list[Price]]
    """By model, newest first."""
    aliases: dict[str, str]
    peak_hours: list[tuple[int, int]]
    """Hours of UTC, from and to, on working days."""
    weekends_off_peak_since: date
    holidays: frozenset[date]
    """Chinese public holidays, in Beijing's calendar; off-peak all day."""
    fees: dict[str, list[Fee]] = {}
    """By kind, newest first."""
    endpoints: frozenset[str] = frozenset()
    """Paths where fees are all that is paid."""
    currency_rates: Mapping[str, float] = {}
    """US dollars for one of another currency, for fees that have no price in US dollars. Only those that were given:
    nothing is converted by a rate that nobody chose."""

    def is_peak(self, at: float) -> bool:
        """Whether ``at``, in seconds since 1970, is billed at the peak price."""
        moment = datetime.fromtimestamp(at, UTC)
        day = (moment + _BEIJING).date()
        if day in self.holidays:
            return False
        if day.weekday() >= 5 and day >= self.weekends_off_peak_since:  # Saturday
            return False
        return any(start <= moment.hour < end for start, end in self.peak_hours)

    def next_change(self, at: float) -> float:
        """When peak prices begin or end next after ``at``, in seconds since 1970.

        Peak hours begin and end on full hours. A table without any is taken to change in a year.
        """
        peak = self.is_peak(at)
        hour = at // _HOUR * _HOUR
        for _ in range(_HOURS_LOOKED_AHEAD):
            hour += _HOUR
            if self.is_peak(hour) != peak:
                break
        return hour

    def with_holidays(self, days: Iterable[date]) -> PriceTable:
        """This table with ``days`` in place of its holidays of the same years."""
        given = frozenset(days)
        if not given:
            return self
        years = {day.year for day in given}
        kept = frozenset(day for day in self.holidays if day.year not in years)
        return msgspec.structs.replace(self, holidays=kept | given)

    def with_rates(self, currency_rates: Mapping[str, float]) -> PriceTable:
        """This table with ``currency_rates``: US dollars for one of each currency."""
        return msgspec.structs.replace(self, currency_rates=currency_rates) if currency_rates else self

    def fees_at(self, at: float) -> dict[str, Fee]:
        """The fee of each kind at that moment; before the first one, the first."""
        moment = datetime.fromtimestamp(at, UTC)
        return {
            kind: self._in_dollars(next((fee for fee in dated if fee.start <= moment), dated[-1]))
            for kind, dated in self.fees.items()
        }

    def _in_dollars(self, fee: Fee) -> Fee:
        rate = self.currency_rates.get("CNY")
        return fee if fee.USD is not None or rate is None else msgspec.structs.replace(fee, USD=fee.CNY * rate)

    def price(self, model: str, at: float) -> Price | None:
        """The price of ``model`` at that moment, off-peak; None for a model that is not in the table."""
        moment = datetime.fromtimestamp(at, UTC)
        for price in self.prices.get(self.aliases.get(model, model), ()):
            if price.start <= moment:
                return price
        return None

    def instead(self, asked: str, at: float) -> tuple[str, Rate]:
        """As which model an answer without a price of its own is charged: the one ``asked``, else the dearest.

        A moment before all prices counts as that of the first: a server may say any.
        """
        at = max(at, min(dated[-1].start for dated in self.prices.values()).timestamp())
        rate = self.rate(asked, at)
        return self.dearest(at) if rate is None else (asked, rate)

    def dearest(self, at: float) -> tuple[str, Rate]:
        """The model whose answers cost most at that moment, and its rate: for one whose price is not known."""
        rates = [(model, rate) for model in self.prices if (rate := self.rate(model, at)) is not None]
        return max(rates, key=lambda each: each[1].output * each[1].factor)

    def cost(self, usage: CompletionUsage, model: str, at: float) -> float | None:
        """US dollars for ``usage``, or None when the model's price is not known.

        ``model`` is the one named in the answer and ``at`` the start of the request; DeepSeek does not say
        whether start or end decides at the edge of the peak hours.
        """
        rate = self.rate(model, at)
        return None if rate is None else rate.cost(usage)

    def rate(self, model: str, at: float) -> Rate | None:
        """What ``model`` costs at that moment, the hour included; None for a model that is not in the table.

        The path of an endpoint stands for one that has fees alone.
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
    """The table that comes with the library."""
    return load_prices(files("deepseek_async.pricing").joinpath("prices.toml").read_text("utf-8"))


def load_prices(text: str) -> PriceTable:
    """A table from TOML in the form of ``prices.toml``."""
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
