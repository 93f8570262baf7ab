"""One part of a job as a Ray task: equivalent to ``batch run --shard``, with its own journal.

Ray restarts it on another node if its process or node is lost, and it resumes from its journal.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec

from deepseek_async import __version__
from deepseek_async.batch import BatchReport, Job
from deepseek_async.batch.journal.parts import Parts
from deepseek_async.client import AsyncDeepSeek
from deepseek_async.errors import ConfigurationError, DeepSeekError, OutputLockedError
from deepseek_async.integrations.ray.progress_board import Notice, RunState
from deepseek_async.process.garbage import relax_garbage_collection
from deepseek_async.structured import StructuredOutput

TOLD_EVERY: Final = 0.5
"""Seconds between two reports to the board."""
_ANSWER_SECONDS: Final = 5.0
_TRIES: Final = 3
_LOCK_SECONDS: Final = 30.0
"""Seconds for which a process on a lost node may still hold the part's lock."""
_PAUSE: Final = 0.5


class ShardOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Instructions for all parts of a job."""

    source: str
    folder: str
    """The folder of parts, which must be visible to every node."""
    count: int
    token: str
    """Content of the token file in the folder, which proves that it is the same folder."""
    options: dict[str, Any]
    """Arguments of ``client.batch.job``."""
    schema: dict[str, Any] | None
    """JSON Schema of the answers; the validator is built on the node."""
    client: dict[str, Any]
    """Arguments of AsyncDeepSeek, including the API key as a Secret."""
    settings_file: str | None
    environment: dict[str, str]
    """Environment variables of the driver process."""
    version: str = __version__

    def part(self, number: int) -> Path:
        """Return the output path of the part."""
        return Path(self.folder) / f"{number}-of-{self.count}.jsonl"


class ShardEnded(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of an attempt at a part."""

    attempt: str = ""
    report: BatchReport | None = None
    """None if it did not start."""
    problem: DeepSeekError | None = None
    """Why it could not start, or continue."""


def problem_here(order: ShardOrder) -> DeepSeekError | None:
    """Return the reason why this node cannot run a part, or None."""
    node = node_name()
    if order.version != __version__:
        return ConfigurationError(
            f"the node {node} has deepseek_async {__version__}, but the command has {order.version}: install the same "
            "version"
        )
    folder, seen = Path(order.folder), False
    for attempt in range(_TRIES):
        time.sleep(attempt * _PAUSE)  # network file systems may show new files late
        with suppress(OSError):
            seen = Parts.token_file(folder, order.token).read_text() == order.token
        if seen:
            break
    if not seen:
        return ConfigurationError(
            f"the folder {folder.parent} is not shared: the node {node} does not see a file written by this command: "
            "use an output on storage that every node has under the same path (--output)"
        )
    if not Path(order.source).is_file():
        return ConfigurationError(
            f"the node {node} cannot see the input {order.source}: put it on storage that every node has under the "
            "same path"
        )
    return None


def run_part(order: ShardOrder, number: int, board: Any) -> ShardEnded:
    """Run a part until it ends or the board stops it."""
    problem = problem_here(order)
    if problem is not None:
        return ShardEnded(problem=problem)
    relax_garbage_collection()
    os.environ.update(order.environment)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_run(order, number, board))
    except DeepSeekError as error:
        return ShardEnded(problem=error)


def node_name() -> str:
    """Return host name and address of this node."""
    address = ""
    with suppress(ImportError):
        ray: Any = import_module("ray")  # optional
        address = ray.util.get_node_ip_address() if ray.is_initialized() else ""
    return f"{socket.gethostname()} ({address})" if address else socket.gethostname()


def _loop_factory() -> Any:
    try:
        import uvloop  # noqa: PLC0415  optional
    except ImportError:
        return None
    return uvloop.new_event_loop


def _client(order: ShardOrder) -> AsyncDeepSeek:
    if order.settings_file is None:
        return AsyncDeepSeek(**order.client)
    return AsyncDeepSeek.from_settings(order.settings_file, **order.client)


async def _run(order: ShardOrder, number: int, board: Any) -> ShardEnded:
    attempt = secrets.token_hex(4)
    notice = await _told(board, number, attempt, None, Notice())
    if notice.word is not RunState.GO_ON:
        return ShardEnded(attempt=attempt)
    options = dict(order.options)
    if order.schema is not None:
        options["response_format"] = StructuredOutput(order.schema)
    async with _client(order) as client:
        until = time.monotonic() + _LOCK_SECONDS
        while True:
            job = client.batch.job(order.source, order.part(number), shard=f"{number}/{order.count}", **options)
            try:
                report = await _watched(job, board, number, attempt)
            except OutputLockedError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                return ShardEnded(attempt=attempt, report=report)


async def _watched(job: Job, board: Any, number: int, attempt: str) -> BatchReport:
    running = asyncio.create_task(job.run())
    notice = Notice()
    while not running.done():
        await asyncio.wait({running}, timeout=TOLD_EVERY)
        notice = await _told(board, number, attempt, job, notice)
        if notice.word is not RunState.GO_ON:
            job.stop(notice.reason)
        if notice.word is RunState.CANCEL:
            running.cancel()
            await asyncio.wait({running})
    if running.cancelled():
        return job.report()
    return running.result()


async def _told(board: Any, number: int, attempt: str, job: Job | None, before: Notice) -> Notice:
    """Report the part's progress and return the board's notice, or ``before`` if the board does not respond."""
    progress = None if job is None else job.progress()
    # The board may be on a lost node; Ray restarts it elsewhere, and rows do not wait for it.
    with suppress(Exception):
        async with asyncio.timeout(_ANSWER_SECONDS):
            told = await asyncio.wrap_future(board.tell.remote(number, attempt, progress).future())
            return before if told.word < before.word else told
    return before
