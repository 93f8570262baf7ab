"""``client.messages``: Anthropic's format as served by DeepSeek. Names follow the anthropic package."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, Unpack, overload

from deepseek_async.call.caller import Call
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.call.stream import MessageStream
from deepseek_async.codec.answer_check import refusal_of
from deepseek_async.codec.messages import decode_message, fault_of_message
from deepseek_async.codec.request import MESSAGES, MESSAGES_ELSEWHERE
from deepseek_async.errors import APIError, InvalidRequestError
from deepseek_async.lint import LintMode
from deepseek_async.lint.linter import known
from deepseek_async.resources.chat_extensions import patient
from deepseek_async.resources.parameters import check_message
from deepseek_async.resources.raw import RoutedResource, raw
from deepseek_async.resources.request_body import further, request_body
from deepseek_async.resources.request_types import MessageParameters
from deepseek_async.resources.resource_client import AnyTimeout, ResourceClient, chosen_timeouts
from deepseek_async.resources.route import Route
from deepseek_async.resources.streaming_response import streaming
from deepseek_async.types import Message
from deepseek_async.types.operation import CHAT

Turn = Mapping[str, Any] | Message
"""A turn of the conversation, possibly with blocks of an earlier answer as content; or an answer itself."""

_VERSION: Final = {"anthropic-version": "2023-06-01"}
"""Ignored by DeepSeek, required by other servers of this format; every client sends this value."""

_BETAS: Final = {
    "file": "files-api-2025-04-14",
    "tool_addition": "mid-conversation-tool-changes-2026-07-01",
    "tool_removal": "mid-conversation-tool-changes-2026-07-01",
}
"""Betas required by kinds of blocks or sources (DeepSeek docs, create-message)."""


class Messages(RoutedResource):
    """``client.messages``."""

    def __init__(self, connection: ResourceClient) -> None:
        self._route = Route(connection, "messages")

    @property
    def with_raw_response(self) -> RawMessages:
        """The same methods returning a RawResponse: ``.parse()``, ``.headers``, ``.status_code``, ``.text``."""
        return RawMessages(self)

    @property
    def with_streaming_response(self) -> StreamedMessages:
        """The same methods as context managers, each of a StreamingResponse that is read piece by piece."""
        return StreamedMessages(self)

    @overload
    async def create(
        self,
        *,
        model: str,
        messages: Sequence[Turn],
        stream: Literal[False] | None = None,
        raise_on_refusal: bool = False,
        **parameters: Unpack[MessageParameters],
    ) -> Message: ...

    @overload
    async def create(
        self,
        *,
        model: str,
        messages: Sequence[Turn],
        stream: Literal[True],
        **parameters: Unpack[MessageParameters],
    ) -> MessageStream: ...

    @overload
    async def create(
        self,
        *,
        model: str,
        messages: Sequence[Turn],
        stream: bool | None = None,
        **parameters: Any,
    ) -> Message | MessageStream: ...

    async def create(
        self,
        *,
        model: str,
        messages: Sequence[Turn],
        stream: bool | None = None,
        betas: Sequence[str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        timeout: AnyTimeout | None = None,
        raise_on_refusal: bool = False,
        lint: LintMode | None = None,
        **parameters: Any,
    ) -> Message | MessageStream:
        """Create a message.

        Returns a Message, or with ``stream=True`` a MessageStream as soon as the server has accepted the request.
        Parameters that are None are not sent; unknown ones are sent unchanged.

        - ``messages``: turns of ``user`` and ``assistant``; ``{"role": "assistant", "content": message.content}``
          sends an answer back unchanged, signed thinking blocks included.
        - ``max_tokens``: thinking and answer together; optional, values above 393,216 are clipped by the server.
        - ``system``: system prompt, a string or a list of text blocks.
        - ``thinking``: ``{"type": "enabled" | "disabled" | "adaptive"}``; on by default. ``budget_tokens`` is ignored.
        - ``output_config``: ``{"effort": "none" | "low" | "high" | "max"}``.
        - ``stop_sequences``: up to 16 strings.
        - ``tools``: ``{"name": …, "description": …, "input_schema": …}`` without a type; the service's own have one.
        - ``tool_choice``: ``{"type": "auto" | "none"}``; ``any`` counts as auto, and ``tool`` needs thinking off.
        - ``metadata``: ``{"user_id": …}`` separates prefix cache and scheduling of your users.
        - ``safety_check``, ``title``, ``raise_on_refusal``: as for ``chat.completions.create``; the title is ``title``.
        - ``lint``: off, warn, fix or error, for this call; default: the client's.
        - ``betas``: values for the ``anthropic-beta`` header; those required by the blocks are added.

        An answer with stop_reason ``refusal`` (``answer.refused``) or ``pause_turn`` is returned and not retried.
        Raises InvalidRequestError before anything is sent, and subclasses of APIError for later failures.
        """
        if raise_on_refusal and stream:
            raise InvalidRequestError("raise_on_refusal cannot be used with stream=True; check stream.refused instead")
        parameters["stream"] = stream
        meant = further(extra_body)
        body = request_body(check_message, {"model": model, "messages": messages}, parameters, meant)
        call = self.call(
            body, betas=betas, headers=extra_headers, query=extra_query, timeout=timeout, lint=lint, deliberate=meant
        )
        if stream:
            return await call.stream(MessageStream)
        return await self.complete(call, raise_on_refusal=raise_on_refusal)

    def call(
        self,
        body: Mapping[str, Any],
        *,
        betas: Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        timeout: AnyTimeout | None = None,
        retry: RetryPolicy | None = None,
        lint: LintMode | None = None,
        deliberate: Mapping[str, Any] | None = None,
        bulk: bool = False,
    ) -> Call:
        """Internal: prepare a call, without starting it, from a body in the API's format; ``bulk``: not interactive.

        ``deliberate`` contains undocumented fields that are intentional.
        """
        route = self._route
        if not route.elsewhere:
            linter = route.connection.lint
            mode = linter.mode if lint is None else known(lint)
            body = linter.checked_message(body, mode, deliberate or {})
        headers = dict(headers or ())
        if named := dict.fromkeys((*(betas or ()), *_betas_in(body["messages"]))):
            said = [value for name, value in headers.items() if name.lower() == "anthropic-beta"]
            headers = {name: value for name, value in headers.items() if name.lower() != "anthropic-beta"}
            headers["anthropic-beta"] = ",".join(dict.fromkeys((*said, *named)))
        if route.elsewhere:
            path, headers = MESSAGES_ELSEWHERE, {**_VERSION, **headers}
        else:
            path = MESSAGES
        timeouts = patient(chosen_timeouts(timeout, route.connection.timeouts), body)
        return route.call(
            *(CHAT, "POST", path, body), headers=headers or None, timeout=timeouts, retry=retry, bulk=bulk, query=query
        )

    def complete(self, call: Call, *, raise_on_refusal: bool = False) -> Coroutine[Any, Any, Message]:
        """Internal: await the answer of a non-streaming call."""
        return self._route.answer(call, decode_message, _fault_or_refusal_of if raise_on_refusal else _fault_of)

    @asynccontextmanager
    async def stream(self, **parameters: Any) -> AsyncIterator[MessageStream]:
        """Context manager for ``create(..., stream=True)``: ``async with messages.stream(...) as stream``.

        Iterate over ``stream.text_stream`` for the text; ``await stream.get_final_message()`` returns the whole answer.
        """
        stream = await self.create(**{**parameters, "stream": True})
        assert isinstance(stream, MessageStream)  # noqa: S101  for the type checker
        async with stream:
            yield stream


class RawMessages:
    """Methods of ``client.messages``, returning a RawResponse."""

    def __init__(self, resource: Messages) -> None:
        self.create = raw(resource, resource.create)


class StreamedMessages:
    """Methods of ``client.messages``, returning a StreamingResponse to enter."""

    def __init__(self, resource: Messages) -> None:
        self.create = streaming(resource, resource.create)


def _betas_in(messages: Sequence[Turn]) -> Iterator[str]:
    for message in messages:
        content = message.get("content") if isinstance(message, Mapping) else None
        for block in content if isinstance(content, list | tuple) else ():
            if isinstance(block, Mapping):
                source = block.get("source")
                kinds = (block.get("type"), source.get("type") if isinstance(source, Mapping) else None)
                yield from (_BETAS[kind] for kind in kinds if isinstance(kind, str) and kind in _BETAS)


def _fault_of(message: Message, headers: Mapping[str, str]) -> APIError | None:
    return fault_of_message(message, headers, now=time.time())


def _fault_or_refusal_of(message: Message, headers: Mapping[str, str]) -> APIError | None:
    return _fault_of(message, headers) or (refusal_of(message) if message.refused else None)
