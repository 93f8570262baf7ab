"""Queries over the audit log: calls by settings, and their cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from deepseek_async.files.bounded_lines import LongLine, lines_of
from deepseek_async.observe.audit.files import files_in

_LONGEST_LINE: Final = 1 << 29
"""Bytes; exceeds the longest request plus the longest answer (``codec.limits``)."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Filter for lines; None matches everything."""

    since: date | None = None
    until: date | None = None
    model: str | None = None
    tag: str | None = None
    prompt_version: str | None = None
    config_id: str | None = None
    outcome: str | None = None
    response_id: str | None = None
    trace_id: str | None = None

    def matches(self, line: Mapping[str, Any]) -> bool:
        """Whether ``line`` matches. ``model`` matches the requested or the serving model."""
        if self.model is not None and self.model not in {line.get("model"), line.get("served_model")}:
            return False
        exact = ("tag", "prompt_version", "config_id", "outcome", "response_id", "trace_id")
        return all(getattr(self, name) is None or getattr(self, name) == line.get(name) for name in exact)


class Total(msgspec.Struct):
    """Aggregated calls."""

    calls: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    ratings: int = 0
    score: float = 0.0
    """Sum of ratings."""


def lines(folder: Path, query: Query) -> Iterator[dict[str, Any]]:
    """Yield the calls that match ``query``, oldest first, each with the ``score`` of its last rating, if any.

    Skips unreadable lines, such as the last line of a killed program.
    """
    scores = {line["response_id"]: line["score"] for line in _read(folder, query) if line.get("event") == "feedback"}
    for line in _read(folder, query):
        if line.get("event") == "call" and query.matches(line):
            score = scores.get(line.get("response_id"))
            yield line if score is None else {**line, "score": score}


def totals(found: Iterable[Mapping[str, Any]], by: str) -> dict[str, Total]:
    """Aggregate calls by a field, highest cost first. Calls to a simulator cost nothing."""
    sums: dict[str, Total] = {}
    for line in found:
        total = sums.setdefault(str(line.get(by) or "-"), Total())
        usage = line.get("usage") or {}
        total.calls += 1
        total.errors += "error" in line
        if "cache" not in line:
            total.prompt_tokens += usage.get("prompt_tokens", 0)
            total.completion_tokens += usage.get("completion_tokens", 0)
            total.cost += 0.0 if line.get("simulated") else line.get("cost") or 0.0
        if "score" in line:
            total.ratings += 1
            total.score += line["score"]
    return dict(sorted(sums.items(), key=lambda item: -item[1].cost))


def _read(folder: Path, query: Query) -> Iterator[dict[str, Any]]:
    for day, _, path in files_in(folder):
        # A rating may come days after its call.
        if query.since is not None and day < query.since:
            continue
        if query.until is not None and day > query.until:
            continue
        with path.open("rb") as file:
            for wire in lines_of(file, _LONGEST_LINE):
                if isinstance(wire, LongLine):
                    continue  # not a file of the log
                try:
                    line = orjson.loads(wire)
                except orjson.JSONDecodeError:
                    continue
                if isinstance(line, dict):
                    yield line
