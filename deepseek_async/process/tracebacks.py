"""Errors that are kept: without the frames they passed, which hold whatever those held, and be it who keeps them."""

from __future__ import annotations

from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def without_frames(error: E) -> E:
    """``error`` itself, with its causes, for whoever keeps it.

    A frame that holds the keeper makes a circle, which is freed late by the cyclic collector, or never where an
    object on the way is outside of it.
    """
    part: BaseException | None = error
    while part is not None:
        part.__traceback__ = part.__context__ = None
        part = part.__cause__
    return error
