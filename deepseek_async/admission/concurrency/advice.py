"""What is known of why attempts are turned away, and what a window is to do about it. Pure."""

from __future__ import annotations

from enum import Enum


class Cause(Enum):
    """Why attempts are turned away, as far as is known."""

    UNKNOWN = "unknown"
    RATE = "rate"
    WIDTH = "width"
    STRAY = "stray"


class Advice(Enum):
    """What the window is to do."""

    NOTHING = "nothing"
    REACT = "react"
    """As to a refusal for concurrency."""
    LIFT = "lift"
    """Be as large as before the trouble."""
    NARROW = "narrow"
    """Be no larger than ``width``."""
    RESTART = "restart"
    """Begin anew, as after an outage."""
    PROBE = "probe"
    """See soon whether there is room for more."""
