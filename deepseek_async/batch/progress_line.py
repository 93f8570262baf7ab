"""The progress of a job as one line that updates in place, in a notebook."""

from __future__ import annotations

import sys
from typing import Any, Protocol

from deepseek_async.batch.progress import Progress
from deepseek_async.text.html import escaped
from deepseek_async.text.number_format import counted, dollars, duration


class _Handle(Protocol):
    def update(self, shown: Any) -> None: ...


class ProgressLine:
    """A line in the output of a notebook's cell: pass it as ``on_progress``. Outside a notebook it shows nothing."""

    def __init__(self) -> None:
        self._handle: _Handle | None = None

    def __call__(self, progress: Progress) -> None:
        """Show the progress in place of what was shown before."""
        display = _display()
        if display is None:
            return
        line = _Line(progress)
        if self._handle is None:
            self._handle = display(line, display_id=True)
        else:
            self._handle.update(line)


class _Line:
    """What a front end shows: HTML if it can, else text."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __repr__(self) -> str:
        return progress_text(self._progress)

    def _repr_html_(self) -> str:
        progress = self._progress
        total = progress.total or 0
        bar = f'<progress max="{total}" value="{min(progress.done, total)}"></progress> ' if total else ""
        return f"<div>{bar}{escaped(progress_text(progress))}</div>"


def progress_text(progress: Progress) -> str:
    """Return the progress in one line of text."""
    position = counted(progress.done, "row")
    if progress.total is not None:
        position = f"{progress.done:,} of {counted(progress.total, 'row')}"
    parts = [position]
    if progress.resumed:
        parts.append(f"{progress.resumed:,} answered before")
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    parts.append(dollars(progress.cost))
    parts.append(duration(progress.elapsed))
    if progress.in_flight:
        parts.append(f"{progress.in_flight:,} in flight")
    return " · ".join(parts)


def line_in_notebook() -> ProgressLine | None:
    """Return a line if this program runs in a notebook, else None."""
    return None if _display() is None else ProgressLine()


def _display() -> Any:
    """Return IPython's ``display`` if a Jupyter kernel runs this program. IPython is not loaded for it."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return ipython.display.display if ipython is not None and hasattr(shell, "kernel") else None
