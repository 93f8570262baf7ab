"""Errors stored for later, stripped of their frames: a frame keeps its locals alive, perhaps the owner of the error."""

from __future__ import annotations

from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def without_frames(error: E) -> E:
    """Strip the tracebacks from ``error`` and its causes and return ``error``, for storage.

    A frame that refers to the owner of the error forms a reference cycle: it is freed late by the cyclic collector, or
    never if an object of the cycle is not tracked.
    """
    part: BaseException | None = error
    while part is not None:
        part.__traceback__ = part.__context__ = None
        part = part.__cause__
    return error
