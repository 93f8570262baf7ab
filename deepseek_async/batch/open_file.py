"""Open text files as prompts, one per line, for ``map``."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator
from io import IOBase, TextIOBase
from pathlib import Path
from typing import Any, Final

from deepseek_async.batch.input_file import form_of
from deepseek_async.errors import ConfigurationError

_PROMPTS: Final = frozenset({"", ".txt", ".md", ".log"})
"""Suffixes of files whose lines may be prompts, although an input file with them is read as JSON lines."""


def as_lines(requests: Iterable[Any] | AsyncIterable[Any]) -> Iterator[str] | None:
    """Return the non-blank lines without line endings, or None if ``requests`` is not an open file.

    Raises ConfigurationError for a file of rows, each of which would be sent as a prompt and paid for.
    """
    if not isinstance(requests, IOBase):
        return None
    name = getattr(requests, "name", "")
    path = Path(name) if isinstance(name, str) else Path()
    if not isinstance(requests, TextIOBase):
        raise ConfigurationError(
            f"map reads prompts from a file open in text mode, but {name!r} is open in binary mode: {_WAY}"
        )
    if form_of(path) != "txt" and path.suffix.lower() not in _PROMPTS:
        raise ConfigurationError(f"the lines of {name!r} are rows, not prompts: {_WAY}")
    return (line for text in requests if (line := text.strip()))


_WAY: Final = "pass the path to run, or parsed rows to map"
