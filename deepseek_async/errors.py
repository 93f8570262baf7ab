"""What can go wrong, as one tree. Names follow openai-python, so ``except`` clauses port unchanged.

    DeepSeekError
    ├─ ConfigurationError               a setting is missing or wrong (also a ValueError)
    ├─ InvalidRequestError              refused on this side, nothing was sent (also a ValueError)
    ├─ APIError                         the call failed on the way or on the other side
    │  ├─ CircuitOpenError              not sent: the breaker is open after repeated failures; .retry_after
    │  ├─ APIConnectionError            no answer; .reason: unreachable, proxy, tls, lost, protocol, descriptors,
    │  │                                 closed, forked
    │  │  └─ APITimeoutError            .phase: connect, headers, first_content, idle, stall, attempt, total
    │  ├─ StreamInterruptedError        the answer broke off; .partial holds what had arrived
    │  ├─ APIResponseValidationError    an answer that cannot be read, or an empty one
    │  │  └─ StructuredOutputError      no answer fitted the class that was asked for; .partial is the last one
    │  ├─ ReasoningBudgetExhaustedError max_tokens was used up by reasoning; nothing was answered
    │  ├─ ContentRefusedError           the service's check of contents ended the answer (raise_on_refusal=True)
    │  └─ APIStatusError                a status of 300 and above, or an error object inside a 200
    │     ├─ BadRequestError 400        └─ ContextWindowExceededError, ContentRiskError
    │     ├─ AuthenticationError 401, InsufficientBalanceError 402, PermissionDeniedError 403
    │     ├─ NotFoundError 404, ConflictError 409, UnprocessableEntityError 422
    │     ├─ RateLimitError 429         └─ ConcurrencyLimitError: .limit .current .balance_bound
    │     │  └─ QuotaExceededError       429 that says that the paid quota is used up
    │     └─ InternalServerError 5xx    └─ ServerOverloadedError 503, insufficient_system_resource
    ├─ ToolRunError                     .reason: truncated, turns, interrupted; .messages: the conversation so far
    ├─ BudgetExceededError              .budget .spent .needed .day: not sent, the day's money is used up
    ├─ ContentBlockedError              .direction .kinds: stopped by the content filter
    └─ BatchError
       ├─ InputFormatError              .path .line .column: a line of the input that is no request
       ├─ InputChangedError              .path .line: the input is not the one of the output
       ├─ OutputLockedError             .path .owner: another run writes this output
       ├─ OutputWriteError              .path: the output cannot be written
       └─ RowsLostError                 .read .ended: rows without a result, which a fault of the library has lost

Every error states facts to branch on: ``status_code``, ``body``, ``request_id``, ``retry_after``,
``retryable`` and ``attempts``. ``asyncio.CancelledError`` is never wrapped, and no aiohttp exception leaves
the library: aiohttp's carry the Authorization header in their ``request_info``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepseek_async.text.redaction import redact

if TYPE_CHECKING:
    from deepseek_async.lint.finding import Finding
    from deepseek_async.types import BilledAttempt, ChatCompletion, CompletionUsage, Message

__all__ = [
    "APIConnectionError", "APIError", "APIResponseValidationError", "APIStatusError", "APITimeoutError",
    "AuthenticationError", "BadRequestError", "BatchError", "BudgetExceededError", "CircuitOpenError",
    "ConcurrencyLimitError", "ConfigurationError", "ConflictError", "ContentBlockedError", "ContentRefusedError",
    "ContentRiskError", "ContextWindowExceededError", "DeepSeekError", "InputChangedError", "InputFormatError",
    "InsufficientBalanceError", "InternalServerError", "InvalidRequestError", "NotFoundError", "OutputLockedError",
    "OutputWriteError", "PermissionDeniedError", "QuotaExceededError", "RateLimitError",
    "ReasoningBudgetExhaustedError", "RowsLostError", "ServerOverloadedError", "StreamInterruptedError",
    "StructuredOutputError", "ToolRunError", "UnprocessableEntityError",
]  # fmt: skip


class DeepSeekError(Exception):
    """The parent of every error of this library."""

    message: str
    """One sentence: what happened, where, and where possible what to do. Never holds the API key."""
    status_code: int | None = None
    """HTTP status, or None when no response was received."""
    body: Any = None
    """The error object of a JSON body, else its text cut to 2 kB, else None."""
    request_id: str | None = None
    """``x-ds-trace-id`` of the response, or of another server the ``x-request-id`` or ``request-id``."""
    retry_after: float | None = None
    """Seconds the server asked us to wait, when it did."""
    retryable: bool = False
    """Whether the same request may succeed later."""
    attempts: int = 0
    """How many times the request was sent before this error was raised."""
    retry_budget_exhausted: bool = False
    """Whether it would have been tried again, had retries not used up their share of the traffic already."""
    billed_attempts: Sequence[BilledAttempt] = ()
    """The requests of the call that were billed although they gave no answer, or may have been (``usage.estimated``);
    of a run of tools those of all its turns."""
    partial: ChatCompletion | Message | None = None
    """What had arrived of a chat answer or a message, assembled; None if nothing had. The server bills it all the
    same. When it was asked again, because an answer did not fit or called tools, and nothing arrived: the answer
    before."""
    messages: Sequence[Any] = ()
    """When a run of tools failed: the conversation so far, with the results of all functions that ran. A run over
    these messages goes on from there, and calls nothing again."""
    usage: CompletionUsage | None = None
    """When a run of tools failed: the tokens of all its turns together."""

    def __init__(self, message: str, **facts: Any) -> None:
        # It quotes what it was told, and a key may be in it: a server's echo, a setting in the wrong place.
        message = redact(message)
        super().__init__(message)
        self.message = message
        # Facts live in the instance dict, so that pickling keeps them without a __reduce__ of our own.
        self.__dict__.update(facts)


class ConfigurationError(DeepSeekError, ValueError):
    """A setting is missing, contradicts another, or cannot be used; the message names it."""


class InvalidRequestError(DeepSeekError, ValueError):
    """The request cannot be sent as it is. Raised before anything leaves this machine; costs nothing."""

    findings: Sequence[Finding] = ()
    """What the request lint found, in its mode ``error``."""


class APIError(DeepSeekError):
    """A call failed on the way to the API, inside it, or on the way back."""

    may_exist: bool = False
    """Whether the server may have made what it was asked for, a file or a job, although its answer was lost."""
    received_text: str = ""
    """What had arrived of the text of a text completion or a response, which ``partial`` cannot hold."""

    @property
    def text(self) -> str:
        """The answer text received before the failure, whatever the kind of answer; empty if there was none."""
        if self.partial is None:
            return self.received_text
        partial: Any = self.partial
        choices = getattr(partial, "choices", None)
        if choices is None:
            return str(partial.text)  # a message
        return (choices[0].message.content or "") if choices else ""


class CircuitOpenError(APIError):
    """Not sent: the service has failed again and again, and is given ``reset_timeout`` before the next try.

    ``retry_after`` says when the next request is let through.
    """

    retryable = True
    scope: str = ""
    """The model that failed, or the origin when it could not be reached at all."""
    origin_down: bool = False
    """Whether the origin could not be reached at all, so that no model of it can answer."""


class APIConnectionError(APIError):
    """No response arrived: connection refused or reset, name not resolved, certificate not trusted."""

    retryable = True
    connected: bool = False
    """Whether a connection had been made; False means that the server saw nothing of this attempt."""
    reason: str = "lost"
    """unreachable (refused, DNS, connecting too slow), proxy (one that refuses for good; ``status_code`` is its), tls,
    lost (broke off), protocol (not proper HTTP), descriptors (this process may open no more sockets), closed (the
    client was closed) or forked (the answer is read by the process that this one was forked from)."""
    reused: bool = False
    """Whether it broke before any byte of a response, and at once, on a connection that had served an earlier
    request: the server had closed it while it was idle, and saw nothing of this attempt."""


class APITimeoutError(APIConnectionError):
    """A timer of ours ran out. Keep-alive bytes do not count as progress for most of them."""

    phase: str = "total"
    """connect, headers, first_content, idle, stall, attempt or total: the fields of ``Timeouts``."""


class StreamInterruptedError(APIError):
    """The answer broke off before its ``finish_reason``, or the server gave up in the middle of it.

    ``partial`` and ``text`` hold what had arrived; ``__cause__`` says what broke it.
    """

    retryable = True
    gave_up: bool = False
    """Whether the server said itself that it stopped for want of resources."""


class APIResponseValidationError(APIError):
    """A 2xx response that is not an answer: empty, blank, HTML, cut-off JSON, or larger than the limit."""

    retryable = True
    reason: str = "unreadable"
    """unreadable, blank (an overloaded server), empty (says nothing), form (JSON of another: it would come again)."""


class StructuredOutputError(APIResponseValidationError):
    """The model was asked as often as allowed, and no answer fitted the class given as ``response_format``.

    ``partial`` is the last answer as it came.
    """


class ReasoningBudgetExhaustedError(APIError):
    """The model reached ``max_tokens`` before the first word of its answer. The tokens are billed.

    The same request would end the same way: give a larger ``max_tokens``, which covers reasoning and answer
    together, or a lower ``reasoning_effort``. ``partial`` holds the reasoning and the usage.
    """


class ContentRefusedError(APIError):
    """The service's check of contents refused the answer, or (ContentRiskError) what was asked; it would do so again.

    ``partial`` holds what had come of the answer, or for a response ``received_text``. It must not be shown.
    """


class APIStatusError(APIError):
    """The API answered with an error status, or with an error object inside a 200."""

    type: str | None = None
    """``error.type`` of the body, for example ``rate_limit_error``."""
    code: str | None = None
    """``error.code`` of the body. DeepSeek sends ``invalid_request_error`` almost always: do not branch on it."""
    param: str | None = None
    """``error.param`` of the body; DeepSeek sends null."""


class BadRequestError(APIStatusError):
    """400: the request is wrong and will stay so."""


class ContextWindowExceededError(BadRequestError):
    """Prompt plus ``max_tokens`` is more than the model's context window."""


class ContentRiskError(BadRequestError, ContentRefusedError):
    """400 ``Content Exists Risk``: what was asked did not pass the service's check of contents."""


class AuthenticationError(APIStatusError):
    """401: the key is missing or wrong."""

    key_refused: bool = False
    """Whether DeepSeek says so in its own words: then other calls with the key are held back for a while. A 401 of
    what stands in between speaks of its call alone."""


class InsufficientBalanceError(APIStatusError):
    """402, or a 403 or 400 that says so: the account's balance is used up. Calls fail until it is topped up."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this."""


class NotFoundError(APIStatusError):
    """404: no such endpoint on this server, or no such object."""


class ConflictError(APIStatusError):
    """409: the request met another one; sending it again may work."""

    retryable = True


class UnprocessableEntityError(APIStatusError):
    """422: the body has a field of the wrong type."""


class RateLimitError(APIStatusError):
    """429: more than the account may do now. A refused request costs nothing."""

    retryable = True
    per_minute: bool = False
    """Whether the server says that requests or tokens a minute are used up, and not concurrency."""
    lasting: bool = False
    """Whether a row of bulk work gave up on it because every other row would meet it: nobody was answered for an hour,
    or the server asks for a longer wait."""


class ConcurrencyLimitError(RateLimitError):
    """429 that states the account's limit of concurrent requests; the only place where the API tells it."""

    limit: int = 0
    """Concurrent requests that the account may have on this model now."""
    current: int = 0
    """Concurrent requests that the server counted when it refused."""
    balance_bound: bool = False
    """Whether the server says that the remaining balance lowered the limit: a 402 is near."""


class QuotaExceededError(RateLimitError):
    """429 that says that the paid quota is used up: as final as a 402 until somebody pays."""

    retryable = False


class InternalServerError(APIStatusError):
    """5xx: the other side failed."""

    retryable = True


class ServerOverloadedError(InternalServerError):
    """503, or a generation given up for want of resources."""


class ToolRunError(DeepSeekError):
    """A conversation with tools did not come to its end."""

    reason: str = "turns"
    """truncated: a call was cut off by ``max_tokens`` and was not executed, so that ``messages`` end before that
    answer; turns: the model never stopped asking; interrupted: a function raised KeyboardInterrupt."""


class BudgetExceededError(DeepSeekError):
    """The day's budget does not suffice for this call. Raised before anything is sent; costs nothing.
    ``retry_after`` is the time until the next day begins in the budget's zone.
    """

    budget: float = 0.0
    """US dollars a day."""
    spent: float = 0.0
    """US dollars spent or held for calls under way, by every process that shares the budget."""
    needed: float = 0.0
    """US dollars that this call could cost at most."""
    day: str = ""
    """The day whose budget it is, for example 2026-11-25."""
    cheaper_model: str | None = None
    """The model to use instead, if the budget names one and it was not this call's already."""


class ContentBlockedError(DeepSeekError):
    """The content filter does not let a request out, or an answer through."""

    direction: str = ""
    """``input``: nothing was sent and nothing is paid; ``output``: the answer was paid for."""
    kinds: tuple[str, ...] = ()
    """What was found, for example ``email`` or the reason that a check of the program's own gave."""


class BatchError(DeepSeekError):
    """A bulk job cannot go on, or one of its rows cannot be read."""


class InputFormatError(BatchError, ValueError):
    """A row of the input is not a request. The job records it and goes on."""

    path: str = ""
    """The input file; empty when rows come from an iterable."""
    line: int = 0
    """Line of the file, or position in the iterable, from 1."""
    column: str | None = None
    """The column that is empty, null or NaN where it would be asked about; None if something else is wrong."""


class InputChangedError(BatchError):
    """The input is not the one that the output was made from, or changed while it was read. Nothing more is sent."""

    path: str = ""
    """The input file."""
    line: int = 0
    """The first line that asks for something else than before; 0 if it is the file as a whole."""


class OutputLockedError(BatchError):
    """Another run holds the lock of this output file."""

    path: str = ""
    """The output file."""
    owner: str = ""
    """Host and process id of the run that holds it, as written in the lock file."""


class OutputWriteError(BatchError):
    """The output file cannot be opened or written; rows not yet written stay pending."""

    path: str = ""
    """The output file."""
    rows: Sequence[str] = ()
    """``custom_id`` of each row that was answered and is not in the output, since the last good write and sync."""


class RowsLostError(BatchError):
    """Work ended, and rows that were read have no result: a fault of the library, told instead of taken for success.

    What is in the output is whole; the same command runs the rows that are missing.
    """

    read: int = 0
    """Rows that were read, or that the input has; 0 where one row was lost."""
    ended: int = 0
    """Rows with a result."""
