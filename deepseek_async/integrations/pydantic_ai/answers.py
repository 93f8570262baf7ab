"""Answers as pydantic-ai's responses, whole and streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from pydantic_ai.messages import (
    FinishReason,
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from pydantic_ai.models import StreamedResponse
from pydantic_ai.usage import RequestUsage

from deepseek_async.call.stream import ChatCompletionStream
from deepseek_async.integrations.connection import Connection
from deepseek_async.integrations.pydantic_ai.conversation import SYSTEM, UNDECLARED
from deepseek_async.integrations.unconvertible import unconvertible
from deepseek_async.text.unicode import all_encodable, encodable
from deepseek_async.types import ChatCompletion, ChatCompletionChunk
from deepseek_async.types.chat_completion import ChatCompletionMessage, Choice
from deepseek_async.types.usage import moment

_ENDINGS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "content_filter": "content_filter",
}


def response_of(completion: ChatCompletion, cost: float | None, url: str) -> ModelResponse:
    """Convert an answer of ``url`` that cost ``cost`` US dollars; None: it cannot be said in dollars.

    Raises APIResponseValidationError with the answer as ``partial`` if pydantic-ai does not take it.
    """
    try:
        choice = completion.choices[0]
        return ModelResponse(
            parts=list(_parts(choice.message)),
            usage=usage_of(completion, cost),
            model_name=completion.model,
            provider_response_id=completion.id or None,
            provider_name=SYSTEM,
            provider_url=url,
            finish_reason=_ENDINGS.get(choice.finish_reason or ""),
            provider_details=details_of(completion, choice),
        )
    except Exception as error:
        raise unconvertible(completion, "pydantic-ai response", error) from error


def _parts(message: ChatCompletionMessage) -> Iterator[ModelResponsePart]:
    if message.reasoning_content:
        yield ThinkingPart(encodable(message.reasoning_content), id="reasoning_content", provider_name=SYSTEM)
    if message.content:
        yield TextPart(encodable(message.content))
    for call in message.tool_calls or ():
        function = call.function
        yield ToolCallPart(encodable(function.name), encodable(function.arguments), tool_call_id=encodable(call.id))


def details_of(completion: ChatCompletion, choice: Choice) -> dict[str, Any]:
    """Return what only this provider tells."""
    made: dict[str, Any] = {"finish_reason": choice.finish_reason}
    if (at := moment(completion.created)) is not None:
        made["timestamp"] = datetime.fromtimestamp(at, UTC)
    rarely = (
        ("logprobs", choice.logprobs and choice.logprobs.to_dict()),
        ("title", choice.message.title),
        ("refusal", choice.message.refusal),
        ("fallback", completion.fallback),
        ("cached", completion.cached),
        (UNDECLARED, choice.message.undeclared()),
    )
    return made | {name: all_encodable(value) for name, value in rarely if value}


def usage_of(completion: ChatCompletion, cost: float | None) -> RequestUsage:
    """Convert the billed usage."""
    usage = completion.usage
    if usage is None:
        return RequestUsage(unmeasured_requests=1)
    details = {"reasoning_tokens": usage.reasoning_tokens} if usage.reasoning_tokens else {}
    return RequestUsage(
        input_tokens=usage.prompt_tokens,
        cache_read_tokens=usage.cached_tokens,
        output_tokens=usage.completion_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
        details=details,
        cost=None if cost is None else Decimal(str(cost)),
    )


@dataclass
class DeepSeekStreamedResponse(StreamedResponse):
    """A streamed answer."""

    _model_name: str
    _url: str
    _connection: Connection
    _stream: ChatCompletionStream
    _timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def close_stream(self) -> None:
        """Close the stream: its connection and its place are given back."""
        await self._connection.arun(self._stream.aclose())

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        stream = self._stream
        chunks = self._connection.aiterate(stream)
        try:
            async for chunk in chunks:
                self.provider_response_id = chunk.id or self.provider_response_id
                try:
                    events = list(self._events(chunk))
                except Exception as error:
                    raise unconvertible(stream.partial, "pydantic-ai response", error) from error
                for event in events:
                    yield event
        finally:
            await chunks.aclose()
        if not self.cancelled:
            self._end(stream.completion)

    def _events(self, chunk: ChatCompletionChunk) -> Iterator[ModelResponseStreamEvent]:
        if not chunk.choices or chunk.choices[0].index:
            return
        delta = chunk.choices[0].delta
        manager = self._parts_manager
        if delta.reasoning_content:
            yield from manager.handle_thinking_delta(
                vendor_part_id="reasoning",
                id="reasoning_content",
                content=encodable(delta.reasoning_content),
                provider_name=SYSTEM,
            )
        if delta.content:
            yield from manager.handle_text_delta(vendor_part_id="content", content=encodable(delta.content))
        for call in delta.tool_calls or ():
            function = call.function
            yield from manager.handle_tool_call_delta_events(
                vendor_part_id=call.index,
                tool_name=function.name if function else None,
                args=encodable(function.arguments or "") if function else None,
                tool_call_id=call.id,
            )

    def _end(self, completion: ChatCompletion) -> None:
        try:
            choice = completion.choices[0]
            self._usage = usage_of(completion, self._connection.client.cost_of(completion).total)
            self._model_name = completion.model or self._model_name
            self.finish_reason = _ENDINGS.get(choice.finish_reason or "")
            self.provider_details = details_of(completion, choice)
        except Exception as error:
            raise unconvertible(completion, "pydantic-ai response", error) from error

    @property
    def model_name(self) -> str:
        """Model that answers."""
        return self._model_name

    @property
    def provider_name(self) -> str:
        """``deepseek``."""
        return SYSTEM

    @property
    def provider_url(self) -> str:
        """Base URL of the API."""
        return self._url

    @property
    def timestamp(self) -> datetime:
        """When the stream was opened."""
        return self._timestamp
