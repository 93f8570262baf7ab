"""One part of a job, as a Ray task: the same job as ``batch run --shard``, with a journal of its own.

Ray starts it anew on another node when its process or node is lost, and it goes on where its journal ends.
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
from deepseek_async.integrations.ray.progress_board import Notice, Word
from deepseek_async.process.garbage import relax_garbage_collection
from deepseek_async.structured import StructuredOutput

TOLD_EVERY: Final = 0.5
"""Seconds between two words to the board."""
_ANSWER_SECONDS: Final = 5.0
_TRIES: Final = 3
_LOCK_SECONDS: Final = 30.0
"""How long a process on a lost node may still hold the lock of the part."""
_PAUSE: Final = 0.5


class ShardOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What every part of a job is told."""

    source: str
    folder: str
    """The parts' folder, which every node has to see."""
    count: int
    token: str
    """What is in the file of that name in the folder, if it is the same folder."""
    options: dict[str, Any]
    """Arguments of ``client.batch.job``."""
    schema: dict[str, Any] | None
    """JSON Schema that the answers have to fit: what checks them is made where they are."""
    client: dict[str, Any]
    """Arguments of AsyncDeepSeek, the key among them as a Secret."""
    settings_file: str | None
    environment: dict[str, str]
    """Variables of the process that drives the job."""
    version: str = __version__

    def part(self, number: int) -> Path:
        """The output of that part."""
        return Path(self.folder) / f"{number}-of-{self.count}.jsonl"


class ShardEnded(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt at a part ended."""

    attempt: str = ""
    report: BatchReport | None = None
    """None if it did not begin."""
    problem: DeepSeekError | None = None
    """Why it could not begin, or go on."""


def problem_here(order: ShardOrder) -> DeepSeekError | None:
    """Why this node cannot run a part; None if it can."""
    node = node_name()
    if order.version != __version__:
        return ConfigurationError(
            f"the node {node} has deepseek_async {__version__}, and the command {order.version}: install one version"
        )
    folder, seen = Path(order.folder), False
    for attempt in range(_TRIES):
        time.sleep(attempt * _PAUSE)  # a network file system may show a new file late
        with suppress(OSError):
            seen = Parts.token_file(folder, order.token).read_text() == order.token
        if seen:
            break
    if not seen:
        return ConfigurationError(
            f"the folder {folder.parent} is not shared: the node {node} does not see there what this command has "
            "written. Name an output on storage that every node has under the same path (--output)"
        )
    if not Path(order.source).is_file():
        return ConfigurationError(
            f"the node {node} does not see the input {order.source}: put it on storage that every node has under the "
            "same path"
        )
    return None


def run_part(order: ShardOrder, number: int, board: Any) -> ShardEnded:
    """Run a part to its end, or to the end that the board says."""
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
    """Host and address of this node."""
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
    if notice.word is not Word.GO_ON:
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
        if notice.word is not Word.GO_ON:
            job.stop(notice.reason)
        if notice.word is Word.CANCEL:
            running.cancel()
            await asyncio.wait({running})
    if running.cancelled():
        return job.report()
    return running.result()


async def _told(board: Any, number: int, attempt: str, job: Job | None, before: Notice) -> Notice:
    """Say how far the part is; what the board says, or ``before`` while it does not answer."""
    progress = None if job is None else job.progress()
    # The board may be on a node that is lost; it is made anew elsewhere, and rows do not wait for it.
    with suppress(Exception):
        async with asyncio.timeout(_ANSWER_SECONDS):
            told = await asyncio.wrap_future(board.tell.remote(number, attempt, progress).future())
            return before if told.word < before.word else told
    return before
