"""``deepseek-async budget``: spending of a day."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from cyclopts import Parameter

from deepseek_async.cli.terminal import columns
from deepseek_async.errors import ConfigurationError

if TYPE_CHECKING:
    from deepseek_async.admission.budget.store import DayTotals, Spending

    Spent: TypeAlias = dict[tuple[str, str], Spending]

ABOUT: Final = "Show a day's spending by model and tag, over all processes that share the budget."
EXAMPLES: Final = """\
For example:

    deepseek-async budget
    deepseek-async budget --zone Asia/Shanghai
    deepseek-async budget --shared redis://127.0.0.1:6379/0 --account research"""


def budget(
    path: Annotated[
        Path | None,
        Parameter(
            help="Budget file. Default: the Redis of --shared, else budget.sqlite in the user's state directory."
        ),
    ] = None,
    /,
    *,
    day: Annotated[str | None, Parameter(help="For example 2026-11-25. Default: today.")] = None,
    zone: Annotated[str, Parameter(help="Time zone of the day.")] = "UTC",
    shared: Annotated[
        str | None,
        Parameter(help="URL of the Redis with the budget. Default: DEEPSEEK_ASYNC_SHARED; set a password there."),
    ] = None,
    account: Annotated[
        str | None, Parameter(help="Account of the budget in Redis, as in account=. Default: that of the API key.")
    ] = None,
) -> int:
    from deepseek_async.admission.budget.calendar import day_at, zone_of  # noqa: PLC0415
    from deepseek_async.admission.sharing.rendezvous import shared_from  # noqa: PLC0415
    from deepseek_async.configuration.credential import hidden  # noqa: PLC0415
    from deepseek_async.configuration.redis_url import is_redis  # noqa: PLC0415

    name = day or day_at(time.time(), zone_of(zone)).name
    url = shared_from(hidden(shared), hidden(os.environ.get("DEEPSEEK_ASYNC_SHARED"))) if path is None else ""
    spending, standing = _in_redis(url, account, name) if is_redis(url) else _in_file(path, name)
    sys.stdout.write(columns(list(_shown(name, spending, standing))))
    return 0


def _in_redis(url: str, account: str | None, day: str) -> tuple[Spent, DayTotals]:
    from deepseek_async.admission.budget.store_redis import looked_up  # noqa: PLC0415
    from deepseek_async.configuration.redis_url import place_of  # noqa: PLC0415
    from deepseek_async.configuration.settings import key_from  # noqa: PLC0415

    spending, standing = looked_up(url, account or key_from(None).fingerprint(), day)
    if not spending and not standing.held:
        raise ConfigurationError(
            f"no budget of this account on {day} in {place_of(url)}: name another account with --account, or the path "
            "of a budget file"
        )
    return spending, standing


def _in_file(path: Path | None, day: str) -> tuple[Spent, DayTotals]:
    from deepseek_async.admission.budget.store_file import looked_up  # noqa: PLC0415
    from deepseek_async.files.private_files import reason_of, state_folder  # noqa: PLC0415

    file = (path or state_folder() / "budget.sqlite").expanduser()
    if not file.exists():
        raise ConfigurationError(f"no budget file at {file}")
    try:
        return looked_up(file, day)
    except (sqlite3.Error, OSError) as error:
        raise ConfigurationError(f"cannot read the budget {file}: {reason_of(error)}") from None


def _shown(day: str, spending: Spent, standing: DayTotals) -> Iterator[tuple[str, ...]]:
    from deepseek_async.admission.budget.ledger import NANO  # noqa: PLC0415

    yield ("model", "tag", "calls", "$")
    for (model, tag), one in spending.items():
        yield (model, tag or "-", f"{one.calls:,}", f"{one.spent / NANO:.6f}")
    forgotten = standing.spent - sum(one.spent for one in spending.values())
    if forgotten > 0:
        yield ("unattributed", "", "", f"{forgotten / NANO:.6f}")
    calls = sum(one.calls for one in spending.values())
    yield (f"{day}, total", "", f"{calls:,}", f"{standing.spent / NANO:.6f}")
    yield ("reserved for calls in flight", "", "", f"{(standing.held - standing.spent) / NANO:.6f}")
