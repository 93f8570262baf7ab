"""``deepseek-async ocr``: recognize the text of one document, or of many into a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Group, Parameter
from cyclopts.types import PositiveFloat, PositiveInt

from deepseek_async.cli.connection import ConnectionFlags
from deepseek_async.cli.job_process import run_job
from deepseek_async.cli.standard_streams import refuse_streams
from deepseek_async.cli.terminal import harmless, say
from deepseek_async.cli.tool_output import AsJson, say_fees, write_json
from deepseek_async.errors import ConfigurationError

if TYPE_CHECKING:
    from deepseek_async.resources.standalone.documents import RecognitionPurpose
    from deepseek_async.types import RecognizedDocument

ABOUT: Final = """\
Recognize documents: PDF, Word, PowerPoint or images. 1,000 pages cost 1.5
yuan.

One document is printed to stdout. With -o, results are written to a file, one
line per document, and the same command resumes, as in batch run. A document is
identified by its content, not its name; one with an incomplete page is read
again.

Exit codes: 3 if a page is incomplete; with -o those of batch run."""
EXAMPLES: Final = """\
For example:

    deepseek-async ocr report.pdf > report.txt
    deepseek-async ocr scan.png --layout --json | jq -r '.pages[].text'
    deepseek-async ocr *.pdf -o pages.jsonl
    deepseek-async batch export pages.jsonl -o pages.csv"""

_MANY: Final = Group("Many documents (with -o)", sort_key=1)


def ocr(
    *files: Annotated[Path, Parameter(name="FILE", help="At most 100 MiB and 1,000 pages each.")],
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], group=_MANY, help="Output file, JSON lines.")
    ] = None,
    layout: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Recognize layout and figures too.")
    ] = False,
    as_json: AsJson = False,
    concurrency: Annotated[
        PositiveInt | None,
        Parameter(name=["--concurrency", "-c"], group=_MANY, help="Documents in flight; the service allows 50."),
    ] = None,
    max_cost: Annotated[
        PositiveFloat | None,
        Parameter(
            group=_MANY,
            metavar="USD",
            help="Start no more documents once this output has cost this much, over all runs. Pages are priced in "
            "yuan: set the rate with DEEPSEEK_ASYNC_CNY_RATE.",
        ),
    ] = None,
    redo: Annotated[
        Literal["error"] | None,
        Parameter(
            group=_MANY,
            help="Run failed documents again, including those whose answer was lost, which may have been billed.",
        ),
    ] = None,
    simulate: Annotated[
        bool,
        Parameter(group=_MANY, negative=(), show_default=False, help="Use a local simulator."),
    ] = False,
    quiet: Annotated[
        bool,
        Parameter(group=_MANY, negative=(), show_default=False, help="Print only errors and warnings."),
    ] = False,
    progress_every: Annotated[
        PositiveFloat, Parameter(group=_MANY, help="Seconds between progress lines without a terminal.")
    ] = 5.0,
    connection: ConnectionFlags | None = None,
) -> int:
    from deepseek_async.cli.process import runner  # noqa: PLC0415

    if not files:
        raise ConfigurationError("a document is required, for example deepseek-async ocr report.pdf")
    connection = connection or ConnectionFlags()
    if output is not None:
        if as_json:
            raise ConfigurationError("-o and --json cannot be combined: -o always writes JSON lines")
        options = {"concurrency": concurrency, "budget": max_cost, "redo": redo or ()}
        return _read_many(
            connection, files, output, options, layout=layout, simulate=simulate, quiet=quiet, every=progress_every
        )
    if len(files) > 1:
        raise ConfigurationError(
            f"{len(files)} documents require an output file: name one with -o, for example -o pages.jsonl"
        )
    with runner() as loop:
        read = loop.run(_read(connection, files[0], layout=layout))
    if as_json:
        write_json(read)
    else:
        sys.stdout.write("\f".join(harmless(page.text) for page in read).rstrip("\n") + "\n")
    if read.cut_pages:
        numbers = ", ".join(str(index + 1) for index in read.cut_pages)
        say(f"warning: incomplete pages, because their text was too long: {numbers}")
    say_fees(read)
    return 3 if read.cut_pages else 0


def _purpose(*, layout: bool) -> RecognitionPurpose:
    return "rich_layout_recognition" if layout else "text_recognition"


def _read_many(
    connection: ConnectionFlags,
    files: tuple[Path, ...],
    output: Path,
    options: dict[str, Any],
    *,
    layout: bool,
    simulate: bool,
    quiet: bool,
    every: float,
) -> int:
    for file in files:
        refuse_streams(file, output)
    return run_job(
        connection,
        lambda client: client.batch.ocr(files, output, purpose=_purpose(layout=layout), **options),
        files[0] if len(files) == 1 else f"{len(files):,} documents",
        output,
        simulate=simulate,
        quiet=quiet,
        every=every,
    )


async def _read(connection: ConnectionFlags, file: Path, *, layout: bool) -> RecognizedDocument:
    async with connection.client() as client:
        return await client.tools.ocr(file, purpose=_purpose(layout=layout))
