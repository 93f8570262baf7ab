"""``deepseek-async budget``: what the day was spent on."""

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from deepseek_async.cli.terminal import columns
from deepseek_async.errors import ConfigurationError

ABOUT: Final = "Show what a day was spent on, by model and tag, over all processes that share the budget."
EXAMPLES: Final = """\
For example:

    deepseek-async budget
    deepseek-async budget --zone Asia/Shanghai"""


def budget(
    path: Annotated[Path | None, Parameter(help="The file. Default: budget.sqlite in the user's state folder.")] = None,
    /,
    *,
    day: Annotated[str | None, Parameter(help="For example 2026-11-25. Default: today.")] = None,
    zone: Annotated[str, Parameter(help="Where the day is counted.")] = "UTC",
) -> int:
    from deepseek_async.admission.budget.calendar import day_at, zone_of  # noqa: PLC0415
    from deepseek_async.admission.budget.ledger import NANO  # noqa: PLC0415
    from deepseek_async.admission.budget.store import looked_up  # noqa: PLC0415
    from deepseek_async.private_files import reason_of, state_folder  # noqa: PLC0415

    file = (path or state_folder() / "budget.sqlite").expanduser()
    if not file.exists():
        raise ConfigurationError(f"there is no budget at {file}")
    name = day or day_at(time.time(), zone_of(zone)).name
    try:
        spending, standing = looked_up(file, name)
    except (sqlite3.Error, OSError) as error:
        raise ConfigurationError(f"the budget {file} cannot be read: {reason_of(error)}") from None
    rows = [("model", "tag", "calls", "$")]
    rows += [(model, tag or "-", f"{one.calls:,}", f"{one.spent / NANO:.6f}") for (model, tag), one in spending.items()]
    held = (standing.held - standing.spent) / NANO
    rows.append(
        (f"{name}, all", "", f"{sum(one.calls for one in spending.values()):,}", f"{standing.spent / NANO:.6f}")
    )
    rows.append(("held for calls under way", "", "", f"{held:.6f}"))
    sys.stdout.write(columns(rows))
    return 0
