"""Output ownership check: a job truncates, blanks and appends, so the file must be proven to be a batch output."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from deepseek_async.batch.journal.reading import LONGEST_LINE
from deepseek_async.batch.line_format import is_beginning_of_a_line
from deepseek_async.batch.output_line import decode_line
from deepseek_async.errors import OutputWriteError

_BLOCK: Final = 1 << 20
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_BLANKS: Final = b" \t\r\n"

OWNER: Final = re.compile(r"(\S+) pid (\d+)\n")
"""Content of a lock file: its holder."""
LONGEST_NAME: Final = 300
"""Maximum bytes of that; a host name has at most 64."""


def lock_of(output: Path) -> Path:
    """Return the lock file of an output."""
    return output.with_name(output.name + ".lock")


def refuse_foreign(output: Path) -> None:
    """Raise OutputWriteError unless a job may write to ``output``. Read-only.

    It may if there is no file, or an empty one, or if the first non-blank line is an output line: one of this library,
    even if damaged further on, or a complete one in OpenAI's format. Any other file is foreign, except for zeros or an
    incomplete prefix in an output that a job has locked before, which a power failure leaves.
    """
    try:
        status = output.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    kind = status.st_mode
    if not stat.S_ISREG(kind):
        what = "it is a symbolic link" if stat.S_ISLNK(kind) else "it is not a regular file"
        raise OutputWriteError(f"cannot open {output}: {what}; name another file", path=str(output))
    try:
        with output.open("rb") as file:
            ours = not status.st_size or _is_ours(file, locked_before=_was_locked(output))
    except OSError as error:
        raise OutputWriteError(f"cannot read {output}: {error.strerror}", path=str(output)) from None
    if not ours:
        raise OutputWriteError(
            f"{output} exists and is not a batch output: name another file",
            path=str(output),
        )


def refuse_foreign_lock(path: Path, content: bytes, output: Path) -> None:
    """Raise OutputWriteError for a lock file whose ``content`` was not written by a run."""
    # A power failure may leave a few zeros.
    nothing = len(content) < LONGEST_NAME and not content.strip(b"\0")
    if not nothing and not OWNER.fullmatch(content.decode("utf-8", "replace")):
        raise OutputWriteError(
            f"{path} exists and is not an output lock: name another output",
            path=str(output),
        )


def _is_ours(file: BinaryIO, *, locked_before: bool) -> bool:
    start = file.read(_BLOCK).removeprefix(_BYTE_ORDER_MARK)
    text = start.lstrip(_BLANKS)
    if is_beginning_of_a_line(text):
        return True
    if locked_before and (text[:1] == b"\0" or is_beginning_of_a_line(text.partition(b"\0")[0])):
        return True
    if text[:1] != b"{":
        return False
    line, end, _ = text.partition(b"\n")
    if not end and len(start) >= _BLOCK:
        line += file.readline(LONGEST_LINE)
    return _is_of_openai(line.rstrip(_BLANKS))


def _is_of_openai(line: bytes) -> bool:
    """Whether it is a complete OpenAI Batch output line, possibly written by another program."""
    if decode_line(line) is None:
        return False
    row = orjson.loads(line)
    return _has(row, "response", "body") or _has(row, "error", "message")


def _has(row: dict[str, Any], name: str, field: str) -> bool:
    value = row.get(name)
    return isinstance(value, dict) and field in value


def _was_locked(output: Path) -> bool:
    path = lock_of(output)
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return OWNER.fullmatch(os.read(descriptor, LONGEST_NAME).decode("utf-8", "replace")) is not None
        finally:
            os.close(descriptor)
    except OSError:
        return False
