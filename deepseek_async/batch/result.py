"""Result of one row: an answer or an error, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from deepseek_async.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    BudgetExceededError,
    CircuitOpenError,
    DeepSeekError,
    InsufficientBalanceError,
    QuotaExceededError,
    RateLimitError,
)
from deepseek_async.text.html import answer_html
from deepseek_async.text.number_format import dollars
from deepseek_async.types import (
    Answer,
    BilledAttempt,
    ChatCompletion,
    Completion,
    CompletionUsage,
    FeeCharge,
    Message,
    ParsedChatCompletion,
    RecognizedDocument,
    Response,
    ThinkingBlock,
)
from deepseek_async.types.usage import added


class BatchResult(msgspec.Struct, kw_only=True):
    """Result of one row: ``answer`` if ``ok``, otherwise ``error``."""

    index: int
    """Position of the row in the input, from 0."""
    custom_id: str | None = None
    answer: Answer | None = None
    """Answer of the row's endpoint: a ChatCompletion, Completion, Response, Message, CreateEmbeddingResponse or
    RecognizedDocument."""
    error: DeepSeekError | None = None
    attempts: int = 0
    """Requests sent for the row."""
    started: float | None = None
    """When the last request was sent, in seconds since 1970; None if none was."""
    latency: float = 0.0
    """Seconds from first admission to the answer, including retries and waits."""
    model: str = ""
    """The requested model."""
    cost: float | None = None
    """US dollars; None if nothing was sent or the cost is unknown. A model without a price is charged at the price of
    the requested model, else at the highest price."""
    estimated_cost: float = 0.0
    """Part of ``cost`` for requests without a valid usage: the most they can have cost."""
    fees: tuple[FeeCharge, ...] = ()
    """Charges other than tokens, one per kind. Part of ``cost`` if priced in US dollars."""
    saved: float = 0.0
    """US dollars saved by the API's prefix cache."""
    predicted_cached_tokens: int | None = None
    """Tokens that the row order predicted to come from the cache; None if it predicted none."""
    request_id: str | None = None
    """``x-ds-trace-id`` of the answer."""
    billed_attempts: tuple[BilledAttempt, ...] = ()
    """Every request that was or may have been billed, if one of them failed or searched; ``usage`` and ``cost`` are
    their sums. ``usage.estimated`` marks requests whose usage was not received."""

    cut_short: bool = False
    """Whether the job ended before the row was retried; the next run sends it again."""
    columns: Mapping[str, Any] | None = None
    """Columns of the row that are not part of the request and were not sent; None if there are none."""

    @property
    def ok(self) -> bool:
        """Whether the row has an answer."""
        return self.error is None

    @property
    def completion(self) -> ChatCompletion | None:
        """The answer of a chat row; None without an answer or for another endpoint."""
        return self.answer if isinstance(self.answer, ChatCompletion) else None

    @property
    def content(self) -> str | None:
        """Text of the answer, or None."""
        match self.answer:
            case ChatCompletion(choices=[first, *_]):
                return first.message.content
            case Completion(choices=[first, *_]):
                return first.text
            case Response() as response:
                return response.output_text
            case Message() | RecognizedDocument() as read:
                return read.text
        return None

    @property
    def reasoning(self) -> str | None:
        """The model's reasoning; None without an answer or with thinking disabled."""
        match self.answer:
            case ChatCompletion(choices=[first, *_]):
                return first.message.reasoning_content
            case Response() as response:
                return "".join(item.reasoning for item in response.output) or None
            case Message() as message:
                return "".join(block.thinking for block in message.content if isinstance(block, ThinkingBlock)) or None
        return None

    @property
    def parsed(self) -> Any:
        """The answer as an instance of the requested class, or None."""
        return self.answer.parsed if isinstance(self.answer, ParsedChatCompletion) else None

    @property
    def usage(self) -> CompletionUsage | None:
        """Billed tokens over all attempts, including failed ones."""
        if self.billed_attempts:
            return added(attempt.usage for attempt in self.billed_attempts)
        answer = self.answer
        if type(answer) is ChatCompletion:
            return answer.usage  # nearly every row
        return None if answer is None else answer.tokens_used()

    def _repr_html_(self) -> str:
        """Return what a notebook shows, with everything escaped."""
        name = f"row {self.index}" if self.custom_id is None else f"row {self.index}: {self.custom_id}"
        if self.error is not None:
            return answer_html(None, name, f"{type(self.error).__name__}: {self.error.message}", tokens=None)
        used = self.usage
        cost = None if self.cost is None else dollars(self.cost)
        tokens = None if used is None else used.total_tokens
        return answer_html(self.content, name, self.model, cost, reasoning=self.reasoning, tokens=tokens)

    def raise_for_error(self) -> BatchResult:
        """Return this result if ``ok``; otherwise raise its error."""
        if self.error is not None:
            raise self.error
        return self


def stays_pending(result: BatchResult) -> bool:
    """Whether the row's error does not concern the row itself, so that it stays pending."""
    return result.error is not None and (result.cut_short or says_nothing_of_the_row(result.error))


def says_nothing_of_the_row(error: DeepSeekError | None) -> bool:
    """Whether an error concerns the account or the network, so that every other row would meet it too.

    The row stays pending, and the job stops instead of failing all rows; for a 401 from an intermediary, only when the
    next rows receive it too.
    """
    account = AuthenticationError | InsufficientBalanceError | QuotaExceededError
    if isinstance(error, account | BudgetExceededError | CircuitOpenError):
        return True
    if isinstance(error, RateLimitError):
        return error.lasting
    if isinstance(error, APITimeoutError):
        return error.phase == "connect"
    return isinstance(error, APIConnectionError) and not error.connected
