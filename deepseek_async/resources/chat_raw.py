"""``chat.completions.with_raw_response`` and ``with_streaming_response``, typed as the methods they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, Unpack, overload

from deepseek_async.call.stream import ChatCompletionStream
from deepseek_async.resources.chat_calls import Message
from deepseek_async.resources.raw import RawResponse, Recordable, answered
from deepseek_async.resources.request_types import ChatParameters
from deepseek_async.resources.streaming_response import Opening
from deepseek_async.structured import StructuredOutput
from deepseek_async.types import ChatCompletion, ParsedChatCompletion

# Written out, because type checkers lose the overloads of a generic method that is passed to a function.

T = TypeVar("T")


class RawCompletions:
    """Methods of ``client.chat.completions``, returning a RawResponse."""

    def __init__(self, resource: Recordable) -> None:
        self._resource = resource

    @overload
    async def create(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        response_format: type[T] | StructuredOutput[T],
        stream: Literal[False] | None = None,
        raise_on_refusal: bool = False,
        **parameters: Unpack[ChatParameters],
    ) -> RawResponse[ParsedChatCompletion[T]]: ...

    @overload
    async def create(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        stream: Literal[False] | None = None,
        response_format: Mapping[str, Any] | None = None,
        raise_on_refusal: bool = False,
        **parameters: Unpack[ChatParameters],
    ) -> RawResponse[ChatCompletion]: ...

    @overload
    async def create(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        stream: Literal[True],
        response_format: Mapping[str, Any] | None = None,
        resume: Literal["prefix"] | None = None,
        **parameters: Unpack[ChatParameters],
    ) -> RawResponse[ChatCompletionStream]: ...

    @overload
    async def create(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        stream: bool | None = None,
        **parameters: Any,
    ) -> RawResponse[ChatCompletion | ChatCompletionStream]: ...

    async def create(self, **parameters: Any) -> RawResponse[Any]:
        """Call ``create``; with ``stream=True`` the response is there once the server has accepted the request."""
        return await answered(self._resource, "create", **parameters)

    @overload
    async def parse(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        response_format: type[T] | StructuredOutput[T],
        raise_on_refusal: bool = False,
        **parameters: Unpack[ChatParameters],
    ) -> RawResponse[ParsedChatCompletion[T]]: ...

    @overload
    async def parse(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        response_format: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> RawResponse[ParsedChatCompletion[Any]]: ...

    async def parse(self, **parameters: Any) -> RawResponse[Any]:
        """Call ``parse``."""
        return await answered(self._resource, "parse", **parameters)


class StreamedCompletions:
    """Methods of ``client.chat.completions``, returning a StreamingResponse to enter."""

    def __init__(self, resource: Recordable) -> None:
        self._resource = resource

    @overload
    def create(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        response_format: type[T] | StructuredOutput[T],
        stream: Literal[False] | None = None,
        raise_on_refusal: bool = False,
        **parameters: Unpack[ChatParameters],
    ) -> Opening[ParsedChatCompletion[T]]: ...

    @overload
    def create(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        stream: Literal[False] | None = None,
        response_format: Mapping[str, Any] | None = None,
        raise_on_refusal: bool = False,
        **parameters: Unpack[ChatParameters],
    ) -> Opening[ChatCompletion]: ...

    @overload
    def create(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        stream: Literal[True],
        response_format: Mapping[str, Any] | None = None,
        resume: Literal["prefix"] | None = None,
        **parameters: Unpack[ChatParameters],
    ) -> Opening[ChatCompletionStream]: ...

    @overload
    def create(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        stream: bool | None = None,
        **parameters: Any,
    ) -> Opening[ChatCompletion | ChatCompletionStream]: ...

    def create(self, **parameters: Any) -> Opening[Any]:
        """Call ``create``; with ``stream=True`` the response is there once the server has accepted the request."""
        return Opening(lambda: answered(self._resource, "create", **parameters))

    @overload
    def parse(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        response_format: type[T] | StructuredOutput[T],
        raise_on_refusal: bool = False,
        **parameters: Unpack[ChatParameters],
    ) -> Opening[ParsedChatCompletion[T]]: ...

    @overload
    def parse(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        response_format: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> Opening[ParsedChatCompletion[Any]]: ...

    def parse(self, **parameters: Any) -> Opening[Any]:
        """Call ``parse``."""
        return Opening(lambda: answered(self._resource, "parse", **parameters))
