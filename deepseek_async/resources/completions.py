"""``client.completions``: text completion and fill-in-the-middle, plain and streamed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, Unpack, overload

from deepseek_async.call.caller import Call
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.call.stream import CompletionStream
from deepseek_async.codec.answer_decoder import ChoicesDecoder
from deepseek_async.codec.text_completion import TextReader, fault_of_text
from deepseek_async.errors import APIError
from deepseek_async.resources.parameters import check_completion
from deepseek_async.resources.raw import RoutedResource, raw
from deepseek_async.resources.request_body import request_body
from deepseek_async.resources.request_types import TextParameters
from deepseek_async.resources.resource_client import AnyTimeout, ResourceClient
from deepseek_async.resources.route import Route
from deepseek_async.resources.streaming_response import streaming
from deepseek_async.types import Completion
from deepseek_async.types.operation import TEXT_COMPLETION

_decode: Final = ChoicesDecoder(Completion, TextReader).decode


class TextCompletions(RoutedResource):
    """``client.completions``: text without roles.

    At DeepSeek ``/beta/completions``, for fill-in-the-middle (FIM) of code, without thinking. With
    ``endpoints={"completions": "https://…/v1"}`` it is ``/completions`` of that server.
    """

    def __init__(self, connection: ResourceClient) -> None:
        self._route = Route(connection, "completions")

    @property
    def with_raw_response(self) -> RawTextCompletions:
        """The same methods returning a RawResponse: ``.parse()``, ``.headers``, ``.status_code``, ``.text``."""
        return RawTextCompletions(self)

    @property
    def with_streaming_response(self) -> StreamedTextCompletions:
        """The same methods as context managers, each of a StreamingResponse that is read piece by piece."""
        return StreamedTextCompletions(self)

    @overload
    async def create(
        self,
        *,
        model: str,
        prompt: str,
        stream: Literal[False] | None = None,
        **parameters: Unpack[TextParameters],
    ) -> Completion: ...

    @overload
    async def create(
        self,
        *,
        model: str,
        prompt: str,
        stream: Literal[True],
        **parameters: Unpack[TextParameters],
    ) -> CompletionStream: ...

    @overload
    async def create(
        self,
        *,
        model: str,
        prompt: str,
        stream: bool | None = None,
        **parameters: Any,
    ) -> Completion | CompletionStream: ...

    async def create(
        self,
        *,
        model: str,
        prompt: str,
        stream: bool | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        timeout: AnyTimeout | None = None,
        **parameters: Any,
    ) -> Completion | CompletionStream:
        """Continue ``prompt``, up to ``suffix`` if given.

        Returns a Completion, or with ``stream=True`` a CompletionStream as soon as the server has accepted the
        request. Parameters that are None are not sent. The ranges are the API's:

        - ``max_tokens``: 1 to 4,096.
        - ``temperature``: 0 to 2, and ``top_p``: above 0 to 1.
        - ``stop``: up to 16 strings. ``logprobs``: number of alternatives per token, 0 to 20.
        - ``echo``: include the prompt in the answer.
        - ``extra_body``: additional fields, sent unchecked; ``extra_headers``: additional headers.
        - ``timeout``: seconds for the whole call including retries, or a Timeouts; default: the client's.

        Raises InvalidRequestError before anything is sent, and subclasses of APIError for later failures.
        """
        parameters["stream"] = stream
        body = request_body(check_completion, {"model": model, "prompt": prompt}, parameters, extra_body)
        call = self.call(body, headers=extra_headers, query=extra_query, timeout=timeout)
        if stream:
            return await call.stream(CompletionStream)
        return await self.complete(call)

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
        route = self._route
        path = "/completions" if route.elsewhere else "/beta/completions"
        return route.call(
            *(TEXT_COMPLETION, "POST", path, body),
            headers=headers,
            timeout=timeout,
            retry=retry,
            bulk=bulk,
            query=query,
        )

    def complete(self, call: Call) -> Coroutine[Any, Any, Completion]:
        """Internal: await the answer of a non-streaming call."""
        return self._route.answer(call, _decode, _fault_of)

    @asynccontextmanager
    async def stream(self, **parameters: Any) -> AsyncIterator[CompletionStream]:
        """``create(..., stream=True)`` as a context manager: ``async with completions.stream(...) as stream``."""
        stream = await self.create(**{**parameters, "stream": True})
        assert isinstance(stream, CompletionStream)  # noqa: S101  for the type checker
        async with stream:
            yield stream


class RawTextCompletions:
    """Methods of ``client.completions``, returning a RawResponse."""

    def __init__(self, resource: TextCompletions) -> None:
        self.create = raw(resource, resource.create)


class StreamedTextCompletions:
    """Methods of ``client.completions``, returning a StreamingResponse to enter."""

    def __init__(self, resource: TextCompletions) -> None:
        self.create = streaming(resource, resource.create)


def _fault_of(completion: Completion, headers: Mapping[str, str]) -> APIError | None:
    return fault_of_text(completion, headers, now=time.time())
