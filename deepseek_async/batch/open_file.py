"""An open text file as prompts, a line each, as a file of prompts is read."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator
from io import IOBase, TextIOBase
from pathlib import Path
from typing import Any, Final

from deepseek_async.batch.input_file import form_of
from deepseek_async.errors import ConfigurationError

_PROMPTS: Final = frozenset({"", ".txt", ".md", ".log"})
"""Suffixes of files whose lines may be prompts, though they are read as JSON lines where nothing else is known."""


def as_lines(requests: Iterable[Any] | AsyncIterable[Any]) -> Iterator[str] | None:
    """The lines without their ends and without blank ones; None if ``requests`` is no open file.

    Raises ConfigurationError for a file whose lines are no prompts: each would be paid for.
    """
    if not isinstance(requests, IOBase):
        return None
    name = getattr(requests, "name", "")
    path = Path(name) if isinstance(name, str) else Path()
    if not isinstance(requests, TextIOBase):
        raise ConfigurationError(f"map reads prompts from an open file of text, and {name!r} is open for bytes: {_WAY}")
    if form_of(path) != "txt" and path.suffix.lower() not in _PROMPTS:
        raise ConfigurationError(f"the lines of {name!r} are rows and no prompts: {_WAY}")
    return (line for text in requests if (line := text.strip()))


_WAY: Final = "give run the path, or map what each line says"
