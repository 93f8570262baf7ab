"""Executes one row: request parameters in, result with its price out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Protocol

from deepseek_async.batch.endpoints import Resource
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.row import Row, placed
from deepseek_async.batch.row_attempts import RowAttempts
from deepseek_async.batch.row_choices import RowChoices
from deepseek_async.call.caller import Call
from deepseek_async.call.lifecycle import Attempts
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.call.tenant import current_tenant
from deepseek_async.codec.choices import choices_asked
from deepseek_async.errors import APIError, DeepSeekError, InputFormatError, InvalidRequestError
from deepseek_async.pricing.prices import Meter
from deepseek_async.resources.chat import Completions
from deepseek_async.structured import StructuredOutput
from deepseek_async.types import Answer, BilledAttempt, ChatCompletion, CompletionUsage, PaidAnswer

_ONE: Final = (None, 1)
"""Values of ``n`` with one choice."""


class Calls(Protocol):
    """Creates and completes the calls of a non-chat endpoint."""

    def call(self, body: Mapping[str, Any], *, retry: RetryPolicy, bulk: bool) -> Call:
        """Create a call without starting it. Raises InvalidRequestError."""
        ...

    def complete(self, call: Call) -> Coroutine[Any, Any, Answer]:
        """Run the call and return its answer."""
        ...


class RowExecutor:
    """Execute rows. Library errors become results; any other exception is a bug and propagates."""

    def __init__(
        self,
        completions: Completions,
        retry: RetryPolicy,
        meter: Meter,
        output: StructuredOutput[Any] | None = None,
        *,
        elsewhere: Mapping[Resource, Calls] = {},
        path: str = "",
    ) -> None:
        self._completions = completions
        self._elsewhere = elsewhere
        self._retry = retry
        self._meter = meter
        self._output = output
        self._path = path

    def checking(self, output: StructuredOutput[Any] | None, path: str = "") -> RowExecutor:
        """Return an answerer that validates answers of rows with a schema (input file ``path``) against ``output``."""
        if output is self._output and path == self._path:
            return self
        elsewhere = self._elsewhere
        return RowExecutor(self._completions, self._retry, self._meter, output, elsewhere=elsewhere, path=path)

    def prepare(self, row: Row) -> Call | DeepSeekError:
        """Create the row's call, or return the error that prevents it.

        Everything possible is done before the row's turn: preparing many rows in one go costs half as much as
        preparing them one by one between answers, when other code has evicted the processor's caches.
        """
        if row.body is None:
            return row.error or InputFormatError(f"line {row.line} is not a request", line=row.line)
        try:
            if row.endpoint is not None:
                return self._elsewhere[row.endpoint.resource].call(row.body, retry=self._retry, bulk=True)
            body = row.body
            if body.get("n") not in _ONE:
                body = self._for_one_choice(row, body)
            return self._completions.call(body, retry=self._retry, bulk=True)
        except InvalidRequestError as error:
            return error if row.endpoint is None else placed(error, self._path, row.line)
        except DeepSeekError as error:
            return error

    def _for_one_choice(self, row: Row, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the request for one choice of a row with several. Raises InvalidRequestError."""
        if choices_asked(body["n"]) == 1:
            return body
        if row.form is not None:
            raise InvalidRequestError(f"n must be 1 in a row whose answer is parsed into a class, got {body['n']}")
        return {name: value for name, value in body.items() if name != "n"}

    def answer(self, row: Row, call: Call | DeepSeekError) -> Coroutine[Any, Any, BatchResult]:
        """Run the call that ``prepare`` returned and return the row's result, without its price."""
        tenant = current_tenant()
        if tenant is None or tenant.places is None:
            return self._answered(row, call)
        return self._answered_in(tenant.places, row, call)

    async def _answered_in(self, places: asyncio.Semaphore, row: Row, call: Call | DeepSeekError) -> BatchResult:
        async with places:
            return await self._answered(row, call)

    async def _answered(self, row: Row, call: Call | DeepSeekError) -> BatchResult:
        if isinstance(call, DeepSeekError):
            return BatchResult(index=row.index, custom_id=row.custom_id, error=call, columns=row.columns)
        # Let answers that arrived together be processed before the next rows are sent. One kind of work at a time keeps
        # the processor's caches warm: with 100 in flight a row took 76 µs, and 100 µs without (scripts/bench,
        # bulk_cpu).
        await asyncio.sleep(0)
        started = time.monotonic()
        call.begin()
        if row.form is not None and self._output is not None:
            return await RowAttempts(self._completions, self._retry, self._output, row, call).result(started)
        endpoint, body = row.endpoint, row.body
        if endpoint is None and body is not None and body.get("n") not in _ONE and (n := choices_asked(body["n"])) > 1:
            one = self._for_one_choice(row, body)
            return await RowChoices(self._completions, self._retry, row, call, body=one, n=n).result(started)
        try:
            given = await (
                self._completions.complete(call)
                if endpoint is None
                else self._elsewhere[endpoint.resource].complete(call)
            )
        except DeepSeekError as error:
            return BatchResult(
                index=row.index,
                custom_id=row.custom_id,
                error=error,
                model=call.model,
                attempts=call.attempts,
                started=call.sent_at,
                latency=time.monotonic() - started,
                billed_attempts=() if call.bill is None else call.bill.attempts,
                cut_short=call.cut_short,
                columns=row.columns,
            )
        return BatchResult(
            index=row.index,
            custom_id=row.custom_id,
            answer=given,
            model=call.model,
            attempts=call.attempts,
            started=call.sent_at or time.time(),
            latency=time.monotonic() - started,
            request_id=call.request_id,
            billed_attempts=() if call.bill is None else call.bill.attempts,
            columns=row.columns,
        )

    def cut(self, row: Row, call: Call) -> BatchResult:
        """Return the result of a row whose call the job cancelled, with its cost so far."""
        bills = () if call.bill is None else call.bill.attempts
        cut = BatchResult(
            index=row.index,
            custom_id=row.custom_id,
            model=call.model,
            attempts=max(call.attempts, len(bills)),
            started=call.sent_at,
            billed_attempts=bills,
            cut_short=True,
        )
        self.price(cut)
        return cut

    def spent(self, call: Attempts) -> float:
        """Return the cost, in US dollars, of attempts of ``call`` that failed."""
        return 0.0 if call.bill is None else self._meter.charge(call.bill.attempts)[0] or 0.0

    def price(self, result: BatchResult) -> None:
        """Set the cost of the row.

        A failed attempt is billed as well; a cached answer was paid for earlier.
        """
        answer = result.answer
        if isinstance(answer, PaidAnswer) and answer.cached is None and not result.billed_attempts:
            # Recorded here because the answer carries no usage.
            paid = BilledAttempt(result.model, CompletionUsage(fees=answer.units()), result.started or 0.0)
            result.billed_attempts = (paid,)
        if result.billed_attempts:
            result.cost, result.saved = self._meter.charge(result.billed_attempts)
            estimated = [attempt for attempt in result.billed_attempts if attempt.usage.estimated]
            result.estimated_cost = self._meter.charge(estimated)[0] or 0.0
            result.fees = self._meter.fees(result.billed_attempts)
            if any(fee.usd is None for fee in result.fees):
                result.cost = None  # a partial sum would look like the total
            return
        if answer is None:
            return
        if answer.cached is not None:
            result.cost = 0.0
            return
        usage = answer.usage if type(answer) is ChatCompletion else answer.tokens_used()
        if usage is not None and result.started is not None:
            rate = self._meter.rate_of(answer.model, result.model, result.started)
            result.cost, result.saved = rate.charge(usage)


def both(
    own: Callable[[Attempts, APIError], bool] | None, job: Callable[[Attempts, APIError], bool]
) -> Callable[[Attempts, APIError], bool]:
    """Combine a call's ``own`` retry predicate, if it has one, with the job's."""
    return job if own is None else lambda call, failure: own(call, failure) and job(call, failure)
