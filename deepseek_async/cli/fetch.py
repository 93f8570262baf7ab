"""``deepseek-async fetch``: the text of a web page."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from deepseek_async.cli.connection import ConnectionFlags
from deepseek_async.cli.terminal import harmless
from deepseek_async.cli.tool_output import AsJson, say_fees, write_json

if TYPE_CHECKING:
    from deepseek_async.types import FetchedPage

ABOUT: Final = "Show a web page as Markdown. 1,000 pages cost 5 yuan or 0.75 US dollars."
EXAMPLES: Final = """\
For example:

    deepseek-async fetch https://example.org/
    deepseek-async fetch https://example.org/ --json | jq -r .title"""


def fetch(
    url: Annotated[str, Parameter(help="An http or https URL.")],
    *,
    as_json: AsJson = False,
    connection: ConnectionFlags | None = None,
) -> int:
    from deepseek_async.cli.process import runner  # noqa: PLC0415

    with runner() as loop:
        page = loop.run(_fetched(connection or ConnectionFlags(), url))
    if as_json:
        write_json(page)
    else:
        sys.stdout.write(harmless(page.content).rstrip("\n") + "\n")
    say_fees(page)
    return 0


async def _fetched(connection: ConnectionFlags, url: str) -> FetchedPage:
    async with connection.client() as client:
        return await client.tools.fetch(url)
