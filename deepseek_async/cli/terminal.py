"""Terminal output: escaping of control characters, and formatting."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO, Final, TextIO, cast

from deepseek_async.text.quoting import written_out
from deepseek_async.text.redaction import redact

# Control characters that terminals interpret, including C1 but not line feed and tab; and those that reorder text:
# embeddings, overrides and isolates of writing direction (Unicode Bidirectional Algorithm, 2).
# embeddings, overrides and isolates of writing direction (Unicode Bidirectional Algorithm, 2).
_OBEYED: Final = (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_WRITTEN_OUT: Final = {code: written_out(chr(code)) for code in _OBEYED if code not in {9, 10}}


def harmless(text: str) -> str:
    """Escape control characters in ``text``: a server must not move the cursor or set titles."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    return text.translate(_WRITTEN_OUT)


def data_output() -> BinaryIO:
    """Return stdout for binary data: unchanged, or escaped on a terminal."""
    return cast("BinaryIO", _Shown()) if sys.stdout.isatty() else sys.stdout.buffer


class _Shown(io.RawIOBase):
    """A UTF-8 stream to the terminal."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def writable(self) -> bool:
        return True

    def write(self, wire: Any) -> int:
        text = self._held + self._decoder.decode(bytes(wire))
        # Possibly half of a CRLF.
        self._held = "\r" if text.endswith("\r") else ""
        sys.stdout.write(harmless(text.removesuffix("\r")))
        return len(wire)

    def flush(self) -> None:
        sys.stdout.flush()


def one_line(text: str, limit: int = 500) -> str:
    """Return ``text`` on one line, escaped, truncated to ``limit`` characters, with keys masked."""
    line = " ".join(harmless(redact(text)).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def say(line: str) -> None:
    """Print a line to stderr, keeping its leading spaces.

    A closed stderr is ignored: stopping would lose answers that were paid for.
    """
    with suppress(OSError):
        sys.stderr.write(harmless(redact(line)).replace("\n", " ") + "\n")
        sys.stderr.flush()


def is_live(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that can redraw lines."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Format rows as aligned columns, escaped, one line each."""
    clean = [tuple(one_line(cell, 80) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in clean) for column in range(len(clean[0]))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in clean
    )
