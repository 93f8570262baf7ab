"""Timeline of a job: equal time spans between the first request and the last answer. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

SPANS: Final = 96


class Span(msgspec.Struct):
    """One span of the timeline."""

    ended: int = 0
    failed: int = 0
    tokens: int = 0
    busy: float = 0.0
    """Request seconds within the span; divided by its length, the mean number in flight."""


class Timeline:
    """Counts rows in spans of ``seconds`` each, starting at ``start``."""

    def __init__(self, start: float, end: float, spans: int = SPANS) -> None:
        self.start = start
        self.seconds = max(end - start, 1e-3) / spans
        self.spans = [Span() for _ in range(spans)]

    @property
    def end(self) -> float:
        """End of the last span."""
        return self.start + self.seconds * len(self.spans)

    def add(self, started: float, latency: float, tokens: int, *, failed: bool) -> None:
        """Add a row sent at ``started`` that ended ``latency`` seconds later."""
        ended = started + latency
        span = self.spans[self._place(ended)]
        span.ended += 1
        span.failed += failed
        span.tokens += tokens
        for place in range(self._place(started), self._place(ended) + 1):
            low = self.start + place * self.seconds
            self.spans[place].busy += max(0.0, min(ended, low + self.seconds) - max(started, low))

    def rows_a_second(self) -> list[float]:
        """Rows finished per second, by span."""
        return [span.ended / self.seconds for span in self.spans]

    def in_flight(self) -> list[float]:
        """Mean requests in flight, by span."""
        return [span.busy / self.seconds for span in self.spans]

    def _place(self, moment: float) -> int:
        return min(max(int((moment - self.start) / self.seconds), 0), len(self.spans) - 1)
