"""``deepseek-async search``: web search."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from deepseek_async.cli.connection import ConnectionFlags
from deepseek_async.cli.terminal import harmless
from deepseek_async.cli.tool_output import AsJson, say_fees, write_json

if TYPE_CHECKING:
    from deepseek_async.types import SearchResults

ABOUT: Final = "Search the web. 1,000 searches cost 5 yuan or 0.75 US dollars."
EXAMPLES: Final = """\
For example:

    deepseek-async search "asyncio cancellation site:docs.python.org"
    deepseek-async search "oslo weather" --count 3 --json | jq -r '.results[].url'"""


def search(
    query: Annotated[str, Parameter(help='At most 128 characters; supports site:, -word, "…", after: and before:.')],
    *,
    count: Annotated[int | None, Parameter(help="1 to 50 results. Default: 10.")] = None,
    content: Annotated[bool, Parameter(negative=(), show_default=False, help="Include the text of each page.")] = False,
    as_json: AsJson = False,
    connection: ConnectionFlags | None = None,
) -> int:
    from deepseek_async.cli.process import runner  # noqa: PLC0415

    with runner() as loop:
        found = loop.run(_searched(connection or ConnectionFlags(), query, count, content=content))
    if as_json:
        write_json(found)
    else:
        for result in found:
            said = [result.title, result.url, result.snippet, *([result.content] if content else [])]
            sys.stdout.write("\n".join(harmless(line) for line in said if line) + "\n\n")
    say_fees(found)
    return 0


async def _searched(connection: ConnectionFlags, query: str, count: int | None, *, content: bool) -> SearchResults:
    async with connection.client() as client:
        return await client.tools.search(query, count=count, need_content=content or None)
