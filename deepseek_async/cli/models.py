"""``deepseek-async models``: models available to the API key."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from deepseek_async.cli.connection import ConnectionFlags
from deepseek_async.cli.terminal import columns, harmless

if TYPE_CHECKING:
    from deepseek_async.types import ModelList

ABOUT: Final = "List the models available to the API key."
EXAMPLES: Final = """\
For example:

    deepseek-async models
    deepseek-async models --json | jq -r '.data[].id'"""


def models(
    *,
    as_json: Annotated[
        bool, Parameter(name="--json", negative=(), show_default=False, help="Print the response as JSON.")
    ] = False,
    connection: ConnectionFlags | None = None,
) -> int:
    from deepseek_async.cli.process import runner  # noqa: PLC0415

    with runner() as loop:
        listed = loop.run(_listed(connection or ConnectionFlags()))
    if as_json:
        sys.stdout.write(harmless(json.dumps(listed.to_dict(), ensure_ascii=False, indent=2)) + "\n")
        return 0
    rows = [("model", "context", "max output", "owner")]
    rows += [
        (model.id, _tokens(model.context_window), _tokens(model.max_output_tokens), model.owned_by)
        for model in listed.data
    ]
    sys.stdout.write(columns(rows))
    return 0


async def _listed(connection: ConnectionFlags) -> ModelList:
    async with connection.client() as client:
        return await client.models.list()


def _tokens(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"
