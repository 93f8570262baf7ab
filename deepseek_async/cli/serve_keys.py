"""``deepseek-async serve keys``: who may use a gateway."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter
from cyclopts.types import PositiveFloat, PositiveInt

from deepseek_async.cli.terminal import columns, say

if TYPE_CHECKING:
    from deepseek_async.gateway.callers import CallerProfile, Callers

ADD: Final = """\
Add a caller and print its key, which is shown only now.

The gateway keeps a hash. A running gateway knows the key at once."""
ADD_EXAMPLES: Final = """\
For example:

    deepseek-async serve keys add team-a --daily 5 --lane bulk
    deepseek-async serve keys add dashboard --operator"""
LIST: Final = "List the callers of a gateway."
REVOKE: Final = """\
Remove a caller. Its key is refused from the next request on.

Its files stay, and its batches wait until there is a caller of its name again."""

_Folder = Annotated[
    Path | None, Parameter(help="Folder of the gateway. Default: gateway in the user's state directory.")
]
_Name = Annotated[str, Parameter(help="Name of the caller.")]


def add(
    name: _Name,
    /,
    *,
    daily: Annotated[PositiveFloat | None, Parameter(help="US dollars per day. Default: no limit of its own.")] = None,
    max_concurrency: Annotated[
        PositiveInt | None, Parameter(help="Requests in flight. Default: no cap of its own.")
    ] = None,
    model: Annotated[
        list[str] | None, Parameter(negative=(), help="Model it may use; repeatable. Default: all.")
    ] = None,
    lane: Annotated[
        Literal["interactive", "bulk"], Parameter(help="bulk: its requests yield to interactive ones.")
    ] = "interactive",
    operator: Annotated[
        bool, Parameter(negative=(), show_default=False, help="It sees spending and batches of all callers.")
    ] = False,
    folder: _Folder = None,
) -> int:
    key = _callers(folder).add(
        name,
        daily=daily,
        max_concurrency=max_concurrency,
        models=tuple(model or ()),
        lane=lane,
        operator=operator,
    )
    sys.stdout.write(f"{key}\n")
    sys.stdout.flush()
    say(f"the key of {name}: keep it, it is not shown again")
    return 0


def list_callers(*, folder: _Folder = None) -> int:
    rows: list[tuple[str, ...]] = [("caller", "daily $", "in flight", "models", "lane", "since")]
    rows.extend(_row(caller) for caller in _callers(folder))
    sys.stdout.write(columns(rows))
    return 0


def _row(caller: CallerProfile) -> tuple[str, ...]:
    return (
        f"{caller.name} (operator)" if caller.operator else caller.name,
        "-" if caller.daily is None else f"{caller.daily:g}",
        "-" if caller.max_concurrency is None else f"{caller.max_concurrency}",
        ", ".join(caller.models) or "all",
        caller.lane,
        datetime.fromtimestamp(caller.created_at).astimezone().strftime("%Y-%m-%d"),
    )


def revoke(name: _Name, /, *, folder: _Folder = None) -> int:
    _callers(folder).revoke(name)
    say(f"{name} removed")
    return 0


def _callers(folder: Path | None) -> Callers:
    from deepseek_async.gateway.callers import Callers  # noqa: PLC0415
    from deepseek_async.gateway.folder import GatewayFolder, default_folder  # noqa: PLC0415

    return Callers(GatewayFolder(folder or default_folder()).keys)
