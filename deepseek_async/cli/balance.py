"""``deepseek-async balance``: account balance."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from deepseek_async.cli.connection import ConnectionFlags
from deepseek_async.cli.terminal import columns, harmless, say

if TYPE_CHECKING:
    from deepseek_async.types import UserBalance

ABOUT: Final = "Show the account balance. Free of charge."
EXAMPLES: Final = """\
For example:

    deepseek-async balance
    deepseek-async balance --json | jq -r '.balance_infos[0].total_balance'"""


def balance(
    *,
    as_json: Annotated[
        bool, Parameter(name="--json", negative=(), show_default=False, help="Print the response as JSON.")
    ] = False,
    connection: ConnectionFlags | None = None,
) -> int:
    from deepseek_async.cli.process import runner  # noqa: PLC0415

    with runner() as loop:
        account = loop.run(_read(connection or ConnectionFlags()))
    if as_json:
        sys.stdout.write(harmless(json.dumps(account.to_dict(), ensure_ascii=False, indent=2)) + "\n")
        return 0
    rows = [("currency", "total", "granted", "topped up")]
    rows += [
        (info.currency, str(info.total_balance), str(info.granted_balance), str(info.topped_up_balance))
        for info in account.balance_infos
    ]
    sys.stdout.write(columns(rows))
    if not account.is_available:
        say("warning: the balance is insufficient for further calls")
    return 0


async def _read(connection: ConnectionFlags) -> UserBalance:
    async with connection.client() as client:
        return await client.user.balance()
