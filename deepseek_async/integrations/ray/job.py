"""Batch job on a Ray cluster: one task per part, on storage shared by all nodes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from deepseek_async.batch import BatchReport, Progress
from deepseek_async.batch.combined_runs import progress_of, report_of
from deepseek_async.batch.files import check_files
from deepseek_async.batch.journal.disk import Disk
from deepseek_async.batch.journal.lock import refuse_network
from deepseek_async.batch.journal.parts import Parts
from deepseek_async.errors import ConfigurationError, DeepSeekError, OutputLockedError
from deepseek_async.integrations.ray.cluster import connect, environment_to_hand_on, processors
from deepseek_async.integrations.ray.progress_board import Notice, ProgressBoard, RunState
from deepseek_async.integrations.ray.shard import ShardEnded, ShardOrder, problem_here, run_part
from deepseek_async.process.worker_threads import FILE_THREADS

_LOOK_EVERY: Final = 0.25
_NODE_SECONDS: Final = 60.0
"""Seconds for a node to start a process."""
_CANCEL_SECONDS: Final = 10.0
_LOCK_SECONDS: Final = 10.0
"""Seconds for Ray to end the tasks of a killed command."""
_OF_THE_WHOLE: Final = ("max_concurrency", "requests_per_minute", "tokens_per_minute")
"""Limits of the job, divided equally among the parts in flight."""


class RayJob:
    """Same interface as ``batch.Job``: ``run`` it once, ``stop`` ends it early. Raises ConfigurationError.

    - ``address``: ``auto``, ``host:port`` or ``ray://host:port`` of a cluster.
    - ``client``: arguments of AsyncDeepSeek, ``settings_file`` those in a file; ``options`` those of ``batch.job``.
    - ``parts``: number of parts, by default one per CPU of the cluster; a resumed job keeps its number.
    """

    def __init__(
        self,
        source: Path,
        output: Path,
        *,
        address: str,
        client: Mapping[str, Any],
        options: Mapping[str, Any],
        schema: dict[str, Any] | None = None,
        settings_file: Path | None = None,
        parts: int | None = None,
    ) -> None:
        if options.get("shard"):
            raise ConfigurationError("--ray and --shard cannot be combined: Ray jobs are sharded automatically")
        if options.get("dedupe"):
            raise ConfigurationError("--ray and --dedupe cannot be combined: equal rows may be in different parts")
        self._source = source.absolute()
        self._output = output.absolute()
        self._address = address
        self._client = dict(client)
        # The merged output is in input order regardless.
        self._options = {name: value for name, value in options.items() if name not in {"shard", "ordered"}}
        self._schema = schema
        self._settings_file = None if settings_file is None else settings_file.absolute()
        self._wanted = parts
        self._count = 0
        self._started = time.monotonic()
        self._notice = Notice()
        self._told: dict[int, dict[str, Progress]] = {}
        self._ended: dict[int, ShardEnded] = {}
        self._problem: DeepSeekError | None = None
        self._lost: list[str] = []

    def progress(self) -> Progress:
        """Return a snapshot of the job's progress."""
        attempts = {part: list(told.values()) for part, told in self._told.items()}
        return progress_of(attempts, self._count, time.monotonic() - self._started)

    def stop(self, reason: DeepSeekError | str = "stopped on request") -> None:
        """Start no more rows. Rows in flight finish and are written."""
        if self._notice.word is RunState.GO_ON:
            self._notice = Notice(RunState.FINISH, str(reason))

    def report(self) -> BatchReport:
        """Return the report so far."""
        reports = [ended.report for ended in self._ended.values() if ended.report is not None]
        why = self._lost[0] if self._lost else self._notice.reason or None
        return report_of(reports, self.progress(), why, self._output)

    async def run(self) -> BatchReport:
        """Run every row that has no line in the output yet; see ``batch.Job.run``."""
        check_files(self._source, self._output)
        if not self._options.get("allow_network"):
            refuse_network(self._output, Disk())
        ray = await FILE_THREADS.run(connect, self._address)
        with Parts(self._output) as parts:
            self._count = self._wanted or parts.left() or processors(ray)
            await self._prepare(parts)
            try:
                order = self._order(parts, parts.show_token(), min(self._count, processors(ray)))
                await self._check_nodes(ray, order)
                await self._run_parts(ray, order)
            finally:
                # A second signal does not interrupt the merge: its rows are paid for.
                await _finished(asyncio.create_task(FILE_THREADS.run(_put_together, parts)))
        if self._problem is not None:
            raise self._problem
        return self.report()

    async def _prepare(self, parts: Parts) -> None:
        until = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                await FILE_THREADS.run(parts.prepare, self._count)
            except OutputLockedError:
                # Tasks of a killed command may still be running.
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(_LOOK_EVERY)
            else:
                return

    def _order(self, parts: Parts, token: str, at_once: int) -> ShardOrder:
        client = {**self._client}
        for name in _OF_THE_WHOLE:
            if client.get(name):
                share = client[name] / at_once
                client[name] = max(1, int(share)) if name == "max_concurrency" else share
        options = dict(self._options)
        if options.get("budget"):
            options["budget"] /= self._count
        return ShardOrder(
            source=str(self._source),
            folder=str(parts.folder),
            count=self._count,
            token=token,
            options=options,
            schema=self._schema,
            client=client,
            settings_file=None if self._settings_file is None else str(self._settings_file),
            environment=environment_to_hand_on(),
        )

    async def _check_nodes(self, ray: Any, order: ShardOrder) -> None:
        """Check that every node can run a part, before anything is paid for."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415  optional

        nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")}
        asked = {
            asyncio.wrap_future(
                ray.remote(problem_here)
                .options(
                    num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(name, soft=False)
                )
                .remote(order)
                .future()
            ): node
            for name, node in nodes.items()
        }
        _, silent = await asyncio.wait(asked, timeout=_NODE_SECONDS)
        for asking, node in asked.items():
            place = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            if asking in silent:
                raise ConfigurationError(
                    f"the node {place} did not start a process within {_NODE_SECONDS:.0f} s: see `ray status`"
                )
            failure = asking.exception()
            if failure is not None:
                raise ConfigurationError(
                    f"the node {place} cannot run deepseek_async ({_reason(failure)}): install the same version of "
                    '"deepseek-async[ray]" on every node'
                )
            problem = asking.result()
            if problem is not None:
                raise problem

    async def _run_parts(self, ray: Any, order: ShardOrder) -> None:
        board = ray.remote(num_cpus=0, max_restarts=-1)(ProgressBoard).remote()
        # Unlimited, because only rows of a lost node that were not yet journaled are ever sent twice.
        task = ray.remote(num_cpus=1, max_retries=-1, scheduling_strategy="SPREAD")(run_part)
        refs = {number: task.remote(order, number, board) for number in range(1, order.count + 1)}
        running = {asyncio.wrap_future(ref.future()): number for number, ref in refs.items()}
        try:
            while running:
                done, _ = await asyncio.wait(running, timeout=_LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
                for ending in done:
                    self._end(running.pop(ending), ending)
                await self._look(board)
        except asyncio.CancelledError:
            self._notice = Notice(RunState.CANCEL, self._notice.reason or "cancelled")
            await _finished(asyncio.create_task(self._cancel(ray, board, running, refs)))
            raise

    async def _cancel(
        self, ray: Any, board: Any, running: dict[asyncio.Future[ShardEnded], int], refs: Mapping[int, Any]
    ) -> None:
        """Tell the parts to cancel rows in flight, and cancel the tasks that do not end in time."""
        await self._look(board)
        if running:
            done, late = await asyncio.wait(running, timeout=_CANCEL_SECONDS)
            for ending in done:
                self._end(running[ending], ending)
            for ending in late:
                with suppress(Exception):
                    ray.cancel(refs[running[ending]], force=True)
            if late:
                await asyncio.wait(late, timeout=_CANCEL_SECONDS)

    def _end(self, number: int, ending: asyncio.Future[ShardEnded]) -> None:
        failure = ending.exception()
        if failure is not None:
            self._lost.append(f"part {number}/{self._count} died: {_reason(failure)}")
            self.stop(self._lost[0])
            return
        ended = self._ended[number] = ending.result()
        if ended.report is not None:
            self._told.setdefault(number, {})[ended.attempt] = ended.report.progress
        if ended.problem is not None:
            self._problem = self._problem or ended.problem
            self.stop(ended.problem.message)

    async def _look(self, board: Any) -> None:
        with suppress(Exception):  # Ray restarts a lost board
            async with asyncio.timeout(_LOOK_EVERY * 8):
                told = await asyncio.wrap_future(board.look.remote(self._notice).future())
                for number, attempts in told.items():
                    ended = self._ended.get(number)
                    known = self._told.setdefault(number, {})
                    known.update(
                        {name: one for name, one in attempts.items() if ended is None or name != ended.attempt}
                    )


def _put_together(parts: Parts) -> None:
    parts.merge()
    parts.close()


async def _finished(task: asyncio.Task[None]) -> None:
    """Wait for ``task`` despite cancellation, then re-raise the cancellation."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled


def _reason(failure: BaseException) -> str:
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    named = [line for line in lines if "Error" in line]
    return (named or lines or [type(failure).__name__])[-1]
