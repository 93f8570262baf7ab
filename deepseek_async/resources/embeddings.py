"""``client.embeddings``: embeddings, from a server that offers them."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, Literal

from deepseek_async.call.caller import Call
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.codec.answer_check import error_in
from deepseek_async.codec.answer_decoder import MembersDecoder
from deepseek_async.errors import APIError, APIResponseValidationError
from deepseek_async.resources.parameters import check_embedding
from deepseek_async.resources.raw import RoutedResource, raw
from deepseek_async.resources.request_body import request_body
from deepseek_async.resources.resource_client import AnyTimeout, ResourceClient
from deepseek_async.resources.route import Route
from deepseek_async.resources.streaming_response import streaming
from deepseek_async.text.quoting import quote
from deepseek_async.types import CreateEmbeddingResponse
from deepseek_async.types.operation import EMBEDDINGS

EmbeddingInput = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]


_decode: Final = MembersDecoder(CreateEmbeddingResponse, "data").decode


class Embeddings(RoutedResource):
    """``client.embeddings``. Not offered by DeepSeek: set ``endpoints={"embeddings": "https://…/v1"}``."""

    def __init__(self, connection: ResourceClient) -> None:
        self._route = Route(connection, "embeddings")

    @property
    def with_raw_response(self) -> RawEmbeddings:
        """The same methods, each returning a RawResponse: ``.parse()``, ``.headers``, ``.status_code``, ``.text``."""
        return RawEmbeddings(self)

    @property
    def with_streaming_response(self) -> StreamedEmbeddings:
        """The same methods as context managers, each of a StreamingResponse that is read piece by piece."""
        return StreamedEmbeddings(self)

    async def create(
        self,
        *,
        input: EmbeddingInput,  # noqa: A002  openai-python's name
        model: str,
        dimensions: int | None = None,
        encoding_format: Literal["float", "base64"] | None = None,
        user: str | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        timeout: AnyTimeout | None = None,
    ) -> CreateEmbeddingResponse:
        """Create embeddings of one or several texts, in order.

        - ``input``: a string, a list of strings, or tokens.
        - ``encoding_format``: transfer encoding; base64 takes a third of the bytes, and ``.embedding`` returns
          numbers either way.
        - ``dimensions``: vector length, if the model supports a choice.

        Raises NotFoundError, naming the setting to change, if the server has no embeddings.
        """
        asked = {"dimensions": dimensions, "encoding_format": encoding_format, "user": user}
        body = request_body(check_embedding, {"model": model, "input": input}, asked, extra_body)
        return await self.complete(self.call(body, headers=extra_headers, query=extra_query, timeout=timeout))

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
        """Internal: prepare a call, without starting it, from a body in the API's format.

        ``bulk``: not interactive, one of many; raises InvalidRequestError if it would go to DeepSeek, which has no
        embeddings.
        """
        route = self._route
        if bulk:
            route.check_served()
        return route.call(
            *(EMBEDDINGS, "POST", "/embeddings", body),
            headers=headers,
            timeout=timeout,
            retry=retry,
            bulk=bulk,
            query=query,
        )

    def complete(self, call: Call) -> Coroutine[Any, Any, CreateEmbeddingResponse]:
        """Internal: await the answer of a call."""
        return self._route.answer(call, _decode, _fault_of)


class RawEmbeddings:
    """Methods of ``client.embeddings``, returning a RawResponse."""

    def __init__(self, resource: Embeddings) -> None:
        self.create = raw(resource, resource.create)


class StreamedEmbeddings:
    """Methods of ``client.embeddings``, returning a StreamingResponse to enter."""

    def __init__(self, resource: Embeddings) -> None:
        self.create = streaming(resource, resource.create)


def _fault_of(answer: CreateEmbeddingResponse, headers: Mapping[str, str]) -> APIError | None:
    if answer.data:
        return None
    # Another API's format (e.g. Ollama's own) decodes to no vectors, which must not pass for an empty result.
    return error_in(answer, headers, now=time.time()) or APIResponseValidationError(
        f"the server's answer has no vectors: {quote(answer.encoded())}",
        retryable=False,
        reason="form",
    )
