"""How one row ended: an answer or an error, as a value."""

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
    """The end of one row. ``ok`` says which of ``answer`` and ``error`` is there."""

    index: int
    """Position of the row in the input, from 0."""
    custom_id: str | None = None
    answer: Answer | None = None
    """What the endpoint of the row answered: a ChatCompletion, or a Completion, a Response, a Message, a
    CreateEmbeddingResponse or a RecognizedDocument."""
    error: DeepSeekError | None = None
    attempts: int = 0
    """Requests sent for the row."""
    started: float | None = None
    """When the last request for the row was sent, in seconds since 1970; None if none was."""
    latency: float = 0.0
    """Seconds from the first admission to the answer, waiting for retries included."""
    model: str = ""
    """The model that was asked."""
    cost: float | None = None
    """US dollars; None where nothing was sent, or nothing is known of what was billed. A model without a price is
    charged as the one that was asked, else as the dearest."""
    estimated_cost: float = 0.0
    """Part of ``cost``: the most that requests can have cost whose usage never came, or cannot be true."""
    fees: tuple[FeeCharge, ...] = ()
    """What was paid beside tokens, a line for each kind. In ``cost`` as far as it has a price in US dollars."""
    saved: float = 0.0
    """US dollars that the tokens from the API's prefix cache would have cost more without it."""
    predicted_cached_tokens: int | None = None
    """Tokens that the order of the rows promised to come from the cache; None where it promised nothing."""
    request_id: str | None = None
    """``x-ds-trace-id`` of the answer."""
    billed_attempts: tuple[BilledAttempt, ...] = ()
    """Every request that was billed, or may have been, where one gave no answer or searched; ``usage`` and ``cost`` are
    their sums. ``usage.estimated`` marks those of which no usage came."""

    cut_short: bool = False
    """Whether the job ended before the row: it would have been asked once more, and the next run asks it again."""
    columns: Mapping[str, Any] | None = None
    """What stood beside the request in its row, and was not sent; None if nothing did."""

    @property
    def ok(self) -> bool:
        """Whether the row has an answer."""
        return self.error is None

    @property
    def completion(self) -> ChatCompletion | None:
        """The answer of a row of chat; None without one, and for rows of other endpoints."""
        return self.answer if isinstance(self.answer, ChatCompletion) else None

    @property
    def content(self) -> str | None:
        """Text of the answer; None without one."""
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
        """The model's reasoning; None when thinking was off or there is no answer."""
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
        """The answer as an object of the class that was asked for; None without one."""
        return self.answer.parsed if isinstance(self.answer, ParsedChatCompletion) else None

    @property
    def usage(self) -> CompletionUsage | None:
        """Tokens that were billed, over all attempts, also for answers that came to nothing."""
        if self.billed_attempts:
            return added(attempt.usage for attempt in self.billed_attempts)
        answer = self.answer
        if type(answer) is ChatCompletion:
            return answer.usage  # as of nearly every row
        return None if answer is None else answer.tokens_used()

    def raise_for_error(self) -> BatchResult:
        """This result if it is ok. Raises its error otherwise."""
        if self.error is not None:
            raise self.error
        return self


def stays_pending(result: BatchResult) -> bool:
    """Whether a row has come to nothing that speaks of it, so that it has not ended."""
    return result.error is not None and (result.cut_short or says_nothing_of_the_row(result.error))


def says_nothing_of_the_row(error: DeepSeekError | None) -> bool:
    """Whether an error is the account's or the network's, so that every other row would meet it too.

    Such a row has not ended: it stays pending, and a job stops instead of failing all its rows; for a 401 of something
    in between only when the next rows meet it too.
    """
    account = AuthenticationError | InsufficientBalanceError | QuotaExceededError
    if isinstance(error, account | BudgetExceededError | CircuitOpenError):
        return True
    if isinstance(error, RateLimitError):
        return error.lasting
    if isinstance(error, APITimeoutError):
        return error.phase == "connect"
    return isinstance(error, APIConnectionError) and not error.connected
