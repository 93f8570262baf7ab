"""Attempts of one row with structured output: call, validate, and retry until the answer matches."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import orjson

from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.row import Row
from deepseek_async.call.bill import Bill
from deepseek_async.call.caller import Call
from deepseek_async.call.lifecycle import Attempts
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.codec.repair import repaired
from deepseek_async.errors import APIError, DeepSeekError, StructuredOutputError
from deepseek_async.resources.chat import Completions
from deepseek_async.structured import StructuredOutput
from deepseek_async.types import BilledAttempt, ChatCompletion, ParsedChatCompletion
from deepseek_async.types.json_text import read


class RowAttempts:
    """The calls of one row; the first has been created."""

    def __init__(
        self,
        completions: Completions,
        retry: RetryPolicy,
        output: StructuredOutput[Any],
        row: Row,
        call: Call,
    ) -> None:
        self._completions = completions
        self._retry = retry
        self._output = output
        self._row = row
        self._first = self._call = call
        self._earlier = 0
        """Requests of earlier calls."""
        self._bills: tuple[BilledAttempt, ...] = ()
        self._asked = self._cut_short = False

    async def result(self, started: float) -> BatchResult:
        """Return the row's result, without its price. ``started`` is when it began, on the monotonic clock."""
        row = self._row
        result = BatchResult(index=row.index, custom_id=row.custom_id, columns=row.columns)
        try:
            completion = await self._output.ask_adapted(dict(row.body or {}), self._ask)
        except DeepSeekError as error:
            result.error, result.billed_attempts = error, self._bills
            result.cut_short = self._cut_short or self._call.cut_short
        except BaseException:
            self._first.bill = Bill(self._bills)  # the bill covers all calls of the row
            raise
        else:
            result.answer, result.request_id = _as_read(completion), self._call.request_id
            if len(self._bills) > 1 or completion.cached is not None:
                result.billed_attempts = self._bills
        result.attempts = self._earlier + self._call.attempts
        result.started = self._call.sent_at or (None if result.error is not None else time.time())
        result.latency = time.monotonic() - started
        return result

    async def _ask(self, body: dict[str, Any]) -> ChatCompletion:
        if self._asked:
            self._ask_again(body)
        self._asked = True
        call = self._call
        try:
            completion = await self._completions.complete(call)
        except BaseException:
            self._bills += call.bills()
            raise
        self._bills += call.bills(completion)
        return completion

    def _ask_again(self, body: dict[str, Any]) -> None:
        """Start another call. Raises StructuredOutputError if the job's budget is exhausted or the job stops."""
        refused = StructuredOutputError(
            "the answer does not match the schema; not retried, because the job is stopping"
        )
        if not self._goes_on(self._bills, refused):
            self._cut_short = True
            raise refused
        call = self._completions.call(body, retry=self._retry, bulk=True)
        if self._first.may_go_on is not None:
            call.may_go_on = self._may_retry
        self._earlier += self._call.attempts
        self._call = call
        call.begin()

    def _may_retry(self, call: Attempts, failure: APIError) -> bool:
        return self._goes_on((*self._bills, *(() if call.bill is None else call.bill.attempts)), failure)

    def _goes_on(self, bills: tuple[BilledAttempt, ...], failure: APIError) -> bool:
        """Apply the job's predicate to the bill of the whole row; it expects that of a single call."""
        first = self._first
        if first.may_go_on is None:
            return True
        first.bill = Bill(bills)
        return first.may_go_on(first, failure)


def _as_read(completion: ParsedChatCompletion[Any]) -> ParsedChatCompletion[Any]:
    """Return the completion with the extracted JSON as its content, as it is written to the output."""
    message = completion.choices[0].message
    if message.parsed is None or message.tool_calls:
        return completion
    wire = repaired(read(completion.encoded()), ChatCompletion, [])
    sent = wire["choices"][0].setdefault("message", {})
    if sent.get("content") == message.content and not sent.get("tool_calls"):
        return completion
    sent["content"] = message.content
    sent.pop("tool_calls", None)
    wire["choices"][0]["finish_reason"] = completion.choices[0].finish_reason
    return msgspec.structs.replace(completion, _wire=orjson.dumps(wire))
