"""Exception hierarchy. Class names follow openai-python, so ``except`` clauses port unchanged.

    DeepSeekError
    ├─ ConfigurationError               a setting is missing or wrong (also a ValueError)
    ├─ InvalidRequestError              rejected by the client before sending (also a ValueError)
    ├─ APIError                         the call failed in transport or at the server
    │  ├─ CircuitOpenError              circuit breaker open after repeated failures: not sent; .retry_after
    │  ├─ APIConnectionError            no response; .reason: unreachable, proxy, tls, lost, protocol, descriptors,
    │  │                                 closed, forked
    │  │  └─ APITimeoutError            .phase: connect, headers, first_content, idle, stall, attempt, total
    │  ├─ StreamInterruptedError        the stream broke off; .partial holds what had arrived
    │  ├─ APIResponseValidationError    the response is unreadable or empty
    │  │  └─ StructuredOutputError      no answer matched the requested class; .partial is the last answer
    │  ├─ ReasoningBudgetExhaustedError reasoning used up max_tokens before the answer began
    │  ├─ ContentRefusedError           the service's content check ended the answer (raise_on_refusal=True)
    │  └─ APIStatusError                a status of 300 or above, or an error object inside a 200
    │     ├─ BadRequestError 400        └─ ContextWindowExceededError, ContentRiskError
    │     ├─ AuthenticationError 401, InsufficientBalanceError 402, PermissionDeniedError 403
    │     ├─ NotFoundError 404, ConflictError 409, UnprocessableEntityError 422
    │     ├─ RateLimitError 429         └─ ConcurrencyLimitError: .limit .current .balance_bound
    │     │  └─ QuotaExceededError       429: the paid quota is used up
    │     └─ InternalServerError 5xx    └─ ServerOverloadedError 503, insufficient_system_resource
    ├─ ToolRunError                     .reason: truncated, turns, interrupted; .messages: the conversation so far
    ├─ BudgetExceededError              .budget .spent .needed .day: not sent, the daily budget is used up
    ├─ ContentBlockedError              .direction .kinds: stopped by the content filter
    └─ BatchError
       ├─ InputFormatError              .path .line .column: an input line is not a valid request
       ├─ InputChangedError              .path .line: the input differs from the one the output was written from
       ├─ OutputLockedError             .path .owner: another run is writing this output
       ├─ OutputWriteError              .path: the output cannot be written
       └─ RowsLostError                 .read .ended: rows have no result because of a bug in this library

Every error carries facts to branch on: ``status_code``, ``body``, ``request_id``, ``retry_after``,
``retryable`` and ``attempts``. ``asyncio.CancelledError`` is never wrapped. No aiohttp exception leaves the
library, because its ``request_info`` holds the Authorization header.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from deepseek_async.text.error_response import ErrorResponse, known_facts
from deepseek_async.text.not_here import NotHere
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


_NO_HEADERS: Final[Mapping[str, str]] = {}


class DeepSeekError(Exception):
    """Base class of every error that this library raises."""

    message: str
    """One sentence: what happened, where, and if possible what to do. Never contains the API key."""
    status_code: int | None = None
    """HTTP status, or None when no response was received."""
    body: Any = None
    """The error object of a JSON body, else the body text cut to 2 kB, else None."""
    headers: Mapping[str, str] = _NO_HEADERS
    """Headers of the response, case-insensitive, with credentials masked; empty when no response was received."""
    request_id: str | None = None
    """``x-ds-trace-id`` of the response; of other servers ``x-request-id`` or ``request-id``."""
    retry_after: float | None = None
    """Seconds that the server asked the client to wait; None if it did not ask."""
    retryable: bool = False
    """Whether the same request may succeed if sent later."""
    attempts: int = 0
    """Number of times the request was sent before this error was raised."""
    retry_budget_exhausted: bool = False
    """Whether the attempt was retryable but the retry budget was exhausted."""
    billed_attempts: Sequence[BilledAttempt] = ()
    """Requests of this call that returned no answer and were billed, or may have been (``usage.estimated``); for a
    tool run, those of all its turns."""
    partial: ChatCompletion | Message | None = None
    """The part of a chat answer or message that had arrived, assembled; None if nothing had. The server bills it.
    If the call was repeated, because an answer did not match or called tools, and nothing of the new answer arrived,
    the previous answer."""
    choices_asked: int = 1
    """Choices that the call asked for (``n``); ``partial`` has those that arrived, each with its ``index``."""
    messages: Sequence[Any] = ()
    """Conversation of a failed tool run, with the results of all functions that ran. A run over these messages
    continues from there and repeats no function call."""
    usage: CompletionUsage | None = None
    """Token usage of all turns of a failed tool run."""
    request = NotHere("error.response, error.attempts and error.request_id are there; a request holds the key")

    def __init__(self, message: str = "", **facts: Any) -> None:
        # The message may quote a key: one that a server echoed, or one in the wrong setting.
        message = redact(message or type(self).__name__)
        super().__init__(message)
        self.message = message
        # Facts are stored in the instance dict, so that errors pickle without a custom __reduce__.
        self.__dict__.update(known_facts(facts))

    @property
    def response(self) -> ErrorResponse | None:
        """Status, headers and body of the response, under the names of httpx; None when no response was received."""
        return None if self.status_code is None else ErrorResponse(self.status_code, self.headers, self.body, self)


class ConfigurationError(DeepSeekError, ValueError):
    """A setting is missing, conflicts with another, or is invalid; the message names the setting."""


class InvalidRequestError(DeepSeekError, ValueError):
    """The request is invalid. Raised before anything is sent; costs nothing."""

    findings: Sequence[Finding] = ()
    """Findings of the request lint in mode ``error``."""


class APIError(DeepSeekError):
    """A call failed: before it reached the API, at the API, or while its response was read."""

    type: str | None = None
    """``error.type`` of the body, for example ``rate_limit_error``."""
    code: str | None = None
    """``error.code`` of the body. DeepSeek sends ``invalid_request_error`` almost always: do not branch on it."""
    param: str | None = None
    """``error.param`` of the body; DeepSeek sends null."""
    may_exist: bool = False
    """Whether the server may have created the object (a file or a job) although the response was lost."""
    received_text: str = ""
    """Text received so far of a text completion or response, which ``partial`` cannot hold."""

    @property
    def text(self) -> str:
        """Answer text received before the failure, for every kind of answer; empty if none arrived."""
        if self.partial is None:
            return self.received_text
        partial: Any = self.partial
        choices = getattr(partial, "choices", None)
        if choices is None:
            return str(partial.text)  # a message
        return (choices[0].message.content or "") if choices else ""


class CircuitOpenError(APIError):
    """Circuit breaker open: not sent. The breaker stays open for ``reset_timeout`` after repeated failures.

    ``retry_after`` is the number of seconds until it lets the next request through.
    """

    retryable = True
    scope: str = ""
    """The model whose breaker is open, or the origin if the origin could not be reached."""
    origin_down: bool = False
    """Whether the origin itself could not be reached, which affects all its models."""


class APIConnectionError(APIError):
    """No response arrived: connection refused or reset, name resolution failed, certificate not trusted."""

    retryable = True
    connected: bool = False
    """Whether a connection was established; if False, the server received nothing of this attempt."""
    reason: str = "lost"
    """unreachable (refused, DNS, connect timeout), proxy (a proxy that refuses permanently; ``status_code`` is the
    proxy's), tls, lost (connection broke), protocol (invalid HTTP), descriptors (out of file descriptors), closed (the
    client was closed) or forked (the parent process of this fork reads the answer)."""
    reused: bool = False
    """Whether a reused connection broke at once, before the first byte of a response: the server had closed it while
    it was idle and received nothing of this attempt."""


class APITimeoutError(APIConnectionError):
    """A client-side timer expired. Most timers do not count keep-alive bytes as progress."""

    phase: str = "total"
    """connect, headers, first_content, idle, stall, attempt or total: the fields of ``Timeouts``."""


class StreamInterruptedError(APIError):
    """The stream ended before its ``finish_reason``, or the server aborted the answer.

    ``partial`` and ``text`` hold what had arrived; ``__cause__`` is the reason.
    """

    retryable = True
    gave_up: bool = False
    """Whether the server reported that it stopped for lack of resources."""


class APIResponseValidationError(APIError):
    """A 2xx response without a valid answer: empty, blank, HTML, truncated JSON, or above the size limit."""

    retryable = True
    reason: str = "unreadable"
    """unreadable, blank (an overloaded server), empty (no content) or form (JSON of another shape; a retry would not
    help)."""


class StructuredOutputError(APIResponseValidationError):
    """No answer matched the class given as ``response_format`` within the allowed number of attempts.

    ``partial`` is the last answer as received.
    """


class ReasoningBudgetExhaustedError(APIError):
    """Reasoning used up ``max_tokens`` before the answer began. The tokens are billed.

    A retry would end the same way: raise ``max_tokens``, which covers reasoning and answer
    together, or a lower ``reasoning_effort``. ``partial`` holds the reasoning and the usage.
    """


class ContentRefusedError(APIError):
    """The service's content check refused the answer, or the prompt (ContentRiskError); a retry would end the same way.

    ``partial``, or ``received_text`` for a response, holds what had arrived of the answer. Do not show it.
    """


class APIStatusError(APIError):
    """The API answered with an error status, or with an error object inside a 200."""


class BadRequestError(APIStatusError):
    """400: the request is invalid; a retry would fail the same way."""


class ContextWindowExceededError(BadRequestError):
    """Prompt plus ``max_tokens`` exceeds the model's context window."""


class ContentRiskError(BadRequestError, ContentRefusedError):
    """400 ``Content Exists Risk``: the prompt did not pass the service's content check."""


class AuthenticationError(APIStatusError):
    """401: the key is missing or wrong."""

    key_refused: bool = False
    """Whether the 401 has DeepSeek's own wording, in which case other calls with the key are paused for a while. A 401
    from an intermediary affects only its own call."""


class InsufficientBalanceError(APIStatusError):
    """402, or a 403 or 400 that says the same: the account's balance is used up. Calls fail until it is topped up."""


class PermissionDeniedError(APIStatusError):
    """403: the key lacks permission."""


class NotFoundError(APIStatusError):
    """404: no such endpoint on this server, or no such object."""


class ConflictError(APIStatusError):
    """409: the request conflicted with another one; a retry may succeed."""

    retryable = True


class UnprocessableEntityError(APIStatusError):
    """422: a field of the body has the wrong type."""


class RateLimitError(APIStatusError):
    """429: the account's rate or concurrency limit is reached. A refused request is not billed."""

    retryable = True
    per_minute: bool = False
    """Whether the server names requests or tokens per minute as the exhausted limit, and not concurrency."""
    lasting: bool = False
    """Whether a batch row stopped retrying because every other row would fail the same way: no call was answered for an
    hour, or the server asked for a longer wait."""


class ConcurrencyLimitError(RateLimitError):
    """429 that states the account's concurrency limit; the API reports the limit nowhere else."""

    limit: int = 0
    """Concurrent requests that the account may currently have on this model."""
    current: int = 0
    """Concurrent requests that the server counted when it refused this one."""
    balance_bound: bool = False
    """Whether the server reports that a low balance reduced the limit; a 402 is likely soon."""


class QuotaExceededError(RateLimitError):
    """429: the paid quota is used up; like a 402, permanent until somebody pays."""

    retryable = False


class InternalServerError(APIStatusError):
    """5xx: the server failed."""

    retryable = True


class ServerOverloadedError(InternalServerError):
    """503, or a generation that was aborted for lack of resources."""


class ToolRunError(DeepSeekError):
    """A tool run stopped before its final answer."""

    reason: str = "turns"
    """truncated: ``max_tokens`` cut off a call, which was not executed, so ``messages`` end before that answer; turns:
    the turn limit was reached while the model still called tools; interrupted: a function raised KeyboardInterrupt."""


class BudgetExceededError(DeepSeekError):
    """The daily budget does not cover this call. Raised before anything is sent; costs nothing.
    ``retry_after`` is the number of seconds until the next day in the budget's time zone.
    """

    budget: float = 0.0
    """US dollars per day."""
    spent: float = 0.0
    """US dollars spent or held for calls in flight, by all processes that share the budget."""
    needed: float = 0.0
    """Maximum cost of this call in US dollars."""
    day: str = ""
    """Budget day, for example 2026-11-25."""
    cheaper_model: str | None = None
    """The model to use instead, if the budget names one and this call did not use it already."""


class ContentBlockedError(DeepSeekError):
    """The content filter blocked a request or an answer."""

    direction: str = ""
    """``input``: nothing was sent and nothing is billed; ``output``: the answer was billed."""
    kinds: tuple[str, ...] = ()
    """Matched kinds, for example ``email``, or the reasons returned by custom checks."""


class BatchError(DeepSeekError):
    """A batch job cannot continue, or one of its rows cannot be read."""


class InputFormatError(BatchError, ValueError):
    """An input row is not a valid request. The job records the error and continues."""

    path: str = ""
    """The input file; empty when rows come from an iterable."""
    line: int = 0
    """Line of the file, or position in the iterable, from 1."""
    column: str | None = None
    """The column with the prompt, if it is empty, null or NaN; None for every other error."""


class InputChangedError(BatchError):
    """The input differs from the one of the output, or changed while it was read. Nothing more is sent."""

    path: str = ""
    """The input file."""
    line: int = 0
    """First line whose request differs; 0 if the file as a whole differs."""


class OutputLockedError(BatchError):
    """Another run holds the lock of this output file."""

    path: str = ""
    """The output file."""
    owner: str = ""
    """Host and process id of the run that holds the lock, read from the lock file."""


class OutputWriteError(BatchError):
    """The output file cannot be opened or written; unwritten rows stay pending."""

    path: str = ""
    """The output file."""
    rows: Sequence[str] = ()
    """``custom_id`` of each answered row that is missing from the output, since the last successful write and sync."""


class RowsLostError(BatchError):
    """The job ended without a result for some of the rows it read: a bug in this library.

    The output is intact; run the same command again to process the missing rows.
    """

    read: int = 0
    """Rows read, or rows in the input; 0 if a single row was lost."""
    ended: int = 0
    """Rows that have a result."""
