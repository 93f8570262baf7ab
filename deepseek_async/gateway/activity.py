"""What a gateway has done since its start: spending by caller and model, cache hits, throughput, the last failures."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from deepseek_async.events import CallEnded, Event
from deepseek_async.gateway.callers import mask_keys
from deepseek_async.text.quoting import plain

_FAILURES: Final = 20
_SECONDS: Final = 60
_MOST_ROWS: Final = 1_000
"""Pairs of caller and model that are told apart; models are names that callers send."""
_LONGEST_NAME: Final = 100
"""Characters of a name that are kept."""
_MOST_SHOWN: Final = 50
_OTHERS: Final = "(others)"

_WORDS: Final[Mapping[str, str]] = {
    "rate_limit": "DeepSeek refused it: too many requests at once (429)",
    "server_overloaded": "DeepSeek is overloaded (503)",
    "insufficient_balance": "the account has no balance left (402)",
    "authentication": "DeepSeek does not accept the gateway's key (401)",
    "budget_exceeded": "a daily budget is used up",
    "circuit_open": "not sent: DeepSeek has failed repeatedly, and is tried again soon",
    "timeout": "DeepSeek did not answer in time",
    "connection": "no connection to DeepSeek",
    "content_blocked": "the content filter refused it",
    "cancelled": "the caller left",
}


class Spent(msgspec.Struct):
    """Counts of one caller and model."""

    calls: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    """US dollars."""


class Failure(msgspec.Struct, frozen=True):
    """A call that its caller got no answer to."""

    at: float
    """Unix time in seconds."""
    caller: str
    model: str
    what: str
    request_id: str | None


class Activity:
    """Listener that counts calls by their label, which a gateway sets to the name of the caller."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._spent: dict[tuple[str, str], Spent] = {}
        self._failures: deque[Failure] = deque(maxlen=_FAILURES)
        self._ended: deque[tuple[int, int]] = deque(maxlen=_SECONDS + 1)
        """Seconds in which calls ended, with their number."""
        self._cached_answers = 0

    def __call__(self, event: Event) -> None:
        """Count the end of a call."""
        if not isinstance(event, CallEnded):
            return
        caller = event.labels.tag or ""
        model = event.model[:_LONGEST_NAME]
        spent = self._row(caller, model)
        spent.calls += 1
        spent.cost += event.cost or 0.0
        if event.usage is not None:
            spent.prompt_tokens += event.usage.prompt_tokens
            spent.cached_tokens += event.usage.cached_tokens
            spent.completion_tokens += event.usage.completion_tokens
        self._cached_answers += event.tier is not None
        now = self._clock()
        self._count(int(now))
        if event.error is not None:
            spent.failed += 1
            self._failures.appendleft(Failure(now, caller, model, _in_words(event), event.request_id))

    def per_second(self) -> float:
        """Calls ended per second, over the last minute."""
        now = int(self._clock())
        return sum(count for second, count in self._ended if second > now - _SECONDS) / _SECONDS

    def shown(self, caller: str | None = None) -> dict[str, Any]:
        """Return the figures as JSON values; with ``caller`` only what is its own.

        Of the rows of spending the largest are single, and one is the sum of the others.
        """
        rows = [(key, spent) for key, spent in self._spent.items() if caller in {None, key[0]}]
        rows.sort(key=lambda row: -row[1].cost)
        rows[_MOST_SHOWN:] = _added_up(rows[_MOST_SHOWN:], caller or _OTHERS)
        return {
            "per_second": round(self.per_second(), 2),
            "cached_answers": self._cached_answers,
            "spent": [{"caller": name, "model": model, **msgspec.to_builtins(spent)} for (name, model), spent in rows],
            "failures": [
                msgspec.to_builtins(failure) for failure in self._failures if caller in {None, failure.caller}
            ],
        }

    def _row(self, caller: str, model: str) -> Spent:
        key = (caller, model)
        found = self._spent.get(key)
        if found is None:
            key = key if len(self._spent) < _MOST_ROWS else (caller, _OTHERS)
            found = self._spent.setdefault(key, Spent())
        return found

    def _count(self, second: int) -> None:
        if self._ended and self._ended[-1][0] == second:
            self._ended[-1] = (second, self._ended[-1][1] + 1)
        else:
            self._ended.append((second, 1))


def _added_up(rows: list[tuple[tuple[str, str], Spent]], caller: str) -> list[tuple[tuple[str, str], Spent]]:
    if not rows:
        return []
    total = Spent()
    for _, spent in rows:
        for name in Spent.__struct_fields__:
            setattr(total, name, getattr(total, name) + getattr(spent, name))
    return [((caller, f"({len(rows)} others)"), total)]


def _in_words(event: CallEnded) -> str:
    known = _WORDS.get(event.outcome)
    return known if known is not None else mask_keys(plain(str(event.error)))[:300]
