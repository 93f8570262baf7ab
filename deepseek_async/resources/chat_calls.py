"""Chat completion calls for ``create`` and for bulk jobs: linting, encoding, routing."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any, Self

from deepseek_async.call.caller import Call
from deepseek_async.call.fallback import Alternatives
from deepseek_async.call.request import Request
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.call.searches import most_fees
from deepseek_async.codec.answer_check import fault_of, refusal_of
from deepseek_async.codec.chat_body import decode_completion
from deepseek_async.codec.request import encode_request
from deepseek_async.codec.tokens import TokenCount
from deepseek_async.errors import APIError
from deepseek_async.lint import LintMode
from deepseek_async.lint.linter import known
from deepseek_async.resources.chat_extensions import patient
from deepseek_async.resources.parameters import chat_parameters, path_of
from deepseek_async.resources.resource_client import AnyTimeout, ResourceClient, chosen_timeouts
from deepseek_async.structured import StructuredOutput
from deepseek_async.transport.header_fields import checked
from deepseek_async.transport.protocol import HTTPRequest
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.types import ChatCompletion
from deepseek_async.types.operation import CHAT

Message = Mapping[str, Any]


class ChatCalls:
    """Base of ``client.chat.completions``, shared with bulk jobs."""

    def __init__(self, connection: ResourceClient) -> None:
        self._connection = connection

    def recorded(self, calls: list[Call]) -> Self:
        """Internal: return a copy that appends each call it makes to ``calls``."""
        twin, make = copy(self), self.call

        def call(*arguments: Any, **options: Any) -> Call:
            made = make(*arguments, **options)
            calls.append(made)
            return made

        vars(twin)["call"] = call
        return twin

    def call(
        self,
        body: Mapping[str, Any],
        *,
        timeout: AnyTimeout | None = None,
        headers: Mapping[str, str] | None = None,
        retry: RetryPolicy | None = None,
        lint: LintMode | None = None,
        deliberate: Iterable[str] | None = None,
        bulk: bool = False,
        choice: int = 0,
    ) -> Call:
        """Internal: prepare a call, without starting it, from a body in the API's format.

        ``deliberate`` names undocumented fields that are intentional. ``bulk``: not interactive, so it may wait where
        others fail fast, and yields to them. ``choice``: which of several answers to this body it asks for.
        """
        connection = self._connection
        caller = connection.caller()
        wire = encode_request(body, caller.limits.request)
        linter = connection.lint
        mode = linter.mode if lint is None else known(lint)
        if mode != "off":
            repaired = linter.checked(body, wire, mode, deliberate or ())
            if repaired is not body:
                body, wire = repaired, encode_request(repaired, caller.limits.request)
        choices = connection.alternatives
        counts = caller.account_limiter.counts_tokens
        asked = str(body.get("model", ""))
        outgoing = HTTPRequest("POST", path_of(body), wire, checked("extra_headers", headers) if headers else None)
        call = caller.call(
            Request(CHAT, outgoing, body, None, most_fees(body) if "tools" in body else None, choice),
            retry=retry or connection.retry,
            timeouts=_timeouts(timeout, connection.timeouts, body),
            tokens=connection.tokens.tokens(wire, asked, body.get("max_tokens")) if counts else 0,
            streaming=bool(body.get("stream")),
            model=asked,
            bulk=bulk,
            alternatives=Alternatives(asked, choices) if choices else None,
        )
        if counts:
            call.observe = partial(connection.tokens.observe, wire, asked)
        return call

    def count_tokens(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        **parameters: Any,
    ) -> TokenCount:
        """Count the prompt tokens of a chat request without sending it.

        ``parameters`` as for ``create``; those that affect the prompt are tools, thinking and response_format. Exact
        for text if the client has a ``tokenizer``; otherwise estimated and corrected by billed usage.
        """
        output = StructuredOutput.of(parameters.get("response_format"))
        if output is not None:
            parameters = {**parameters, "response_format": None}
        body = chat_parameters(model, messages, parameters)
        if output is not None:
            body = output.form.adapted(body)
        return self._connection.tokens.count(encode_request(body), model)

    @staticmethod
    def complete(call: Call, *, raise_on_refusal: bool = False) -> Coroutine[Any, Any, ChatCompletion]:
        """Internal: await the answer of a non-streaming call."""
        return call.answer(decode_completion, _fault_or_refusal_of if raise_on_refusal else _fault_of)


def _timeouts(timeout: AnyTimeout | None, usual: Timeouts, body: Mapping[str, Any]) -> Timeouts:
    timeouts = usual if timeout is None else chosen_timeouts(timeout, usual)
    return patient(timeouts, body) if "tools" in body or "safety_check" in body else timeouts


def _fault_of(completion: ChatCompletion, headers: Mapping[str, str]) -> APIError | None:
    return fault_of(completion, headers, now=time.time())


def _fault_or_refusal_of(completion: ChatCompletion, headers: Mapping[str, str]) -> APIError | None:
    return _fault_of(completion, headers) or (refusal_of(completion) if completion.refused else None)
