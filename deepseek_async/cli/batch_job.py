"""Job runner of the command line: progress, signals, summary and exit code."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deepseek_async.batch import BatchReport, StoppableJob
from deepseek_async.cli.interrupts import Interrupts
from deepseek_async.cli.process import allow_connections
from deepseek_async.cli.progress import Display, Lines, LiveDisplay, NoDisplay
from deepseek_async.cli.summary import resume_command, summary
from deepseek_async.cli.terminal import is_live, say
from deepseek_async.client import AsyncDeepSeek
from deepseek_async.process.garbage import relax_garbage_collection


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Display options of a run."""

    quiet: bool
    simulated: bool
    every: float
    """Seconds between two progress lines without a terminal."""


async def run(
    client: AsyncDeepSeek,
    make: Callable[[AsyncDeepSeek], StoppableJob],
    source: object,
    output: Path,
    manner: RunOptions,
) -> int:
    """Run the job that ``make`` creates until it ends or a signal stops it.

    Returns the exit code.
    """
    allow_connections(client.settings.most_connections)
    async with client:
        job = make(client)
        if manner.simulated and not manner.quiet:
            say("simulated: answers come from a local simulator; nothing is billed")
        relax_garbage_collection()
        report, cancelled = await _watched(job, _display(manner))
    if not (manner.quiet and report.exit_code == 0):
        for line in summary(
            report,
            source=source,
            output=output,
            simulated=manner.simulated,
            cancelled=cancelled,
            resume=resume_command(report),
        ):
            say(line)
    return int(report.exit_code)


def _display(manner: RunOptions) -> Display:
    if manner.quiet:
        return NoDisplay()
    return LiveDisplay() if is_live(sys.stderr) else Lines(manner.every)


async def _watched(job: StoppableJob, display: Display) -> tuple[BatchReport, bool]:
    running = asyncio.create_task(job.run())
    interrupts = Interrupts(job, running)
    with interrupts.listening(), display:
        while not running.done():
            await asyncio.wait({running}, timeout=display.every)
            if not running.done():
                with suppress(OSError):  # a closed terminal must not stop the job
                    display.show(job.progress())
        try:
            report = running.result()
        except asyncio.CancelledError:
            if not interrupts.cancelled:
                raise
            report = job.report()
        with suppress(OSError):
            display.end(report.progress)
    return report, interrupts.cancelled
