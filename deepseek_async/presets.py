"""Sampling parameters for three kinds of work: ``create(..., **presets.CODE)``.

What the live models make of them (DeepSeek docs, create-chat-completion, 2026-09-11): while thinking,
``temperature`` has no effect and ``top_p`` is raised to 0.95 at least; without thinking, deepseek-flash takes
``temperature`` and forces ``top_p`` to 1; ``presence_penalty`` is accepted and does nothing. So switch thinking
off, with ``thinking={"type": "disabled"}``, where these shall count. Other servers honour all of them.
"""

from __future__ import annotations

from typing import Final, TypedDict


class Sampling(TypedDict, total=False):
    """How the next token is chosen."""

    temperature: float
    """0 to 2: 0 always takes the likeliest token."""
    top_p: float
    """Above 0 to 1: only the likeliest tokens that together reach this probability."""
    presence_penalty: float
    """-2 to 2: above 0, what was said once is less likely to be said again."""


CODE: Final[Sampling] = {"temperature": 0.2}
"""The same answer almost every time: code, extraction, classification (0.1 to 0.3)."""

CREATIVE: Final[Sampling] = {"temperature": 0.8, "top_p": 0.92, "presence_penalty": 0.6}
"""Lively text: copy, stories, brainstorming (0.7 to 0.9)."""

EXPERIMENTAL: Final[Sampling] = {"temperature": 1.3}
"""Surprising text, now and then too much so (above 1)."""
