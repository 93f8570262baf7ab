"""Sampling parameters for three kinds of work: ``create(..., **presets.CODE)``.

How the live models treat them (DeepSeek docs, create-chat-completion, 2026-09-11): with thinking,
``temperature`` has no effect and ``top_p`` is at least 0.95; without thinking, deepseek-flash honours
``temperature`` and forces ``top_p`` to 1; ``presence_penalty`` has no effect. To use a preset, disable thinking
with ``thinking={"type": "disabled"}``. Other servers honour all of them.
"""

from __future__ import annotations

from typing import Final, TypedDict


class Sampling(TypedDict, total=False):
    """Sampling parameters of a request."""

    temperature: float
    """0 to 2; 0 always selects the most likely token."""
    top_p: float
    """Above 0 to 1: nucleus sampling over the smallest set of tokens with this total probability."""
    presence_penalty: float
    """-2 to 2; above 0, tokens that already occurred become less likely."""


CODE: Final[Sampling] = {"temperature": 0.2}
"""Near-deterministic: code, extraction, classification (0.1 to 0.3)."""

CREATIVE: Final[Sampling] = {"temperature": 0.8, "top_p": 0.92, "presence_penalty": 0.6}
"""Varied: copy, stories, brainstorming (0.7 to 0.9)."""

EXPERIMENTAL: Final[Sampling] = {"temperature": 1.3}
"""Highly varied, at the cost of coherence (above 1)."""
