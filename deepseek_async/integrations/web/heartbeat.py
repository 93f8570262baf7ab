"""When a reader is told that the server is still there. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How long a reader hears nothing. Raises ValueError for seconds that are not above 0.

    Until the first event, an error is still answered with a status of its own; the headers that follow
    ``headers_after`` seconds of silence, with the first heartbeat, end that.
    """

    interval: float = 15.0
    """Seconds of silence before a heartbeat. Browsers wait without end; load balancers close silent connections after
    60 s (nginx ``proxy_read_timeout``, AWS ALB)."""
    headers_after: float = 2.0
    """Seconds before the headers are sent although nothing has arrived, for example while the call is queued."""

    def __post_init__(self) -> None:
        for name in ("interval", "headers_after"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be a number of seconds above 0, got {getattr(self, name)!r}")

    def due(self, *, begun: bool) -> float:
        """Return the seconds after which silence is broken, for a response whose headers were sent or not."""
        return self.interval if begun else min(self.headers_after, self.interval)
