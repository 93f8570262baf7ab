"""Marks of openai-python and anthropic for an argument that was not given, recognized without importing either."""

from __future__ import annotations

from typing import Any, Final

_NAMES: Final = frozenset({"NotGiven", "Omit"})
_PACKAGES: Final = frozenset({"anthropic", "openai"})


def is_omitted(value: Any) -> bool:
    """Whether ``value`` is ``NOT_GIVEN``, ``not_given`` or ``omit`` of one of these packages."""
    kind = type(value)
    return kind.__name__ in _NAMES and kind.__module__.partition(".")[0] in _PACKAGES
