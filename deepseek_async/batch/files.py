"""Validation of a job's input and output paths before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deepseek_async.errors import ConfigurationError

_NOT_LINES: Final = frozenset({".gz", ".csv", ".tsv", ".parquet"})


def check_files(source: Path, output: Path) -> None:
    """Raise ConfigurationError if ``source`` cannot be an input, or ``output`` its output."""
    if not source.is_file():
        what = "does not exist"
        if source.exists():
            what = "is not a regular file: a job reads its input twice, and again on resume"
        raise ConfigurationError(f"the input {source} {what}")
    check_output(source, output)


def check_output(source: Path, output: Path) -> None:
    """Raise ConfigurationError if ``output`` cannot be the output for ``source``."""
    if output.is_dir():
        raise ConfigurationError(f"the output {output} is a directory")
    if output.suffix.lower() in _NOT_LINES:
        raise ConfigurationError(
            f"the output {output} must be JSON lines, because it is also the journal: use the suffix .jsonl and "
            "convert it with batch export",
        )
    if output.exists() and source.exists() and output.samefile(source):
        raise ConfigurationError(f"input and output must be different files, got {output} for both")
    if not output.parent.is_dir():
        raise ConfigurationError(f"the output directory does not exist: {output.parent}")
