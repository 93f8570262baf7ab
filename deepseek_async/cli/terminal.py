"""What may be written to a terminal, and how figures look there."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TextIO

from deepseek_async.redaction import redact

# Everything that a terminal obeys, C1 controls included, but line feed and tab.
_CONTROLS: Final = {code: None for code in (*range(32), *range(127, 160)) if code not in {9, 10}}


def harmless(text: str) -> str:
    """``text`` without control characters: what a server sends must not move cursors or set titles."""
    return text.translate(_CONTROLS)


def one_line(text: str, limit: int = 500) -> str:
    """``text`` on one line, harmless, cut to ``limit`` and with keys masked."""
    line = " ".join(harmless(redact(text)).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def say(line: str) -> None:
    """One line on stderr; its leading spaces stay.

    Nobody who listens is no reason to stop: a run would lose answers that are paid for.
    """
    with suppress(OSError):
        sys.stderr.write(harmless(redact(line)).replace("\n", " ") + "\n")
        sys.stderr.flush()


def is_live(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that can redraw lines."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as aligned columns, harmless, each with its line feed."""
    clean = [tuple(one_line(cell, 80) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in clean) for column in range(len(clean[0]))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in clean
    )
