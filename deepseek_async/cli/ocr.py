"""``deepseek-async ocr``: the text of a document."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from deepseek_async.cli.connection import Connection
from deepseek_async.cli.terminal import harmless, say
from deepseek_async.cli.tool_output import AsJson, say_fees, write_json

if TYPE_CHECKING:
    from deepseek_async.types import RecognizedDocument

ABOUT: Final = "Read a document: PDF, Word, PowerPoint or a picture. Costs 1.5 yuan for 1,000 pages."
EXAMPLES: Final = """\
For example:

    deepseek-async ocr report.pdf > report.txt
    deepseek-async ocr scan.png --layout --json | jq -r '.pages[].text'

The exit code is 3 if a page is incomplete."""


def ocr(
    file: Annotated[Path, Parameter(help="100 MiB and 1,000 pages at most.")],
    *,
    layout: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Read pages with their layout and figures.")
    ] = False,
    as_json: AsJson = False,
    connection: Connection | None = None,
) -> int:
    from deepseek_async.cli.process import runner  # noqa: PLC0415

    with runner() as loop:
        read = loop.run(_read(connection or Connection(), file, layout=layout))
    if as_json:
        write_json(read)
    else:
        sys.stdout.write("\f".join(harmless(page.text) for page in read).rstrip("\n") + "\n")
    if read.cut_pages:
        numbers = ", ".join(str(index + 1) for index in read.cut_pages)
        say(f"warning: incomplete, because their text was too long: pages {numbers}")
    say_fees(read)
    return 3 if read.cut_pages else 0


async def _read(connection: Connection, file: Path, *, layout: bool) -> RecognizedDocument:
    async with connection.client() as client:
        return await client.tools.ocr(file, purpose="rich_layout_recognition" if layout else "text_recognition")
