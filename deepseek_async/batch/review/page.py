"""Job report as a self-contained HTML page: no network, script or external font. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import Final

from deepseek_async.batch.review.charts import Tick, area, histogram
from deepseek_async.batch.review.job_summary import Example, JobSummary
from deepseek_async.batch.review.prompt_cache_card import prompt_cache_card
from deepseek_async.batch.review.timeline import Timeline
from deepseek_async.pricing.prices import PriceTable
from deepseek_async.prompt_cache.report import CacheReport
from deepseek_async.text.number_format import count, counted, dollars, rate, share, span

_KINDS: Final = (
    ("cached", "Prompt, cached"),
    ("fresh", "Prompt, uncached"),
    ("reasoning", "Reasoning"),
    ("answer", "Answer"),
)
_MARKS: Final = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
_NAMED: Final = 5
"""Maximum models without a price to name."""
_MESSAGE: Final = 400
_SHORT: Final = 60.0
"""Duration of a job, in seconds, below which the axis shows elapsed time instead of the time of day."""
_FOOTER: Final = (
    "<footer>Prices: DeepSeek&rsquo;s published list, each request by its own hour. "
    "Created by <b>deepseek-async batch report</b>.</footer>"
)
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def page(
    account: JobSummary,
    prices: PriceTable,
    *,
    name: str,
    damaged: int = 0,
    notices: Sequence[str] = (),
    prompt_cache: CacheReport | None = None,
) -> str:
    """Render the page for an output called ``name``, of which ``damaged`` lines could not be read.

    ``notices`` are further sentences about missing data; ``prompt_cache`` is why prompts missed the prefix cache.
    """
    notices = [*_notices(account, damaged), *map(escape, notices)]
    body = "".join(
        (
            _header(account, name),
            _tiles(account),
            f'<div class="cards">{"".join(_cards(account, prices, notices))}{prompt_cache_card(prompt_cache)}</div>',
            _FOOTER,
        ),
    )
    style = files("deepseek_async.batch.review").joinpath("page.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(name)} · batch report</title><style>{style}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _header(account: JobSummary, name: str) -> str:
    line = account.timeline
    when = "No times recorded."
    if line is not None:
        start, end = _moment(line.start), _moment(line.end)
        if start[:10] == end[:10]:
            end = end[11:]
        when = f"{start} to {end} UTC · {span(line.end - line.start)}"
    return f'<header><h1>{escape(name)}</h1><p class="soft">{when}</p></header>'


def _tiles(account: JobSummary) -> str:
    rows = account.ok + account.failed
    line = account.timeline
    seconds = line.end - line.start if line is not None else 0.0
    prompt = account.tokens.cached + account.tokens.fresh
    saved = account.saved_by_cache + account.saved_by_hours
    tiles = [
        ("Answered", f"{account.ok:,}", f"of {counted(rows, 'row')}", ""),
        ("Failed", f"{account.failed:,}", share(account.failed, rows), "bad" if account.failed else ""),
        ("Cost", dollars(account.cost), f"{dollars(account.cost / rows)} a row" if rows else "", ""),
        ("Saved", dollars(saved), "by cache and hours", "good" if saved > 0 else ""),
        ("Cache", share(account.tokens.cached, prompt), "of prompt tokens", ""),
        ("Speed", _speed(rows / seconds) if seconds else "-", "rows, mean", ""),
    ]
    drawn = "".join(
        f'<div class="tile {kind}"><dt>{title}</dt><dd class="value">{value}</dd><dd class="note">{note}</dd></div>'
        for title, value, note, kind in tiles
    )
    return f'<dl class="tiles">{drawn}</dl>'


def _speed(rows_a_second: float) -> str:
    return f"{rate(rows_a_second)}/s" if rows_a_second >= 1 else f"{rate(60 * rows_a_second)}/min"


def _cards(account: JobSummary, prices: PriceTable, notices: Sequence[str]) -> Iterator[str]:
    if notices:
        yield _card("Notices", "", "".join(f'<p class="notice">{notice}</p>' for notice in notices), wide=True)
    if account.latency.count:
        yield _latency(account)
    yield _tokens(account)
    if account.timeline is not None:
        yield _time(account.timeline, prices)
    yield _money(account)
    yield f'<div class="column">{_models(account)}{_promises(account)}</div>'
    yield _failures(account)


def _notices(account: JobSummary, damaged: int) -> Iterator[str]:
    if account.cut_off:
        was = "was" if account.cut_off == 1 else "were"
        yield f"{counted(account.cut_off, 'answer')} {was} truncated at max_tokens."
    if account.predicted_cached_tokens:
        came = share(account.cached_where_predicted, account.predicted_cached_tokens)
        if account.cached_where_predicted < account.predicted_cached_tokens / 2:
            yield (
                f"Only {came} of the cache hits predicted by the row order occurred: the prefix cache did not retain "
                "its entries."
            )
    if account.replaced:
        yield (
            f"{counted(account.replaced, 'earlier answer')}, superseded when rows were run again, cost "
            f"{dollars(account.replaced_cost)}, included in the totals."
        )
    if account.pending:
        yield (
            f"Runs stopped before {counted(account.pending, 'row')} had ended: {dollars(account.pending_cost)} "
            "already billed, included in the totals."
        )
    if account.unpriced:
        models = [(name, model.charged_as) for name, model in account.models.items() if model.charged_as]
        charged = ", ".join(
            f"{escape(_cut(name or '-', 40))} as {escape(as_which)}" for name, as_which in models[:_NAMED]
        )
        more = ", …" if len(models) > _NAMED else ""
        yield f"Unknown price for {counted(account.unpriced, 'answer')}; charged: {charged}{more}."
    if account.estimated:
        yield (
            f"No valid usage for {counted(account.estimated, 'request')}: counted at an estimated "
            f"{dollars(account.estimated_cost)}."
        )
    if damaged:
        yield f"Damaged and excluded: {counted(damaged, 'line')}. The next run sends the rows again."
    if account.left_out_cost:
        yield f"Rows no longer in the input cost {dollars(account.left_out_cost)}, included in the totals."


def _latency(account: JobSummary) -> str:
    values = [(name, account.latency.quantile(part)) for name, part in _MARKS]
    legend = "".join(
        f'<li><span class="key rule {name}"></span>{name} <b>{span(value)}</b></li>' for name, value in values
    )
    legend += f"<li>longest <b>{span(account.latency.longest)}</b></li>"
    chart = histogram(account.latency.bars(), values)
    return _card(
        "Latency",
        "From admission to the answer, including retries; rows by duration, logarithmic scale.",
        f'<figure>{chart}</figure><ul class="legend">{legend}</ul>',
    )


def _tokens(account: JobSummary) -> str:
    tokens, total = account.tokens, account.tokens.total
    if not total:
        return _card("Tokens", "", '<p class="soft">The answers report no usage.</p>')
    stack = "".join(
        f'<span class="{kind}" style="width:{100 * getattr(tokens, kind) / total:.3f}%"></span>'
        for kind, _ in _KINDS
        if getattr(tokens, kind)
    )
    rows = [
        (
            f'<span class="key dot {kind}"></span>{title}',
            count(getattr(tokens, kind)),
            share(getattr(tokens, kind), total),
        )
        for kind, title in _KINDS
    ]
    table = _table(("Kind", "tokens", "share"), rows, ("Together", count(total), ""))
    return _card("Tokens", "As billed by the server.", f'<div class="stack">{stack}</div>{table}')


def _time(line: Timeline, prices: PriceTable) -> str:
    ticks = _time_ticks(line)
    bands = list(_peak_bands(line, prices))
    legend = '<ul class="legend"><li><span class="key band"></span>peak prices</li></ul>' if bands else ""
    rows, flying = line.rows_a_second(), line.in_flight()
    return _card(
        "Over time",
        "Since the first request." if line.end - line.start < _SHORT else "Times are UTC.",
        f"<figure><figcaption>Rows finished per second</figcaption>{area(rows, ticks, bands)}</figure>"
        f"<figure><figcaption>Requests in flight</figcaption>{area(flying, ticks, bands)}</figure>{legend}",
        wide=True,
    )


def _money(account: JobSummary) -> str:
    cost = account.cost_by_kind
    paid = sum(fee.usd or 0.0 for fee in account.fees)
    rows = [
        (
            f'<span class="key dot {kind}"></span>{title}',
            dollars(getattr(cost, kind)),
            share(getattr(cost, kind), cost.total + paid),
        )
        for kind, title in _KINDS
    ]
    rows += [
        (
            f"{fee.count:,} {escape(fee.kind.replace('_', ' '))} (¥{fee.cny:.4f})",
            "not published" if fee.usd is None else dollars(fee.usd),
            "" if fee.usd is None else share(fee.usd, cost.total + paid),
        )
        for fee in account.fees
    ]
    table = _table(("Cost", "US dollars", "share"), rows, ("Total", dollars(cost.total + paid), ""))
    whole = account.cost + account.saved_by_cache + account.saved_by_hours
    saved = [
        ("by the prefix cache", dollars(account.saved_by_cache), share(account.saved_by_cache, whole)),
        ("by off-peak hours", dollars(account.saved_by_hours), share(account.saved_by_hours, whole)),
    ]
    table += _table(("Saved", "US dollars", "of full price"), saved, None)
    return _card(
        "Cost and savings",
        "By kind of token, at the price of each request&rsquo;s hour, and charges other than tokens.",
        table,
    )


def _models(account: JobSummary) -> str:
    rows = [
        (
            escape(name or "unknown"),
            f"{model.rows:,}",
            dollars(model.cost),
            f"{dollars(model.peak_cost)}" if model.peak_rows else "-",
        )
        for name, model in sorted(account.models.items(), key=lambda item: -item[1].rows)
    ]
    table = _table(("Model", "answers", "cost", "of it at peak"), rows, None)
    if not rows:
        table = '<p class="soft">No answers.</p>'
    tries = account.requests - account.latency.count
    note = f'<p class="small soft" style="margin-top:10px">{counted(account.requests, "request")}'
    note += f", {tries:,} of them retries.</p>" if tries > 0 else ".</p>"
    return _card("Models", "As named in the answers.", table + note)


def _promises(account: JobSummary) -> str:
    """Render predicted and actual prefix cache hits, if the row order predicted any."""
    promised, came = account.predicted_cached_tokens, account.cached_where_predicted
    if not promised:
        return ""
    rows = [
        ("Predicted by the row order", count(promised), ""),
        ("Came", count(came), share(came, promised)),
    ]
    return _card(
        "Prefix cache",
        "For rows that follow another with the same prefix.",
        _table(("Hits", "tokens", "share"), rows, None),
    )


def _failures(account: JobSummary) -> str:
    if not account.failures:
        return _card("Failures", "", '<p class="soft">Every row has an answer.</p>', wide=True)
    kinds = "".join(
        _failure(kind, number, account.failed, account.examples.get(kind, ()))
        for kind, number in account.failures.most_common()
    )
    return _card("Failures", "By kind, with the first rows of each.", f'<div class="kinds">{kinds}</div>', wide=True)


def _failure(kind: str, number: int, failed: int, examples: Iterable[Example]) -> str:
    shown = "".join(
        f"<li><b>{escape(_cut(example.custom_id, 80))}</b> <code>{escape(_cut(example.message, _MESSAGE))}</code></li>"
        for example in examples
    )
    return (
        f'<section class="kind"><div class="head"><h3>{escape(kind)}</h3>'
        f'<span class="soft small">{number:,} · {share(number, failed)}</span></div>'
        f'<div class="meter"><span style="width:{100 * number / failed:.2f}%"></span></div>'
        f'<ul class="examples">{shown}</ul></section>'
    )


def _card(title: str, note: str, content: str, *, wide: bool = False) -> str:
    said = f'<p class="small soft">{note}</p>' if note else ""
    return f'<section class="card{" wide" if wide else ""}"><h2>{title}</h2>{said}{content}</section>'


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], total: tuple[str, ...] | None) -> str:
    head = "".join(f"<th>{text}</th>" for text in heads)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    if total is not None:
        lines += f'<tr class="sum">{"".join(f"<td>{cell}</td>" for cell in total)}</tr>'
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _peak_bands(line: Timeline, prices: PriceTable) -> Iterator[tuple[float, float]]:
    """Yield peak hours as fractions of the timeline."""
    at, whole = line.start, line.end - line.start
    while at < line.end:
        change = min(prices.next_change(at), line.end)
        if prices.is_peak(at):
            yield (at - line.start) / whole, (change - line.start) / whole
        at = change


def _time_ticks(line: Timeline) -> list[Tick]:
    whole = line.end - line.start
    if whole < _SHORT:
        return [Tick(at, span(at * whole)) for at in (0.0, 0.5, 1.0)]
    form = "%H:%M:%S" if whole < 600 else "%H:%M" if whole < 86_400 else "%d %b %H:%M"
    return [Tick(at, datetime.fromtimestamp(line.start + at * whole, UTC).strftime(form)) for at in (0.0, 0.5, 1.0)]


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
