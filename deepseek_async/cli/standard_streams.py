"""Standard streams: ``-`` as a path, and recovery from closed or broken streams."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deepseek_async.errors import ConfigurationError

STANDARD: Final = Path("-")


def with_dashes_as_paths(arguments: Sequence[str]) -> list[str]:
    """Rewrite ``-`` so that it is parsed as a path and not as an option."""
    return ["./-" if argument == "-" else argument for argument in arguments]


def refuse_streams(source: Path, output: Path | None = None) -> None:
    """Raise ConfigurationError for a job that reads standard input or writes standard output."""
    if source == STANDARD:
        raise ConfigurationError(
            "the input cannot be stdin, because a job reads it twice, and again on resume: save it to a file first",
        )
    if output == STANDARD:
        raise ConfigurationError(
            "the output cannot be stdout, because it is also the journal: name a file, and write the answers to "
            "stdout with batch export",
        )


def give_up_broken() -> None:
    """Discard unwritable output: the interpreter would retry at exit and change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def open_missing() -> None:
    """Open all three standard streams, which a supervisor may have closed.

    Otherwise the next file or socket gets the descriptor of a stream, and messages are written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
