"""``deepseek-async audit query``: search the audit log."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from deepseek_async.cli.terminal import columns, harmless

ABOUT: Final = """\
Search the audit log; prints one line of JSON per call, oldest first.

--by prints totals instead."""
EXAMPLES: Final = """\
For example:

    deepseek-async audit query --response 7c5f…            # which settings gave this answer
    deepseek-async audit query --config bdeac964da8f | jq .cost
    deepseek-async audit query --since 2026-11-01 --by tag"""

Field = Literal["model", "tag", "prompt_version", "config_id", "outcome", "user_id"]


def query(
    *,
    folder: Annotated[Path | None, Parameter(help="Directory of the log. Default: the user's state directory.")] = None,
    since: Annotated[date | None, Parameter(help="First day, in UTC.")] = None,
    until: Annotated[date | None, Parameter(help="Last day.")] = None,
    model: Annotated[str | None, Parameter(help="Requested or answering model.")] = None,
    tag: Annotated[str | None, Parameter(help="Tag of the calls.")] = None,
    prompt_version: Annotated[str | None, Parameter(help="Prompt version.")] = None,
    config: Annotated[str | None, Parameter(help="The config_id, which identifies a set of settings.")] = None,
    outcome: Annotated[
        str | None, Parameter(help="ok, cached, stale, cancelled, or an error such as rate_limit.")
    ] = None,
    response: Annotated[str | None, Parameter(help="Response id.")] = None,
    trace: Annotated[str | None, Parameter(help="Trace id of the server.")] = None,
    by: Annotated[Field | None, Parameter(help="Print totals by this field.")] = None,
) -> int:
    from deepseek_async.observe.audit import audit_folder  # noqa: PLC0415
    from deepseek_async.observe.audit.query import Query, lines, totals  # noqa: PLC0415

    wanted = Query(
        since=since,
        until=until,
        model=model,
        tag=tag,
        prompt_version=prompt_version,
        config_id=config,
        outcome=outcome,
        response_id=response,
        trace_id=trace,
    )
    found = lines(folder or audit_folder(), wanted)
    if by is None:
        for line in found:
            sys.stdout.write(harmless(json.dumps(line, ensure_ascii=False)) + "\n")
        return 0
    rows: list[tuple[str, ...]] = [(by, "calls", "errors", "tokens in", "tokens out", "cost $", "score")]
    for name, total in totals(found, by).items():
        score = f"{total.score / total.ratings:.2f}" if total.ratings else "-"
        figures = (f"{total.calls:,}", f"{total.errors:,}", f"{total.prompt_tokens:,}", f"{total.completion_tokens:,}")
        rows.append((name, *figures, f"{total.cost:.6f}", score))
    sys.stdout.write(columns(rows))
    return 0
