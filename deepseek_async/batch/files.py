"""The two files of a job, before it begins: whether they can be read and written at all."""

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
            what = "is no regular file: a job reads its input twice, and again when it goes on"
        raise ConfigurationError(f"the input {source} {what}")
    check_output(source, output)


def check_output(source: Path, output: Path) -> None:
    """Raise ConfigurationError if ``output`` cannot be the output of what is read from ``source``."""
    if output.is_dir():
        raise ConfigurationError(f"the output {output} is a directory")
    if output.suffix.lower() in _NOT_LINES:
        raise ConfigurationError(
            f"the output {output} would be JSON lines, whatever its name says, because it is also the journal: let it "
            "end in .jsonl, and export to other files from there",
        )
    if output.exists() and source.exists() and output.samefile(source):
        raise ConfigurationError(f"input and output are the same file: {output}")
    if not output.parent.is_dir():
        raise ConfigurationError(f"the folder of the output does not exist: {output.parent}")
