"""``deepseek-async batch status``: where a job stands, by its output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from deepseek_async.cli.terminal import harmless
from deepseek_async.figures import counted, dollars, duration, rate, share, span

if TYPE_CHECKING:
    from deepseek_async.batch.review.account import Account
    from deepseek_async.batch.review.output import Output

NAME: Final = "status"
ABOUT: Final = """\
Say where a job stands, by its output. A run that writes it is not disturbed."""
EXAMPLES: Final = """\
For example:

    deepseek-async batch status out.jsonl --input in.jsonl
    deepseek-async batch status out.jsonl --json | jq .cost"""


def run(
    output: Annotated[Path, Parameter(name="OUT", help="Output of batch run.")],
    /,
    *,
    source: Annotated[
        Path | None, Parameter(name="--input", help="Input of the job, to say how many rows are left.")
    ] = None,
    as_json: Annotated[
        bool, Parameter(name="--json", negative=(), show_default=False, help="The figures as JSON.")
    ] = False,
) -> int:
    from deepseek_async.batch.review.account import account_of  # noqa: PLC0415  brings aiohttp
    from deepseek_async.batch.review.output import Output  # noqa: PLC0415
    from deepseek_async.batch.review.running import writer_of  # noqa: PLC0415
    from deepseek_async.batch.source import count_rows  # noqa: PLC0415
    from deepseek_async.cli.prices import prices  # noqa: PLC0415

    total = None if source is None else count_rows(source)
    looked_at = Output(output)
    looked_at.read()
    account = account_of(looked_at, prices())
    figures = _figures(looked_at, account, writer_of(output), total)
    if as_json:
        sys.stdout.write(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    else:
        for line in _lines(figures, output):
            sys.stdout.write(harmless(line) + "\n")
    return 0


def _figures(output: Output, account: Account, writer: str | None, total: int | None) -> dict[str, Any]:
    done = account.ok + account.failed
    latency = account.latency
    return {
        "written_by": writer,
        "total": None if total is None else max(total, done),
        "done": done,
        "ok": account.ok,
        "failed": account.failed,
        "failures": dict(account.failures.most_common()),
        "damaged_lines": output.damaged,
        "replaced": account.replaced,
        "cut_off": account.cut_off,
        "requests": account.requests,
        "began": output.began,
        "ended": output.ended,
        "latency": {name: latency.quantile(part) for name, part in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))},
        "prompt_tokens": int(account.tokens.cached + account.tokens.fresh),
        "cached_tokens": int(account.tokens.cached),
        "predicted_cached_tokens": account.predicted_cached_tokens,
        "completion_tokens": int(account.tokens.reasoning + account.tokens.answer),
        "reasoning_tokens": int(account.tokens.reasoning),
        "cost": account.cost,
        "saved_by_cache": account.saved_by_cache,
        "saved_by_hours": account.saved_by_hours,
    }


def _lines(figures: dict[str, Any], output: Path) -> Iterator[str]:
    writer = figures["written_by"]
    yield f"{output}: {f'a run is writing it ({writer})' if writer else 'no run is writing it'}"
    done, total = figures["done"], figures["total"]
    of = "" if total is None else f" of {total:,} ({share(done, total)})"
    again = f" · {figures['replaced']:,} run again" if figures["replaced"] else ""
    yield f"  rows      {done:,}{of}: {figures['ok']:,} answered · {figures['failed']:,} failed{again}"
    if figures["failures"]:
        yield "  failures  " + " · ".join(f"{kind} {number:,}" for kind, number in figures["failures"].items())
    if figures["cut_off"]:
        yield f"  cut off   {counted(figures['cut_off'], 'answer')} ended at max_tokens"
    if figures["damaged_lines"]:
        yield f"  damaged   {counted(figures['damaged_lines'], 'line')}; the next run sends what they held again"
    if figures["began"] is not None and figures["ended"] is not None:
        yield f"  time      {_time(figures)}"
        quantiles = " · ".join(f"{name} {span(value)}" for name, value in figures["latency"].items())
        yield f"  latency   {quantiles}"
    prompt, cached = figures["prompt_tokens"], figures["cached_tokens"]
    yield (
        f"  tokens    {prompt:,} in the prompts, {share(cached, prompt)} from the cache · "
        f"{figures['completion_tokens']:,} in the answers"
    )
    saved = figures["saved_by_cache"] + figures["saved_by_hours"]
    yield f"  cost      {dollars(figures['cost'])}" + (f", {dollars(saved)} saved by cache and hours" if saved else "")


def _time(figures: dict[str, Any]) -> str:
    began, ended, done = figures["began"], figures["ended"], figures["done"]
    seconds = ended - began
    speed = done / seconds if seconds > 0 else 0.0
    said = f"{duration(seconds)} · {rate(speed)} rows/s"
    if figures["written_by"] and figures["total"] is not None and speed:
        said += f" · {duration((figures['total'] - done) / speed)} left"
    return said + f" · last answer {duration(max(0.0, time.time() - ended))} ago"
