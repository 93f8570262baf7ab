"""The part of a job report about the prefix cache. Pure."""

from __future__ import annotations

from html import escape
from typing import Final

from deepseek_async.prompt_cache.report import CacheReport
from deepseek_async.text.number_format import dollars, share

_SHOWN: Final = 12


def prompt_cache_card(report: CacheReport | None) -> str:
    """Return the card; empty without a report, or without prompts in it."""
    if report is None or not report.total.prompts:
        return ""
    total = report.total
    rows = "".join(
        f"<tr><td>{escape(cause.told)}</td><td>{cause.prompts:,}</td><td>{cause.lost_tokens:,}</td>"
        f"<td>{dollars(cause.lost_dollars)}</td></tr>"
        for cause in report.causes[:_SHOWN]
    )
    table = (
        f"<table><thead><tr><th>Why prompts missed</th><th>prompts</th><th>tokens</th><th>US dollars</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
        if rows
        else '<p class="soft">Nothing was missed that an earlier prompt had brought.</p>'
    )
    note = (
        f"{share(total.hit_tokens, total.prompt_tokens)} of the prompt tokens came from the cache, "
        f"{share(total.expected_tokens, total.prompt_tokens)} were expected by the prompts before; "
        f"{dollars(total.lost_dollars)} lost."
    )
    return f'<section class="card wide"><h2>Prefix cache</h2><p class="soft">{note}</p>{table}</section>'
