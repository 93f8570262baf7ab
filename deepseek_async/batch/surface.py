"""``client.batch``: many requests at once, from an iterable or from file to file."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from deepseek_async.batch.answer_classes import AnswerClasses
from deepseek_async.batch.answerer import Answerer, Calls
from deepseek_async.batch.cells import Empty
from deepseek_async.batch.dispatcher import Dispatcher
from deepseek_async.batch.documents import PURPOSE, Documents
from deepseek_async.batch.endpoints import Resource
from deepseek_async.batch.fail_fast import FIRST_ROWS
from deepseek_async.batch.frames import as_table
from deepseek_async.batch.job import Job
from deepseek_async.batch.journal import LOW_WATER
from deepseek_async.batch.open_file import as_lines
from deepseek_async.batch.options import JobOptions
from deepseek_async.batch.progress import Progress
from deepseek_async.batch.report import BatchReport
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.row import DEFAULT_MODEL, MAX_ROW_BYTES, Defaults, RowReader, check_columns
from deepseek_async.batch.row_origin import RowFile
from deepseek_async.batch.schedule.off_peak import OffPeak
from deepseek_async.batch.schedule.row_feed import Clock, Order, Schedule, SystemClock, Window
from deepseek_async.batch.simulated import Server
from deepseek_async.batch.template import Template
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.errors import ConfigurationError
from deepseek_async.pricing.prices import Meter, PriceTable, price_table
from deepseek_async.pricing.unpriced import say_unpriced
from deepseek_async.resources.chat import Completions
from deepseek_async.resources.standalone.documents import RecognitionPurpose, check_purpose
from deepseek_async.structured import StructuredOutput
from deepseek_async.types.fee import PAGE

BULK_ATTEMPTS: Final = 6
"""Attempts a row, where an interactive call has 4: nobody is waiting for it, and a failed row costs a re-run."""


class Batch:
    """``client.batch``. Requests may be a str, a list of messages, a dict of parameters or an OpenAI Batch line.

    Its ``url`` says where the line's ``body`` goes: ``/v1/chat/completions``, ``/v1/completions``, ``/v1/responses``,
    ``/v1/messages``, or ``/v1/embeddings`` at a server that has them. One job may have lines for all of them.
    """

    def __init__(
        self,
        completions: Completions,
        concurrency: int | Callable[[], int],
        retry: RetryPolicy,
        *,
        elsewhere: Mapping[Resource, Calls] = {},
        prices: PriceTable | None = None,
        clock: Clock | None = None,
        server: Server | None = None,
    ) -> None:
        """``elsewhere`` makes the calls of rows whose ``url`` names another endpoint than chat."""
        self._concurrency = concurrency
        self._prices = prices or price_table()
        self._clock = clock or SystemClock()
        self._server = server or Server()
        default = retry == RetryPolicy()
        retry = msgspec.structs.replace(retry, max_attempts=BULK_ATTEMPTS) if default else retry
        self._answerer = Answerer(completions, retry, Meter(self._prices, say_unpriced), elsewhere=elsewhere)

    async def map(
        self,
        requests: Iterable[Any] | AsyncIterable[Any],
        *,
        ordered: bool = False,
        model: str = DEFAULT_MODEL,
        template: str | None = None,
        id_column: str | None = None,
        empty: Empty = "refuse",
        concurrency: int | None = None,
        **parameters: Any,
    ) -> AsyncGenerator[BatchResult, None]:
        """Answer every request; ``async for result in client.batch.map(requests)``.

        ``requests`` is pulled lazily, a few more than ``concurrency`` ahead (default: the client's
        ``max_concurrency``, or as many as the limit that it finds allows). Results come as they end, or with
        ``ordered=True`` in the order of the requests.
        ``response_format`` may be a class, as for ``chat.completions.create``, here or in a request: an answer is
        checked, asked again if it does not fit, and is the result's ``parsed``.
        A request that fails is a result with ``error`` set; nothing is raised for it. ``model`` and further
        ``parameters`` apply to requests that do not name their own. ``template``, ``id_column`` and ``empty`` are
        those of ``job``; of a request that is skipped there is no result. A data frame of pandas or polars and a table
        of pyarrow are read as rows, and an open text file as a prompt a line. Raises ConfigurationError for a single
        request, for an open file of rows, and for a table without what the template asks for.
        """
        if isinstance(requests, str | bytes | Mapping):
            # They can be iterated over, and each letter of a prompt would be paid for.
            raise ConfigurationError(
                f"map takes many requests, and got one {type(requests).__name__}: put it in a list, or use run for a "
                "file",
            )
        output = StructuredOutput.of(parameters.get("response_format"))
        defaults = _defaults(output, parameters, model=model, template=template, id_column=id_column, empty=empty)
        reader, forms = RowReader(defaults), AnswerClasses()
        table = as_table(requests)
        lines = as_lines(requests)
        if table is not None:
            check_columns(defaults, table.columns, "the table has: " + ", ".join(table.columns))
            reader.reads_table(table.columns, typed=True)
        elif template is not None:
            Template(template).check_names()
        common = self._answerer.checking(output)

        def answer(request: Any) -> Coroutine[Any, Any, BatchResult]:
            own = forms.own(request)
            if own is None:
                row, answerer = reader.read(request), common
            else:
                request, output = own
                row, answerer = reader.read(request, form=output.form), common.checking(output)
            return answerer.answer(row, answerer.prepare(row))

        dispatcher = Dispatcher(
            table or lines or requests,
            answer,
            concurrency=self._checked(concurrency),
            ordered=ordered,
        )
        results = dispatcher.results()
        try:
            async for _, result in results:
                common.price(result)
                if not defaults.leaves_out(result.error):
                    yield result
        finally:
            await results.aclose()

    async def run(
        self,
        source: str | Path,
        output: str | Path,
        *,
        model: str = DEFAULT_MODEL,
        template: str | None = None,
        id_column: str | None = None,
        empty: Empty = "refuse",
        max_row_bytes: int = MAX_ROW_BYTES,
        ordered: bool = False,
        concurrency: int | None = None,
        order: Order | None = None,
        window: Window = "any",
        deadline: datetime | float | None = None,
        durability: str = "group",
        redo: str | Iterable[str] = (),
        redo_with: Mapping[str, Any] | None = None,
        dedupe: bool = False,
        budget: float | None = None,
        shard: str | None = None,
        fail_fast: int = FIRST_ROWS,
        min_free: int = LOW_WATER,
        allow_network: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
        **parameters: Any,
    ) -> BatchReport:
        """Answer every row of a file into a file; run it again after a crash and it goes on.

        See ``job`` for the arguments. Raises ConfigurationError, OutputLockedError or OutputWriteError before
        anything is sent; what stops a running job is in the report's ``stopped``.
        """
        job = self.job(
            source,
            output,
            model=model,
            template=template,
            id_column=id_column,
            empty=empty,
            max_row_bytes=max_row_bytes,
            ordered=ordered,
            concurrency=concurrency,
            order=order,
            window=window,
            deadline=deadline,
            durability=durability,
            redo=redo,
            redo_with=redo_with,
            dedupe=dedupe,
            budget=budget,
            shard=shard,
            fail_fast=fail_fast,
            min_free=min_free,
            allow_network=allow_network,
            on_progress=on_progress,
            **parameters,
        )
        return await job.run()

    def job(
        self,
        source: str | Path,
        output: str | Path,
        *,
        model: str = DEFAULT_MODEL,
        template: str | None = None,
        id_column: str | None = None,
        empty: Empty = "refuse",
        max_row_bytes: int = MAX_ROW_BYTES,
        ordered: bool = False,
        concurrency: int | None = None,
        order: Order | None = None,
        window: Window = "any",
        deadline: datetime | float | None = None,
        durability: str = "group",
        redo: str | Iterable[str] = (),
        redo_with: Mapping[str, Any] | None = None,
        dedupe: bool = False,
        budget: float | None = None,
        shard: str | None = None,
        fail_fast: int = FIRST_ROWS,
        min_free: int = LOW_WATER,
        allow_network: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
        **parameters: Any,
    ) -> Job:
        """A job that has not begun, for callers that want to stop it or to ask for its progress.

        - ``source``: JSONL (OpenAI Batch lines, each for the endpoint that its ``url`` names; ``{"messages": …}``,
          ``{"prompt": …}`` or strings, which are chat), ``.txt`` with a prompt a line, or ``.csv``, ``.tsv`` or
          ``.parquet`` with a column ``prompt`` or ``messages``, or with a ``template`` such as ``"Translate: {text}"``.
          Of a row's columns or keys those that are parameters of the API are sent; all others are carried along to the
          output (``columns``). Nobody may write to it meanwhile.
        - ``empty``: what becomes of a row whose prompt, or a cell that its template asks about, is empty, null or
          NaN: ``"refuse"`` ends it with an InputFormatError, ``"skip"`` leaves it out and counts it, and ``"send"``
          asks without it.
        - ``max_row_bytes``: a line of the input, or a record of a table, that is longer (48 MiB) ends with an
          InputFormatError and is never held in memory, packed or not.
        - ``output``: JSONL of OpenAI Batch output lines, in the order in which rows end; ``response.body`` is what the
          row's endpoint answered, as it came. Rows that have a line there are not run again.
        - ``ordered``: write the lines in the order of the input; one slow row then holds back those after it.
        - ``order``: ``"prefix"`` (the default, but with ``ordered``): of rows that begin alike one goes first, so
          that the others find their beginning in the API's prefix cache, at a fiftieth of the price; or
          ``"input"``.
        - ``window``: ``"off-peak"`` starts rows only while DeepSeek charges half, and waits in between.
        - ``deadline``: with that window, when the job should be done, as a datetime (a naive one is local time)
          or in seconds since 1970; peak hours are used as far as it takes.
        - ``model`` and ``parameters``: for rows that do not name their own. At other endpoints than chat they are said
          in its words (``max_tokens`` is ``max_output_tokens`` of a response), what changes nothing there is not sent,
          and a row of an endpoint that lacks one fails with an InputFormatError. ``response_format`` may be a class, as
          for ``chat.completions.create``: a row is done when its answer fits, asked again within the row if it does
          not, and ends with a StructuredOutputError, with text and cost, if none did.
        - ``id_column``: the column, or key, that holds each row's id; ``custom_id`` by default, where there is one. A
          row with an id is known by it, and one without by what it asks: edited, that is a new row.
        - ``durability``: when a row counts as done. ``"group"``: synced to the disk with up to 255 others or after
          100 ms; ``"each"``: synced alone; ``"os"``: handed to the kernel, so that it survives the death of the
          process but not that of the machine.
        - ``redo``: run only rows again that are finished, and ended in one of these ways: ``"length"`` (cut off at
          max_tokens), ``"error"``, ``"invalid_json"`` (no JSON, though the row asked for it), ``"changed"`` (the row
          asks for something else now; one without an id is then a new row, and new rows run too). Their new lines
          supersede the old ones. ``redo_with`` are parameters in place of the rows' own, for example
          ``{"max_tokens": 8000}``.
        - ``dedupe``: of equal rows with temperature 0 and without thinking one is sent; the others get its answer.
        - ``budget``: US dollars for this output, over all runs; no row is started when it is used up. What was in
          flight then, at most ``concurrency`` rows, can exceed it.
        - ``shard``: ``"2/8"`` runs the second of eight parts, so that eight machines share an input; see ``merge``.
        - ``fail_fast``: stop, resumable, when the first so many rows (50) have all failed for good with one and the
          same error; 0 to go on whatever fails. Rows that cannot be read do not count.
        - ``min_free``: bytes of the disk that stay free (64 MiB); below, the job waits a minute and then stops.
        - ``allow_network``: write to a network file system, where lock and sync may not hold.
        - ``on_progress``: called on the event loop after each group of rows has reached the disk.
        """
        form = StructuredOutput.of(parameters.get("response_format"))
        if StructuredOutput.of((redo_with or {}).get("response_format")) is not None:
            raise ConfigurationError("redo_with cannot be a class: give it as response_format, with redo='changed'")
        return Job(
            RowFile(Path(source)),
            Path(output),
            self._answerer.checking(form, str(source)),
            server=self._server,
            defaults=_defaults(
                form,
                parameters,
                model=model,
                template=template,
                id_column=id_column,
                empty=empty,
                max_row_bytes=max_row_bytes,
            ),
            concurrency=self._checked(concurrency),
            schedule=self._schedule(order, window, deadline, ordered=ordered),
            ordered=ordered,
            options=JobOptions.checked(
                durability=durability,
                min_free=min_free,
                allow_network=allow_network,
                redo=redo,
                redo_with=redo_with or {},
                dedupe=dedupe,
                budget=budget,
                shard=shard,
                fail_fast=fail_fast,
                ordered=ordered,
            ),
            on_progress=on_progress,
        )

    def ocr(
        self,
        files: Iterable[str | Path],
        output: str | Path,
        *,
        purpose: RecognitionPurpose = "text_recognition",
        concurrency: int | None = None,
        redo: str | Iterable[str] = (),
        budget: float | None = None,
        durability: str = "group",
        min_free: int = LOW_WATER,
        allow_network: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Job:
        """A job that has not begun, which reads documents as ``client.tools.ocr`` does: ``await job.run()``.

        - ``files``: each is a row, known by its content: renamed or moved it is not read again, and changed it is. One
          that cannot be sent, or changes meanwhile, is a row with an error that names it. Each line of ``output`` has
          its path (``columns.file``); where that has become another, the line is written once more.
        - ``redo``: ``"error"`` runs those that failed again; those of which a page is incomplete always run again. One
          whose answer was lost may have been billed, and is sent again only by this.
        - ``budget``: US dollars for this output; takes ``currency_rates``, because pages have a price in yuan only.

        All else is as for ``job`` and ``tools.ocr``. Raises ConfigurationError.
        """
        check_purpose(purpose)
        if budget is not None and self._prices.fees_at(self._clock.time())[PAGE].USD is None:
            raise ConfigurationError(
                "the budget is in US dollars, and pages have a price in yuan only: say what a yuan is, by "
                "AsyncDeepSeek(currency_rates={'CNY': …}), or DEEPSEEK_ASYNC_CNY_RATE",
            )
        return Job(
            Documents([Path(file) for file in files]),
            Path(output),
            self._answerer,
            server=self._server,
            defaults=Defaults(parameters={PURPOSE: purpose}),
            concurrency=self._checked(concurrency),
            schedule=Schedule(order="input", clock=self._clock),
            options=JobOptions.checked(
                durability=durability,
                min_free=min_free,
                allow_network=allow_network,
                redo=["length", *([redo] if isinstance(redo, str) else redo)],
                new_too=True,
                budget=budget,
            ),
            on_progress=on_progress,
        )

    def _schedule(
        self,
        order: Order | None,
        window: Window,
        deadline: datetime | float | None,
        *,
        ordered: bool,
    ) -> Schedule:
        if order not in {None, "prefix", "input"}:
            raise ConfigurationError(f"order must be 'prefix' or 'input', not {order!r}")
        if ordered and order == "prefix":
            raise ConfigurationError("ordered=True writes in the order of the input, so order='prefix' cannot be had")
        if window not in {"any", "off-peak"}:
            raise ConfigurationError(f"window must be 'any' or 'off-peak', not {window!r}")
        hours = None
        if window == "off-peak":
            hours = OffPeak(self._prices, self._checked_deadline(deadline))
        elif deadline is not None:
            raise ConfigurationError("a deadline says how long off-peak hours may be waited for: set window='off-peak'")
        return Schedule(order=order or ("input" if ordered else "prefix"), hours=hours, clock=self._clock)

    def _checked_deadline(self, deadline: datetime | float | None) -> float | None:
        if deadline is None:
            return None
        moment = deadline.timestamp() if isinstance(deadline, datetime) else float(deadline)
        if not moment > self._clock.time():
            shown = deadline.isoformat() if isinstance(deadline, datetime) else deadline
            raise ConfigurationError(f"the deadline {shown} is in the past; nothing was sent")
        return moment

    def _checked(self, concurrency: int | None) -> int | Callable[[], int]:
        if concurrency is None:
            return self._concurrency
        if concurrency < 1:
            raise ConfigurationError(f"concurrency must be at least 1, not {concurrency}")
        return concurrency


def _defaults(output: StructuredOutput[Any] | None, parameters: Mapping[str, Any], **facts: Any) -> Defaults:
    """What all rows are sent with; a class as ``response_format`` is the form of their answers."""
    if output is None:
        return Defaults(parameters=parameters, **facts)
    others = {name: value for name, value in parameters.items() if name != "response_format"}
    return Defaults(parameters=others, form=output.form, **facts)
