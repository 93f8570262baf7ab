"""Fault injection: scripted, requested by a header, or drawn at random."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, fields
from enum import StrEnum, unique
from random import Random
from typing import TYPE_CHECKING

from deepseek_async.simulator.wire import refusals
from deepseek_async.simulator.wire.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FAULT_HEADER = "x-simulate-fault"


@unique
class FaultKind(StrEnum):
    """Every supported fault."""

    # Error responses: one per captured kind.
    BAD_REQUEST = "bad_request"
    BAD_REQUEST_OCTETS = "bad_request_octets"
    UNPARSABLE_BODY = "unparsable_body"
    CONTENT_RISK = "content_risk"
    CONTEXT_OVERFLOW = "context_overflow"
    WRONG_KEY = "wrong_key"
    MISSING_AUTHORIZATION = "missing_authorization"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    UNPROCESSABLE = "unprocessable"
    RATE_LIMIT = "rate_limit"
    RATE_LIMIT_BALANCE = "rate_limit_balance"
    RATE_LIMIT_WITHOUT_NUMBERS = "rate_limit_without_numbers"
    RATE_LIMIT_EMPTY = "rate_limit_empty"
    RATE_LIMIT_HTML = "rate_limit_html"
    SERVER_ERROR = "server_error"
    SERVER_ERROR_HTML = "server_error_html"
    BAD_GATEWAY = "bad_gateway"
    OVERLOADED = "overloaded"
    GATEWAY_TIMEOUT = "gateway_timeout"

    # Connection.
    RESET_BEFORE_HEADERS = "reset_before_headers"
    CLOSE_BEFORE_HEADERS = "close_before_headers"
    RESET_AFTER_HEADERS = "reset_after_headers"
    RESET_MID_EVENT = "reset_mid_event"
    CLOSE_MID_EVENT = "close_mid_event"
    EOF_BEFORE_FINISH = "eof_before_finish"
    EOF_WITHOUT_DONE = "eof_without_done"

    # An upload whose answer is lost: during its body, while it is parsed, after it was stored.
    CUT_IN_UPLOAD = "cut_in_upload"
    CUT_IN_PARSING = "cut_in_parsing"
    CUT_AFTER_PARSING = "cut_after_parsing"

    # Timing.
    QUEUE = "queue"
    KEEP_ALIVES_FOR_EVER = "keep_alives_for_ever"
    KEEP_ALIVES_AFTER_CONTENT = "keep_alives_after_content"
    STALL = "stall"
    SLOW_CHUNKS = "slow_chunks"
    BYTE_BY_BYTE = "byte_by_byte"

    # Framing.
    MALFORMED_EVENT = "malformed_event"
    INVALID_UTF8 = "invalid_utf8"
    ERROR_EVENT = "error_event"
    CARRIAGE_RETURNS = "carriage_returns"
    EVENTS_AFTER_DONE = "events_after_done"
    WHITESPACE_BODY = "whitespace_body"
    EMPTY_BODY = "empty_body"
    HTML_200 = "html_200"
    TRUNCATED_JSON = "truncated_json"

    # Content.
    FINISH_REASON = "finish_reason"
    EMPTY_SUCCESS = "empty_success"
    BROKEN_ARGUMENTS = "broken_arguments"
    LINE_SEPARATOR = "line_separator"
    USAGE_ON_TRAILING_CHUNK = "usage_on_trailing_chunk"
    USAGE_MISSING = "usage_missing"


# These end only when the client gives up, so they are never drawn at random.
ENDLESS = frozenset({FaultKind.STALL, FaultKind.KEEP_ALIVES_FOR_EVER, FaultKind.KEEP_ALIVES_AFTER_CONTENT})

# These affect uploads only and have no effect on other requests, so they are never drawn at random.
OF_UPLOADS = frozenset({FaultKind.CUT_IN_UPLOAD, FaultKind.CUT_IN_PARSING, FaultKind.CUT_AFTER_PARSING})

# After these the complete answer, including its usage, has been sent.
TELLS_ALL = frozenset(
    {
        FaultKind.QUEUE,
        FaultKind.SLOW_CHUNKS,
        FaultKind.BYTE_BY_BYTE,
        FaultKind.CARRIAGE_RETURNS,
        FaultKind.EVENTS_AFTER_DONE,
        FaultKind.EOF_WITHOUT_DONE,
        FaultKind.FINISH_REASON,
        FaultKind.EMPTY_SUCCESS,
        FaultKind.BROKEN_ARGUMENTS,
        FaultKind.LINE_SEPARATOR,
        FaultKind.USAGE_ON_TRAILING_CHUNK,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parameters:
    """Parameters of a fault; each kind uses only those that apply to it."""

    after_events: int = 2  # stream events (or slices of a plain body) sent before the fault
    after_bytes: int = 0  # bytes of an upload read before the fault
    seconds: float | None = None  # duration; None = the kind's default, or unlimited
    finish_reason: str = "insufficient_system_resource"
    message: str = ""  # replaces the message of a JSON error
    error_type: str = "server_error"  # of an in-stream error event
    error_code: str = "internal_error"
    retry_after: str | None = None  # sent verbatim, to allow invalid values
    date: str | None = None
    current: int = 26
    limit: int = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(_Parameters):
    """One fault for one request: `Fault(FaultKind.STALL, after_events=3)`. The kind's string value is accepted too."""

    kind: FaultKind = field(kw_only=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FaultKind(self.kind))

    @property
    def refusal(self) -> Refusal | None:
        """Return the error response of the fault; None if it is not an error response."""
        make = _REFUSALS.get(self.kind)
        if make is None:
            return None
        refusal = make(self)
        headers = dict(refusal.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = self.retry_after
        if self.date is not None:
            headers["Date"] = self.date
        return Refusal(refusal.status, refusal.body, refusal.content_type, headers)


def _said(fault: Fault, default: str) -> str:
    return fault.message or default


_REFUSALS: dict[FaultKind, Callable[[Fault], Refusal]] = {
    FaultKind.BAD_REQUEST: lambda f: refusals.invalid_request(_said(f, "Invalid request")),
    FaultKind.BAD_REQUEST_OCTETS: lambda f: refusals.invalid_request(
        _said(f, "Invalid request"), content_type=refusals.OCTETS
    ),
    FaultKind.UNPARSABLE_BODY: lambda f: refusals.unparsable(_said(f, "EOF while parsing a value at line 1 column 0")),
    FaultKind.CONTENT_RISK: lambda f: refusals.invalid_request(_said(f, "Content Exists Risk")),
    FaultKind.CONTEXT_OVERFLOW: lambda f: refusals.invalid_request(
        _said(
            f,
            "This model's maximum context length is 1048576 tokens. However, you requested 1056768 tokens "
            "(1048576 in the messages, 8192 in the completion). "
            "Please reduce the length of the messages or completion.",
        )
    ),
    FaultKind.WRONG_KEY: lambda _: refusals.wrong_key("0000"),
    FaultKind.MISSING_AUTHORIZATION: lambda _: refusals.missing_authorization(),
    FaultKind.INSUFFICIENT_BALANCE: lambda _: refusals.insufficient_balance(),
    FaultKind.NOT_FOUND: lambda _: refusals.not_found(),
    FaultKind.METHOD_NOT_ALLOWED: lambda _: refusals.method_not_allowed("POST"),
    FaultKind.TOO_LARGE: lambda _: refusals.too_large(),
    FaultKind.UNSUPPORTED_MEDIA_TYPE: lambda _: refusals.unsupported_media_type(),
    FaultKind.UNPROCESSABLE: lambda f: refusals.invalid_request(
        _said(
            f,
            "Failed to deserialize the JSON body into the target type: invalid type: boolean `false`, "
            "expected struct ChatCompletionThinking",
        ),
        422,
    ),
    FaultKind.RATE_LIMIT: lambda f: refusals.too_many_requests(f.current, f.limit, balance_bound=False),
    FaultKind.RATE_LIMIT_BALANCE: lambda f: refusals.too_many_requests(f.current, f.limit, balance_bound=True),
    FaultKind.RATE_LIMIT_WITHOUT_NUMBERS: lambda f: refusals.envelope(
        429, _said(f, "Rate limit reached, please slow down"), "rate_limit_error"
    ),
    FaultKind.RATE_LIMIT_EMPTY: lambda _: Refusal(429),
    FaultKind.RATE_LIMIT_HTML: lambda _: refusals.gateway_page(429, "Too Many Requests"),
    FaultKind.SERVER_ERROR: lambda _: refusals.server_error(),
    FaultKind.SERVER_ERROR_HTML: lambda _: refusals.gateway_page(500, "Internal Server Error"),
    FaultKind.BAD_GATEWAY: lambda _: refusals.gateway_page(502, "Bad Gateway"),
    FaultKind.OVERLOADED: lambda _: refusals.overloaded(),
    FaultKind.HTML_200: lambda _: refusals.gateway_page(200, "OK"),
    FaultKind.GATEWAY_TIMEOUT: lambda _: refusals.gateway_page(504, "Gateway Time-out"),
}
REFUSING = frozenset(_REFUSALS)

_PARAMETERS = {entry.name: entry for entry in fields(_Parameters)}
_READERS: dict[str, Callable[[str], object]] = {"int": int, "float | None": float}


def parse_fault(text: str) -> Fault:
    """Parse a fault from a header or argument: `stall`, or `reset_mid_event; after_events=3`."""
    name, *settings = [part.strip() for part in text.split(";")]
    known: dict[str, object] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in _PARAMETERS:
            raise ValueError(f"unknown fault parameter {key!r}")
        known[key] = _READERS.get(str(_PARAMETERS[key].type), str)(value)
    return Fault(FaultKind(name), **known)  # type: ignore[arg-type]


class FaultPlan:
    """Selects the fault of each request: header, then script, then random."""

    def __init__(self, seed: int, rate: float, kinds: tuple[FaultKind, ...]) -> None:
        self._script: deque[Fault] = deque()
        self._chance = Random(f"faults-{seed}")  # noqa: S311 - must be reproducible
        self._rate = rate
        self._kinds = kinds or tuple(kind for kind in FaultKind if kind not in ENDLESS | OF_UPLOADS)

    def script(self, *faults: Fault) -> None:
        self._script.extend(faults)

    @property
    def scripted(self) -> int:
        """Number of scripted faults not used yet."""
        return len(self._script)

    def next(self, headers: Mapping[str, str]) -> Fault | None:
        asked = headers.get(FAULT_HEADER)
        if asked is not None:
            return parse_fault(asked)
        if self._script:
            return self._script.popleft()
        if self._rate and self._chance.random() < self._rate:
            return Fault(self._chance.choice(self._kinds))
        return None
