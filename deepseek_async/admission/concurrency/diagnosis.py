"""Diagnosed cause of rejections, and the resulting action of the concurrency limit. Pure."""

from __future__ import annotations

from enum import Enum


class Cause(Enum):
    """Cause of rejections: request rate, concurrency, or independent of load."""

    UNKNOWN = "unknown"
    RATE = "rate"
    WIDTH = "width"
    STRAY = "stray"


class Advice(Enum):
    """Action for the concurrency limit."""

    NOTHING = "nothing"
    REACT = "react"
    """React as to a refusal for concurrency."""
    LIFT = "lift"
    """Return to the size before the rejections began."""
    NARROW = "narrow"
    """Reduce the size to ``width``."""
    RESTART = "restart"
    """Start again, as after an outage."""
    PROBE = "probe"
    """Probe soon for a higher limit."""
