"""Cost estimate of a job before it runs: rows, tokens, prefix groups, cache hits, cost, time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from deepseek_async.batch.digests import DigestSet
from deepseek_async.batch.row import Row
from deepseek_async.batch.row_identity import key_of
from deepseek_async.batch.schedule.prefix import WORTH_WAITING, Prefix, covered, hit_tokens, prefix_of
from deepseek_async.codec.tokens import TokenCount
from deepseek_async.errors import InvalidRequestError
from deepseek_async.pricing.prices import PriceTable
from deepseek_async.types import CompletionUsage

_KEPT_ERRORS: Final = 5
_WORD: Final = (1 << 64) - 1

CountTokens = Callable[[Mapping[str, Any]], TokenCount]
"""Counts the prompt tokens of a request body. Raises InvalidRequestError for one that cannot be encoded as JSON."""


class ModelPlan(msgspec.Struct):
    """Totals of one model."""

    rows: int = 0
    prompt_tokens: int = 0
    hit_tokens: int = 0
    """Prompt tokens that the prefix cache can serve if rows are ordered by prefix."""
    answer_tokens: int = 0


class Plan(msgspec.Struct):
    """Totals of an input."""

    rows: int = 0
    unusable: int = 0
    """Invalid rows; they end with an error and cost nothing."""
    first_errors: list[str] = []
    estimated: int = 0
    """Requests whose tokens are estimated instead of counted by a tokenizer."""
    repeated: int = 0
    """Rows with a duplicate ``custom_id``, with which a job is rejected before anything is sent."""
    first_repeated: str = ""
    """Line and ``custom_id`` of the first of them."""
    groups: int = 0
    """Prefixes of at least 256 tokens shared by two or more rows."""
    grouped: int = 0
    """Rows in those groups."""
    models: dict[str, ModelPlan] = {}

    @property
    def prompt_tokens(self) -> int:
        """Total of all models."""
        return sum(model.prompt_tokens for model in self.models.values())

    @property
    def hit_tokens(self) -> int:
        """Total of all models."""
        return sum(model.hit_tokens for model in self.models.values())

    @property
    def answer_tokens(self) -> int:
        """Assumed total of all models."""
        return sum(model.answer_tokens for model in self.models.values())

    def cost(self, prices: PriceTable, at: float, *, cached: bool = True) -> float | None:
        """Return the US dollars if every request were sent at that time; None if a model's price is unknown.

        ``cached=False`` assumes no prefix cache hits.
        """
        total = 0.0
        for name, model in self.models.items():
            usage = CompletionUsage(
                prompt_tokens=model.prompt_tokens,
                completion_tokens=model.answer_tokens,
                prompt_cache_hit_tokens=model.hit_tokens if cached else 0,
            )
            cost = prices.cost(usage, name, at)
            if cost is None:
                return None
            total += cost
        return total

    def seconds(self, concurrency: int, seconds_a_row: float) -> float:
        """Return the estimated duration in seconds at that concurrency."""
        usable = self.rows - self.unusable
        return max(usable / concurrency, 1.0 if usable else 0.0) * seconds_a_row


def plan(rows: Iterable[Row], count_tokens: CountTokens, *, answer_tokens: int) -> Plan:
    """Scan the rows once.

    Memory: up to 27 bytes for each half kilobyte of unshared prompt, and for each ``custom_id``.

    ``answer_tokens`` is assumed for every text answer, or the row's cap if that is lower.
    """
    planned, beginnings, names = Plan(), _Beginnings(), DigestSet()
    for row in rows:
        planned.rows += 1
        if row.custom_id is not None and not names.add(key_of(row.custom_id.encode())):
            planned.repeated += 1
            planned.first_repeated = planned.first_repeated or f"line {row.line}: custom_id {row.custom_id!r}"
        tokens = _tokens(row, count_tokens)
        if row.body is None or isinstance(tokens, str):
            planned.unusable += 1
            if len(planned.first_errors) < _KEPT_ERRORS:
                planned.first_errors.append(str(tokens))
            continue
        prompt_tokens = tokens.prompt_tokens
        planned.estimated += not tokens.exact
        endpoint = row.endpoint
        prefix = prefix_of(row.body if endpoint is None else endpoint.conversation(row.body))
        model = planned.models.setdefault(str(row.body.get("model")), ModelPlan())
        model.rows += 1
        model.prompt_tokens += prompt_tokens
        model.hit_tokens += hit_tokens(beginnings.shared(prefix), prefix.size, prompt_tokens)
        limit = row.body.get("max_tokens" if endpoint is None else endpoint.cap)
        if endpoint is None or endpoint.answers_in_text:
            model.answer_tokens += min(answer_tokens, limit) if isinstance(limit, int) and limit > 0 else answer_tokens
    planned.groups, planned.grouped = beginnings.groups, beginnings.grouped
    return planned


def _tokens(row: Row, count_tokens: CountTokens) -> TokenCount | str:
    """Return the tokens of the row's prompt, or the reason why the request is invalid."""
    if row.body is None:
        return row.error.message if row.error is not None else ""
    try:
        # A tokenizer knows the template of a conversation; anything else is counted as JSON.
        return count_tokens(row.body if row.endpoint is None else row.endpoint.conversation(row.body) or row.body)
    except InvalidRequestError as error:
        return f"line {row.line}: {error.message}"


class _Beginnings:
    """All prefixes seen, and how many of them are shared."""

    def __init__(self) -> None:
        self._known = DigestSet()
        self._groups = DigestSet()
        self.groups = self.grouped = 0

    def shared(self, prefix: Prefix) -> int:
        """Return the bytes of the prefix shared with an earlier row, and add the row's prefix."""
        chunks = 0
        for place, key in enumerate(prefix.keys):
            known = not self._known.add(key & _WORD or 1)
            if known and chunks == place:
                chunks += 1
        shared = covered(chunks)
        if shared >= WORTH_WAITING:
            self._count(prefix.keys[chunks - 1])
        return shared

    def _count(self, deepest: int) -> None:
        """Add a row to the group of its longest shared prefix; the first to join adds the leader too."""
        fresh = self._groups.add(deepest & _WORD or 1)
        self.groups += fresh
        self.grouped += 2 if fresh else 1
