"""``client.batch``: many requests at once, from an iterable or from file to file."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable, Mapping
from copy import copy
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from deepseek_async.batch.cells import Empty
from deepseek_async.batch.data_frames import as_table
from deepseek_async.batch.dispatcher import Dispatcher
from deepseek_async.batch.document_rows import PURPOSE, DocumentRows
from deepseek_async.batch.endpoints import Resource
from deepseek_async.batch.fail_fast import FIRST_ROWS
from deepseek_async.batch.job import Job
from deepseek_async.batch.journal import LOW_WATER
from deepseek_async.batch.open_file import as_lines
from deepseek_async.batch.options import JobOptions, defaults_of
from deepseek_async.batch.progress import Progress
from deepseek_async.batch.report import BatchReport
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.row import DEFAULT_MODEL, MAX_ROW_BYTES, Defaults, RowReader, check_columns
from deepseek_async.batch.row_executor import Calls, RowExecutor
from deepseek_async.batch.row_origin import Adapt, RowFile
from deepseek_async.batch.schedule.off_peak import OffPeak
from deepseek_async.batch.schedule.row_feed import Clock, Order, Schedule, SystemClock, Window
from deepseek_async.batch.signature import arguments_of
from deepseek_async.batch.simulated import Server
from deepseek_async.batch.structured_requests import AnswerClasses
from deepseek_async.batch.tables import TableAnswers
from deepseek_async.batch.tables.parquet_output import is_parquet
from deepseek_async.batch.tables.table_job import ParquetJob
from deepseek_async.batch.template import Template
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.codec.schema_prompt import with_schema_in_prompt
from deepseek_async.errors import ConfigurationError
from deepseek_async.pricing.prices import Meter, PriceTable, price_table
from deepseek_async.pricing.unpriced import say_unpriced
from deepseek_async.resources.chat import Completions
from deepseek_async.resources.standalone.documents import RecognitionPurpose, check_purpose
from deepseek_async.structured import StructuredOutput
from deepseek_async.types.fee import PAGE

BULK_ATTEMPTS: Final = 6
"""Attempts per row, where an interactive call has 4: no user waits for it, and a failed row costs a re-run."""


class Batch(TableAnswers):
    """``client.batch``. A request is a str, a list of messages, a dict of parameters or an OpenAI Batch line.

    The ``url`` of an OpenAI Batch line selects the endpoint for its ``body``: ``/v1/chat/completions``,
    ``/v1/completions``, ``/v1/responses``, ``/v1/messages``, or ``/v1/embeddings`` at a server that supports it. One
    job may mix all of them.
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
        """``elsewhere`` creates the calls of rows whose ``url`` names a non-chat endpoint."""
        super().__init__()
        self._concurrency = concurrency
        self._prices = prices or price_table()
        self._clock = clock or SystemClock()
        self._server = server or Server()
        self._adapted: Adapt | None = None
        default = retry == RetryPolicy()
        retry = msgspec.structs.replace(retry, max_attempts=BULK_ATTEMPTS) if default else retry
        self._answerer = RowExecutor(completions, retry, Meter(self._prices, say_unpriced), elsewhere=elsewhere)

    def of_foreign_requests(self) -> Batch:
        """Internal: the same for jobs whose requests other programs wrote, adapted as a relay adapts them."""
        twin = copy(self)
        vars(twin)["_adapted"] = with_schema_in_prompt
        return twin

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
        """Send every request; ``async for result in client.batch.map(requests)``.

        ``requests`` is pulled lazily, a few more than ``concurrency`` ahead (default: the client's
        ``max_concurrency``, or the adaptive limit). Results are yielded as they finish, or with
        ``ordered=True`` in the order of the requests.
        ``response_format`` may be a class, as for ``chat.completions.create``, here or in a request: the answer is
        validated, requested again if it does not match, and available as the result's ``parsed``.
        A failed request is a result with ``error`` set; nothing is raised for it. ``model`` and further
        ``parameters`` apply to requests that do not set their own. ``template``, ``id_column`` and ``empty`` are
        those of ``job``; a skipped request has no result. A pandas or polars data frame, a pyarrow table and a
        Hugging Face dataset are read as rows, of which ``index`` is the position, and an open text file as one prompt
        per line; see also ``table``. Raises ConfigurationError for a single
        request, for an open file of rows, and for a table without a column that the template uses.
        """
        if isinstance(requests, str | bytes | Mapping):
            # These are iterable, and each letter of a prompt would be paid for.
            raise ConfigurationError(
                f"requests must be an iterable of requests, got a single {type(requests).__name__}: put it in a list, "
                "or use run for a file",
            )
        output = StructuredOutput.of(parameters.get("response_format"))
        defaults = defaults_of(output, parameters, model=model, template=template, id_column=id_column, empty=empty)
        reader, forms = RowReader(defaults), AnswerClasses()
        table = as_table(requests)
        lines = as_lines(requests)
        if table is not None:
            check_columns(defaults, table.columns, f"the table has: {', '.join(table.written)}", table.written)
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
        """Create a job without starting it, for callers that want to stop it or read its progress.

        - ``source``: JSONL (OpenAI Batch lines, each sent to the endpoint in its ``url``; ``{"messages": …}``,
          ``{"prompt": …}`` or strings, which go to chat), ``.txt`` with one prompt per line, or ``.csv``, ``.tsv`` or
          ``.parquet`` with a column ``prompt`` or ``messages``, or with a ``template`` such as ``"Translate: {text}"``.
          Columns or keys that are API parameters are sent; all others are carried to the output (``columns``).
          The file must not change while the job runs.
        - ``empty``: handling of a row whose prompt, or a cell used by its template, is empty, null or NaN: ``"refuse"``
          ends it with an InputFormatError, ``"skip"`` omits and counts it, and ``"send"`` sends it without that text.
        - ``max_row_bytes``: a longer line or record of the input (default 48 MiB) ends with an InputFormatError and is
          never held in memory, compressed or not.
        - ``output``: JSONL of OpenAI Batch output lines, in order of completion; ``response.body`` is the endpoint's
          response, unchanged. Rows that have a line there are not run again. With the suffix ``.parquet``, these lines
          are a file of that name with ``.jsonl`` added, and the table is written at the end, and whenever it doubles.
        - ``ordered``: write lines in input order; a slow row then holds back those after it.
        - ``order``: ``"prefix"`` (the default, unless ``ordered``): of rows with a common prefix one goes first, so
          that the others hit the API's prefix cache, at a fiftieth of the price; or ``"input"``.
        - ``window``: ``"off-peak"`` starts rows only while DeepSeek charges half, and waits in between.
        - ``deadline``: with ``window="off-peak"``, when the job should be done, as a datetime (a naive one is local
          time) or in seconds since 1970; peak hours are used as far as needed.
        - ``model`` and ``parameters``: for rows that do not set their own. For other endpoints than chat they are
          translated (``max_tokens`` becomes ``max_output_tokens`` of a response) and those without effect are not sent;
          a row of an endpoint that does not support one fails with an InputFormatError. ``response_format`` may be a
          class, as for ``chat.completions.create``: a row is done when its answer matches, is retried if it does
          not, and ends with a StructuredOutputError, with text and cost, if no answer matched.
        - ``id_column``: the column, or key, of the row id; default ``custom_id``, where present. A row with an id is
          identified by it, one without by its request: edited, it is a new row.
        - ``durability``: when a row counts as done. ``"group"``: synced to disk with up to 255 others or after
          100 ms; ``"each"``: synced alone; ``"os"``: written to the kernel, so that it survives a crash of the
          process but not of the machine.
        - ``redo``: run only finished rows again, those with one of these outcomes: ``"length"`` (truncated at
          max_tokens), ``"error"``, ``"invalid_json"`` (not JSON, although the row requested it), ``"changed"`` (the
          row's request has changed; one without an id is then a new row, and new rows run too). Their new lines
          supersede the old ones. ``redo_with`` are parameters that override the rows' own, for example
          ``{"max_tokens": 8000}``.
        - ``dedupe``: of equal rows with temperature 0 and without thinking one is sent; the others get its answer.
        - ``budget``: US dollars for this output, over all runs; once exhausted, no row is started. Rows then in
          flight, at most ``concurrency``, can exceed it.
        - ``shard``: ``"2/8"`` runs the second of eight shards, so that eight machines share an input; see ``merge``.
        - ``fail_fast``: stop, resumable, when the first ``fail_fast`` rows (default 50) have all failed permanently
          with the same error; 0 to disable. Rows that cannot be read do not count.
        - ``min_free``: bytes of disk space to keep free (default 64 MiB); below it, the job waits a minute, then stops.
        - ``allow_network``: write to a network file system, where lock and sync may be unreliable.
        - ``on_progress``: called on the event loop after each group of rows is durable.
        """
        form = StructuredOutput.of(parameters.get("response_format"))
        if StructuredOutput.of((redo_with or {}).get("response_format")) is not None:
            raise ConfigurationError("redo_with cannot contain a class: pass it as response_format with redo='changed'")
        source, output = Path(source), Path(output)
        make = partial(ParquetJob, source) if is_parquet(output) else partial(Job, RowFile(source, self._adapted))
        return make(
            output,
            self._answerer.checking(form, str(source)),
            server=self._server,
            defaults=defaults_of(
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

    @arguments_of(job)
    async def run(self, *arguments: Any, **options: Any) -> BatchReport:
        """Run every row of an input file into an output file; run it again after a crash to resume.

        Takes the arguments of ``job``. Raises ConfigurationError, OutputLockedError or OutputWriteError before
        anything is sent; what stops a running job is in the report's ``stopped``.
        """
        return await self.job(*arguments, **options).run()

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
        """Create a job that recognizes documents as ``client.tools.ocr`` does; start it with ``await job.run()``.

        - ``files``: each is a row, identified by its content: a renamed or moved file is not sent again, a changed one
          is. One that cannot be sent, or changes meanwhile, is a row with an error that names it. Each line of
          ``output`` has its path (``columns.file``); if the path changes, the line is repeated with the new one.
        - ``redo``: ``"error"`` runs failed documents again; those with an incomplete page always run again. A document
          whose answer was lost may have been billed, and is sent again only with this.
        - ``budget``: US dollars for this output; requires ``currency_rates``, because pages are priced in yuan only.

        All else is as for ``job`` and ``tools.ocr``. Raises ConfigurationError.
        """
        check_purpose(purpose)
        if budget is not None and self._prices.fees_at(self._clock.time())[PAGE].USD is None:
            raise ConfigurationError(
                "the budget is in US dollars, but pages are priced in yuan only: set the rate with "
                "AsyncDeepSeek(currency_rates={'CNY': …}) or DEEPSEEK_ASYNC_CNY_RATE",
            )
        return Job(
            DocumentRows([Path(file) for file in files]),
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
            raise ConfigurationError(f"order must be 'prefix' or 'input', got {order!r}")
        if ordered and order == "prefix":
            raise ConfigurationError("ordered=True writes in input order and cannot be combined with order='prefix'")
        if window not in {"any", "off-peak"}:
            raise ConfigurationError(f"window must be 'any' or 'off-peak', got {window!r}")
        hours = None
        if window == "off-peak":
            hours = OffPeak(self._prices, self._checked_deadline(deadline))
        elif deadline is not None:
            raise ConfigurationError("deadline requires window='off-peak'")
        return Schedule(order=order or ("input" if ordered else "prefix"), hours=hours, clock=self._clock)

    def _checked_deadline(self, deadline: datetime | float | None) -> float | None:
        if deadline is None:
            return None
        moment = deadline.timestamp() if isinstance(deadline, datetime) else float(deadline)
        if not moment > self._clock.time():
            shown = deadline.isoformat() if isinstance(deadline, datetime) else deadline
            raise ConfigurationError(f"deadline must be in the future, got {shown}; nothing was sent")
        return moment

    def _checked(self, concurrency: int | None) -> int | Callable[[], int]:
        if concurrency is None:
            return self._concurrency
        if concurrency < 1:
            raise ConfigurationError(f"concurrency must be at least 1, got {concurrency}")
        return concurrency
