"""The client's resources for code without coroutines; each method waits for the asynchronous one of its name."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, Unpack, cast, overload

from deepseek_async.blocking.loop_thread import LoopThread
from deepseek_async.blocking.streams import (
    BlockingMessageStream,
    BlockingResponseStream,
    ChatStream,
    ParsedChatStream,
    TextStream,
)
from deepseek_async.call.stream import ChatCompletionStream, CompletionStream, MessageStream, ResponseStream
from deepseek_async.codec.tokens import TokenCount
from deepseek_async.resources import account, chat, completions, embeddings, files, fine_tunes, images, standalone
from deepseek_async.resources import messages as messages_
from deepseek_async.resources import responses as responses_
from deepseek_async.resources.request_types import ChatParameters, MessageParameters, ResponseParameters, TextParameters
from deepseek_async.resources.resource_attribute import ResourceAttribute
from deepseek_async.structured import StructuredOutput
from deepseek_async.structured.stream import ParsedChatCompletionStream
from deepseek_async.tools import ToolRun
from deepseek_async.types import ChatCompletion, Completion, Message, ParsedChatCompletion, Response

T = TypeVar("T")
P = ParamSpec("P")
ResourceT = TypeVar("ResourceT")
OfferedT = TypeVar("OfferedT", bound="BlockingResource[Any]")
Turn = Mapping[str, Any]
"""A message of a chat."""


class BlockingResource(Generic[ResourceT]):
    """Calls ``asynchronous`` on a loop thread."""

    def __init__(self, thread: LoopThread, asynchronous: ResourceT) -> None:
        self._thread = thread
        self.asynchronous = asynchronous


def offered(name: str, kind: type[OfferedT]) -> ResourceAttribute[OfferedT]:
    """Return the attribute for the resource ``name`` of what its owner has as ``asynchronous``."""
    return ResourceAttribute(
        lambda owner: kind(owner._thread, getattr(owner.asynchronous, name)),  # noqa: SLF001  the owner's other half
        lambda: kind,
    )


def _blocking(
    method: Callable[Concatenate[ResourceT, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingResource[ResourceT], P], T]:
    @wraps(method)
    def waiting(self: BlockingResource[ResourceT], *arguments: P.args, **parameters: P.kwargs) -> T:
        return self._thread.run(method(self.asynchronous, *arguments, **parameters))

    return cast("Callable[Concatenate[BlockingResource[ResourceT], P], T]", waiting)


class ChatCompletions(BlockingResource[chat.Completions]):
    """``client.chat.completions``."""

    @overload
    def create(
        self,
        *,
        messages: Sequence[Turn],
        model: str,
        response_format: type[T] | StructuredOutput[T],
        stream: Literal[False] | None = None,
        **parameters: Unpack[ChatParameters],
    ) -> ParsedChatCompletion[T]: ...
    @overload
    def create(
        self,
        *,
        messages: Sequence[Turn],
        model: str,
        stream: Literal[False] | None = None,
        response_format: Mapping[str, Any] | None = None,
        **parameters: Unpack[ChatParameters],
    ) -> ChatCompletion: ...
    @overload
    def create(
        self,
        *,
        messages: Sequence[Turn],
        model: str,
        response_format: type[T] | StructuredOutput[T],
        stream: Literal[True],
        **parameters: Unpack[ChatParameters],
    ) -> ParsedChatStream[T]: ...
    @overload
    def create(
        self,
        *,
        messages: Sequence[Turn],
        model: str,
        stream: Literal[True],
        response_format: Mapping[str, Any] | None = None,
        **parameters: Unpack[ChatParameters],
    ) -> ChatStream: ...
    @overload
    def create(self, *, messages: Sequence[Turn], model: str, **parameters: Any) -> Any: ...
    def create(self, **parameters: Any) -> Any:
        """Create a chat completion; with ``stream=True`` a ChatStream, or a ParsedChatStream with a class as
        ``response_format``. Parameters as of the asynchronous ``create``."""
        answer = self._thread.run(self.asynchronous.create(**parameters))
        if isinstance(answer, ParsedChatCompletionStream):
            return ParsedChatStream[Any](self._thread, answer)  # pyright: ignore[reportUnknownArgumentType]
        return ChatStream(self._thread, answer) if isinstance(answer, ChatCompletionStream) else answer

    def count_tokens(self, *, messages: Sequence[Turn], model: str, **parameters: Any) -> TokenCount:
        """Count the prompt tokens of a chat request without sending it."""
        return self.asynchronous.count_tokens(messages=messages, model=model, **parameters)

    def run_tools(self, **parameters: Any) -> ToolRun:
        """Run the tool loop. Parameters as of the asynchronous ``run_tools``."""
        return self._thread.run(self.asynchronous.run_tools(**parameters))


class Chat(BlockingResource[chat.Chat]):
    """``client.chat``."""

    completions = offered("completions", ChatCompletions)


class TextCompletions(BlockingResource[completions.TextCompletions]):
    """``client.completions``."""

    @overload
    def create(
        self, *, model: str, prompt: str, stream: Literal[False] | None = None, **parameters: Unpack[TextParameters]
    ) -> Completion: ...
    @overload
    def create(
        self, *, model: str, prompt: str, stream: Literal[True], **parameters: Unpack[TextParameters]
    ) -> TextStream: ...
    def create(self, **parameters: Any) -> Any:
        """Continue a text; with ``stream=True`` a TextStream. Parameters as of the asynchronous ``create``."""
        answer = self._thread.run(self.asynchronous.create(**parameters))
        return TextStream(self._thread, answer) if isinstance(answer, CompletionStream) else answer


class Responses(BlockingResource[responses_.Responses]):
    """``client.responses``."""

    @overload
    def create(
        self,
        *,
        model: str,
        input: str | Sequence[responses_.Item],
        stream: Literal[False] | None = None,
        **parameters: Unpack[ResponseParameters],
    ) -> Response: ...
    @overload
    def create(
        self,
        *,
        model: str,
        input: str | Sequence[responses_.Item],
        stream: Literal[True],
        **parameters: Unpack[ResponseParameters],
    ) -> BlockingResponseStream: ...
    def create(self, **parameters: Any) -> Any:
        """Create a response; with ``stream=True`` a stream. Parameters as of the asynchronous ``create``."""
        answer = self._thread.run(self.asynchronous.create(**parameters))
        return BlockingResponseStream(self._thread, answer) if isinstance(answer, ResponseStream) else answer


class Messages(BlockingResource[messages_.Messages]):
    """``client.messages``."""

    @overload
    def create(
        self,
        *,
        model: str,
        messages: Sequence[messages_.Turn],
        stream: Literal[False] | None = None,
        **parameters: Unpack[MessageParameters],
    ) -> Message: ...
    @overload
    def create(
        self,
        *,
        model: str,
        messages: Sequence[messages_.Turn],
        stream: Literal[True],
        **parameters: Unpack[MessageParameters],
    ) -> BlockingMessageStream: ...
    def create(self, **parameters: Any) -> Any:
        """Create a message; with ``stream=True`` a stream. Parameters as of the asynchronous ``create``."""
        answer = self._thread.run(self.asynchronous.create(**parameters))
        return BlockingMessageStream(self._thread, answer) if isinstance(answer, MessageStream) else answer


class Embeddings(BlockingResource[embeddings.Embeddings]):
    """``client.embeddings``."""

    create = _blocking(embeddings.Embeddings.create)


class Images(BlockingResource[images.Images]):
    """``client.images``."""

    generate = _blocking(images.Images.generate)


class Files(BlockingResource[files.Files]):
    """``client.files``."""

    create = _blocking(files.Files.create)
    list = _blocking(files.Files.list)
    retrieve = _blocking(files.Files.retrieve)
    delete = _blocking(files.Files.delete)


class FineTunes(BlockingResource[fine_tunes.FineTunes]):
    """``client.fine_tunes``."""

    create = _blocking(fine_tunes.FineTunes.create)
    list = _blocking(fine_tunes.FineTunes.list)
    retrieve = _blocking(fine_tunes.FineTunes.retrieve)
    cancel = _blocking(fine_tunes.FineTunes.cancel)
    events = _blocking(fine_tunes.FineTunes.events)


class Models(BlockingResource[account.Models]):
    """``client.models``."""

    list = _blocking(account.Models.list)
    retrieve = _blocking(account.Models.retrieve)


class User(BlockingResource[account.User]):
    """``client.user``."""

    balance = _blocking(account.User.balance)


class Tools(BlockingResource[standalone.Tools]):
    """``client.tools``. ``speech`` streams audio and needs coroutines."""

    search = _blocking(standalone.Tools.search)
    fetch = _blocking(standalone.Tools.fetch)
    ocr = _blocking(standalone.Tools.ocr)
    transcribe = _blocking(standalone.Tools.transcribe)
