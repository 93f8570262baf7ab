"""Totals of an output: rows, tokens, cost, latency, failures. Pure; memory is independent of the number of rows."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from deepseek_async.batch.review.distribution import Distribution
from deepseek_async.batch.review.output_reader import LineBill, OutputLine
from deepseek_async.batch.review.row_selection import SelectedRows
from deepseek_async.batch.review.timeline import SPANS, Timeline
from deepseek_async.pricing.prices import PriceTable, Rate
from deepseek_async.types import CompletionUsage, FeeCharge
from deepseek_async.types.fee import fees_together

_EXAMPLES: Final = 3
_ROWS_A_SPAN: Final = 2


class Example(msgspec.Struct, frozen=True):
    """A failed row."""

    custom_id: str
    message: str


class Tokens(msgspec.Struct):
    """Tokens, or US dollars for them, by kind."""

    cached: float = 0
    fresh: float = 0
    reasoning: float = 0
    answer: float = 0

    @property
    def total(self) -> float:
        """The total over all kinds."""
        return self.cached + self.fresh + self.reasoning + self.answer

    def add(self, more: Tokens) -> None:
        """Add ``more``."""
        self.cached += more.cached
        self.fresh += more.fresh
        self.reasoning += more.reasoning
        self.answer += more.answer


class ModelAccount(msgspec.Struct):
    """Totals of one model."""

    rows: int = 0
    charged_as: str = ""
    """The model whose price is used, because its own is unknown."""
    cost: float = 0.0
    peak_rows: int = 0
    peak_cost: float = 0.0


class JobSummary:
    """Totals. Call ``add`` once per line; rows are added to ``timeline`` too, if given."""

    def __init__(self, prices: PriceTable, timeline: Timeline | None = None) -> None:
        self._prices = prices
        starts = [price.start.timestamp() for dated in prices.prices.values() for price in dated]
        self._first, self._undated = min(starts), max(starts)
        """Latest prices; used for an answer without a time, or with one before the first price list."""
        self.ok = self.failed = 0
        self.cut_off = 0
        """Answers truncated at ``max_tokens``."""
        self.requests = 0
        self.tokens = Tokens()
        self.cost_by_kind = Tokens()
        self.cost = 0.0
        """US dollars of all lines, including superseded ones."""
        self.left_out_cost = 0.0
        """Part of ``cost`` for rows no longer in the input."""
        self.simulated_cost = 0.0
        """Part of ``cost`` that was not paid, because the answers are simulated."""
        self.pending = 0
        """Lines that end no row: a run stopped before the row ended, with some requests already billed."""
        self.pending_cost = 0.0
        """Part of ``cost`` for those lines."""
        self.replaced = 0
        self.replaced_cost = 0.0
        self.unpriced = 0
        """Answers from models without a price: charged at that of the requested model, or at the highest."""
        self.estimated = 0
        """Requests whose usage is estimated, because the server reported none or an invalid one."""
        self.estimated_cost = 0.0
        """Part of ``cost`` for those requests."""
        self.fees: tuple[FeeCharge, ...] = ()
        """Charges other than tokens, one per kind; part of ``cost`` if priced in US dollars."""
        self.saved_by_cache = 0.0
        self.saved_by_hours = 0.0
        """US dollars saved by sending requests off-peak."""
        self.predicted_cached_tokens = 0
        self.cached_where_predicted = 0
        self.models: dict[str, ModelAccount] = {}
        self.failures: Counter[str] = Counter()
        self.examples: dict[str, list[Example]] = {}
        self.latency = Distribution()
        self.timeline = timeline

    def add(self, line: OutputLine, *, latest: bool) -> None:
        """Count a line; ``latest`` tells whether it is its row's last."""
        cost = self._bill(line)
        if latest:
            self._end(line)
        else:
            self.replaced += 1
            self.replaced_cost += cost
        if line.facts.attempts:
            self.latency.add(line.facts.latency)
        if self.timeline is not None and line.started is not None and line.facts.attempts:
            tokens = sum(bill.usage.prompt_tokens + bill.usage.completion_tokens for bill in line.bills)
            self.timeline.add(line.started, line.facts.latency, tokens, failed=line.error is not None)

    def add_pending(self, line: OutputLine) -> None:
        """Count the cost of a line that ends no row: it was paid before the row ended, if it has."""
        self.pending += 1
        self.pending_cost += self._bill(line)

    def add_left_out(self, line: OutputLine) -> None:
        """Count the cost of a line whose row is no longer in the input."""
        self.left_out_cost += self._bill(line)

    def _bill(self, line: OutputLine) -> float:
        bills = line.bills
        self.requests += line.facts.attempts
        cost = self._spend(line, bills) if bills else line.facts.cost or 0.0
        self.cost += cost
        if line.facts.simulated:
            self.simulated_cost += cost
        return cost

    def _end(self, line: OutputLine) -> None:
        if line.error is None:
            self.ok += 1
            self.cut_off += line.body.finish_reason == "length"
            return
        self.failed += 1
        self.failures[line.error.code] += 1
        examples = self.examples.setdefault(line.error.code, [])
        if len(examples) < _EXAMPLES:
            examples.append(Example(line.custom_id, line.error.message))

    def _spend(self, line: OutputLine, bills: list[LineBill]) -> float:
        """Add a row's tokens and cost; return the cost. A copied answer was not paid for again."""
        if not line.facts.attempts:
            return 0.0
        if line.facts.predicted_cached_tokens:
            self.predicted_cached_tokens += line.facts.predicted_cached_tokens
            self.cached_where_predicted += bills[-1].usage.cached_tokens
        if len(bills) == 1:
            return self._pay(bills[0], line.facts.cost)
        paid = sum(self._pay(bill, None) for bill in bills)
        return paid if line.facts.cost is None else line.facts.cost

    def _pay(self, bill: LineBill, cost: float | None) -> float:
        """Add one request, which cost ``cost`` US dollars if known; return its cost."""
        usage, model, at = bill.usage, bill.model or "", bill.at or 0.0
        if at < self._first:
            at = self._undated
        reasoning = min(usage.reasoning_tokens, usage.completion_tokens)
        used = Tokens(
            cached=usage.cached_tokens,
            fresh=usage.prompt_tokens - usage.cached_tokens,
            reasoning=reasoning,
            answer=usage.completion_tokens - reasoning,
        )
        self.tokens.add(used)
        account = self.models.setdefault(model, ModelAccount())
        account.rows += 1
        if model in self._prices.endpoints:
            paid = self._pay_fees(usage, at)
            return self._count(bill, account, paid if cost is None else cost)
        price = self._prices.price(model, at)
        known = 1.0
        if price is None:
            self.unpriced += 1
            account.charged_as, rate = self._prices.instead(bill.asked, at)
            price = self._prices.price(account.charged_as, at)
            if cost is not None and (charged := rate.cost(usage)):
                known = cost / charged  # the run knew the requested model
        assert price is not None  # noqa: S101  the most expensive model has one
        peak = self._prices.is_peak(at) and price.peak_factor != 1.0
        factor = known * (price.peak_factor if peak else 1.0) / 1_000_000
        by_kind = Tokens(
            cached=used.cached * price.cache_hit * factor,
            fresh=used.fresh * price.cache_miss * factor,
            reasoning=used.reasoning * price.output * factor,
            answer=used.answer * price.output * factor,
        )
        self.cost_by_kind.add(by_kind)
        self.saved_by_cache += used.cached * (price.cache_miss - price.cache_hit) * factor
        paid = self._pay_fees(usage, at)
        cost = self._count(bill, account, by_kind.total + paid if cost is None else cost)
        if peak:
            account.peak_rows += 1
            account.peak_cost += cost
        else:
            self.saved_by_hours += (cost - paid) * (price.peak_factor - 1.0)
        return cost

    def _count(self, bill: LineBill, account: ModelAccount, cost: float) -> float:
        account.cost += cost
        if bill.corrected is not None:
            self.estimated += 1
            self.estimated_cost += cost
        return cost

    def _pay_fees(self, usage: CompletionUsage, at: float) -> float:
        """Add a request's charges other than tokens; return those priced in US dollars."""
        if not usage.fees:
            return 0.0
        fees = Rate(0.0, 0.0, 0.0, 1.0, self._prices.fees_at(at)).fees_of(usage)
        self.fees = fees_together((*self.fees, *fees))
        return sum(fee.usd or 0.0 for fee in fees)


def account_of(asked: SelectedRows, prices: PriceTable) -> JobSummary:
    """Return the totals of those rows of an output, with their timeline.

    Without an input, the cost is that of the whole output; with one, that of the input's rows.
    """
    began, ended = asked.began, asked.ended
    timed = began is not None and ended is not None
    # A span needs several rows, or it would show the speed of a single one.
    spans = min(SPANS, max(1, sum(1 for _ in asked.numbers()) // _ROWS_A_SPAN))
    account = JobSummary(prices, Timeline(began or 0.0, ended or 0.0, spans) if timed else None)
    for number, line, latest in asked.output.lines():
        if asked.has(number):
            account.add(line, latest=latest)
        elif asked.total is None:
            account.add_left_out(line)
    for line in asked.output.pending:
        if asked.asks(line):
            account.add_pending(line)
        elif asked.total is None:
            account.add_left_out(line)
    return account
