"""A signature that one method takes over from another, so that their arguments are listed once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def arguments_of(
    model: Callable[Arguments, object],
) -> Callable[[Callable[..., Result]], Callable[Arguments, Result]]:
    """Declare that a function takes the arguments of ``model``, for type checkers, ``help`` and ``inspect``."""

    def declared(function: Callable[..., Result]) -> Callable[Arguments, Result]:
        own = inspect.signature(function).return_annotation
        signature: Any = inspect.signature(model).replace(return_annotation=own)
        function.__signature__ = signature  # type: ignore[attr-defined]
        return function

    return declared
