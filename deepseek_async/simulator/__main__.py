"""`python -m deepseek_async.simulator`: print the base URL, then serve until stopped."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import get_args

import orjson

from deepseek_async.simulator.faults import FaultKind
from deepseek_async.simulator.model.web import SHAPES
from deepseek_async.simulator.server import Simulator
from deepseek_async.simulator.settings import OnMiss, SimulatorSettings


def parser() -> argparse.ArgumentParser:
    plain = SimulatorSettings()
    made = argparse.ArgumentParser(
        prog="python -m deepseek_async.simulator",
        description='Local simulator of the DeepSeek API: prints {"base_url": ...} when ready.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = made.add_argument
    add("--port", type=int, default=plain.port, help="port; 0 for any free one")
    add("--seed", type=int, default=plain.seed, help="seed of answers and faults, for reproducibility")
    add("--latency", type=float, default=plain.latency, metavar="S", help="seconds before the headers")
    add(
        "--latency-spread",
        type=float,
        default=plain.latency_spread,
        metavar="S",
        help="maximum additional latency in seconds",
    )
    add("--tokens-per-second", type=float, default=plain.tokens_per_second, metavar="N", help="0: no pacing")
    add(
        "--queue-seconds",
        type=float,
        default=plain.queue_seconds,
        metavar="S",
        help="seconds that each request is queued",
    )
    add("--keep-alive-interval", type=float, default=plain.keep_alive_interval, metavar="S")
    add("--answer-tokens", type=int, default=plain.answer_tokens, metavar="N", help="mean length of an answer")
    add(
        "--reasoning-tokens",
        type=int,
        default=plain.reasoning_tokens,
        metavar="N",
        help="mean length of the reasoning",
    )
    add(
        "--answer-spread",
        type=float,
        default=plain.answer_spread,
        metavar="F",
        help="spread of lengths, as a fraction of the mean",
    )
    add("--answers", type=Path, metavar="FILE", help="scripted answers: JSON lines with the arguments of Answers.add")
    add(
        "--on-miss",
        choices=get_args(OnMiss),
        default=plain.on_miss,
        help="for requests that no scripted answer matches",
    )
    add("--api-key", action="append", metavar="KEY", help="accept only this key; repeatable")
    add(
        "--concurrency-limit",
        type=int,
        metavar="N",
        help="requests in flight per account and model; default: the published limits",
    )
    add("--balance-bound", action="store_true", help="429 messages name the balance as the reason")
    add("--concurrency-per-unit", type=float, metavar="N", help="limit = remaining balance * N")
    add("--balance", type=Decimal, metavar="AMOUNT", help="opening balance of each account")
    add("--peak-prices", action="store_true", help="charge peak prices, twice the off-peak ones")
    add("--live-only", action="store_true", help="only endpoints of api.deepseek.com; embeddings and others are 404")
    add("--anthropic-errors", action="store_true", help="return errors of messages in Anthropic's format")
    add("--unknown-blocks", action="store_true", help="add unknown blocks, events and fields to messages")
    add("--no-prefix-cache", action="store_true", help="every prompt token misses the cache")
    add("--reasoning-replay", choices=("by-model", "required", "lenient"), default=plain.reasoning_replay)
    add("--web-shape", choices=SHAPES, default=plain.web_shape, help="format of searches in chat and responses")
    add(
        "--search-steps",
        type=int,
        default=plain.search_steps,
        metavar="N",
        help="searches, and pages per search, while thinking",
    )
    add("--uncounted-searches", action="store_true", help="omit searches and pages from the usage")
    add(
        "--review-seconds",
        type=float,
        default=plain.review_seconds,
        metavar="S",
        help="seconds of review with safety_check high",
    )
    add("--fault-rate", type=float, default=plain.fault_rate, metavar="P", help="probability of a fault")
    add("--fault", action="append", type=FaultKind, metavar="KIND", help="draw faults only from these kinds")
    add("--record-limit", type=int, default=1000, metavar="N", help="number of recorded requests")
    add(
        "--until-stdin-closes",
        action="store_true",
        help="exit at the end of stdin, so that no orphan process remains",
    )
    return made


def settings_from(arguments: argparse.Namespace) -> SimulatorSettings:
    return SimulatorSettings(
        port=arguments.port,
        seed=arguments.seed,
        latency=arguments.latency,
        latency_spread=arguments.latency_spread,
        tokens_per_second=arguments.tokens_per_second,
        queue_seconds=arguments.queue_seconds,
        keep_alive_interval=arguments.keep_alive_interval,
        answer_tokens=arguments.answer_tokens,
        reasoning_tokens=arguments.reasoning_tokens,
        answer_spread=arguments.answer_spread,
        on_miss=arguments.on_miss,
        api_keys=frozenset(arguments.api_key) if arguments.api_key else None,
        concurrency_limit=arguments.concurrency_limit,
        balance_bound=arguments.balance_bound,
        concurrency_per_unit=arguments.concurrency_per_unit,
        balance=arguments.balance,
        peak_prices=arguments.peak_prices,
        live_only=arguments.live_only,
        anthropic_errors=arguments.anthropic_errors,
        unknown_blocks=arguments.unknown_blocks,
        prefix_cache=not arguments.no_prefix_cache,
        reasoning_replay=arguments.reasoning_replay,
        web_shape=arguments.web_shape,
        search_steps=arguments.search_steps,
        count_server_tools=not arguments.uncounted_searches,
        review_seconds=arguments.review_seconds,
        fault_rate=arguments.fault_rate,
        fault_kinds=tuple(arguments.fault or ()),
        record_limit=arguments.record_limit,
    )


def _when_input_ends(stop: Callable[[], object]) -> None:
    """Watch stdin on a thread, because an event loop can wait for pipes but not for every file."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):  # the loop is already closed
            stop()

    threading.Thread(target=watch, name="simulator-stdin", daemon=True).start()


async def serve(settings: SimulatorSettings, answers: Path | None, *, until_stdin_closes: bool) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with Simulator(settings) as simulator:
        if answers is not None:
            simulator.answers.read(answers)
        sys.stdout.write(orjson.dumps({"base_url": simulator.base_url}).decode() + "\n")
        sys.stdout.flush()
        if until_stdin_closes:
            _when_input_ends(partial(loop.call_soon_threadsafe, stopped.set))
        await stopped.wait()


def main(argv: list[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    settings = settings_from(arguments)
    running = serve(settings, arguments.answers, until_stdin_closes=arguments.until_stdin_closes)
    factory = None
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 - optional

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(running)


if __name__ == "__main__":
    main()
