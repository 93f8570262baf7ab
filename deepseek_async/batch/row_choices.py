"""Calls of one row with ``n`` above 1: one request for each choice, the first one ahead."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.row import Row
from deepseek_async.call.bill import Bill
from deepseek_async.call.caller import Call
from deepseek_async.call.lifecycle import Attempts
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.errors import APIError, DeepSeekError
from deepseek_async.resources.chat import Completions
from deepseek_async.resources.several_choices import several_choices
from deepseek_async.types import BilledAttempt, ChatCompletion


class RowChoices:
    """The calls of one row; the first has been created. It always goes ahead: no reader waits for a row."""

    def __init__(
        self, completions: Completions, retry: RetryPolicy, row: Row, call: Call, *, body: Mapping[str, Any], n: int
    ) -> None:
        self._completions = completions
        self._retry = retry
        self._row = row
        self._first = call
        self._calls = [call]
        self._body = body
        self._n = n
        self._bills: list[BilledAttempt] = []
        """Of the calls that have ended."""
        self._cut_short = False

    async def result(self, started: float) -> BatchResult:
        """Return the row's result, without its price. ``started`` is when it began, on the monotonic clock."""
        row, first = self._row, self._first
        result = BatchResult(index=row.index, custom_id=row.custom_id, model=first.model, columns=row.columns)
        try:
            result.answer = await several_choices(self._ask, self._n, one_ahead=True)
        except DeepSeekError as error:
            result.error = error
            result.cut_short = self._cut_short or any(call.cut_short for call in self._calls)
        except BaseException:
            first.bill = Bill(tuple(self._bills))  # the bill covers all calls of the row
            raise
        result.billed_attempts = tuple(self._bills)
        result.request_id = first.request_id
        result.attempts = sum(call.attempts for call in self._calls)
        result.started = first.sent_at or (None if result.error is not None else time.time())
        result.latency = time.monotonic() - started
        return result

    async def _ask(self, choice: int) -> ChatCompletion:
        call = self._first if choice == 0 else self._further(choice)
        try:
            completion = await self._completions.complete(call)
        except BaseException:
            self._bills += call.bills()
            raise
        self._bills += call.bills(completion)
        return completion

    def _further(self, choice: int) -> Call:
        """Start the call for another choice. Raises APIError if the job's budget is exhausted or the job stops."""
        refused = APIError(f"choice {choice} was not asked for, because the job is stopping", retryable=True)
        if not self._goes_on((), refused):
            self._cut_short = True
            raise refused
        call = self._completions.call(self._body, retry=self._retry, bulk=True, choice=choice)
        if self._first.may_go_on is not None:
            call.may_go_on = self._may_retry
        self._calls.append(call)
        call.begin()
        return call

    def _may_retry(self, call: Attempts, failure: APIError) -> bool:
        return self._goes_on(() if call.bill is None else call.bill.attempts, failure)

    def _goes_on(self, more: tuple[BilledAttempt, ...], failure: APIError) -> bool:
        """Apply the job's predicate to the bill of the whole row; it expects that of a single call."""
        first = self._first
        if first.may_go_on is None:
            return True
        first.bill = Bill((*self._bills, *more))
        return first.may_go_on(first, failure)
