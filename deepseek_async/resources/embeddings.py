"""``client.embeddings``: texts to vectors, on a server that has them."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, Literal

from deepseek_async.call.caller import Call
from deepseek_async.call.retry import RetryPolicy
from deepseek_async.codec.answer_decoder import MembersDecoder
from deepseek_async.codec.verdict import error_in
from deepseek_async.errors import APIError, APIResponseValidationError
from deepseek_async.resources.parameters import check_embedding
from deepseek_async.resources.raw import Rawable
from deepseek_async.resources.resource_client import ResourceClient
from deepseek_async.resources.route import Route, further, given
from deepseek_async.text.quotation import quote
from deepseek_async.transport.watchdog import Timeouts
from deepseek_async.types import CreateEmbeddingResponse
from deepseek_async.types.operation import EMBEDDINGS

EmbeddingInput = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]


_decode: Final = MembersDecoder(CreateEmbeddingResponse, "data").decode


class Embeddings(Rawable):
    """``client.embeddings``. DeepSeek has none: name a server with ``endpoints={"embeddings": "https://…/v1"}``."""

    def __init__(self, connection: ResourceClient) -> None:
        self._route = Route(connection, "embeddings")

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
        timeout: float | Timeouts | None = None,
    ) -> CreateEmbeddingResponse:
        """The vectors of one text or of several, in their order.

        - ``input``: a text, a list of texts, or tokens.
        - ``encoding_format``: how vectors travel; base64 is a third of the bytes, and ``.embedding`` gives
          numbers either way.
        - ``dimensions``: length of a vector, where the model lets you choose.

        Raises NotFoundError, naming the setting that helps, where the server has no embeddings.
        """
        body = given(
            model=model,
            input=input,
            dimensions=dimensions,
            encoding_format=encoding_format,
            user=user,
        )
        check_embedding(body)
        body.update(further(extra_body))
        return await self.complete(self.call(body, headers=extra_headers, timeout=timeout))

    def call(
        self,
        body: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float | Timeouts | None = None,
        retry: RetryPolicy | None = None,
        bulk: bool = False,
    ) -> Call:
        """A call that has not begun, for a body in the API's form.

        Nobody waits for a ``bulk`` one, and of those there are many: raises InvalidRequestError for one that would go
        to DeepSeek, which has no embeddings.
        """
        route = self._route
        if bulk:
            route.check_served()
        return route.call(
            *(EMBEDDINGS, "POST", "/embeddings", body), headers=headers, timeout=timeout, retry=retry, bulk=bulk
        )

    def complete(self, call: Call) -> Coroutine[Any, Any, CreateEmbeddingResponse]:
        """The answer of a call; await it."""
        return self._route.answer(call, _decode, _fault_of)


def _fault_of(answer: CreateEmbeddingResponse, headers: Mapping[str, str]) -> APIError | None:
    if answer.data:
        return None
    # As another API has them (Ollama's own, for one): none at all would be taken for those of no text.
    return error_in(answer, headers, now=time.time()) or APIResponseValidationError(
        f"the server's answer has no vectors: {quote(answer.to_json())}",
        retryable=False,
        reason="form",
    )
