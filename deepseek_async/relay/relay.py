"""``Relay``: requests as bytes, made into the calls that the client's own methods make."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Protocol

import msgspec

from deepseek_async.call.caller import Call
from deepseek_async.call.stream import (
    ChatCompletionStream,
    CompletionStream,
    ForwardedStream,
    MessageStream,
    ResponseStream,
)
from deepseek_async.call.stream.answer import AnswerStream
from deepseek_async.codec.schema_prompt import with_schema_in_prompt
from deepseek_async.errors import DeepSeekError, InvalidRequestError
from deepseek_async.relay.answer_bytes import json_of
from deepseek_async.relay.exchange import RelayRequest, RelayResponse
from deepseek_async.relay.form import read_form
from deepseek_async.relay.header_fields import EVENT_STREAM, JSON
from deepseek_async.relay.other_requests import OtherRequests
from deepseek_async.relay.paid_answers import answer_in
from deepseek_async.relay.paths import normalized
from deepseek_async.relay.streamed import DONE, Encode, StreamedBody, chat_events, named_events, within
from deepseek_async.relay.tool_requests import TOOLS, ToolRequests
from deepseek_async.resources.chat_calls import ChatCalls
from deepseek_async.resources.completions import TextCompletions
from deepseek_async.resources.embeddings import Embeddings
from deepseek_async.resources.files import Files
from deepseek_async.resources.images import Images
from deepseek_async.resources.messages import Messages
from deepseek_async.resources.parameters import (
    chat_parameters,
    check_completion,
    check_embedding,
    check_message,
    check_response,
)
from deepseek_async.resources.resource_client import ResourceClient
from deepseek_async.resources.responses import Responses
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.types import Answer
from deepseek_async.types.json_text import read

_LIFE: Final = ("anchor", "seconds")


class Relay:
    """Answers the requests of foreign clients through everything that protects the calls of a client.

    Each request becomes the call that a method of the client would make: admission, retries, fallback, cache, budget,
    content filter, audit and metrics are those of the client. Paths without a method are passed on if that is safe.
    """

    def __init__(self, connection: ResourceClient) -> None:
        self._files = Files(connection)
        self._others = OtherRequests(connection)
        self._tools = ToolRequests(connection)
        chat = _Endpoint(ChatCalls(connection), _chat(connection), ChatCompletionStream, undecoded=ForwardedStream)
        text = _Endpoint(TextCompletions(connection), _checked_by(check_completion), CompletionStream)
        messages = _Endpoint(Messages(connection), _checked_by(check_message), MessageStream, named_events, b"")
        self._endpoints: Mapping[str, _Endpoint] = {
            "/chat/completions": chat,
            "/completions": text,
            "/responses": _Endpoint(
                Responses(connection), _checked_by(check_response), ResponseStream, named_events, b""
            ),
            "/messages": messages,
            "/anthropic/v1/messages": messages,
            "/anthropic/messages": messages,
            "/embeddings": _Endpoint(Embeddings(connection), _checked_by(check_embedding)),
            "/images/generations": _Endpoint(Images(connection), dict),
        }

    async def send(self, request: RelayRequest) -> RelayResponse:
        """Answer ``request``. Raises the errors of a call; ``refusal_of`` makes a response of one.

        Cancelling it ends the request at the server. A complete answer that our own callers would get as an error,
        e.g. one without content, is returned as the server sent it, because it was paid for.
        """
        method, path = request.method.upper(), normalized(request.path)
        endpoint = self._endpoints.get(path) if method == "POST" else None
        if endpoint is not None:
            return await endpoint.answer(request)
        if path == "/files" and method == "POST":
            return await self._upload(request)
        if path in TOOLS and method == "POST":
            return await self._tools.answer(request, path)
        return await self._others.answer(request, method, path)

    async def _upload(self, request: RelayRequest) -> RelayResponse:
        form = read_form(request.body, request.content_type)
        if "file" not in form.files:
            raise InvalidRequestError("the form of the upload must have a field named file")
        life = {name: form.fields[key] for name in _LIFE if (key := f"expires_after[{name}]") in form.fields}
        stored = await self._files.create(
            file=form.files["file"],
            purpose=form.fields.get("purpose", ""),
            expires_after={name: int(value) if value.isdigit() else value for name, value in life.items()} or None,
            timeout=request.timeout,
        )
        return RelayResponse(status=200, fields={}, content_type=JSON, body=json_of(stored))


class _Generating(Protocol):
    """A resource whose calls are made from bodies in the API's format."""

    def call(
        self,
        body: Mapping[str, Any],
        /,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float | Timeouts | None = None,
    ) -> Call: ...

    def complete(self, call: Call, /) -> Coroutine[Any, Any, Answer]: ...


class _Endpoint(msgspec.Struct, frozen=True, gc=False):
    """One path that generates."""

    resource: _Generating
    check: Callable[[dict[str, Any]], dict[str, Any]]
    stream: type[AnswerStream[Any, Any]] | None = None
    encode: Encode = chat_events
    last: bytes = DONE
    undecoded: type[AnswerStream[Any, Any]] | None = None
    """Kind of stream for answers whose texts nobody looks at on the way."""

    async def answer(self, request: RelayRequest) -> RelayResponse:
        body = self.check(_object_in(request.body))
        if not body.get("stream"):
            return await self._whole(self.resource.call(body, headers=request.headers, timeout=request.timeout))
        if self.stream is None:
            raise InvalidRequestError(f"stream must not be set for {request.path}: its answers cannot be streamed")
        # As a number it is no deadline: a stream may last as long as something comes.
        patience = request.timeout if isinstance(request.timeout, int | float) else None
        timeouts = None if isinstance(request.timeout, int | float) else request.timeout
        call = self.resource.call(body, headers=request.headers, timeout=timeouts)
        filters = call.middleware is not None and call.middleware.content is not None
        kind = self.stream if filters or self.undecoded is None else self.undecoded
        if patience is None:
            stream = await call.stream(kind)
        else:
            async with within(patience):
                stream = await call.stream(kind)
        return RelayResponse(
            status=200,
            fields=call.response.headers if call.response else {},
            content_type=EVENT_STREAM,
            body=StreamedBody(stream, self.encode, self.last, patience),
        )

    async def _whole(self, call: Call) -> RelayResponse:
        failure: DeepSeekError | None = None
        try:
            answer: Answer = await self.resource.complete(call)
        except DeepSeekError as error:
            found = answer_in(error)
            if found is None:
                raise
            answer, failure = found, error
        fields = call.response.headers if call.response else {}
        return RelayResponse(status=200, fields=fields, content_type=JSON, body=json_of(answer), failure=failure)


def _object_in(body: bytes) -> dict[str, Any]:
    try:
        found = read(body, errors="strict")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidRequestError("the body must be a JSON object")
    return found


def _chat(connection: ResourceClient) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def checked(body: dict[str, Any]) -> dict[str, Any]:
        made = chat_parameters(body.pop("model", ""), body.pop("messages", ()), body)
        # A client that is off says that its server knows everything.
        return made if connection.lint.mode == "off" else dict(with_schema_in_prompt(made))

    return checked


def _checked_by(check: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def checked(body: dict[str, Any]) -> dict[str, Any]:
        # Strict servers reject nulls.
        given = {name: value for name, value in body.items() if value is not None}
        check(given)
        return given

    return checked
