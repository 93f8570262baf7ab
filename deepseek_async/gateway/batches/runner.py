"""Runs the batches of a gateway, from validation to outputs, and goes on with them after a restart."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Container
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from deepseek_async.batch.batch import Batch
from deepseek_async.batch.job import Job
from deepseek_async.batch.report import BatchReport
from deepseek_async.batch.row import MAX_ROW_BYTES
from deepseek_async.errors import DeepSeekError
from deepseek_async.files.bounded_lines import lines_of
from deepseek_async.files.private_files import reason_of
from deepseek_async.gateway.batches.input_check import CheckedInput, check_input
from deepseek_async.gateway.batches.outputs import write_outputs
from deepseek_async.gateway.batches.record import BatchError, BatchRecord, BatchUsage, RequestCounts, Status
from deepseek_async.gateway.files import FileStore, produced_id
from deepseek_async.gateway.folder import remove_unfinished, write_whole
from deepseek_async.process.worker_threads import FILE_THREADS

_LOG: Final = logging.getLogger("deepseek_async.gateway")

RETRY_AFTER: Final = 60.0
"""Seconds until a job is started again that stopped for a reason outside it: a used-up budget or balance, an outage."""

_EXPIRED: Final = "the completion window has passed"
_STOPPED: Final = "the gateway stops"
_CHANGED: Final = "the settings have changed"
_CANCELLED: Final = "the batch was cancelled"


class OwnersBatch(NamedTuple):
    """Bulk processing as the owner of a batch may use it."""

    batch: Batch
    concurrency: int | None = None
    """Rows in flight at most; None: the client's limit."""


BatchOf = Callable[[str], AbstractContextManager[OwnersBatch]]
"""Yields the bulk processing of a caller, by its name; calls in the block are the caller's own. Raises KeyError for one
who has been removed."""

RefusalOf = Callable[[str, dict[str, Any]], BatchError | None]
"""Says why a caller, by its name, may not send a body."""


class BatchRunner:
    """One asyncio task for each batch that has not ended."""

    def __init__(
        self,
        folder: Path,
        files: FileStore,
        batch_of: BatchOf,
        *,
        refusal_of: RefusalOf = lambda *_: None,
        retry_after: float = RETRY_AFTER,
    ) -> None:
        self._folder = folder
        self._refusal_of = refusal_of
        self._files = files
        self._batch_of = batch_of
        self._retry_after = retry_after
        self._records: dict[str, BatchRecord] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._jobs: dict[str, Job] = {}
        self._runs: dict[str, asyncio.Event] = {}
        """By batch: set once its running job has ended."""
        self._wake: dict[str, asyncio.Event] = {}
        self._stopping = False
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="deepseek-async-batches")
        """One thread, so that of two states of a batch the later one is on disk."""
        remove_unfinished(folder)
        for path in sorted(folder.glob("batch_*.json")):
            with suppress(msgspec.DecodeError):
                record = msgspec.json.decode(path.read_bytes(), type=BatchRecord)
                if path.name == f"{record.id}.json":
                    self._records[record.id] = record
        for path in folder.glob("batch_*.journal.*"):
            batch_id = path.name.partition(".")[0]
            if batch_id in self._records and self._records[batch_id].ended:
                path.unlink()  # killed before it was removed

    def start(self) -> None:
        """Go on with the batches that an earlier process left."""
        for record in self._records.values():
            if not record.ended:
                self._run(record)

    async def add(self, record: BatchRecord) -> None:
        """Keep a new batch and start it. Raises OutputWriteError."""
        self._records[record.id] = record
        try:
            await self._keep(record)
        except BaseException:
            # A caller that leaves before it is told asks again: the first batch would be paid for as well.
            del self._records[record.id]
            self._writer.submit(self._path(record).unlink, missing_ok=True)
            raise
        self._run(record)

    def find(self, batch_id: str, owner: str) -> BatchRecord | None:
        """Return a batch of ``owner``; None for another's, so that nobody learns that it exists."""
        record = self._records.get(batch_id)
        return record if record is not None and record.owner == owner else None

    def of(self, owner: str | None) -> list[BatchRecord]:
        """Return the batches of ``owner``, or with None of everybody, the newest first."""
        found = [record for record in self._records.values() if owner in {None, record.owner}]
        return sorted(found, key=lambda record: (record.created_at, record.id), reverse=True)

    def needed_files(self) -> set[str]:
        """Return the ids of the inputs of batches that have not ended."""
        return {record.input_file_id for record in self._records.values() if not record.ended}

    async def cancel(self, record: BatchRecord) -> bool:
        """Start no more rows of a batch; those in flight end and are kept. Return False if it has ended.

        Raises OutputWriteError; the batch is cancelled all the same, unless the gateway is killed.
        """
        if record.ended or record.status == "finalizing":
            return False
        new = record.status != "cancelling"
        if new:
            record.enter("cancelling", time.time())
        self._interrupt(record.id, _CANCELLED)
        if new:
            await self._keep(record)
        return True

    def look_again(self, owners: Container[str]) -> None:
        """Go on with the batches of ``owners`` by what these may do now: more, less, or nothing at all."""
        for batch_id in list(self._tasks):
            if self._records[batch_id].owner in owners:
                self._interrupt(batch_id, _CHANGED)

    async def start_again(self) -> None:
        """Let the rows in flight end, and send the others with the client that there is now."""
        jobs = [self._runs[batch_id] for batch_id in self._jobs]
        for batch_id in list(self._tasks):
            self._interrupt(batch_id, _CHANGED)
        await asyncio.gather(*(run.wait() for run in jobs))

    async def aclose(self, seconds: float = inf) -> None:
        """Let rows in flight end within ``seconds``, and leave the rest for the next start."""
        self._stopping = True
        for batch_id in list(self._tasks):
            self._interrupt(batch_id, _STOPPED)
        tasks = list(self._tasks.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=None if seconds == inf else seconds)
            for task in late:
                task.cancel()  # what has arrived is kept, and what was sent is accounted
            await asyncio.gather(*tasks, return_exceptions=True)
        await FILE_THREADS.run(self._writer.shutdown)

    def _interrupt(self, batch_id: str, reason: str) -> None:
        if (job := self._jobs.get(batch_id)) is not None:
            job.stop(reason)
        if (wake := self._wake.get(batch_id)) is not None:
            wake.set()

    def _run(self, record: BatchRecord) -> None:
        self._wake[record.id] = asyncio.Event()
        task = asyncio.create_task(self._whole(record), name=record.id)
        self._tasks[record.id] = task
        task.add_done_callback(lambda _: self._forget(record.id))

    def _forget(self, batch_id: str) -> None:
        del self._tasks[batch_id], self._wake[batch_id]

    async def _whole(self, record: BatchRecord) -> None:
        try:
            while not (record.ended or self._stopping):
                self._wake[record.id].clear()
                try:
                    await self._advance(record)
                except (OSError, DeepSeekError) as error:  # such as a full disk
                    reason = error.message if isinstance(error, DeepSeekError) else reason_of(error)
                    _LOG.warning("batch %s waits: %s", record.id, reason)
                    record.waiting_for = self._without_paths(reason)
                    await self._pause(record, self._retry_after)
        except Exception:  # noqa: BLE001  a task has nobody to raise it to
            # The batch stays as it is, and the next start goes on with it.
            _LOG.exception("batch %s stopped", record.id)
            record.waiting_for = "an error of the gateway, which is in its log; its next start goes on"

    async def _advance(self, record: BatchRecord) -> None:
        """Take a batch to its end, or as far as it can go before the gateway stops."""
        if record.status == "validating" and not await self._validate(record):
            return
        if record.status in {"in_progress", "cancelling"}:
            status = await self._answer(record)
            if status is None:
                return
            if status != "cancelled":
                record.enter("finalizing", time.time())
            await self._finalize(record, status)
        elif record.status == "finalizing":
            await self._finalize(record, "completed" if self._is_whole(record) else "expired")

    def _is_whole(self, record: BatchRecord) -> bool:
        return record.counts.completed + record.counts.failed >= record.counts.total

    async def _validate(self, record: BatchRecord) -> bool:
        found = await FILE_THREADS.run(self._check, record)
        record.model, record.errors = found.model, found.errors
        now = time.time()
        if found.errors:
            record.enter("failed", now)
        else:
            record.counts = RequestCounts(total=found.requests)
            if record.status == "validating":
                record.enter("in_progress", now)
        await self._keep(record)
        return not found.errors

    def _check(self, record: BatchRecord) -> CheckedInput:
        try:
            with self._files.path(record.input_file_id).open("rb") as file:
                return check_input(
                    lines_of(file, MAX_ROW_BYTES),
                    record.endpoint,
                    longest=MAX_ROW_BYTES,
                    refusal_of=partial(self._refusal_of, record.owner),
                )
        except (OSError, KeyError):
            gone = BatchError("file_not_found", f"The input file {record.input_file_id} does not exist.")
            return CheckedInput(errors=[gone])

    async def _answer(self, record: BatchRecord) -> Status | None:
        """Run the rows. Return the status that the batch ends in, or None if it goes on at the next start."""
        earlier = _Spent(record.usage, record.cost)
        while not record.cancelling:
            self._wake[record.id].clear()
            if time.time() >= record.expires_at:
                return "expired"
            report = await self._one_run(record, earlier)
            earlier = _Spent(record.usage, record.cost)
            if report is not None and report.complete:
                return "completed"
            if record.cancelling:
                break
            if self._stopping:
                return None
            if report is None:
                await self._keep(record)
            elif report.stopped not in {_EXPIRED, _CHANGED}:
                record.waiting_for = self._without_paths(str(report.stopped))
                await self._keep(record)
            if report is None or report.stopped != _CHANGED:
                await self._pause(record, min(self._retry_after, max(0.0, record.expires_at - time.time())))
        return "cancelled"

    async def _one_run(self, record: BatchRecord, earlier: _Spent) -> BatchReport | None:
        try:
            with self._batch_of(record.owner) as allowed:
                return await self._run_job(record, self._job(allowed, record, earlier), earlier)
        except KeyError:
            record.waiting_for = "its caller, who has been removed"
        except DeepSeekError as error:
            record.waiting_for = self._without_paths(error.message)
        return None

    async def _run_job(self, record: BatchRecord, job: Job, earlier: _Spent) -> BatchReport:
        self._jobs[record.id] = job
        ended = self._runs[record.id] = asyncio.Event()
        if record.cancelling or self._stopping:
            job.stop(_CANCELLED if record.cancelling else _STOPPED)
        over = asyncio.get_running_loop().call_later(max(0.0, record.expires_at - time.time()), job.stop, _EXPIRED)
        record.waiting_for = None
        try:
            return await job.run()
        finally:
            over.cancel()
            self._note(record, earlier)
            del self._jobs[record.id]
            ended.set()
            await self._keep(record)

    def _job(self, allowed: OwnersBatch, record: BatchRecord, earlier: _Spent) -> Job:
        return allowed.batch.job(
            self._files.path(record.input_file_id),
            self._journal(record),
            concurrency=allowed.concurrency,
            window="off-peak",
            deadline=float(record.expires_at),
            dedupe=True,
            fail_fast=0,  # each row has its line in the error file, whatever the others have
            on_progress=lambda _: self._note(record, earlier),
        )

    async def _pause(self, record: BatchRecord, seconds: float) -> None:
        if self._stopping:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake[record.id].wait()

    async def _finalize(self, record: BatchRecord, status: Status) -> None:
        await self._keep(record)
        output, errors = (self._files.new_path(produced_id(record.id, kind)) for kind in ("output", "error"))
        source = self._files.path(record.input_file_id)
        written = await FILE_THREADS.run(write_outputs, self._journal(record), source, status, output, errors)
        output_id = await self._produced(record, output, "output", any_lines=written.completed > 0)
        error_id = await self._produced(record, errors, "error", any_lines=written.failed + written.unanswered > 0)
        record.output_file_id, record.error_file_id = output_id, error_id
        record.counts = RequestCounts(record.counts.total, written.completed, written.failed)
        record.usage, record.cost = written.usage, written.cost
        record.waiting_for = None
        if status == "expired" and not written.unanswered:
            status = "completed"  # its last answers came in time, and the gateway was killed before it said so
        record.enter(status, time.time())
        await self._keep(record)
        await FILE_THREADS.run(self._remove_journal, record)

    async def _produced(self, record: BatchRecord, path: Path, kind: str, *, any_lines: bool) -> str | None:
        if not any_lines:
            await FILE_THREADS.run(path.unlink)
            return None
        name = f"{record.id}_{kind}.jsonl"
        added = await self._files.add(
            path, filename=name, purpose="batch_output", owner=record.owner, lifetime=record.output_lifetime
        )
        return added.id

    def _remove_journal(self, record: BatchRecord) -> None:
        """Its outputs hold all of it: kept as well, it would outlive the outputs that a caller deletes."""
        for path in self._folder.glob(f"{record.id}.journal.*"):
            path.unlink(missing_ok=True)

    def _note(self, record: BatchRecord, earlier: _Spent) -> None:
        """Take over the figures of the running job; the exact ones are counted in its journal at the end."""
        report = self._jobs[record.id].report()
        progress, failed = report.progress, report.failed + report.resumed_failed
        if progress.total is not None:
            record.counts = RequestCounts(progress.total, progress.done - failed, failed)
        record.cost = earlier.cost + progress.cost
        record.usage = earlier.usage.plus(progress.prompt_tokens, progress.cached_tokens, progress.completion_tokens)

    def _without_paths(self, reason: str) -> str:
        """Return ``reason`` for a caller, who is not to learn where the gateway keeps its files."""
        return reason.replace(f"{self._folder.parent}{os.sep}", "")

    def _journal(self, record: BatchRecord) -> Path:
        return self._folder / f"{record.id}.journal.jsonl"

    def _path(self, record: BatchRecord) -> Path:
        return self._folder / f"{record.id}.json"

    async def _keep(self, record: BatchRecord) -> None:
        content = msgspec.json.encode(record)
        await asyncio.get_running_loop().run_in_executor(self._writer, write_whole, self._path(record), content)


class _Spent(msgspec.Struct, frozen=True):
    """Usage and cost of earlier runs of a batch."""

    usage: BatchUsage
    cost: float
