"""The latest prompts, and why a new one missed what it could have hit. Pure; memory is bounded.

The cache is separate for each model and ``user_id``, and serves whole units of 128 tokens from the first token on, once
the request that brought them has ended (DeepSeek docs, Context Caching; measured in August 2026).
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from deepseek_async.pricing.prices import Rate
from deepseek_async.prompt_cache.fingerprint import STRETCH, Difference, Fingerprint, Part, fingerprint_of
from deepseek_async.prompt_cache.report import CacheCause, CacheFigures, CacheReport

UNIT: Final = 128
"""Tokens of a unit of the cache."""

_MOST_CAUSES: Final = 500
_MOST_USERS: Final = 1_000
_OTHERS: Final = "others"
_AROUND: Final = 24
"""Characters shown around a difference."""

_Domain = tuple[str, str | None]


class AnsweredPrompt(msgspec.Struct, frozen=True):
    """A prompt that has been answered."""

    request: Mapping[str, Any]
    """The request in the format of chat, plain JSON."""
    model: str
    """Model that served it."""
    started: float
    ended: float
    """Unix times in seconds."""
    prompt_tokens: int
    hit_tokens: int
    rate: Rate
    name: str | None = None
    """Id of the answer, or of the row."""
    answer: str | None = None


class _Remembered:
    __slots__ = ("domain", "ended", "print")

    def __init__(self, domain: _Domain, fingerprint: Fingerprint, ended: float) -> None:
        self.domain = domain
        self.print = fingerprint
        self.ended = ended


class _Place:
    """A beginning that prompts of one domain share: the latest of them, and when the first one had been answered."""

    __slots__ = ("latest", "since")

    def __init__(self, latest: _Remembered, since: float) -> None:
        self.latest = latest
        self.since = since


class _Verdict(msgspec.Struct):
    expected: int
    lost: int = 0
    reason: str = ""
    difference: Difference | None = None
    earlier: _Remembered | None = None


class PromptHistory:
    """Remembers up to ``prompts`` prompts in about ``memory_bytes``, and sums up why new ones missed."""

    def __init__(self, *, prompts: int, memory_bytes: int, keep_texts: bool) -> None:
        self._most = prompts
        self._most_bytes = memory_bytes
        self._keep_texts = keep_texts
        self._bytes = 0
        self._latest: OrderedDict[int, _Remembered] = OrderedDict()
        self._number = 0
        self._places: dict[tuple[_Domain, int], _Place] = {}
        self._elsewhere: dict[int, _Domain] = {}
        """The latest domain of each beginning."""
        self._last_of: dict[_Domain, _Remembered] = {}
        self._parts: dict[int, Part] = {}
        """The parts of all remembered prompts by their digests."""
        self._uses: Counter[int] = Counter()
        self._total = CacheFigures()
        self._models: dict[str, CacheFigures] = {}
        self._users: dict[str, CacheFigures] = {}
        self._causes: dict[tuple[Any, ...], CacheCause] = {}
        self._fresh = self.unread = 0

    def __len__(self) -> int:
        return len(self._latest)

    def add(self, asked: AnsweredPrompt) -> None:
        """Judge a prompt by those before it, and remember it."""
        try:
            new = fingerprint_of(asked.request, self._parts)
        except (AttributeError, IndexError, LookupError, TypeError, ValueError, RecursionError):
            self.unread += 1
            return
        user = asked.request.get("user_id")
        domain = (asked.model, user if isinstance(user, str) else None)
        self._count(asked, domain, self._judge(asked, domain, new))
        self._remember(domain, new.with_answer(asked.answer), asked.ended)

    def report(self) -> CacheReport:
        """Return the report so far."""
        causes = sorted(self._causes.values(), key=lambda cause: -cause.lost_dollars)
        return CacheReport(self._total, dict(self._models), dict(self._users), tuple(causes), self._fresh, self.unread)

    def _judge(self, asked: AnsweredPrompt, domain: _Domain, new: Fingerprint) -> _Verdict:
        scale = asked.prompt_tokens / new.tokens
        ready, soon, earlier = self._depths(asked, domain, new)
        difference = None if earlier is None else new.difference(earlier.print)
        if earlier is not None and difference is not None and earlier.ended <= asked.started:
            ready = max(ready, difference.shared)
        expected, cacheable = _units(ready * scale, asked), _units(asked.prompt_tokens, asked)
        hit = asked.hit_tokens
        made = _Verdict(expected, difference=difference, earlier=earlier)
        if hit >= cacheable - UNIT:
            return made  # one unit is within the error of the estimate
        again = 0 if difference is None else _units((difference.shared + difference.again) * scale, asked) - hit
        for reason, lost in (
            ("server", expected - hit),
            ("concurrent", _units(soon * scale, asked) - hit),
            ("changed", again),
            self._lost_elsewhere(asked, domain, new, scale),
        ):
            if lost > UNIT:
                made.reason, made.lost = reason, lost
                break
        return made

    def _depths(
        self, asked: AnsweredPrompt, domain: _Domain, new: Fingerprint
    ) -> tuple[float, float, _Remembered | None]:
        """Return the tokens that were in the cache, those that were on their way, and the nearest earlier prompt."""
        ready = soon = 0.0
        nearest = self._last_of.get(domain)
        on_time = True
        for key, tokens in new.keys:
            place = self._places.get((domain, key))
            if place is None:
                break
            on_time = on_time and place.since <= asked.started
            if on_time:
                ready = tokens
            soon, nearest = tokens, place.latest
        return ready, soon, nearest

    def _lost_elsewhere(
        self, asked: AnsweredPrompt, domain: _Domain, new: Fingerprint, scale: float
    ) -> tuple[str, int]:
        shared, reason = 0.0, "user_id"
        for key, tokens in new.keys:
            other = self._elsewhere.get(key)
            if other is None or other == domain:
                break
            shared, reason = tokens, "model" if other[0] != domain[0] else "user_id"
        return reason, _units(shared * scale, asked) - asked.hit_tokens

    def _count(self, asked: AnsweredPrompt, domain: _Domain, verdict: _Verdict) -> None:
        rate = asked.rate
        dollars = verdict.lost * (rate.cache_miss - rate.cache_hit) * rate.factor / 1_000_000
        more: dict[str, Any] = {
            "prompt": asked.prompt_tokens,
            "hit": asked.hit_tokens,
            "expected": verdict.expected,
            "lost": verdict.lost,
            "lost_dollars": dollars,
        }
        self._total = self._total.plus(**more)
        self._models[domain[0]] = self._models.get(domain[0], CacheFigures()).plus(**more)
        if domain[1] is not None:
            user = domain[1] if domain[1] in self._users or len(self._users) < _MOST_USERS else _OTHERS
            self._users[user] = self._users.get(user, CacheFigures()).plus(**more)
        if not verdict.reason:
            self._fresh += asked.hit_tokens < _units(asked.prompt_tokens, asked) - UNIT
            return
        place: tuple[Any, ...] = ()
        difference = verdict.difference
        if verdict.reason == "changed" and difference is not None:
            place = (difference.where, difference.character // STRETCH)
        key = (verdict.reason, domain[0], *place)
        if key not in self._causes and len(self._causes) >= _MOST_CAUSES:
            key, place = (verdict.reason, _OTHERS), (_OTHERS, 0) if place else ()
        before = self._causes.get(key) or CacheCause(verdict.reason, domain[0], place[0] if place else "")
        self._causes[key] = CacheCause(
            verdict.reason,
            before.model,
            before.where,
            difference.character if place and difference is not None else 0,
            difference.exact if place and difference is not None else True,
            before.prompts + 1,
            before.lost_tokens + verdict.lost,
            before.lost_dollars + dollars,
            asked.name,
            self._texts(asked, verdict) if place and self._keep_texts else None,
        )

    def _texts(self, asked: AnsweredPrompt, verdict: _Verdict) -> tuple[str, str] | None:
        difference, earlier = verdict.difference, verdict.earlier
        if difference is None or earlier is None or difference.part >= len(earlier.print.parts):
            return None
        start, end = max(0, difference.character - _AROUND), difference.character + _AROUND
        before, now = earlier.print.parts[difference.part], fingerprint_of(asked.request).parts[difference.part]
        return (before.text or "")[before.lead :][start:end], (now.text or "")[now.lead :][start:end]

    def _remember(self, domain: _Domain, fingerprint: Fingerprint, ended: float) -> None:
        if not self._keep_texts:
            fingerprint.forget_texts()
        new = _Remembered(domain, fingerprint, ended)
        for key, _ in fingerprint.keys:
            place = self._places.get((domain, key))
            if place is None:
                self._places[domain, key] = _Place(new, ended)
            else:
                place.latest, place.since = new, min(place.since, ended)
            self._elsewhere[key] = domain
        self._last_of[domain] = new
        self._number += 1
        self._latest[self._number] = new
        self._bytes += fingerprint.size
        for part in fingerprint.parts:
            if part.digest not in self._parts:
                self._parts[part.digest] = part
                self._bytes += part.size
            self._uses[part.digest] += 1
        while len(self._latest) > self._most or (self._bytes > self._most_bytes and len(self._latest) > 1):
            self._forget(self._latest.popitem(last=False)[1])

    def _forget(self, old: _Remembered) -> None:
        self._bytes -= old.print.size
        for part in old.print.parts:
            self._uses[part.digest] -= 1
            if not self._uses[part.digest]:
                del self._uses[part.digest]
                self._bytes -= self._parts.pop(part.digest).size
        domain = old.domain
        for key, _ in old.print.keys:
            place = self._places.get((domain, key))
            if place is not None and place.latest is old:
                del self._places[domain, key]
                if self._elsewhere.get(key) == domain:
                    del self._elsewhere[key]
        if self._last_of.get(domain) is old:
            del self._last_of[domain]


def _units(tokens: float, asked: AnsweredPrompt) -> int:
    """Return the tokens in whole units; the last token of a prompt is never cached."""
    return max(0, min(int(tokens), asked.prompt_tokens - 1)) // UNIT * UNIT
