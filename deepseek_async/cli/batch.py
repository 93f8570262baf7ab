"""``deepseek-async batch run``: a file of prompts into a file of answers."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Group, Parameter
from cyclopts.types import NonNegativeFloat, PositiveFloat, PositiveInt

from deepseek_async.cli.connection import Connection, Thinking, thinking_parameter
from deepseek_async.cli.schedule import ScheduleFlags
from deepseek_async.cli.terminal import say
from deepseek_async.errors import ConfigurationError

ABOUT: Final = """\
Answer every row of a file; run it again and it goes on where it stopped.

The output has one line a row, written as answers come. Rows that have a line
there are not run again.

Ctrl-C once: rows in flight are finished, for at most 30 s. Twice: they are
cancelled. Three times: end at once. The output is valid after each.

Exit codes: 0 every row is answered, 1 some rows failed for good, 2 usage or
configuration, 3 stopped and the same command goes on, 4 another run writes
this output."""

EXAMPLES: Final = """\
For example:

    deepseek-async batch run in.jsonl -o out.jsonl -c 500 --thinking off
    deepseek-async batch run in.txt -o out.jsonl --simulate
    deepseek-async batch run reviews.csv -o out.jsonl --max-tokens 5 \\
        --template 'Good or bad? {text}' --param 'stop=["END"]'"""

_ROWS: Final = Group("Rows", sort_key=1)
_LIMITS: Final = Group("Limits", sort_key=2)

_OWN_FLAGS: Final = {
    "model": "--model",
    "max_tokens": "--max-tokens",
    "temperature": "--temperature",
    "thinking": "--thinking",
    "template": "--template",
    "ordered": "--ordered",
    "concurrency": "--concurrency",
    "order": "--schedule",
    "window": "--window",
    "deadline": "--deadline",
}
_NOT_FOR_ALL: Final = frozenset({"messages", "prompt", "source", "output", "on_progress", "stream", "stream_options"})


def run(
    source: Annotated[
        Path,
        Parameter(name="IN", help="JSON lines (OpenAI Batch, messages, prompt), .txt with a prompt a line, or .csv."),
    ],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="File of answers, JSON lines.")],
    model: Annotated[
        str | None,
        Parameter(group=_ROWS, help="For rows that name none. Default: deepseek-flash."),
    ] = None,
    template: Annotated[
        str | None,
        Parameter(group=_ROWS, help="Prompt with {column} places, for .csv and for rows that are records."),
    ] = None,
    max_tokens: Annotated[
        PositiveInt | None, Parameter(group=_ROWS, help="Longest answer, reasoning included.")
    ] = None,
    temperature: Annotated[NonNegativeFloat | None, Parameter(group=_ROWS, help="0 to 2.")] = None,
    thinking: Annotated[Thinking | None, Parameter(group=_ROWS, help="Reasoning; the API's default is on.")] = None,
    param: Annotated[
        list[str] | None,
        Parameter(
            group=_ROWS,
            negative=(),
            metavar="NAME=JSON",
            allow_leading_hyphen=False,
            help="Any further parameter of the API; may be repeated.",
        ),
    ] = None,
    ordered: Annotated[
        bool,
        Parameter(
            group=_ROWS,
            negative=(),
            show_default=False,
            help="Write in the order of the input; a slow row holds up the others.",
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
            help="Ask a simulator on this machine instead: no key, no cost, made-up answers.",
        ),
    ] = False,
    quiet: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Say nothing unless something went wrong.")
    ] = False,
    progress_every: Annotated[
        PositiveFloat,
        Parameter(help="Seconds between progress lines where there is no terminal."),
    ] = 5.0,
    schedule: ScheduleFlags | None = None,
    connection: Connection | None = None,
) -> int:
    connection = connection or Connection()
    schedule_options = (schedule or ScheduleFlags()).options()
    parameters = {
        **parameters_of(param or []),
        **thinking_parameter(thinking),
        **{
            name: value
            for name, value in (("model", model), ("max_tokens", max_tokens), ("temperature", temperature))
            if value is not None
        },
    }
    if simulate and connection.base_url:
        raise ConfigurationError("--simulate brings its own address: leave --base-url out")
    try:
        from deepseek_async.cli import batch_job  # noqa: PLC0415  brings aiohttp
        from deepseek_async.cli.local_simulator import local_simulator  # noqa: PLC0415
        from deepseek_async.cli.process import runner  # noqa: PLC0415

        with ExitStack() as stack:
            api_key = None
            if simulate:
                api_key, connection = stack.enter_context(local_simulator(connection))
            client = connection.client(
                api_key=api_key,
                max_concurrency=concurrency,
                requests_per_minute=requests_per_minute,
                tokens_per_minute=tokens_per_minute,
            )
            loop = stack.enter_context(runner())
            return loop.run(
                batch_job.run(
                    client,
                    source,
                    output,
                    {"template": template, "ordered": ordered, **schedule_options, **parameters},
                    batch_job.Manner(quiet=quiet, simulated=simulate, every=progress_every),
                ),
            )
    except KeyboardInterrupt:
        say("interrupted before anything was sent")
        return 3


def parameters_of(texts: list[str]) -> dict[str, Any]:
    """``NAME=JSON`` texts as parameters. Raises ConfigurationError for what is no such text or has its own flag."""
    parameters: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigurationError(f"--param {text}: write NAME=JSON, for example --param top_p=0.9")
        if name in _OWN_FLAGS:
            raise ConfigurationError(f"--param {name}: use {_OWN_FLAGS[name]}")
        if name in _NOT_FOR_ALL:
            raise ConfigurationError(f"--param {name}: cannot be the same for every row of a batch")
        try:
            parameters[name] = json.loads(value)
        except ValueError:
            raise ConfigurationError(
                f"--param {name}: {value!r} is not JSON; a string needs its quotes: --param '{name}=\"…\"'",
            ) from None
    return parameters
