"""``deepseek-async batch plan``: cost estimate of a job."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter
from cyclopts.types import PositiveFloat, PositiveInt

from deepseek_async.cli.row_flags import RowFlags
from deepseek_async.cli.standard_streams import refuse_streams
from deepseek_async.cli.terminal import harmless, one_line
from deepseek_async.text.number_format import counted, dollars, duration, share

if TYPE_CHECKING:
    from deepseek_async.batch.review.plan import CountTokens, Plan
    from deepseek_async.pricing.prices import PriceTable

NAME: Final = "plan"
ABOUT: Final = """\
Estimate the cost of a job. Nothing is sent and no API key is needed.

Prints rows, tokens, rows with shared prefixes and expected prefix cache hits,
the cost now and off-peak, and the duration. The length of answers cannot be
known in advance: set it with --answer-tokens. Prompt tokens are estimated, or
counted exactly with DeepSeek's tokenizer file."""
EXAMPLES: Final = """\
For example:

    deepseek-async batch plan in.jsonl --answer-tokens 300
    deepseek-async batch plan in.jsonl --tokenizer tokenizer.json
    deepseek-async batch plan reviews.csv --template 'Good or bad? {text}'"""

_DEFAULT_CONCURRENCY: Final = 100


def run(
    source: Annotated[Path, Parameter(name="IN", help="Input file of batch run.")],
    /,
    *,
    rows: RowFlags | None = None,
    answer_tokens: Annotated[
        PositiveInt, Parameter(help="Expected tokens per answer, including reasoning; max_tokens caps it.")
    ] = 1024,
    seconds: Annotated[PositiveFloat, Parameter(help="Expected seconds per answer.")] = 10.0,
    concurrency: Annotated[
        PositiveInt, Parameter(name=["--concurrency", "-c"], help="Requests in flight.")
    ] = _DEFAULT_CONCURRENCY,
    tokenizer: Annotated[
        Path | None,
        Parameter(
            metavar="FILE",
            help="DeepSeek's tokenizer.json, linked in the API documentation about token usage: count prompts exactly, "
            "at about a second per million tokens. Requires the extra tokens.",
        ),
    ] = None,
    as_json: Annotated[
        bool, Parameter(name="--json", negative=(), show_default=False, help="Print the figures as JSON.")
    ] = False,
) -> int:
    from deepseek_async.batch.review.plan import plan  # noqa: PLC0415  brings aiohttp
    from deepseek_async.batch.row_source import read_rows  # noqa: PLC0415
    from deepseek_async.cli.prices import prices  # noqa: PLC0415

    refuse_streams(source)
    rows = rows or RowFlags()
    table = prices()
    defaults = rows.defaults()
    asked = (row for row in read_rows(source, defaults) if row.error is None or not defaults.leaves_out(row.error))
    planned = plan(asked, _counter(tokenizer), answer_tokens=answer_tokens)
    figures = _figures(planned, table, seconds=planned.seconds(concurrency, seconds), tokenizer=tokenizer)
    if as_json:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
        return _exit_code(planned)
    assumed = {"answer_tokens": answer_tokens, "seconds": seconds, "concurrency": concurrency}
    for line in _lines(planned, figures, assumed, source):
        sys.stdout.write(harmless(line) + "\n")
    return _exit_code(planned)


def _exit_code(planned: Plan) -> int:
    """Return the exit code of ``batch run`` for the same input."""
    return 2 if planned.repeated else 0


def _counter(file: Path | None) -> CountTokens:
    """Return the token counter. Raises ConfigurationError for an unusable tokenizer."""
    from deepseek_async.codec.request import encode_request  # noqa: PLC0415
    from deepseek_async.codec.tokenizer import Tokenizer  # noqa: PLC0415
    from deepseek_async.codec.tokens import TokenEstimator  # noqa: PLC0415

    estimator = TokenEstimator(None if file is None else Tokenizer.from_file(file))
    return lambda body: estimator.count(encode_request(body), str(body.get("model")))


def _figures(planned: Plan, prices: PriceTable, *, seconds: float, tokenizer: Path | None) -> dict[str, Any]:
    now = time.time()
    change = prices.next_change(now)
    peak = prices.is_peak(now)
    off_peak, at_peak = (change, now) if peak else (now, change)
    return {
        "rows": planned.rows,
        "unusable_rows": planned.unusable,
        "repeated_ids": planned.repeated,
        "prompt_tokens": planned.prompt_tokens,
        "tokenizer": None if tokenizer is None else str(tokenizer),
        "estimated_rows": planned.estimated,
        "answer_tokens": planned.answer_tokens,
        "groups": planned.groups,
        "grouped_rows": planned.grouped,
        "predicted_cached_tokens": planned.hit_tokens,
        "is_peak": peak,
        "next_change": datetime.fromtimestamp(change, UTC).isoformat(),
        "cost_now": planned.cost(prices, now),
        "cost_off_peak": planned.cost(prices, off_peak),
        "cost_peak": planned.cost(prices, at_peak),
        "cost_off_peak_without_cache": planned.cost(prices, off_peak, cached=False),
        "seconds": seconds,
    }


def _lines(planned: Plan, figures: dict[str, Any], assumed: dict[str, Any], source: Path) -> Iterator[str]:
    yield f"{source}: nothing was sent"
    verb = "is" if planned.unusable == 1 else "are"
    unusable = f" · {planned.unusable:,} of them {verb} invalid" if planned.unusable else ""
    yield f"  rows      {planned.rows:,}{unusable}"
    for error in planned.first_errors:
        yield f"            {one_line(error, 200)}"
    if planned.repeated:
        more = f", and {counted(planned.repeated - 1, 'further row')}" if planned.repeated > 1 else ""
        first = one_line(planned.first_repeated, 200)
        yield f"  rejected  {first} is a duplicate{more}: batch run will not start"
    yield (
        f"  tokens    {planned.prompt_tokens:,} prompt, {_method(planned, figures)} · "
        f"{planned.answer_tokens:,} answer, at {assumed['answer_tokens']:,} per row (--answer-tokens)"
    )
    if planned.groups:
        yield (
            f"  prefixes  {planned.grouped:,} rows share {counted(planned.groups, 'prefix')} · {planned.hit_tokens:,} "
            f"tokens from the prefix cache, {share(planned.hit_tokens, planned.prompt_tokens)}"
        )
    else:
        yield "  prefixes  no rows share 256 tokens or more"
    change = datetime.fromisoformat(figures["next_change"]).astimezone()
    hours = f"{'peak' if figures['is_peak'] else 'off-peak'} until {change:%a %H:%M}"
    yield f"  cost      {_money(figures['cost_now'])} now ({hours}) · {_money(figures['cost_off_peak'])} off-peak"
    if planned.hit_tokens:
        yield f"            {_money(figures['cost_off_peak_without_cache'])} off-peak without cache hits"
    yield (
        f"  time      {duration(figures['seconds'])}, with {assumed['concurrency']:,} requests in flight (-c) "
        f"at {assumed['seconds']:g} s per row (--seconds)"
    )


def _method(planned: Plan, figures: dict[str, Any]) -> str:
    if figures["tokenizer"] is None:
        return "estimated"
    file = one_line(figures["tokenizer"], 80)
    if not planned.estimated:
        return f"counted with {file}"
    return f"counted with {file}, but {counted(planned.estimated, 'row')} estimated, which the API will reject"


def _money(amount: float | None) -> str:
    return "unknown (model without a price)" if amount is None else dollars(amount)
