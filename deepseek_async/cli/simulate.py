"""``deepseek-async simulate``: run a local simulator of the DeepSeek API."""

from __future__ import annotations

import signal
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Group, Parameter
from cyclopts.types import NonNegativeFloat, NonNegativeInt, PositiveInt
from cyclopts.validators import Number

from deepseek_async.cli.terminal import say
from deepseek_async.errors import ConfigurationError

if TYPE_CHECKING:
    from deepseek_async.simulator import SimulatorSettings

ABOUT: Final = """\
Run a local simulator of the DeepSeek API, with generated or scripted answers.

It has the paths, streams, limits and errors of the service. Prints the two
environment variables to set in another terminal, and serves until Ctrl-C."""
EXAMPLES: Final = """\
For example:

    deepseek-async simulate --port 8000 --latency 0.5 --tokens-per-second 60
    deepseek-async simulate --fault-rate 0.05 --fault overloaded
    deepseek-async simulate --answers answers.jsonl --on-miss error

where a line of answers.jsonl is, for example,

    {"when": "refund", "tool_calls": ["lookup_order"]}"""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

_TIMING: Final = Group("Timing", sort_key=1)
_ANSWERS: Final = Group("Answers", sort_key=2)
_LIMITS: Final = Group("Limits and money", sort_key=3)
_FAULTS: Final = Group("Faults", sort_key=4)


def simulate(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535), help="0: any free port.")] = 0,
    seed: Annotated[int, Parameter(help="Seed of answers and faults, for reproducibility.")] = 0,
    latency: Annotated[NonNegativeFloat, Parameter(group=_TIMING, help="Seconds before an answer starts.")] = 0.0,
    latency_spread: Annotated[
        NonNegativeFloat, Parameter(group=_TIMING, help="Maximum additional latency in seconds.")
    ] = 0.0,
    tokens_per_second: Annotated[NonNegativeFloat, Parameter(group=_TIMING, help="0: as fast as possible.")] = 0.0,
    answer_tokens: Annotated[PositiveInt, Parameter(group=_TIMING, help="Mean length of an answer.")] = 24,
    reasoning_tokens: Annotated[NonNegativeInt, Parameter(group=_TIMING, help="Mean length of the reasoning.")] = 12,
    answers: Annotated[
        Path | None,
        Parameter(
            group=_ANSWERS,
            metavar="FILE",
            help="Scripted answers, one JSON object per line: when (a text in the last user message) or pattern; "
            "content, parsed or chunks; reasoning, tool_calls, finish_reason, usage, status, headers, after (seconds), "
            "times. A line without when answers one request, in order.",
        ),
    ] = None,
    on_miss: Annotated[
        Literal["answer", "error"],
        Parameter(group=_ANSWERS, help="For requests that no line matches: a generated answer, or an error."),
    ] = "answer",
    concurrency_limit: Annotated[
        PositiveInt | None,
        Parameter(group=_LIMITS, help="Requests in flight per key and model. Default: the published limits."),
    ] = None,
    balance: Annotated[Decimal | None, Parameter(group=_LIMITS, help="Opening balance of each key, in USD.")] = None,
    live_only: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="Only endpoints of api.deepseek.com: no embeddings, images or fine-tunes.",
        ),
    ] = False,
    anthropic_errors: Annotated[
        bool,
        Parameter(negative=(), show_default=False, help="Return errors of messages in Anthropic's format."),
    ] = False,
    unknown_blocks: Annotated[
        bool,
        Parameter(
            group=_FAULTS,
            negative=(),
            show_default=False,
            help="Add unknown blocks, deltas, events, counters and fields to messages.",
        ),
    ] = False,
    web_shape: Annotated[
        Literal["fields", "blocks", "links"],
        Parameter(
            group=_ANSWERS, help="Format of searches in chat and responses; the service's format is undocumented."
        ),
    ] = "fields",
    search_steps: Annotated[
        PositiveInt, Parameter(group=_ANSWERS, help="Searches, and pages per search, while the model thinks.")
    ] = 3,
    review_seconds: Annotated[
        NonNegativeFloat,
        Parameter(group=_ANSWERS, help="Seconds between the last token and the end, with safety_check high."),
    ] = 0.0,
    parse_seconds: Annotated[
        NonNegativeFloat,
        Parameter(group=_TIMING, help="Seconds to parse a document before it is stored and billed."),
    ] = 0.0,
    fault_rate: Annotated[NonNegativeFloat, Parameter(group=_FAULTS, help="Fraction of requests that fail.")] = 0.0,
    fault: Annotated[
        list[str] | None,
        Parameter(group=_FAULTS, negative=(), help="Only this kind of fault; repeatable."),
    ] = None,
) -> int:
    from deepseek_async.cli.process import runner  # noqa: PLC0415

    settings = _settings(
        port=port,
        seed=seed,
        latency=latency,
        latency_spread=latency_spread,
        tokens_per_second=tokens_per_second,
        answer_tokens=answer_tokens,
        reasoning_tokens=reasoning_tokens,
        concurrency_limit=concurrency_limit,
        balance=balance,
        live_only=live_only,
        on_miss=on_miss,
        anthropic_errors=anthropic_errors,
        unknown_blocks=unknown_blocks,
        web_shape=web_shape,
        search_steps=search_steps,
        review_seconds=review_seconds,
        parse_seconds=parse_seconds,
        fault_rate=fault_rate,
        fault_kinds=fault or [],
    )
    with runner() as loop:
        loop.run(_serve(settings, answers))
    return 0


def _settings(*, fault_kinds: list[str], **knobs: Any) -> SimulatorSettings:
    from deepseek_async.simulator import SimulatorSettings  # noqa: PLC0415  brings aiohttp's server
    from deepseek_async.simulator.faults import FaultKind  # noqa: PLC0415

    known = {kind.value: kind for kind in FaultKind}
    unknown = [kind for kind in fault_kinds if kind not in known]
    if unknown:
        raise ConfigurationError(f"--fault must be {', '.join(known)}, got {unknown[0]!r}")
    try:
        return SimulatorSettings(fault_kinds=tuple(known[kind] for kind in fault_kinds), **knobs)
    except ValueError as error:
        raise ConfigurationError(f"invalid simulator settings: {error}") from None


async def _serve(settings: SimulatorSettings, answers: Path | None) -> None:
    import asyncio  # noqa: PLC0415  `--help` of every command imports this module

    from deepseek_async.configuration.credential import SIMULATED  # noqa: PLC0415
    from deepseek_async.simulator import Simulator  # noqa: PLC0415

    stopped = asyncio.Event()
    simulator = Simulator(settings)
    if answers is not None:
        try:
            simulator.answers.read(answers)
        except OSError as error:
            raise ConfigurationError(f"--answers {answers}: {error.strerror or error}") from None
        except ValueError as error:
            raise ConfigurationError(f"--answers {error}") from None
    try:
        await simulator.start()
    except OSError as error:
        raise ConfigurationError(f"cannot listen on port {settings.port}: {error}") from None
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopped.set)
    try:
        sys.stdout.write(f"export DEEPSEEK_BASE_URL={simulator.base_url}\nexport DEEPSEEK_API_KEY={SIMULATED}\n")
        sys.stdout.flush()
        say("simulator running: set these variables in another terminal; Ctrl-C stops it")
        await stopped.wait()
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        await simulator.aclose()
    counted = simulator.statistics()
    say(f"{counted.requests:,} requests, {counted.served:,} answered, {counted.aborted:,} aborted by the client")
