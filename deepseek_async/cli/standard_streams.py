"""``-`` for standard input and output, and the three streams themselves."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deepseek_async.errors import ConfigurationError

STANDARD: Final = Path("-")


def with_dashes_as_paths(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``-`` written so that it is taken for a path and not for an option without a name."""
    return ["./-" if argument == "-" else argument for argument in arguments]


def refuse_streams(source: Path, output: Path | None = None) -> None:
    """Raise ConfigurationError for a job out of standard input or into standard output."""
    if source == STANDARD:
        raise ConfigurationError(
            "a job reads its input twice, and again when it goes on, so it cannot come from standard input: save it "
            "to a file first",
        )
    if output == STANDARD:
        raise ConfigurationError(
            "the output is also the journal by which a job goes on, so it cannot be standard output: name a file, and "
            "batch export writes the answers to standard output",
        )


def give_up_broken() -> None:
    """Let go of what could not be written: the interpreter tries once more when it ends, and changes the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def open_missing() -> None:
    """Make sure of all three streams, which a supervisor may have closed.

    Else the next file or socket gets the number of a stream, and what is said goes into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
