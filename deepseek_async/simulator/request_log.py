"""Records of received requests, and counters."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from deepseek_async.simulator.ledger import Ledger


@dataclass(slots=True)
class RequestRecord:
    """A received request. `status` is set when it is answered, and stays None if it never is."""

    method: str
    path: str
    headers: Mapping[str, str]  # lower-case names, without authorization
    in_flight: int  # completions already being served when this one arrived
    body: Any = None
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorStatistics:
    """A snapshot of the counters since the service started."""

    requests: int = 0
    served: int = 0  # answered with 200 to the last byte
    refused: int = 0  # answered with an error status
    faulted: int = 0  # affected by a fault, whatever the outcome
    aborted: int = 0  # the client disconnected before the answer was complete
    in_flight: int = 0
    peak_in_flight: int = 0
    prompt_tokens: int = 0
    cache_hit_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    statuses: Mapping[int, int] = field(default_factory=dict)


class Requests(Sequence[RequestRecord]):
    """The latest requests, oldest first. Bounded, because a benchmark sends hundreds of thousands."""

    def __init__(self, limit: int) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=limit)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[RequestRecord]:
        return iter(self._records)

    @overload
    def __getitem__(self, index: int) -> RequestRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[RequestRecord]: ...
    def __getitem__(self, index: int | slice) -> RequestRecord | list[RequestRecord]:
        return list(self._records)[index]

    def add(self, record: RequestRecord) -> None:
        self._records.append(record)

    def clear(self) -> None:
        self._records.clear()


class Counters:
    """The counters behind `SimulatorStatistics`."""

    def __init__(self) -> None:
        self.requests = 0
        self.served = 0
        self.refused = 0
        self.faulted = 0
        self.aborted = 0
        self.in_flight = 0
        self.peak_in_flight = 0
        self.statuses: Counter[int] = Counter()

    def enter(self) -> None:
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def leave(self) -> None:
        self.in_flight -= 1

    def snapshot(self, ledger: Ledger) -> SimulatorStatistics:
        counts = {**vars(self), "statuses": dict(self.statuses)}
        return SimulatorStatistics(
            **counts,
            prompt_tokens=ledger.prompt_tokens,
            cache_hit_tokens=ledger.cache_hit_tokens,
            completion_tokens=ledger.completion_tokens,
            reasoning_tokens=ledger.reasoning_tokens,
        )
