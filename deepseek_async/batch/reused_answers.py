"""Journaled answers for a system that hands out rows in batches, possibly twice: paid answers are reused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Final, Self

import msgspec

from deepseek_async.batch.batch import Batch
from deepseek_async.batch.dispatcher import Dispatcher
from deepseek_async.batch.journal import Journal, Written
from deepseek_async.batch.journal.folder import JournalFolder, row_key
from deepseek_async.batch.line_encoder import encode_line, pending_line
from deepseek_async.batch.result import BatchResult, stays_pending
from deepseek_async.batch.review.output_reader import line_from
from deepseek_async.batch.row import Row
from deepseek_async.batch.row_identity import request_hash, unnamed
from deepseek_async.call.caller import Call
from deepseek_async.errors import DeepSeekError
from deepseek_async.process.worker_threads import FILE_THREADS
from deepseek_async.structured import StructuredOutput
from deepseek_async.types import CompletionUsage
from deepseek_async.types.usage import added


class ReusedAnswer(msgspec.Struct, gc=False):
    """How a row ended."""

    hashed: int
    text: str | None = None
    error: str | None = None
    usage: CompletionUsage | None = None
    cost: float | None = None
    """US dollars, whenever paid."""

    @classmethod
    def of(cls, result: BatchResult, hashed: int) -> Self:
        """Build it from a row's result."""
        error = None if result.error is None else f"{type(result.error).__name__}: {result.error.message}"
        return cls(hashed, result.content, error, result.usage, result.cost)

    @classmethod
    def in_line(cls, wire: bytes, hashed: int) -> Self | None:
        """Build it from a journal line; None if the line is damaged."""
        line = line_from(wire)
        if line is None:
            return None
        error = None if line.error is None else f"{line.error.code}: {line.error.message}"
        bills = line.bills
        usage = added(bill.usage for bill in bills) if bills else None
        return cls(hashed, line.body.text, error, usage, line.facts.cost)


class _Due(msgspec.Struct, gc=False):
    place: int
    row: Row
    name: str
    hashed: int
    key: int
    call: Call | DeepSeekError


class ReusedAnswers:
    """Answers rows; use in ``async with`` on one event loop. ``answers`` may run concurrently.

    With a ``folder``, every answer is journaled there before it is returned, and a row found in any journal of the
    folder, at start or since, is not sent. Without one, every row is sent.
    Raises ConfigurationError, and OutputWriteError if the journal cannot be written.
    """

    def __init__(
        self,
        batch: Batch,
        folder: Path | None,
        *,
        output: StructuredOutput[object] | None = None,
        redo_failed: bool = False,
    ) -> None:
        # Private members, shared within this package only.
        self._answerer = batch._answerer.checking(output)  # noqa: SLF001
        self._server = server = batch._server  # noqa: SLF001
        self._concurrency = batch._concurrency  # noqa: SLF001
        self._folder = None if folder is None else JournalFolder(folder, server, redo_failed=redo_failed)
        self._journal: Journal | None = None
        self._under_way: dict[int, asyncio.Future[ReusedAnswer]] = {}
        """By key: rows in flight whose answers are not durable yet."""
        self._stack: Final = AsyncExitStack()

    async def __aenter__(self) -> Self:
        if self._folder is not None:
            # The file name is unique to this process, so an ineffective lock on a network file system is harmless.
            journal = Journal(self._folder.own, self._written, allow_network=True)
            self._journal = await self._stack.enter_async_context(journal)
            self._stack.callback(self._folder.close)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def answers(self, rows: Sequence[Row]) -> list[ReusedAnswer]:
        """Return the result of each row, in order. A row that cannot be answered has an error; none is raised."""
        if self._folder is not None:
            # Rows of a process that has died are handed out again, possibly to this one.
            self._folder.put(await FILE_THREADS.run(self._folder.found))
        ends: list[ReusedAnswer | None] = [None] * len(rows)
        due: list[_Due] = []
        shared: list[tuple[int, asyncio.Future[ReusedAnswer]]] = []
        for place, row in enumerate(rows):
            hashed = request_hash(row)
            name = row.custom_id or unnamed(hashed, 0)
            key = row_key(name.encode(), hashed)
            if self._folder is not None:
                ends[place] = self._known(key, hashed)
                if ends[place] is not None:
                    continue
                other = self._under_way.get(key)
                if other is not None:
                    shared.append((place, other))
                    continue
                self._under_way[key] = asyncio.get_running_loop().create_future()
            due.append(_Due(place, row, name, hashed, key, self._answerer.prepare(row)))
        try:
            await self._ask(due, ends)
            for place, other in shared:
                ends[place] = await asyncio.shield(other)
            if self._journal is not None:
                await self._journal.drain()
        finally:
            for one in due:
                asked = self._under_way.get(one.key)
                if asked is not None and not asked.done():
                    self._under_way.pop(one.key).cancel()
        return [end for end in ends if end is not None]

    async def _ask(self, due: list[_Due], ends: list[ReusedAnswer | None]) -> None:
        dispatcher = Dispatcher(
            due, lambda one: self._answerer.answer(one.row, one.call), concurrency=self._concurrency
        )
        async with aclosing(dispatcher.results()) as results:
            async for one, result in results:
                self._answerer.price(result)
                ends[one.place] = end = ReusedAnswer.of(result, one.hashed)
                if self._journal is not None:
                    self._keep(self._journal, one, result, end)
                    if self._journal.behind:
                        await self._journal.make_room()

    def _keep(self, journal: Journal, one: _Due, result: BatchResult, end: ReusedAnswer) -> None:
        result.columns = None  # the caller keeps them with the row, and they may be large
        self._under_way[one.key].set_result(end)
        mark = self._server.mark(result)
        if not stays_pending(result):
            journal.append_nowait(encode_line(result, one.name, one.hashed, None, mark), one.key)
            return
        # Every other row would meet its error; running the job again sends it again.
        del self._under_way[one.key]
        if result.billed_attempts:
            journal.append_nowait(pending_line(result, one.name, one.hashed, mark), None)

    def _known(self, key: int, hashed: int) -> ReusedAnswer | None:
        line = self._folder.line(key) if self._folder is not None else None
        return None if line is None else ReusedAnswer.in_line(line, hashed)

    def _written(self, group: Written) -> None:
        if self._folder is not None:
            self._folder.written(group)
        for key in group.marks:
            self._under_way.pop(key, None)
