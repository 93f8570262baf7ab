"""``deepseek-async batch plan``: what a job will cost, before anything is sent."""

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
from deepseek_async.cli.terminal import harmless, one_line
from deepseek_async.figures import dollars, duration, share

if TYPE_CHECKING:
    from deepseek_async.batch.review.plan import Plan
    from deepseek_async.pricing import PriceTable

NAME: Final = "plan"
ABOUT: Final = """\
Say what a job will cost. Nothing is sent and no key is needed.

Rows, tokens, rows that begin alike and what the API's prefix cache will give
them, cost now and off-peak, and how long it will take. How long the answers
will be is not known before: say what you expect."""
EXAMPLES: Final = """\
For example:

    deepseek-async batch plan in.jsonl --answer-tokens 300
    deepseek-async batch plan reviews.csv --template 'Good or bad? {text}'"""

_DEFAULT_CONCURRENCY: Final = 100


def run(
    source: Annotated[Path, Parameter(name="IN", help="What batch run would be given.")],
    /,
    *,
    rows: RowFlags | None = None,
    answer_tokens: Annotated[
        PositiveInt, Parameter(help="Tokens of an answer, reasoning included, where max_tokens is not less.")
    ] = 1024,
    seconds: Annotated[PositiveFloat, Parameter(help="Seconds that an answer takes.")] = 10.0,
    concurrency: Annotated[
        PositiveInt, Parameter(name=["--concurrency", "-c"], help="Requests in flight.")
    ] = _DEFAULT_CONCURRENCY,
    as_json: Annotated[
        bool, Parameter(name="--json", negative=(), show_default=False, help="The figures as JSON.")
    ] = False,
) -> int:
    from deepseek_async.batch.review.plan import plan  # noqa: PLC0415  brings aiohttp
    from deepseek_async.batch.row import Defaults  # noqa: PLC0415
    from deepseek_async.batch.source import read_rows  # noqa: PLC0415
    from deepseek_async.cli.prices import prices  # noqa: PLC0415

    rows = rows or RowFlags()
    table = prices()
    parameters = rows.parameters()
    model = {"model": parameters.pop("model")} if "model" in parameters else {}
    defaults = Defaults(**model, parameters=parameters, template=rows.template)
    planned = plan(read_rows(source, defaults), _estimate, answer_tokens=answer_tokens)
    figures = _figures(planned, table, seconds=planned.seconds(concurrency, seconds))
    if as_json:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
        return 0
    assumed = {"answer_tokens": answer_tokens, "seconds": seconds, "concurrency": concurrency}
    for line in _lines(planned, figures, assumed, source):
        sys.stdout.write(harmless(line) + "\n")
    return 0


def _estimate(body: Any) -> int:
    from deepseek_async.codec.request import encode_request  # noqa: PLC0415
    from deepseek_async.codec.tokens import estimate_prompt_tokens  # noqa: PLC0415

    return estimate_prompt_tokens(encode_request(body))


def _figures(planned: Plan, prices: PriceTable, *, seconds: float) -> dict[str, Any]:
    now = time.time()
    change = prices.next_change(now)
    peak = prices.is_peak(now)
    off_peak, at_peak = (change, now) if peak else (now, change)
    return {
        "rows": planned.rows,
        "unusable_rows": planned.unusable,
        "prompt_tokens": planned.prompt_tokens,
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
    unusable = f" · {planned.unusable:,} of them are no request" if planned.unusable else ""
    yield f"  rows      {planned.rows:,}{unusable}"
    for error in planned.first_errors:
        yield f"            {one_line(error, 200)}"
    yield (
        f"  tokens    {planned.prompt_tokens:,} in the prompts, estimated · {planned.answer_tokens:,} in the answers, "
        f"at {assumed['answer_tokens']:,} each (--answer-tokens)"
    )
    if planned.groups:
        yield (
            f"  groups    {planned.grouped:,} rows begin like others, in {planned.groups:,} ways · "
            f"{planned.hit_tokens:,} tokens from the prefix cache, {share(planned.hit_tokens, planned.prompt_tokens)}"
        )
    else:
        yield "  groups    no rows have 256 tokens or more of their beginning in common"
    change = datetime.fromisoformat(figures["next_change"]).astimezone()
    hours = f"{'peak' if figures['is_peak'] else 'off-peak'} until {change:%a %H:%M}"
    yield f"  cost      {_money(figures['cost_now'])} now ({hours}) · {_money(figures['cost_off_peak'])} off-peak"
    if planned.hit_tokens:
        yield f"            {_money(figures['cost_off_peak_without_cache'])} off-peak without a hit"
    yield (
        f"  time      {duration(figures['seconds'])}, with {assumed['concurrency']:,} requests in flight (-c) "
        f"at {assumed['seconds']:g} s each (--seconds)"
    )


def _money(amount: float | None) -> str:
    return "unknown, for want of a model's price," if amount is None else dollars(amount)
