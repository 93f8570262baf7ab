"""Summary of a finished run."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deepseek_async.batch import BatchReport, BatchResult
from deepseek_async.cli.terminal import one_line
from deepseek_async.errors import DeepSeekError, InputFormatError
from deepseek_async.text.number_format import counted, dollars, duration, rate
from deepseek_async.types.fee import FETCH, SEARCH

_SHOWN: Final = 10
_WIDTH: Final = 300

_PASSWORD: Final = re.compile(r"^((?:--proxy=)?https?://)[^/\s]+@")


def resume_command(report: BatchReport | None = None) -> str:
    """Return this process's command line, quoted for a shell; after an exhausted budget, with a larger one.

    A proxy password is omitted, because the output goes to logs.
    """
    name, *arguments = sys.argv
    arguments = [_PASSWORD.sub(r"\1USER:PASSWORD@", argument) for argument in arguments]
    if report is not None:
        arguments = _with_larger_budget(arguments, report.spent)
    if name.endswith("__main__.py"):
        return shlex.join([sys.orig_argv[0], "-m", "deepseek_async", *arguments])
    short = Path(name).name
    return shlex.join([short if shutil.which(short) == name else name, *arguments])


def _with_larger_budget(arguments: list[str], spent: float) -> list[str]:
    """Add the same budget on top of what is spent: the unchanged command would stop immediately."""
    changed = list(arguments)
    for place, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag not in {"--budget", "--max-cost"}:
            continue
        if not equals:
            value = arguments[place + 1]
        larger = f"{spent + float(value):.6g}"
        changed[place if equals else place + 1] = f"{flag}={larger}" if equals else larger
    return changed


def summary(
    report: BatchReport,
    *,
    source: object,
    output: Path,
    simulated: bool,
    cancelled: bool,
    resume: str,
) -> Iterator[str]:
    """Yield the lines of the summary."""
    progress = report.progress
    yield f"{_headline(report, cancelled=cancelled)}: {source} → {output}"
    total = "" if progress.total is None else f" of {progress.total:,}"
    yield f"  rows      {report.rows:,}{total}: {_ends(report)}"
    if report.failures:
        yield "  failures  " + " · ".join(f"{kind} {number:,}" for kind, number in _largest_first(report))
    speed = progress.requests / progress.elapsed if progress.elapsed > 0 else 0.0
    retries = f", {progress.retried:,} of them retries" if progress.retried else ""
    requests = counted(progress.requests, "request") + retries
    yield f"  time      {duration(progress.elapsed)} · {requests} · {rate(speed)} requests/s"
    cached = progress.cached_tokens / progress.prompt_tokens if progress.prompt_tokens else 0.0
    yield (
        f"  tokens    {progress.prompt_tokens:,} prompt, {cached:.0%} cached · "
        f"{progress.completion_tokens:,} completion"
    )
    yield f"  cost      {dollars(report.cost)}{_saved(report)}" + (" (simulated, not billed)" if simulated else "")
    for fee in report.fees:
        yield f"  fees      {fee}" + (", for the model's searches" if fee.kind in {SEARCH, FETCH} else "")
    if progress.estimated_requests:
        requests = counted(progress.estimated_requests, "request")
        yield f"            {dollars(progress.estimated_cost)} of it at most, for {requests} without valid usage"
    if report.predicted_cached_tokens:
        share = progress.cached_tokens / report.predicted_cached_tokens
        yield (
            f"  cache     {progress.cached_tokens:,} tokens hit, {share:.0%} of the "
            f"{report.predicted_cached_tokens:,} predicted by the row order"
        )
    if report.carried:
        names = one_line(", ".join(report.carried), _WIDTH)
        yield f"  carried   {names}: not API parameters, so not sent; copied to the output"
    if report.not_asked:
        yield f"  excluded  {counted(report.not_asked, 'row')} of earlier runs not in the input"
    if report.cut_off:
        documents = counted(report.cut_off, "document")
        yield f"  truncated {documents} with an incomplete page: the same command reads them again"
    for warning in report.warnings:
        yield f"  warning   {warning}"
    if report.made_up:
        yield f"  simulated {counted(report.made_up, 'answer')} of earlier runs, sent again"
    if report.damaged:
        place = report.damaged_file
        yield f"  damaged   {counted(report.damaged, 'line')} of an earlier run, moved to {place}; rows run again"
    yield from _what_failed(report, Path(report.output or output))
    if report.stopped is not None:
        yield f"resume with: {resume}"


def _headline(report: BatchReport, *, cancelled: bool) -> str:
    if report.stopped is None:
        if report.resumed and not report.progress.requests:
            return "nothing left to do"
        return "done" if report.exit_code == 0 else "done, with failures"
    reason = report.stopped.message if isinstance(report.stopped, DeepSeekError) else report.stopped
    end = "; the rows in flight were cancelled" if cancelled else ""
    return f"stopped: {one_line(reason, _WIDTH)}{end}"


def _ends(report: BatchReport) -> str:
    parts = [f"{report.ok:,} answered", f"{report.failed:,} failed"]
    if report.resumed:
        failed = f", {report.resumed_failed:,} of them with an error" if report.resumed_failed else ""
        parts.append(f"{report.resumed:,} resumed{failed}")
    if report.progress.copied:
        parts.append(f"{report.progress.copied:,} of them copies of equal rows")
    if report.left:
        parts.append(f"{report.left:,} without a result not run: run without --redo")
    if report.skipped:
        parts.append(f"{report.skipped:,} skipped for an empty cell")
    return " · ".join(parts)


def _saved(report: BatchReport) -> str:
    return f", {dollars(report.saved)} saved by the prefix cache" if report.saved else ""


def _largest_first(report: BatchReport) -> list[tuple[str, int]]:
    return sorted(report.failures.items(), key=lambda item: -item[1])


def _what_failed(report: BatchReport, output: Path) -> Iterator[str]:
    shown = [_failure(result) for result in report.first_failures[:_SHOWN]]
    if not shown:
        return
    yield "first failures:" if report.failed > len(shown) else "failures:"
    for line in shown:
        yield f"  {one_line(line, _WIDTH)}"
    yield f"  all of them: jq -c 'select(.error)' {shlex.quote(str(output))}"


def _failure(result: BatchResult) -> str:
    error = result.error
    if error is None or isinstance(error, InputFormatError):
        return error.message if error is not None else ""  # the message starts with file and line
    name = f"row {result.index + 1:,}" + (f" ({result.custom_id})" if result.custom_id else "")
    return f"{name}: {type(error).__name__}: {error.message}"
