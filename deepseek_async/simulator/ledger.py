"""What the service has billed, request by request: the truth that a client's own sums can be held against."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One request that was worked on. A refused one costs nothing and has none."""

    id: str  # of the answer
    account: str
    path: str
    model: str
    cache_hit_tokens: int
    cache_miss_tokens: int
    completion_tokens: int  # answer and reasoning together; of an answer that broke off, those that were made
    reasoning_tokens: int
    nano_dollars: int
    usage_sent: bool  # whether the answer went out to its end with these numbers in it
    fees: Mapping[str, int] = field(default_factory=dict)  # what is paid by the piece, by kind
    nano_yuan: int = 0  # those fees; they are in nano_dollars too where they have a price in them

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt, from the cache or not."""
        return self.cache_hit_tokens + self.cache_miss_tokens

    @property
    def dollars(self) -> float:
        """US dollars for the tokens."""
        return self.nano_dollars / 1e9


class Ledger:
    """Iterate it for the last bills, oldest first; the sums are of all. Bounded, as the records of requests are."""

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
        """Count what one request was billed."""
        self._bills.append(bill)
        self.prompt_tokens += bill.prompt_tokens
        self.cache_hit_tokens += bill.cache_hit_tokens
        self.completion_tokens += bill.completion_tokens
        self.reasoning_tokens += bill.reasoning_tokens
        self.nano_dollars += bill.nano_dollars
        self.nano_yuan += bill.nano_yuan
        self.fees.update(bill.fees)
