"""``deepseek-async batch status``: state of a job, read from its output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from deepseek_async.cli.asked_rows import Input, asked_rows, what_is_missing
from deepseek_async.cli.row_flags import RowFlags
from deepseek_async.cli.terminal import harmless
from deepseek_async.text.number_format import counted, dollars, duration, rate, share, span

if TYPE_CHECKING:
    from deepseek_async.batch.review.job_summary import JobSummary
    from deepseek_async.batch.review.row_selection import SelectedRows

NAME: Final = "status"
ABOUT: Final = """\
Show the state of a job, read from its output. A running job is not affected."""
EXAMPLES: Final = """\
For example:

    deepseek-async batch status out.jsonl --input in.jsonl
    deepseek-async batch status out.jsonl --json | jq .cost"""


def run(
    output: Annotated[Path, Parameter(name="OUT", help="Output of batch run.")],
    /,
    *,
    source: Input = None,
    rows: RowFlags | None = None,
    as_json: Annotated[
        bool, Parameter(name="--json", negative=(), show_default=False, help="Print the figures as JSON.")
    ] = False,
) -> int:
    from deepseek_async.batch.review.job_summary import account_of  # noqa: PLC0415  brings aiohttp
    from deepseek_async.batch.review.running_job import writer_of  # noqa: PLC0415
    from deepseek_async.cli.prices import prices  # noqa: PLC0415

    asked = asked_rows(output, source, rows)
    told = figures(asked, account_of(asked, prices()), writer_of(asked.output.path))
    if as_json:
        sys.stdout.write(harmless(json.dumps(told, indent=2, ensure_ascii=False)) + "\n")
    else:
        for line in _lines(told, asked):
            sys.stdout.write(harmless(line) + "\n")
    return 0


def figures(asked: SelectedRows, account: JobSummary, writer: str | None) -> dict[str, Any]:
    """Return the figures of a job as plain JSON values; ``writer`` is the process that writes its output."""
    latency = account.latency
    return {
        "written_by": writer,
        "total": asked.total,
        "done": account.ok + account.failed,
        "ok": account.ok,
        "failed": account.failed,
        "failures": dict(account.failures.most_common()),
        "pending": asked.pending,
        "skipped": asked.skipped,
        "changed": asked.changed,
        "not_asked": asked.not_asked,
        "damaged_lines": asked.output.damaged,
        "replaced": account.replaced,
        "cut_off": account.cut_off,
        "requests": account.requests,
        "began": asked.began,
        "ended": asked.ended,
        "latency": {name: latency.quantile(part) for name, part in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))},
        "prompt_tokens": int(account.tokens.cached + account.tokens.fresh),
        "cached_tokens": int(account.tokens.cached),
        "predicted_cached_tokens": account.predicted_cached_tokens,
        "completion_tokens": int(account.tokens.reasoning + account.tokens.answer),
        "reasoning_tokens": int(account.tokens.reasoning),
        "simulated": asked.made_up,
        "cost": account.cost,
        "simulated_cost": account.simulated_cost,
        "left_out_cost": account.left_out_cost,
        "pending_cost": account.pending_cost,
        "estimated_requests": account.estimated,
        "estimated_cost": account.estimated_cost,
        "fees": {fee.kind: {"count": fee.count, "CNY": fee.cny, "USD": fee.usd} for fee in account.fees},
        "charged_as": {name: model.charged_as for name, model in account.models.items() if model.charged_as},
        "saved_by_cache": account.saved_by_cache,
        "saved_by_hours": account.saved_by_hours,
    }


def _lines(figures: dict[str, Any], asked: SelectedRows) -> Iterator[str]:
    output, writer = asked.output.path, figures["written_by"]
    yield f"{output}: {f'running ({writer})' if writer else 'not running'}"
    done, total = figures["done"], figures["total"]
    # Skipped rows have ended too.
    of = "" if total is None else f" of {total:,} ({share(done + figures['skipped'], total)})"
    again = f" · {figures['replaced']:,} run again" if figures["replaced"] else ""
    yield f"  rows      {done:,}{of}: {figures['ok']:,} answered · {figures['failed']:,} failed{again}"
    if figures["failures"]:
        yield "  failures  " + " · ".join(f"{kind} {number:,}" for kind, number in figures["failures"].items())
    if figures["cut_off"]:
        yield f"  truncated {counted(figures['cut_off'], 'answer')} at max_tokens"
    for line in what_is_missing(asked):
        yield f"            {line}"
    if figures["damaged_lines"]:
        yield f"  damaged   {counted(figures['damaged_lines'], 'line')}; the next run sends their rows again"
    if figures["began"] is not None and figures["ended"] is not None:
        yield f"  time      {_time(figures)}"
        quantiles = " · ".join(f"{name} {span(value)}" for name, value in figures["latency"].items())
        yield f"  latency   {quantiles}"
    prompt, cached = figures["prompt_tokens"], figures["cached_tokens"]
    yield (
        f"  tokens    {prompt:,} prompt, {share(cached, prompt)} cached · {figures['completion_tokens']:,} completion"
    )
    saved = figures["saved_by_cache"] + figures["saved_by_hours"]
    paid = dollars(figures["cost"]) + (f", {dollars(saved)} saved by prefix cache and off-peak hours" if saved else "")
    made_up = figures["simulated_cost"]
    if made_up:
        paid += " (simulated, not billed)" if made_up == figures["cost"] else f", {dollars(made_up)} of it simulated"
    yield f"  cost      {paid}"
    for kind, fee in figures["fees"].items():
        of_it = "" if fee["USD"] is None else f", {dollars(fee['USD'])} of it"
        yield f"  fees      {fee['count']:,} {kind.replace('_', ' ')}: {fee['CNY']:.4f} yuan{of_it}"
    if figures["pending_cost"]:
        yield f"            {dollars(figures['pending_cost'])} of it for rows that have not ended"
    if figures["estimated_requests"]:
        requests = counted(figures["estimated_requests"], "request")
        yield f"            {dollars(figures['estimated_cost'])} of it estimated, for {requests} without valid usage"
    for name, charged_as in figures["charged_as"].items():
        yield f"            unknown price of {name or 'an unnamed model'}: charged as {charged_as}"


def _time(figures: dict[str, Any]) -> str:
    began, ended, done = figures["began"], figures["ended"], figures["done"]
    seconds = ended - began
    speed = done / seconds if seconds > 0 else 0.0
    said = f"{duration(seconds)} · {rate(speed)} rows/s"
    if figures["written_by"] and figures["total"] is not None and speed:
        said += f" · {duration((figures['total'] - figures['skipped'] - done) / speed)} left"
    return said + f" · last answer {duration(max(0.0, time.time() - ended))} ago"
