"""Answers for the rows of a ``ray.data.Dataset``.

Calls of an actor run on an event loop in a dedicated thread: an async function of Ray Data would share its loop with
Ray's blocking backpressure, and stall with it.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from deepseek_async.batch.reused_answers import ReusedAnswer, ReusedAnswers
from deepseek_async.batch.row import DEFAULT_MODEL, Defaults, Row
from deepseek_async.client import AsyncDeepSeek
from deepseek_async.configuration.credential import hidden
from deepseek_async.errors import ConfigurationError
from deepseek_async.integrations.ray.cluster import environment_to_hand_on, ray_package
from deepseek_async.integrations.ray.columns import check_names, names_of, rows_of, with_answers
from deepseek_async.process.garbage import relax_garbage_collection
from deepseek_async.structured import StructuredOutput

_KEY: Final = "DEEPSEEK_API_KEY"


class Answers:
    """A stateful class for ``Dataset.map_batches`` with an actor pool; see ``answered``.

    A row has a column ``prompt``, ``messages`` or ``request`` (a whole request, also as JSON), or the columns that
    ``template`` uses; columns that are API parameters are sent too, by the rules of ``client.batch``. The columns
    ``answer``, ``error``, ``usage``, ``cost`` (US dollars) and ``hash`` (of the request) are added. A row that cannot
    be answered has an error there; nothing is raised for it.

    - ``journal``: a folder on storage shared by all nodes, in which each actor journals paid answers. A row in any of
      its journals is not sent again, whatever became of the job that paid for it. Rows with equal requests are
      one row, unless ``id_column`` (or ``custom_id``) distinguishes them.
    - ``redo_failed``: send rows again that ended with an error in the journals.
    - ``prefix``: prefix of the names of added columns.
    - ``model``, ``template``, ``id_column``, ``empty`` and further ``parameters``: as for ``client.batch.job``, except
      that no row can be skipped.
    - ``client``: arguments of AsyncDeepSeek. ``shared`` defaults to DEEPSEEK_ASYNC_SHARED, then "ray": all actors of
      the cluster share one concurrency limit.
    - ``environment``: environment variables to set first in the actor's process.

    Raises ConfigurationError for arguments that cannot work for any row, and OutputWriteError for an unwritable
    journal.
    """

    def __init__(
        self,
        *,
        journal: str | Path | None = None,
        redo_failed: bool = False,
        prefix: str = "",
        model: str = DEFAULT_MODEL,
        template: str | None = None,
        id_column: str | None = None,
        empty: str = "refuse",
        client: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> None:
        if empty not in {"refuse", "send"}:
            raise ConfigurationError(f"empty must be refuse or send, because every row needs a result, got {empty!r}")
        os.environ.update(environment or {})
        relax_garbage_collection()
        self._output = StructuredOutput.of(parameters.get("response_format"))
        if self._output is not None:
            del parameters["response_format"]
        self._defaults = Defaults(
            model=model,
            parameters=parameters,
            template=template,
            id_column=id_column,
            form=None if self._output is None else self._output.form,
            empty=empty,  # type: ignore[arg-type]
        )
        self._prefix = prefix
        self._client = _with_sharing(hidden(client or {}))
        self._folder = None if journal is None else Path(journal)
        self._redo_failed = redo_failed
        self._checked: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._kept: Future[ReusedAnswers] = Future()
        self._ending = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name="deepseek-async", daemon=True)
        self._thread.start()
        self._kept.result()
        atexit.register(self.close)

    def __call__(self, batch: Any) -> Any:
        """Return the batch with its answers, once all are durable. Thread-safe."""
        columns = names_of(batch)
        if columns != self._checked:
            check_names(columns, self._prefix)
            self._checked = columns
        rows = rows_of(batch, self._defaults)
        ends = asyncio.run_coroutine_threadsafe(self._answers(rows), self._loop).result()
        return with_answers(batch, ends, self._prefix)

    def close(self) -> None:
        """Close the client and the journal. A killed actor skips this and loses nothing."""
        atexit.unregister(self.close)
        with suppress(RuntimeError):  # the loop is already closed
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    async def _answers(self, rows: list[Row]) -> list[ReusedAnswer]:
        return await self._kept.result().answers(rows)

    def _serve(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._until_closed())
        except BaseException as error:
            if self._kept.done():
                raise
            self._kept.set_exception(error)

    async def _until_closed(self) -> None:
        async with (
            AsyncDeepSeek(**self._client) as client,
            ReusedAnswers(client.batch, self._folder, output=self._output, redo_failed=self._redo_failed) as kept,
        ):
            self._kept.set_result(kept)
            await self._ending.wait()


def answered(dataset: Any, *, actors: int = 1, batch_size: int = 1000, calls: int = 4, **arguments: Any) -> Any:
    """Return the dataset with answer columns: ``map_batches`` of Answers, in a pool of ``actors``.

    An actor works on ``calls`` batches concurrently, from different blocks: small blocks are combined, and the batches
    of a large one run sequentially, so ``repartition`` a dataset of few large blocks first. A batch ends with its last
    row. All concurrent batches together should hold more rows than the account's concurrency limit. One actor suffices
    for some thousand rows/s; use more for CPU-intensive rows, or for the memory of several nodes. ``arguments`` are
    those of Answers; the API key and other variables of this process are passed on unless overridden. The order of rows
    is not preserved, as usual in Ray. Raises ConfigurationError if Ray is not installed.
    """
    ray = ray_package()
    if arguments.get("journal") is not None:
        arguments["journal"] = Path(arguments["journal"]).absolute()  # actors have other working directories
    client = hidden({"api_key": os.environ.get(_KEY) or None, **arguments.pop("client", {})})
    handed = {**environment_to_hand_on(), **arguments.pop("environment", {})}
    return dataset.map_batches(
        Answers,
        fn_constructor_kwargs={**arguments, "client": client, "environment": handed},
        batch_format="pyarrow",
        batch_size=batch_size,
        compute=ray.data.ActorPoolStrategy(
            size=actors,
            max_concurrent_calls_per_actor=calls,
            max_tasks_in_flight_per_actor=2 * calls,
            enable_true_multi_threading=True,
        ),
        num_cpus=0.1,  # mostly waits for I/O
        udf_modifying_row_count=False,
    )


def _with_sharing(client: Mapping[str, Any]) -> dict[str, Any]:
    if "shared" in client or os.environ.get("DEEPSEEK_ASYNC_SHARED") or not ray_package().is_initialized():
        return dict(client)
    return {**client, "shared": "ray"}
