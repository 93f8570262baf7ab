"""``client.responses``: OpenAI's Responses format, served by DeepSeek without state."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, Unpack, overload

from deepseek_async.call.caller import Call
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.call.stream import ResponseStream
from deepseek_async.codec.answer_check import refusal_of
from deepseek_async.codec.answer_decoder import MembersDecoder
from deepseek_async.codec.responses import ResponseReader, fault_of_response
from deepseek_async.errors import APIError, InvalidRequestError
from deepseek_async.lint.api_facts import tools_of_service
from deepseek_async.lint.extensions import search_while_thinking
from deepseek_async.resources.chat_extensions import patient
from deepseek_async.resources.parameters import check_response
from deepseek_async.resources.raw import RoutedResource, raw
from deepseek_async.resources.request_body import request_body
from deepseek_async.resources.request_types import ResponseParameters
from deepseek_async.resources.resource_client import AnyTimeout, ResourceClient, chosen_timeouts
from deepseek_async.resources.route import Route
from deepseek_async.resources.streaming_response import streaming
from deepseek_async.text.not_here import NotHere
from deepseek_async.types import Response
from deepseek_async.types.operation import CHAT

Item = Mapping[str, Any]

_decode: Final = MembersDecoder(Response, "output", ResponseReader).decode


class Responses(RoutedResource):
    """``client.responses``."""

    parse = NotHere("use chat.completions.parse(response_format=…), or text={'format': …} and decode output_text")
    retrieve = delete = cancel = compact = input_items = NotHere("DeepSeek stores no responses; send all items again")
    input_tokens = NotHere("the service counts no tokens ahead; usage of an answer has them")
    connect = NotHere("use responses.stream(…)")

    def __init__(self, connection: ResourceClient) -> None:
        self._route = Route(connection, "responses")

    @property
    def with_raw_response(self) -> RawResponses:
        """The same methods returning a RawResponse: ``.parse()``, ``.headers``, ``.status_code``, ``.text``."""
        return RawResponses(self)

    @property
    def with_streaming_response(self) -> StreamedResponses:
        """The same methods as context managers, each of a StreamingResponse that is read piece by piece."""
        return StreamedResponses(self)

    @overload
    async def create(
        self,
        *,
        model: str,
        input: str | Sequence[Item],
        stream: Literal[False] | None = None,
        raise_on_refusal: bool = False,
        **parameters: Unpack[ResponseParameters],
    ) -> Response: ...

    @overload
    async def create(
        self,
        *,
        model: str,
        input: str | Sequence[Item],
        stream: Literal[True],
        **parameters: Unpack[ResponseParameters],
    ) -> ResponseStream: ...

    @overload
    async def create(
        self,
        *,
        model: str,
        input: str | Sequence[Item],
        stream: bool | None = None,
        **parameters: Any,
    ) -> Response | ResponseStream: ...

    async def create(
        self,
        *,
        model: str,
        input: str | Sequence[Item],  # noqa: A002  openai-python's name
        stream: bool | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        timeout: AnyTimeout | None = None,
        raise_on_refusal: bool = False,
        **parameters: Any,
    ) -> Response | ResponseStream:
        """Create a response.

        Returns a Response, or with ``stream=True`` a ResponseStream as soon as the server has accepted the
        request. Parameters that are None are not sent; unknown ones are sent unchanged.

        - ``input``: a string, or items: ``{"role": "user", "content": "Hi"}``, function calls and their results,
          and earlier output, which must be sent again because the server is stateless.
        - ``instructions``: system prompt.
        - ``max_output_tokens``: reasoning and answer together.
        - ``reasoning``: ``{"effort": "none" | "low" | "high" | "max"}``.
        - ``text``: ``{"format": {"type": "json_schema", "name": …, "schema": …}}`` requests JSON of that schema,
          which chat does not support.
        - ``tools``: ``{"type": "function", "name": …, "parameters": …}``.

        - ``safety_check``, ``title``, ``raise_on_refusal``: as for ``chat.completions.create``; the title is ``title``.

        Raises InvalidRequestError before anything is sent, and subclasses of APIError for later failures.
        """
        if raise_on_refusal and stream:
            raise InvalidRequestError("raise_on_refusal cannot be used with stream=True; check stream.refused instead")
        parameters["stream"] = stream
        body = request_body(check_response, {"model": model, "input": input}, parameters, extra_body)
        call = self.call(body, headers=extra_headers, query=extra_query, timeout=timeout)
        if stream:
            return await call.stream(ResponseStream)
        return await self.complete(call, raise_on_refusal=raise_on_refusal)

    def call(
        self,
        body: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        timeout: AnyTimeout | None = None,
        retry: RetryPolicy | None = None,
        bulk: bool = False,
    ) -> Call:
        """Internal: prepare a call, without starting it, from a body in the API's format; ``bulk``: not interactive."""
        self._warn_of_search(body)
        route = self._route
        timeouts = patient(chosen_timeouts(timeout, route.connection.timeouts), body)
        return route.call(
            *(CHAT, "POST", "/responses", body), headers=headers, timeout=timeouts, retry=retry, bulk=bulk, query=query
        )

    def complete(self, call: Call, *, raise_on_refusal: bool = False) -> Coroutine[Any, Any, Response]:
        """Internal: await the answer of a non-streaming call."""
        return self._route.answer(call, _decode, _fault_or_refusal_of if raise_on_refusal else _fault_of)

    def _warn_of_search(self, body: Mapping[str, Any]) -> None:
        asked = tools_of_service(body) if "tools" in body else []
        linter = self._route.connection.lint
        reasoning = body.get("reasoning")
        if (
            asked
            and linter.mode != "off"
            and not (isinstance(reasoning, Mapping) and reasoning.get("effort") == "none")
        ):
            linter.tell(search_while_thinking(asked[0], "reasoning={'effort': 'none'}"))

    @asynccontextmanager
    async def stream(self, **parameters: Any) -> AsyncIterator[ResponseStream]:
        """``create(..., stream=True)`` as a context manager: ``async with responses.stream(...) as stream``."""
        stream = await self.create(**{**parameters, "stream": True})
        assert isinstance(stream, ResponseStream)  # noqa: S101  for the type checker
        async with stream:
            yield stream


class RawResponses:
    """Methods of ``client.responses``, returning a RawResponse."""

    def __init__(self, resource: Responses) -> None:
        self.create = raw(resource, resource.create)


class StreamedResponses:
    """Methods of ``client.responses``, returning a StreamingResponse to enter."""

    def __init__(self, resource: Responses) -> None:
        self.create = streaming(resource, resource.create)


def _fault_of(response: Response, headers: Mapping[str, str]) -> APIError | None:
    return fault_of_response(response, headers, now=time.time())


def _fault_or_refusal_of(response: Response, headers: Mapping[str, str]) -> APIError | None:
    return _fault_of(response, headers) or (refusal_of(response) if response.refused else None)
