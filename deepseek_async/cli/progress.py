"""Progress display on stderr: redrawn on a terminal, periodic lines otherwise."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from deepseek_async.batch import Progress
from deepseek_async.cli.terminal import one_line, say
from deepseek_async.text.number_format import dollars, duration, rate

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

_REDRAW_SECONDS: Final = 0.125
_WINDOW_SECONDS: Final = 10.0
_ERROR_LENGTH: Final = 100


class Display(Protocol):
    """Displays the progress of a job."""

    every: float
    """Seconds between two calls of ``show``."""

    def show(self, progress: Progress) -> None:
        """Show the current progress."""

    def end(self, progress: Progress) -> None:
        """Show the final progress."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Speed:
    """Requests and tokens per second over the last seconds, not the mean since the start."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int]] = deque([(0.0, 0, 0)])

    def at(self, progress: Progress) -> tuple[float, float]:
        """Return requests and tokens per second. Call it once per snapshot."""
        tokens = progress.prompt_tokens + progress.completion_tokens
        self._samples.append((progress.elapsed, progress.requests, tokens))
        while len(self._samples) > 2 and self._samples[1][0] <= progress.elapsed - _WINDOW_SECONDS:
            self._samples.popleft()
        since, requests_before, tokens_before = self._samples[0]
        seconds = progress.elapsed - since
        if seconds <= 0:
            return 0.0, 0.0
        return (progress.requests - requests_before) / seconds, (tokens - tokens_before) / seconds


class NoDisplay:
    """No display, for ``--quiet``."""

    every = 3600.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, progress: Progress) -> None:
        pass

    def end(self, progress: Progress) -> None:
        pass


class Lines:
    """A plain line every few seconds and one at the end, for logs."""

    def __init__(self, every: float) -> None:
        self.every = every
        self._speed = Speed()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, progress: Progress) -> None:
        """Print the line."""
        say(f"{duration(progress.elapsed)}: {_position(progress)} · {_figures(progress, self._speed)}")

    def end(self, progress: Progress) -> None:
        """Print the last line."""
        self.show(progress)


class LiveDisplay:
    """A progress bar with figures, redrawn in place and removed at the end, before the summary."""

    every = _REDRAW_SECONDS

    def __init__(self) -> None:
        self._speed = Speed()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        """Draw the bar."""
        drawing = self._drawing(progress)
        if self._live is None:
            # Created lazily: a job that cannot start should print only its error.
            from rich.console import Console  # noqa: PLC0415  only needed on a terminal
            from rich.live import Live  # noqa: PLC0415

            # stdout carries data and is not redirected; other output to stderr appears above the bar.
            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True, redirect_stdout=False)
            self._live.start()
        self._live.update(drawing, refresh=True)

    def end(self, progress: Progress) -> None:
        """Draw the bar for the last time."""
        self.show(progress)

    def _drawing(self, progress: Progress) -> Group:
        from rich.console import Group  # noqa: PLC0415
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(justify="right", no_wrap=True)
        bar.add_row(
            ProgressBar(total=progress.total or None, completed=progress.done, pulse=progress.total is None),
            Text(_position(progress)),
        )
        lines = [Text(_figures(progress, self._speed, with_error=False), style="dim")]
        if progress.last_error:
            lines.append(Text(f"last error: {one_line(progress.last_error, _ERROR_LENGTH)}", style="red"))
        return Group(bar, *lines)


def _position(progress: Progress) -> str:
    if progress.total is None:
        return f"{progress.done:,} rows"
    share = progress.done / progress.total if progress.total else 1.0
    return f"{progress.done:,}/{progress.total:,} rows ({share:.0%})"


def _figures(progress: Progress, speed: Speed, *, with_error: bool = True) -> str:
    requests, tokens = speed.at(progress)
    parts = [
        f"{progress.failed:,} failed",
        f"{progress.in_flight:,} in flight",
        f"{rate(requests)} requests/s",
        f"{rate(tokens)} tokens/s",
        dollars(progress.cost),
    ]
    if progress.retried:
        parts.insert(1, f"{progress.retried:,} retries")
    remaining = progress.remaining_seconds
    if progress.resumes_at is not None:
        parts.append(f"waiting for off-peak prices until {datetime.fromtimestamp(progress.resumes_at):%a %H:%M}")  # noqa: DTZ006  local time
    elif remaining:
        parts.append(f"{duration(remaining)} left")
    if with_error and progress.last_error:
        parts.append(f"last error: {one_line(progress.last_error, _ERROR_LENGTH)}")
    return " · ".join(parts)
