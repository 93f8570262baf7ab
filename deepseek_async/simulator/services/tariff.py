"""Fees of tools (DeepSeek docs, Models & Pricing, as of 2026-11-26). Pure."""

from __future__ import annotations

from collections.abc import Mapping

_NANO = 1_000_000_000

# Per unit; US dollars only if published.
_YUAN = {
    "search": 5 / 1_000,
    "fetch": 5 / 1_000,
    "page": 1.5 / 1_000,
    "speech_characters": 1.5 / 10_000,
    "audio_seconds": 0.39 / 3_600,
}
_DOLLARS = {"search": 0.75 / 1_000, "fetch": 0.75 / 1_000}


def nano_yuan(fees: Mapping[str, int]) -> int:
    """Return the fees in nano-yuan."""
    return round(sum(_YUAN[kind] * count for kind, count in fees.items()) * _NANO)


def nano_dollars(fees: Mapping[str, int]) -> int:
    """Return the fees in nano-dollars; those without a price in US dollars count as 0."""
    return round(sum(_DOLLARS.get(kind, 0.0) * count for kind, count in fees.items()) * _NANO)
