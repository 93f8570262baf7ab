"""Calls to one family of endpoints, and the explanation if its server does not offer the family."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

from deepseek_async.call.caller import Call, Caller
from deepseek_async.call.request import Request
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.call.searches import most_fees
from deepseek_async.codec.answer_check import error_in
from deepseek_async.codec.multipart import MultipartForm
from deepseek_async.codec.repair import regular
from deepseek_async.codec.request import encode_request
from deepseek_async.codec.tokens import estimate_prompt_tokens
from deepseek_async.configuration.endpoint import Family
from deepseek_async.errors import APIError, InvalidRequestError, NotFoundError
from deepseek_async.files.upload import UploadBody
from deepseek_async.resources.resource_client import AnyTimeout, ResourceClient, chosen_timeouts
from deepseek_async.transport.header_fields import checked
from deepseek_async.transport.hosts import is_deepseeks
from deepseek_async.transport.protocol import HTTPRequest, TextFeed
from deepseek_async.types import Answer
from deepseek_async.types.json_text import write
from deepseek_async.types.operation import SPEECH, Operation

T = TypeVar("T", bound=Answer)

_NOT_AT_DEEPSEEK: Final[Mapping[Family, str]] = {
    "embeddings": "embeddings",
    "fine_tunes": "fine-tuning",
    "images": "image generation",
}
"""Families for which api.deepseek.com returns an empty 404 (public probes of 2026-07-27 and 2026-09-23)."""

_NOTHING: Final[Mapping[str, Any]] = {}

_ONCE: Final = RetryPolicy(max_attempts=1)


class Route:
    """Creates the calls of one resource. Without a ``family`` they go to the same server as chat."""

    def __init__(self, connection: ResourceClient, family: Family | None = None) -> None:
        self.connection = connection
        self._family = family
        self._calls: list[Call] | None = None

    def call(
        self,
        operation: Operation,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        form: MultipartForm | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: AnyTimeout | None = None,
        once: bool = False,
        retry: RetryPolicy | None = None,
        fees: Mapping[str, int] | None = None,
        texts: TextFeed | None = None,
        bulk: bool = False,
        query: Mapping[str, Any] | None = None,
    ) -> Call:
        """Prepare a call, without starting it, with ``body`` as JSON or a ``form``; ``once`` disables retries.

        ``fees``: maximum fees of an attempt, by kind; ``texts``: sent over a WebSocket. ``bulk``: not interactive,
        started by its caller.
        """
        connection, caller = self.connection, self.caller
        tokens = 0
        wire: bytes | UploadBody | None = None
        if form is not None:
            wire, headers = form.encoded(), {**(headers or {}), "Content-Type": form.header}
        elif body is not None:
            wire = encode_request(body, caller.limits.request)
            if caller.account_limiter.counts_tokens and fees is None:
                tokens = _estimate(connection, operation, wire, body)
        outgoing = HTTPRequest(method, path, wire, checked("extra_headers", headers) if headers else None, texts)
        # A call with fees of its own has them whatever else its body says.
        paid = most_fees(body) if fees is None and body and "tools" in body else fees
        request = Request(operation, outgoing, body or _NOTHING, form, paid)
        call = caller.call(
            request.with_query(query) if query else request,
            retry=_ONCE if once else retry or connection.retry,
            timeouts=chosen_timeouts(timeout, connection.timeouts),
            tokens=tokens,
            streaming=bool(body and body.get("stream")) or operation is SPEECH,
            model=path.partition("?")[0] if fees is not None else str(body.get("model") or path) if body else "",
            bulk=bulk,
        )
        if self._calls is not None:
            self._calls.append(call)
        return call

    def recorded(self, calls: list[Call]) -> Self:
        """Internal: return a copy that appends each call it makes to ``calls``."""
        twin = copy(self)
        twin._calls = calls  # noqa: SLF001  its own class
        return twin

    async def answer(
        self,
        call: Call,
        decode: Callable[[bytes], T],
        fault_of: Callable[[T, Mapping[str, str]], APIError | None] | None = None,
    ) -> T:
        """Return the decoded answer of ``call``; an error object inside a 200 raises."""
        try:
            return await call.answer(decode, fault_of or _error_in)
        except NotFoundError as error:
            explained = self._explained(error)
        raise explained

    @property
    def caller(self) -> Caller:
        """The caller on the running event loop."""
        return self.connection.caller() if self._family is None else self.connection.caller_of(self._family)

    @property
    def elsewhere(self) -> bool:
        """Whether ``endpoints`` configures another server for this family."""
        connection, family = self.connection, self._family
        return family is not None and connection.caller_of(family) is not connection.caller()

    def _explained(self, error: NotFoundError) -> NotFoundError:
        """Return ``error``, or for a 404 of a whole family one that names the setting to change."""
        # A server that offers the family names the missing object in JSON.
        if self._missing is None or isinstance(error.body, dict) or self.elsewhere:
            return error
        facts = {name: value for name, value in vars(error).items() if name != "message"}
        return NotFoundError(f"404: {self._what_helps()}", **facts)

    def check_served(self) -> None:
        """Raise InvalidRequestError if calls would go to DeepSeek, which does not offer the family."""
        if self._missing is not None and not self.elsewhere and is_deepseeks(self.connection.caller().base_url):
            raise InvalidRequestError(self._what_helps())

    @property
    def _missing(self) -> str | None:
        return _NOT_AT_DEEPSEEK.get(self._family) if self._family else None

    def _what_helps(self) -> str:
        return (
            f"this server has no {self._missing}, and DeepSeek offers none. Configure a server that does: "
            f'AsyncDeepSeek(endpoints={{"{self._family}": "https://…/v1"}}), or Endpoint("https://…/v1", api_key) '
            "if it requires a key"
        )


def _estimate(connection: ResourceClient, operation: Operation, wire: bytes, body: Mapping[str, Any]) -> int:
    """Estimate the tokens of prompt and answer, for the tokens-per-minute limit."""
    if operation.output != "text":
        return estimate_prompt_tokens(wire)
    cap = body.get("max_tokens", body.get("max_output_tokens"))
    return connection.tokens.tokens(wire, str(body.get("model", "")), cap)


def named(what: str, value: str) -> str:
    """Quote an id as a path segment. Raises InvalidRequestError for an empty one, which would address the whole
    list."""
    if not value or not isinstance(value, str):
        raise InvalidRequestError(f"{what} must be a non-empty string, got {value!r}")
    if not value.isprintable():
        raise InvalidRequestError(f"{what} must not contain control characters, got {value!r:.200}")
    return quote(value, safe="")


def entries(listed: Answer, decode: Callable[[bytes], T]) -> list[T]:
    """Decode the members of a list, each from its own bytes, so that undeclared fields are reachable."""
    return [decode(write(entry)) for entry in regular(listed).get("data") or []]


def _error_in(answer: Answer, headers: Mapping[str, str]) -> APIError | None:
    return error_in(answer, headers, now=time.time())
