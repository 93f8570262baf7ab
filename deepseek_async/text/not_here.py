"""Methods of openai-python's resources that have no equal here: looking at one says what to write instead."""

from __future__ import annotations

from typing import Any, Never, Self, overload


class NotHere:
    """An attribute that is not there, and why."""

    def __init__(self, instead: str) -> None:
        """``instead``: what to write."""
        self.instead = instead

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Never: ...
    def __get__(self, instance: object | None, owner: type[Any]) -> Self:
        # Of the class, itself: who reads a class, as documentation does, reads all of it.
        if instance is None:
            return self
        raise AttributeError(f"{owner.__name__} cannot do this: {self.instead}", obj=instance)
