"""``deepseek-async simulate``: a DeepSeek on this machine, until Ctrl-C."""

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
Run a simulated DeepSeek on this machine, with answers made up or yours.

It has the paths, streams, limits and errors of the real one. Prints the two
environment variables to set in another terminal, and serves until Ctrl-C."""
EXAMPLES: Final = """\
For example:

    deepseek-async simulate --port 8000 --latency 0.5 --tokens-per-second 60
    deepseek-async simulate --fault-rate 0.05 --fault overloaded
    deepseek-async simulate --answers answers.jsonl --on-miss error

where a line of answers.jsonl may be

    {"when": "refund", "tool_calls": ["lookup_order"]}"""

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

_TEMPO: Final = Group("Tempo", sort_key=1)
_ANSWERS: Final = Group("Answers", sort_key=2)
_LIMITS: Final = Group("Limits and money", sort_key=3)
_FAULTS: Final = Group("Faults", sort_key=4)


def simulate(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535), help="0: any free one.")] = 0,
    seed: Annotated[int, Parameter(help="The same seed gives the same answers and the same faults.")] = 0,
    latency: Annotated[NonNegativeFloat, Parameter(group=_TEMPO, help="Seconds before an answer begins.")] = 0.0,
    latency_spread: Annotated[NonNegativeFloat, Parameter(group=_TEMPO, help="At most this much more.")] = 0.0,
    tokens_per_second: Annotated[NonNegativeFloat, Parameter(group=_TEMPO, help="0: as fast as possible.")] = 0.0,
    answer_tokens: Annotated[PositiveInt, Parameter(group=_TEMPO, help="Mean length of an answer.")] = 24,
    reasoning_tokens: Annotated[NonNegativeInt, Parameter(group=_TEMPO, help="Mean length of the reasoning.")] = 12,
    answers: Annotated[
        Path | None,
        Parameter(
            group=_ANSWERS,
            metavar="FILE",
            help="What to answer, a JSON object a line: when (a text in the user's last message) or pattern; content, "
            "parsed or chunks; reasoning, tool_calls, finish_reason, usage, status, headers, after (seconds), times. "
            "Without when, a line is for one request, in order.",
        ),
    ] = None,
    on_miss: Annotated[
        Literal["answer", "error"],
        Parameter(group=_ANSWERS, help="What a request gets that no line is for: a made-up answer, or an error."),
    ] = "answer",
    concurrency_limit: Annotated[
        PositiveInt | None,
        Parameter(group=_LIMITS, help="Requests in flight of one key on one model. Default: the published limits."),
    ] = None,
    balance: Annotated[Decimal | None, Parameter(group=_LIMITS, help="Opening balance of each key, in USD.")] = None,
    live_only: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="Only what api.deepseek.com has: no embeddings, images or fine-tunes.",
        ),
    ] = False,
    anthropic_errors: Annotated[
        bool,
        Parameter(negative=(), show_default=False, help="Messages are refused in Anthropic's own envelope."),
    ] = False,
    unknown_blocks: Annotated[
        bool,
        Parameter(
            group=_FAULTS,
            negative=(),
            show_default=False,
            help="Blocks, deltas, events, counters and fields that no client knows, mixed into messages.",
        ),
    ] = False,
    web_shape: Annotated[
        Literal["fields", "blocks", "links"],
        Parameter(group=_ANSWERS, help="How searches are told on chat and responses: the true shape is not known."),
    ] = "fields",
    search_steps: Annotated[
        PositiveInt, Parameter(group=_ANSWERS, help="Searches and pages of one search while the model thinks.")
    ] = 3,
    review_seconds: Annotated[
        NonNegativeFloat,
        Parameter(group=_ANSWERS, help="Between the last word and the end, with safety_check high."),
    ] = 0.0,
    parse_seconds: Annotated[
        NonNegativeFloat,
        Parameter(group=_TEMPO, help="How long a document is parsed, in silence, before it is stored and billed."),
    ] = 0.0,
    fault_rate: Annotated[NonNegativeFloat, Parameter(group=_FAULTS, help="Share of requests that go wrong.")] = 0.0,
    fault: Annotated[
        list[str] | None,
        Parameter(group=_FAULTS, negative=(), help="Only this kind of fault; may be repeated."),
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
        raise ConfigurationError(f"--fault {unknown[0]}: there is {', '.join(known)}")
    try:
        return SimulatorSettings(fault_kinds=tuple(known[kind] for kind in fault_kinds), **knobs)
    except ValueError as error:
        raise ConfigurationError(f"the simulator cannot run like this: {error}") from None


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
        say("simulating; set these two in another terminal, Ctrl-C ends it")
        await stopped.wait()
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        await simulator.aclose()
    counted = simulator.statistics()
    say(f"{counted.requests:,} requests, {counted.served:,} answered, {counted.aborted:,} broken off by the caller")
