"""Output of one streamed answer: the answer to stdout, the rest to stderr on a terminal."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from deepseek_async.cli.terminal import harmless


class Screen:
    """Writes one answer; ``raw`` leaves control characters unescaped unless stdout is a terminal."""

    def __init__(self, *, raw: bool = False) -> None:
        self._raw = raw and not sys.stdout.isatty()
        self._held = ""
        # Between the pieces of an answer rich must not wrap, highlight numbers or parse markup.
        self._aside = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
        self._visible = sys.stderr.isatty()
        self._reasoning = False
        self._text: list[str] = []

    @property
    def text(self) -> str:
        """The part of the answer shown so far."""
        return "".join(self._text)

    def reason(self, piece: str | None) -> None:
        """Show a piece of reasoning in grey, on a terminal."""
        if piece and self._visible:
            self._reasoning = True
            self._aside.print(Text(harmless(piece), style="dim"), end="")

    def answer(self, piece: str | None) -> None:
        """Write a piece of the answer."""
        if piece:
            self._end_reasoning()
            self._text.append(piece)
            sys.stdout.write(piece if self._raw else self._shown(piece))
            sys.stdout.flush()

    def end(self) -> None:
        """End the last line."""
        self._end_reasoning()
        sys.stdout.write(harmless(self._held))
        self._held = ""
        if self._text:
            sys.stdout.write("\n")
            sys.stdout.flush()

    def note(self, line: str) -> None:
        """Show a grey note, on a terminal."""
        if self._visible:
            self._aside.print(Text(harmless(line), style="dim"))

    def _shown(self, piece: str) -> str:
        piece = self._held + piece
        # Possibly half of a CRLF, whose other half comes with the next piece.
        self._held = "\r" if piece.endswith("\r") else ""
        return harmless(piece.removesuffix("\r"))

    def _end_reasoning(self) -> None:
        if self._reasoning:
            self._reasoning = False
            self._aside.print()
