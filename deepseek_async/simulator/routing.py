"""Routing table. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

_PREFIXES = ("/v1", "/beta")
_ANY = "*"


@dataclass(frozen=True, slots=True)
class SimulatorRoute:
    """A matched path and method."""

    name: str
    ids: tuple[str, ...]
    anonymous: bool  # whether no API key is required


class _Entry(NamedTuple):
    method: str
    path: str
    name: str
    live: bool = True  # whether api.deepseek.com serves it
    anonymous: bool = False


_TABLE = (
    _Entry("POST", "chat/completions", "chat"),
    _Entry("POST", "completions", "complete"),
    _Entry("POST", "responses", "respond"),
    _Entry("POST", "anthropic/v1/messages", "message"),
    _Entry("POST", "anthropic/messages", "message"),
    # For servers with only this format.
    _Entry("POST", "messages", "message", live=False),
    _Entry("GET", "models", "list_models"),
    _Entry("GET", "models/*", "retrieve_model"),
    _Entry("GET", "user/balance", "balance"),
    _Entry("POST", "tools/search", "search"),
    _Entry("POST", "tools/fetch", "fetch"),
    _Entry("POST", "tools/ocr", "ocr"),
    _Entry("POST", "tools/asr", "transcribe"),
    _Entry("POST", "tools/tts", "speak"),
    _Entry("GET", "tools/tts", "converse"),
    _Entry("POST", "files", "create_file"),
    _Entry("GET", "files", "list_files"),
    _Entry("GET", "files/*", "retrieve_file"),
    _Entry("DELETE", "files/*", "delete_file"),
    _Entry("GET", "files/*/content", "read_file", live=False),
    _Entry("POST", "embeddings", "embed", live=False),
    _Entry("POST", "images/generations", "generate_image", live=False),
    # Like the URLs of image services, this one is its own secret.
    _Entry("GET", "images/generated/*", "fetch_image", live=False, anonymous=True),
    _Entry("POST", "fine_tunes", "create_fine_tune", live=False),
    _Entry("GET", "fine_tunes", "list_fine_tunes", live=False),
    _Entry("GET", "fine_tunes/*", "retrieve_fine_tune", live=False),
    _Entry("POST", "fine_tunes/*/cancel", "cancel_fine_tune", live=False),
    _Entry("GET", "fine_tunes/*/events", "list_fine_tune_events", live=False),
)

_PLAIN = {("/" + entry.path): entry for entry in _TABLE if _ANY not in entry.path and entry.method == "POST"}


def find(method: str, path: str, *, live_only: bool) -> SimulatorRoute | tuple[str, ...]:
    """Return the route, or else the methods allowed for the path, empty if the path is unknown."""
    for prefix in _PREFIXES:
        if path.startswith(f"{prefix}/"):
            path = path.removeprefix(prefix)
            break
    # Chat is requested millions of times in a benchmark.
    entry = _PLAIN.get(path)
    if entry is not None and entry.method == method and (entry.live or not live_only):
        return SimulatorRoute(entry.name, (), entry.anonymous)
    segments = path.removeprefix("/").split("/")
    allowed: list[str] = []
    for entry in _TABLE:
        if live_only and not entry.live:
            continue
        ids = _matched(entry.path.split("/"), segments)
        if ids is None:
            continue
        if entry.method == method:
            return SimulatorRoute(entry.name, ids, entry.anonymous)
        allowed.append(entry.method)
    return tuple(allowed)


def _matched(pattern: list[str], segments: list[str]) -> tuple[str, ...] | None:
    if len(pattern) != len(segments):
        return None
    ids: list[str] = []
    for expected, found in zip(pattern, segments, strict=True):
        if expected == _ANY and found:
            ids.append(found)
        elif expected != found:
            return None
    return tuple(ids)
