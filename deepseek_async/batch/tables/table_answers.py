"""``client.batch.table``: a frame in, the same frame with its answers as columns out."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Any, Final, TypeVar

import msgspec

from deepseek_async.batch.cells import Empty
from deepseek_async.batch.data_frames import Table, as_table
from deepseek_async.batch.digests import Occurrences
from deepseek_async.batch.dispatcher import Dispatcher
from deepseek_async.batch.input_record import PARAMETERS
from deepseek_async.batch.options import defaults_of
from deepseek_async.batch.progress import JobEnding, Progress, Tally
from deepseek_async.batch.progress_line import line_in_notebook
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.row import DEFAULT_MODEL, Defaults, RowReader, check_columns
from deepseek_async.batch.row_executor import RowExecutor
from deepseek_async.batch.row_identity import request_hash
from deepseek_async.batch.tables.answer_columns import AnswerColumns, Answered
from deepseek_async.batch.tables.frame_library import held, names_of, with_columns, without_rows
from deepseek_async.codec.choices import choices_asked
from deepseek_async.errors import ConfigurationError, InvalidRequestError, RowsLostError
from deepseek_async.structured import StructuredOutput

FrameT = TypeVar("FrameT")
Told = Callable[[Progress], None]

_TOLD_EVERY: Final = 0.2
"""Seconds between two calls of ``on_progress``."""

_ONE_ANSWER: Final = "n must be 1 in a table, which has one answer for each row, got {}: repeat rows, or use batch.map"

_Key = tuple[str | None, int, int]
"""Id and request hash of a row, and how many rows before it are the same."""


class TableAnswers:
    """The part of ``client.batch`` that answers frames."""

    _answerer: RowExecutor
    _concurrency: int | Callable[[], int]

    def __init__(self) -> None:
        self._kept: dict[_Key, Answered] = {}
        """Paid answers of tables that were interrupted."""

    async def table(
        self,
        frame: FrameT,
        *,
        model: str = DEFAULT_MODEL,
        template: str | None = None,
        id_column: str | None = None,
        empty: Empty = "refuse",
        concurrency: int | None = None,
        prefix: str = "",
        on_progress: Told | None = None,
        **parameters: Any,
    ) -> FrameT:
        """Answer every row of a frame; return the frame, of its own kind, with the answers as columns at its end.

        ``frame`` is a pandas or polars DataFrame, a pyarrow Table or RecordBatch, or a ``datasets.Dataset``. It has a
        column ``prompt`` or ``messages``, or those that ``template`` uses; the named levels of a pandas index count as
        columns. ``model``, ``template``, ``id_column``, ``empty``, ``concurrency`` and ``parameters`` are those of
        ``map``. Every row is returned once and in its place, with its index and columns, and with:

        - ``answer``: the text, also one that does not fit the class; null if there is none.
        - ``parsed.NAME``: each field of the class given as ``response_format``; what no column can hold is JSON text.
        - ``error``: class and message of the error; null if the row was answered, or skipped (``empty="skip"``).
        - ``usage``: ``prompt_tokens``, ``cached_tokens``, ``completion_tokens`` and ``reasoning_tokens``.
        - ``cost``: US dollars, null if nothing was sent or the price is unknown.
        - ``tool_calls``, if the requests have ``tools``: the model's calls as JSON text.

        ``prefix`` is put before these names. ``on_progress`` is called on the event loop, at most five times a second
        and at the end; in a notebook a line that updates in place is shown if it is None.
        A row that cannot be answered has an error; none is raised for it. If the call is cancelled or fails, its
        requests are cancelled, and the answers received stay in memory: called again for the same rows, ``table``
        sends only the others. Raises ConfigurationError, before anything is sent, for what is not a frame, for one
        that lacks a column or has one of the added names, and for ``n`` above 1: a row has one answer.
        """
        _check_arguments(prefix, on_progress, parameters)
        if concurrency is not None and concurrency < 1:
            raise ConfigurationError(f"concurrency must be at least 1, got {concurrency}")
        output = StructuredOutput.of(parameters.get("response_format"))
        defaults = defaults_of(output, parameters, model=model, template=template, id_column=id_column, empty=empty)
        frame = held(frame)
        rows, reader = _read(frame, defaults)
        schema = None if output is None else output.form.schema
        calls = parameters.get("tools") is not None or "tools" in rows.columns
        columns = AnswerColumns(len(frame), schema, prefix, calls=calls)  # type: ignore[arg-type]
        _check_columns_fit(frame, columns)
        told = line_in_notebook() if on_progress is None else on_progress
        run = _TableRun(self._answerer.checking(output), reader, defaults, columns, kept=self._kept, told=told)
        answered: FrameT = await run.answer(rows, frame, concurrency or self._concurrency)
        return answered


def _check_arguments(prefix: Any, on_progress: Any, parameters: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for what would fail, or lose answers, after they were paid for."""
    if not isinstance(prefix, str):
        raise ConfigurationError(f"prefix must be a string, got {prefix!r}")
    if on_progress is not None and not callable(on_progress):
        raise ConfigurationError(f"on_progress must be a function of a Progress, got {on_progress!r}")
    if choices_asked(parameters.get("n")) > 1:
        raise ConfigurationError(_ONE_ANSWER.format(parameters["n"]))


def _read(frame: Any, defaults: Defaults) -> tuple[Table, RowReader]:
    """Return the columns that the requests need, and their reader. Raises ConfigurationError."""
    table = as_table(frame)
    assert table is not None  # noqa: S101  every library that can be written can be read
    check_columns(defaults, table.columns, f"the table has: {', '.join(table.written) or 'no columns'}", table.written)
    reader = RowReader(defaults)
    reader.reads_table(table.columns, typed=True)
    needed = table.only({*(reader.shown if defaults.template is not None else PARAMETERS), reader.id_column})
    reader.reads_table(needed.columns, typed=True)  # the others are not read, nor carried
    return needed, reader


def _check_columns_fit(frame: Any, columns: AnswerColumns) -> None:
    """Raise ConfigurationError if the columns cannot be added: tried without rows, before anything is paid for."""
    columns.check_names(names_of(frame))
    try:
        with_columns(without_rows(frame), columns.without_rows())
    except Exception as error:
        raise ConfigurationError(f"the answers cannot be added to the frame as columns: {error}") from error


class _TableRun:
    """One call of ``table``."""

    def __init__(
        self,
        answerer: RowExecutor,
        reader: RowReader,
        defaults: Defaults,
        columns: AnswerColumns,
        *,
        kept: dict[_Key, Answered],
        told: Told | None,
    ) -> None:
        self._answerer = answerer
        self._reader = reader
        self._defaults = defaults
        self._columns = columns
        self._kept = kept
        self._told = told
        self._tally = Tally()
        self._skipped = 0
        self._occurrences = Occurrences()
        self._keys: list[_Key | None] = [None] * columns.size
        self._started = self._told_at = time.monotonic()

    async def answer(self, rows: Table, frame: Any, concurrency: int | Callable[[], int]) -> Any:
        """Return the frame with its answers. However it ends, no request is left running and no answer is lost."""
        dispatcher = Dispatcher(rows, self._work, ended=self._ended, concurrency=concurrency)
        try:
            async with aclosing(dispatcher.results()) as results:
                async for _ in results:
                    self._tell_in_time(dispatcher.in_flight)
            self._tell(0)
            self._check_conserved()
            answered = with_columns(frame, self._columns.built())
        except BaseException:
            self._keep()
            with suppress(Exception):  # of the caller's on_progress, which must not hide why it ended
                self._tell(0)
            raise
        self._forget()
        return answered

    def _work(self, record: Any) -> Coroutine[Any, Any, BatchResult | _Found]:
        row = self._reader.read(record)
        hashed = request_hash(row)
        key = self._keys[row.index] = (row.custom_id, hashed, self._occurrences.next(hashed))
        kept = self._kept.get(key)
        if kept is not None:
            return _found(row.index, kept)
        n = None if row.body is None else row.body.get("n")
        if type(n) is int and n > 1:
            return self._answerer.answer(row, InvalidRequestError(_ONE_ANSWER.format(n)))
        return self._answerer.answer(row, self._answerer.prepare(row))

    def _ended(self, _: Any, result: BatchResult | _Found) -> None:
        if isinstance(result, _Found):
            self._columns.put(result.index, result.answered)
            self._tally.resumed += 1
        elif self._defaults.leaves_out(result.error):
            self._columns.leave_out(result.index)
            self._skipped += 1
        else:
            self._answerer.price(result)
            self._columns.put(result.index, Answered.of(result))
            self._tally.add(JobEnding.of(result))

    def _check_conserved(self) -> None:
        size, missing = self._columns.size, self._columns.missing
        if missing:
            raise RowsLostError(
                f"{missing:,} of {size:,} rows have no result, because the frame was changed meanwhile: run it again",
                read=size - missing,
                ended=size - missing,
            )

    def _keep(self) -> None:
        """Keep the answers for the next call; a row that failed is asked again."""
        for row, key in enumerate(self._keys):
            answered = self._columns.of(row)
            if key is not None and answered is not None and answered.is_paid:
                self._kept[key] = answered

    def _forget(self) -> None:
        if self._kept:
            for key in self._keys:
                if key is not None:
                    self._kept.pop(key, None)

    def _tell_in_time(self, in_flight: int) -> None:
        if self._told is not None and time.monotonic() >= self._told_at + _TOLD_EVERY:
            self._tell(in_flight)

    def _tell(self, in_flight: int) -> None:
        if self._told is None:
            return
        self._told_at = time.monotonic()
        total = self._columns.size - self._skipped
        self._told(self._tally.snapshot(total=total, in_flight=in_flight, elapsed=self._told_at - self._started))


class _Found(msgspec.Struct, frozen=True):
    """An answer of an earlier call."""

    index: int
    answered: Answered


async def _found(index: int, answered: Answered) -> _Found:
    return _Found(index, answered)
