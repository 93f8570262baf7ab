"""Progress and report of a job that several runs share, combined into one. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from deepseek_async.batch.progress import Progress
from deepseek_async.batch.report import BatchReport
from deepseek_async.errors import DeepSeekError
from deepseek_async.types.fee import fees_together

_SUMMED: Final = (
    "ok",
    "failed",
    "requests",
    "retried",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "cost",
    "saved",
    "estimated_requests",
    "estimated_cost",
    "copied",
)
_KEPT_FAILURES: Final = 10

NOTHING: Final = Progress(
    total=None,
    done=0,
    ok=0,
    failed=0,
    resumed=0,
    in_flight=0,
    elapsed=0.0,
    requests=0,
    retried=0,
    prompt_tokens=0,
    cached_tokens=0,
    completion_tokens=0,
    cost=0.0,
    last_error=None,
)


def progress_of(attempts: Mapping[int, Sequence[Progress]], count: int, elapsed: float) -> Progress:
    """Combine the progress of ``count`` parts; ``attempts`` lists those at each part, the current one last.

    Rows finished by earlier attempts count as done in this run, although the current attempt counts them as resumed.
    """
    every = [progress for told in attempts.values() for progress in told]
    present = [told[-1] for told in attempts.values() if told]
    known = len(present) == count and all(progress.total is not None for progress in present)
    done = sum(progress.done for progress in present)
    summed = {name: sum(getattr(progress, name) for progress in every) for name in _SUMMED}
    waiting = [progress.resumes_at for progress in present if progress.resumes_at is not None]
    return msgspec.structs.replace(
        NOTHING,
        **summed,
        total=sum(progress.total or 0 for progress in present) if known else None,
        done=done,
        resumed=max(0, done - summed["ok"] - summed["failed"]),
        in_flight=sum(progress.in_flight for progress in present),
        elapsed=elapsed,
        last_error=next((progress.last_error for progress in reversed(every) if progress.last_error), None),
        fees=fees_together([fee for progress in every for fee in progress.fees]),
        resumes_at=min(waiting) if waiting and len(waiting) == len(present) else None,
    )


def report_of(
    reports: Sequence[BatchReport],
    progress: Progress,
    stopped: DeepSeekError | str | None = None,
    output: Path | None = None,
) -> BatchReport:
    """Combine the reports of all parts. ``stopped`` is the reason the job was stopped, if any."""
    failures = Counter[str]()
    for report in reports:
        failures.update(report.failures)
    first = sorted((result for report in reports for result in report.first_failures), key=lambda one: one.index)
    why = next((report.stopped for report in reports if report.stopped is not None), stopped)
    return BatchReport(
        progress=progress,
        failures=dict(failures),
        resumed_failed=sum(report.resumed_failed for report in reports),
        damaged=sum(report.damaged for report in reports),
        damaged_file=next((report.damaged_file for report in reports if report.damaged_file), None),
        stopped=why,
        predicted_cached_tokens=sum(report.predicted_cached_tokens for report in reports),
        warnings=list(dict.fromkeys(warning for report in reports for warning in report.warnings)),
        left=sum(report.left for report in reports),
        skipped=sum(report.skipped for report in reports),
        carried=list(dict.fromkeys(name for report in reports for name in report.carried)),
        not_asked=sum(report.not_asked for report in reports),
        cut_off=sum(report.cut_off for report in reports),
        made_up=sum(report.made_up for report in reports),
        spent=sum(report.spent for report in reports),
        first_failures=first[:_KEPT_FAILURES],
        output=None if output is None else str(output),
    )
