"""A batch as OpenAI's API shows it, and its changes of status. Pure."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]

ENDED: Final[frozenset[Status]] = frozenset({"failed", "completed", "expired", "cancelled"})

_WINDOW: Final = re.compile(r"([1-9][0-9]{0,3})([mhd])\Z")
_SECONDS: Final = {"m": 60, "h": 3_600, "d": 86_400}
LONGEST_WINDOW: Final = 30 * 86_400
"""Seconds. OpenAI has 24 hours only; a longer window lets more rows wait for off-peak prices."""


class RequestCounts(msgspec.Struct, frozen=True):
    """Rows of a batch by outcome."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class BatchError(msgspec.Struct, frozen=True):
    """Why a batch failed before its start."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class BatchUsage(msgspec.Struct, frozen=True):
    """Tokens over all rows, and what they cost."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def plus(self, sent: int, cached: int, received: int, reasoning: int = 0) -> BatchUsage:
        """Return the sum of this and the tokens of further requests."""
        return BatchUsage(
            self.input_tokens + sent,
            self.cached_tokens + cached,
            self.output_tokens + received,
            self.reasoning_tokens + reasoning,
        )

    def shown(self) -> dict[str, Any]:
        """Return the ``usage`` of OpenAI's ``Batch``."""
        return {
            "input_tokens": self.input_tokens,
            "input_tokens_details": {"cached_tokens": self.cached_tokens},
            "output_tokens": self.output_tokens,
            "output_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
            "total_tokens": self.input_tokens + self.output_tokens,
        }


class BatchRecord(msgspec.Struct, kw_only=True):
    """The state of a batch, as it is kept on disk."""

    id: str
    endpoint: str
    input_file_id: str
    completion_window: str
    created_at: int
    expires_at: int
    owner: str = ""
    """Name of the caller; empty on a gateway without keys."""
    status: Status = "validating"
    metadata: dict[str, str] | None = None
    output_lifetime: int | None = None
    """Seconds after which output and error file expire."""
    model: str | None = None
    errors: list[BatchError] = []
    counts: RequestCounts = RequestCounts()
    usage: BatchUsage = BatchUsage()
    cost: float = 0.0
    """US dollars."""
    output_file_id: str | None = None
    error_file_id: str | None = None
    changed_at: dict[str, int] = {}
    """Unix time of entering each status, in seconds."""
    waiting_for: str | None = None
    """Why no rows are sent at the moment, in a sentence."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status in ENDED

    @property
    def cancelling(self) -> bool:
        """Whether its caller wants no more rows to be started."""
        return self.status == "cancelling"

    def enter(self, status: Status, now: float) -> None:
        """Change the status."""
        self.status = status
        self.changed_at = {**self.changed_at, status: int(now)}

    def shown(self) -> dict[str, Any]:
        """Return the ``Batch`` object of OpenAI's API."""
        at = self.changed_at.get
        errors = [msgspec.to_builtins(error) for error in self.errors]
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "model": self.model,
            "errors": {"object": "list", "data": errors} if errors else None,
            "input_file_id": self.input_file_id,
            "completion_window": self.completion_window,
            "status": self.status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": self.created_at,
            "in_progress_at": at("in_progress"),
            "expires_at": self.expires_at,
            "finalizing_at": at("finalizing"),
            "completed_at": at("completed"),
            "failed_at": at("failed"),
            "expired_at": at("expired"),
            "cancelling_at": at("cancelling"),
            "cancelled_at": at("cancelled"),
            "request_counts": msgspec.to_builtins(self.counts),
            "usage": self.usage.shown(),
            "metadata": self.metadata,
            "cost": self.cost,
            "waiting_for": self.waiting_for,
        }


class InvalidBatchError(ValueError):
    """The request for a batch is invalid; ``param`` names the field."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


def new_record(asked: Any, owner: str, now: float, endpoints: Sequence[str]) -> BatchRecord:
    """Return the record for the body of ``POST /v1/batches``. Raises InvalidBatchError."""
    if not isinstance(asked, Mapping):
        raise InvalidBatchError("the body must be a JSON object", "body")
    for name in ("input_file_id", "endpoint", "completion_window"):
        if not isinstance(asked.get(name), str):
            raise InvalidBatchError(f"{name} is required and must be a string, got {asked.get(name)!r:.80}", name)
    if asked["endpoint"] not in endpoints:
        raise InvalidBatchError(
            f"endpoint must be one of {', '.join(endpoints)}, got {asked['endpoint']!r:.80}", "endpoint"
        )
    return BatchRecord(
        id=f"batch_{secrets.token_hex(12)}",
        endpoint=asked["endpoint"],
        input_file_id=asked["input_file_id"],
        completion_window=asked["completion_window"],
        created_at=int(now),
        expires_at=int(now) + _seconds(asked["completion_window"]),
        owner=owner,
        metadata=_metadata(asked.get("metadata")),
        output_lifetime=lifetime(asked.get("output_expires_after"), "output_expires_after"),
    )


def lifetime(asked: Any, param: str) -> int | None:
    """Return the seconds in an ``expires_after`` of OpenAI's API; None without one. Raises InvalidBatchError."""
    if asked is None:
        return None
    seconds = asked.get("seconds") if isinstance(asked, Mapping) else None
    if isinstance(seconds, str) and seconds.isdecimal():
        seconds = int(seconds)  # a form has texts only
    anchored = isinstance(asked, Mapping) and asked.get("anchor") == "created_at"
    if not anchored or not isinstance(seconds, int) or not 3_600 <= seconds <= 2_592_000:
        raise InvalidBatchError(
            f"{param} must be {{'anchor': 'created_at', 'seconds': 3600 to 2592000}}, got {asked!r:.120}", param
        )
    return seconds


def _seconds(window: str) -> int:
    found = _WINDOW.match(window)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= LONGEST_WINDOW:
        raise InvalidBatchError(
            f"completion_window must be a time such as '24h', at most '30d', got {window!r:.80}", "completion_window"
        )
    return seconds


def _metadata(asked: Any) -> dict[str, str] | None:
    """16 pairs, keys of at most 64 characters, values of at most 512 (OpenAI's API reference)."""
    if asked is None:
        return None
    fits = (
        isinstance(asked, Mapping)
        and len(asked) <= 16
        and all(isinstance(key, str) and len(key) <= 64 for key in asked)
        and all(isinstance(value, str) and len(value) <= 512 for value in asked.values())
    )
    if not fits:
        raise InvalidBatchError(
            "metadata must have at most 16 keys of at most 64 characters, with strings of at most 512", "metadata"
        )
    return dict(asked)
