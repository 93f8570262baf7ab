"""Ledger of billed requests: the reference for a client's cost accounting."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One processed request. A refused one is free and has no entry."""

    id: str  # id of the answer
    account: str
    path: str
    model: str
    cache_hit_tokens: int
    cache_miss_tokens: int
    completion_tokens: int  # answer and reasoning; of an aborted answer, those generated
    reasoning_tokens: int
    nano_dollars: int
    usage_sent: bool  # whether the complete answer was sent with these numbers
    fees: Mapping[str, int] = field(default_factory=dict)  # charges other than tokens, by kind
    nano_yuan: int = 0  # the fees; also in nano_dollars if priced in US dollars

    @property
    def prompt_tokens(self) -> int:
        """Prompt tokens, cached or not."""
        return self.cache_hit_tokens + self.cache_miss_tokens

    @property
    def dollars(self) -> float:
        """US dollars for the tokens."""
        return self.nano_dollars / 1e9


class Ledger:
    """Iterates over the latest entries, oldest first; totals include all. Bounded, like the request records."""

    def __init__(self, limit: int) -> None:
        self._bills: deque[LedgerEntry] = deque(maxlen=limit)
        self.prompt_tokens = 0
        self.cache_hit_tokens = 0
        self.completion_tokens = 0
        self.reasoning_tokens = 0
        self.nano_dollars = 0
        self.nano_yuan = 0
        self.fees: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._bills)

    def __iter__(self) -> Iterator[LedgerEntry]:
        return iter(self._bills)

    @property
    def dollars(self) -> float:
        """US dollars for the tokens of all requests."""
        return self.nano_dollars / 1e9

    def add(self, bill: LedgerEntry) -> None:
        """Add the bill of one request."""
        self._bills.append(bill)
        self.prompt_tokens += bill.prompt_tokens
        self.cache_hit_tokens += bill.cache_hit_tokens
        self.completion_tokens += bill.completion_tokens
        self.reasoning_tokens += bill.reasoning_tokens
        self.nano_dollars += bill.nano_dollars
        self.nano_yuan += bill.nano_yuan
        self.fees.update(bill.fees)
