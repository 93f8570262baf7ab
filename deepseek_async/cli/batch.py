"""``deepseek-async batch run``: run a file of requests into a file of results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Group, Parameter
from cyclopts.types import PositiveFloat, PositiveInt

from deepseek_async.cli.connection import ConnectionFlags
from deepseek_async.cli.job_flags import JobFlags
from deepseek_async.cli.job_process import run_job
from deepseek_async.cli.ray_flags import RayFlags
from deepseek_async.cli.row_flags import ROWS, RowFlags
from deepseek_async.cli.schedule import ScheduleFlags
from deepseek_async.cli.standard_streams import refuse_streams
from deepseek_async.errors import ConfigurationError

if TYPE_CHECKING:
    from deepseek_async.batch import StoppableJob
    from deepseek_async.client import AsyncDeepSeek

ABOUT: Final = """\
Run every row of an input file; run the same command again to resume.

The output has one line per row, in order of completion. Rows with a line are
not run again unless --redo selects them; of several lines for a row the last
one counts.

Ctrl-C once: finish rows in flight, for at most 30 s. Twice: cancel them.
Three times: exit immediately. The output is valid after each.

Exit codes: 0 every row was answered, 1 some rows failed permanently, 2 usage
or configuration error, 3 stopped and resumable with the same command, 4 the
output is locked by another run."""

EXAMPLES: Final = """\
For example:

    deepseek-async batch run in.jsonl -o out.jsonl -c 500 --thinking off
    deepseek-async batch run in.txt -o out.jsonl --simulate
    deepseek-async batch run reviews.csv -o out.jsonl --max-tokens 5 \\
        --template 'Good or bad? {text}' --param 'stop=["END"]'"""

_LIMITS: Final = Group("Limits", sort_key=2)


def run(
    source: Annotated[
        Path,
        Parameter(
            name="IN",
            help="JSON lines (OpenAI Batch for any endpoint, or objects with messages or prompt), .txt with one prompt "
            "per line, .csv, .tsv or .parquet; also compressed, as .jsonl.gz, .txt.gz or .csv.gz.",
        ),
    ],
    /,
    *,
    output: Annotated[
        Path,
        Parameter(name=["--output", "-o"], help="Output file: JSON lines, or .parquet with its journal beside it."),
    ],
    ordered: Annotated[
        bool,
        Parameter(
            group=ROWS,
            negative=(),
            show_default=False,
            help="Write results in input order; a slow row delays the others.",
        ),
    ] = False,
    concurrency: Annotated[
        PositiveInt | None,
        Parameter(
            name=["--concurrency", "-c"],
            group=_LIMITS,
            help="Requests in flight. Default: DEEPSEEK_ASYNC_MAX_CONCURRENCY, then 100.",
        ),
    ] = None,
    requests_per_minute: Annotated[PositiveFloat | None, Parameter(group=_LIMITS, help="Default: no limit.")] = None,
    tokens_per_minute: Annotated[PositiveFloat | None, Parameter(group=_LIMITS, help="Default: no limit.")] = None,
    simulate: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="Use a local simulator: no API key, no cost, simulated answers.",
        ),
    ] = False,
    quiet: Annotated[bool, Parameter(negative=(), show_default=False, help="Print only errors and warnings.")] = False,
    progress_every: Annotated[
        PositiveFloat,
        Parameter(help="Seconds between progress lines without a terminal."),
    ] = 5.0,
    rows: RowFlags | None = None,
    schedule: ScheduleFlags | None = None,
    job: JobFlags | None = None,
    ray: RayFlags | None = None,
    connection: ConnectionFlags | None = None,
) -> int:
    refuse_streams(source, output)
    connection = connection or ConnectionFlags()
    rows = rows or RowFlags()
    limits: dict[str, Any] = {
        "max_concurrency": concurrency,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
    }
    options: dict[str, Any] = {
        "template": rows.template,
        "id_column": rows.id_column,
        "empty": rows.empty or "refuse",
        **({} if rows.max_row_bytes is None else {"max_row_bytes": rows.max_row_bytes}),
        "ordered": ordered,
        **(schedule or ScheduleFlags()).options(),
        **(job or JobFlags()).options(),
        **rows.parameters(),
        **rows.response_format(),
    }

    make: Callable[[AsyncDeepSeek], StoppableJob] = lambda client: client.batch.job(source, output, **options)  # noqa: E731
    if ray is not None:
        if simulate:
            raise ConfigurationError("--ray and --simulate cannot be combined")
        make = ray.job(source, output, options=options, rows=rows, connection=connection, limits=limits)
    return run_job(
        connection,
        make,
        source,
        output,
        simulate=simulate,
        quiet=quiet,
        every=progress_every,
        **limits,
    )
