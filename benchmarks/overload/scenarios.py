"""What stands between a client and its answers: a service that refuses, and nginx in front of it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from limited_server import LimitedServer, response

SHORTEST, LONGEST = 0.15, 0.35
CAPACITY = 24
"""Requests that the service works on at full speed: more share its time, so that wide is not always fast."""

REQUESTS_A_MINUTE = 120
BURST = 10
"""Requests that a minute's limit lets through at once after a rest."""


@dataclass(frozen=True)
class Scenario:
    """One kind of weather."""

    name: str
    about: str
    seconds: float
    quick_seconds: float
    failing: Callable[[], Callable[[], bytes | None]] | None = None
    """Called when the clients begin; makes what the service asks before each request (``LimitedServer.failing``)."""
    nginx: str | None = None
    """Directives of an nginx in front of the service; None: there is none."""
    stopped: tuple[float, float] | None = None
    """When nginx is stopped, and for how many seconds."""
    unavoidable: float = 1.0
    """Attempts an answer of a client that knows the weather."""
    ceiling: float | None = None
    """Answers a second that the limit lets through."""


def service() -> LimitedServer:
    """A service for one client, without any weather."""
    chance = random.Random(1)

    def duration() -> float:
        return chance.uniform(SHORTEST, LONGEST) * max(1.0, server.in_flight / CAPACITY)

    server = LimitedServer(1_000_000, duration)
    return server


def _refusal(status: int, message: str, **headers: str) -> bytes:
    body = json.dumps({"error": {"message": message, "type": "server_error"}}).encode()
    return response(status, body, content_type="application/json", **headers)


OVERLOADED = _refusal(503, "Service is too busy. Please retry later.")


def _by_chance(share: float) -> Callable[[], Callable[[], bytes | None]]:
    def begun() -> Callable[[], bytes | None]:
        chance = random.Random(2)
        return lambda: OVERLOADED if chance.random() < share else None

    return begun


def _requests_a_minute() -> Callable[[], bytes | None]:
    """A bucket of tokens; the seconds to the next one are said, no other number is."""
    rate = REQUESTS_A_MINUTE / 60
    tokens, filled = float(BURST), time.monotonic()

    def failing() -> bytes | None:
        nonlocal tokens, filled
        now = time.monotonic()
        tokens, filled = min(BURST, tokens + (now - filled) * rate), now
        if tokens >= 1:
            tokens -= 1
            return None
        return _refusal(429, "Rate limit reached, please slow down.", retry_after="1")

    return failing


def _outage(after: float, seconds: float) -> Callable[[], Callable[[], bytes | None]]:
    def begun() -> Callable[[], bytes | None]:
        start = time.monotonic()
        return lambda: OVERLOADED if after <= time.monotonic() - start < after + seconds else None

    return begun


def _limited(kind: str, status: int) -> str:
    directives = {"req": "limit_req zone=requests;", "conn": "limit_conn connections 12;"}[kind]
    return directives + (f" limit_{kind}_status {status};" if status != 503 else "")


def scenarios(*, quick: bool) -> Iterator[Scenario]:
    """Every kind, in the order of the table."""
    for percent in (20, 40, 60):
        yield Scenario(
            f"503-{percent}",
            f"{percent} % of the requests are answered 503 at once, at random",
            seconds=30,
            quick_seconds=8,
            failing=_by_chance(percent / 100),
            unavoidable=1 / (1 - percent / 100),
        )
    for kind, words in (("req", "20 requests a second, no burst"), ("conn", "12 requests at a time")):
        for status in (503, 429):
            yield Scenario(
                f"limit_{kind}-{status}",
                f"nginx `limit_{kind}`: {words}, the others are answered {status}",
                seconds=30,
                quick_seconds=8,
                nginx=_limited(kind, status),
                ceiling=20 if kind == "req" else 12 / ((SHORTEST + LONGEST) / 2),
            )
    yield Scenario(
        "rpm",
        f"{REQUESTS_A_MINUTE} requests a minute, the others are answered 429 with `Retry-After: 1`",
        seconds=120,
        quick_seconds=30,
        failing=_requests_a_minute,
        ceiling=REQUESTS_A_MINUTE / 60,
    )
    yield Scenario(
        "restart",
        "nginx is stopped for 3 s and started again",
        seconds=30,
        quick_seconds=13,
        nginx="",
        stopped=(5, 3),
    )
    after, seconds = (4, 12) if quick else (10, 60)
    yield Scenario(
        "outage",
        f"every request is answered 503 for {seconds} s",
        seconds=100,
        quick_seconds=26,
        failing=_outage(after, seconds),
    )
