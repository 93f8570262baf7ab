"""Methods of openai-python's resources that have no equal here: looking at one says what to write instead."""

from __future__ import annotations

from typing import Any, Never


class NotHere:
    """An attribute that is not there, and why."""

    def __init__(self, instead: str) -> None:
        self._instead = instead

    def __get__(self, instance: object, owner: type[Any]) -> Never:
        raise AttributeError(f"{owner.__name__} cannot do this: {self._instead}", obj=instance)
