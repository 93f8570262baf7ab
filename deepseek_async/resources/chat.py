"""``client.chat.completions``: chat completions, plain and streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Literal, TypeVar, Unpack, cast, overload

from deepseek_async.call.stream import ChatCompletionStream
from deepseek_async.codec.choices import choices_asked
from deepseek_async.errors import InvalidRequestError
from deepseek_async.lint import LintMode
from deepseek_async.lint.rules import is_thinking
from deepseek_async.resources.chat_calls import ChatCalls, Message
from deepseek_async.resources.chat_raw import RawCompletions, StreamedCompletions
from deepseek_async.resources.parameters import chat_parameters, check_chat
from deepseek_async.resources.request_body import request_body
from deepseek_async.resources.request_types import ChatParameters
from deepseek_async.resources.resource_attribute import resource
from deepseek_async.resources.resource_client import AnyTimeout, ResourceClient, chosen_timeouts
from deepseek_async.resources.several_choices import SeveralChoices
from deepseek_async.structured import (
    ChatCompletionEventStream,
    ParsedChatCompletionStream,
    StructuredOutput,
    ToolArguments,
)
from deepseek_async.text.not_here import NotHere
from deepseek_async.tools import FunctionTool, ToolRun
from deepseek_async.tools.run import DEFAULT_CALLS, DEFAULT_TIMEOUT, DEFAULT_TURNS, as_tools, run_tools
from deepseek_async.types import ChatCompletion, ParsedChatCompletion

T = TypeVar("T")


class Completions(ChatCalls):
    """``client.chat.completions``."""

    retrieve = list = update = delete = messages = NotHere(
        "DeepSeek stores no answers; keep them, or read them from cache="
    )

    @property
    def with_raw_response(self) -> RawCompletions:
        """The same methods returning a RawResponse: ``.parse()``, ``.headers``, ``.status_code``, ``.text``."""
        return RawCompletions(self)

    @property
    def with_streaming_response(self) -> StreamedCompletions:
        """The same methods as context managers, each of a StreamingResponse that is read piece by piece."""
        return StreamedCompletions(self)

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
    ) -> ParsedChatCompletion[T]: ...

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
    ) -> ChatCompletion: ...

    @overload
    async def create(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        response_format: type[T] | StructuredOutput[T],
        stream: Literal[True],
        **parameters: Unpack[ChatParameters],
    ) -> ParsedChatCompletionStream[T]: ...

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
    ) -> ChatCompletionStream: ...

    @overload
    async def create(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        stream: bool | None = None,
        **parameters: Any,
    ) -> ChatCompletion | ChatCompletionStream: ...

    async def create(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        stream: bool | None = None,
        response_format: Mapping[str, Any] | type[Any] | StructuredOutput[Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        timeout: AnyTimeout | None = None,
        raise_on_refusal: bool = False,
        resume: Literal["prefix"] | None = None,
        lint: LintMode | None = None,
        **parameters: Any,
    ) -> ChatCompletion | ChatCompletionStream:
        """Create a chat completion.

        Returns a ChatCompletion, or with ``stream=True`` a ChatCompletionStream as soon as the server has
        accepted the request. Parameters that are None are not sent. The ranges are the API's:

        - ``model``: ``deepseek-flash`` or ``deepseek-v4-pro``.
        - ``max_tokens``: 1 to 393,216, reasoning and answer together; default 8,192, with thinking 65,536.
        - ``thinking``: True (the API's default) or False; also "enabled", "disabled" or the API's own object.
        - ``reasoning_effort``: none, low, high (the API's default) or max. Implies ``thinking``; only one of
          the two is sent, and contradictory values raise.
        - ``temperature``: 0 to 2, and ``top_p``: above 0 to 1; both ignored while thinking.
        - ``stop``: up to 16 strings. ``top_logprobs``: 0 to 20, with ``logprobs=True``.
        - ``n``: up to 128 choices, ``choices[0]`` to ``choices[n - 1]``, each a request of its own, because DeepSeek
          answers one per request; of a prompt of 1,024 tokens or more the first goes ahead, so that the others find it
          in the prefix cache. Usage and cost are sums. If one fails, its error is raised once all have ended, and
          ``partial`` holds the choices that arrived. ``extra_body={"n": 2}`` sends it to a server that knows it.
        - ``response_format``: ``{"type": "json_object"}``, which needs the word "json" in the messages; or a
          msgspec Struct, dataclass, TypedDict or pydantic model, or a StructuredOutput of one: then returns a
          ParsedChatCompletion with the object as ``choices[0].message.parsed``. An answer that does not match
          is requested again, by default at most twice; then StructuredOutputError. With ``stream=True`` returns a
          ParsedChatCompletionStream, whose ``partials()`` yields the object as it grows.
        - ``user_id``: separates prefix cache and scheduling of your users; ``[A-Za-z0-9_-]``, up to 512 characters.
        - ``safety_check``: with "high" the service reviews request and answer as a whole before the answer ends;
          default "low". A refused answer has ``refused``, i.e. finish_reason content_filter.
        - ``raise_on_refusal``: raise ContentRefusedError for such an answer; for a stream, check ``stream.refused``.
        - ``title``: True requests a title for the conversation, ``choices[0].message.title``.
        - ``extra_body``: additional fields, sent unchecked; ``extra_headers``: additional headers; ``extra_query``:
          parameters of the URL.
        - ``resume``: "prefix" continues a plain-text stream, interrupted by the network after 64 characters or
          more, once by prefix completion; ``resumed`` is then True. Off by default: it is a second request,
          billed for prompt and partial answer, and the joint may be visible.
        - ``lint``: off, warn, fix or error, for this call; default: the client's.
        - ``timeout``: seconds for the whole call including retries, or a Timeouts; default: the client's.

        Raises InvalidRequestError before anything is sent, and subclasses of APIError for later failures.
        """
        if resume is not None or (raise_on_refusal and stream):
            _check_options(stream, resume, raise_on_refusal=raise_on_refusal)
        output = None if response_format is None else _output_of(response_format, parameters)
        if stream is not None:
            parameters["stream"] = stream
        n = choices_asked(parameters["n"]) if "n" in parameters else 1
        if n > 1:
            del parameters["n"]
        body = request_body(check_chat, {"model": model, "messages": messages}, parameters, extra_body)
        if n > 1:
            timeouts = chosen_timeouts(timeout, self._connection.timeouts)
            choices = SeveralChoices(
                self,
                body,
                n,
                timeouts=timeouts,
                headers=extra_headers,
                lint=lint,
                deliberate=extra_body,
                query=extra_query,
            )
            if not stream:
                return await choices.answer(output, raise_on_refusal=raise_on_refusal)
            return await choices.stream(output, resumable=resume is not None)
        if output is not None and stream:
            body = output.form.adapted(body)
        elif output is not None:
            options = {"timeout": timeout, "headers": extra_headers, "lint": lint, "deliberate": extra_body}
            return await output.ask(body, partial(self._answer_to, options, extra_query, raise_on_refusal))
        call = self.call(body, timeout=timeout, headers=extra_headers, lint=lint, deliberate=extra_body)
        if extra_query:
            call.request = call.request.with_query(extra_query)
        if not stream:
            return await self.complete(call, raise_on_refusal=raise_on_refusal)
        if output is not None:
            return await call.stream(partial(ParsedChatCompletionStream, output=output))
        kind = partial(ChatCompletionStream, resumable=True) if resume else ChatCompletionStream
        return await call.stream(kind)

    def _answer_to(
        self, options: Mapping[str, Any], query: Mapping[str, Any] | None, raise_on_refusal: bool, body: dict[str, Any]
    ) -> Coroutine[Any, Any, ChatCompletion]:
        """Await the answer to ``body``."""
        call = self.call(body, **options)
        if query:
            call.request = call.request.with_query(query)
        return self.complete(call, raise_on_refusal=raise_on_refusal)

    @overload
    async def parse(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        response_format: type[T] | StructuredOutput[T],
        raise_on_refusal: bool = False,
        **parameters: Unpack[ChatParameters],
    ) -> ParsedChatCompletion[T]: ...

    @overload
    async def parse(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        response_format: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> ParsedChatCompletion[Any]: ...

    async def parse(self, **parameters: Any) -> ParsedChatCompletion[Any]:
        """Call ``create`` and parse the answer: ``message.parsed`` is an object of the class in ``response_format``.

        Arguments of a tool that has ``strict``, or was made by openai's ``pydantic_function_tool``, are parsed too:
        ``tool_calls[0].function.parsed_arguments``. Raises the errors of ``create``, and StructuredOutputError, with
        the answer as ``partial``, for arguments that do not fit.
        """
        if parameters.pop("stream", None):
            raise InvalidRequestError("parse does not stream: use chat.completions.stream(response_format=…)")
        completion: Any = await self.create(**parameters)
        if not isinstance(completion, ParsedChatCompletion):
            completion = StructuredOutput.unparsed(completion)
        ToolArguments(parameters.get("tools")).put_in(completion)
        return cast("ParsedChatCompletion[Any]", completion)

    @overload
    def stream(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        response_format: type[T] | StructuredOutput[T],
        **parameters: Unpack[ChatParameters],
    ) -> AbstractAsyncContextManager[ChatCompletionEventStream[T]]: ...

    @overload
    def stream(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        response_format: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> AbstractAsyncContextManager[ChatCompletionEventStream[Any]]: ...

    def stream(self, **parameters: Any) -> AbstractAsyncContextManager[ChatCompletionEventStream[Any]]:
        """``create(..., stream=True)`` as a context manager: ``async with completions.stream(...) as stream``.

        The stream yields events with a ``type``, as in openai-python: chunk, content.delta, content.done,
        refusal.delta, refusal.done, tool_calls.function.arguments.delta and .done, logprobs.content.delta and .done.
        ``stream.chunks`` yields chunks instead, ``stream.text_deltas()`` texts. With a class as ``response_format``
        the object is parsed when its text is complete; as what was shown cannot be taken back, an answer that does not
        fit is not requested again, but raises StructuredOutputError at the end.
        """
        return self._opened(parameters)

    @asynccontextmanager
    async def _opened(self, parameters: dict[str, Any]) -> AsyncIterator[ChatCompletionEventStream[Any]]:
        stream = await self.create(**{**parameters, "stream": True})
        assert isinstance(stream, ChatCompletionStream)  # noqa: S101  for the type checker
        async with stream:
            yield ChatCompletionEventStream(stream, ToolArguments(parameters.get("tools")))

    async def run_tools(
        self,
        *,
        messages: Sequence[Message],
        model: str,
        tools: Sequence[Callable[..., Any] | FunctionTool | Mapping[str, Any]],
        max_turns: int = DEFAULT_TURNS,
        max_calls: int = DEFAULT_CALLS,
        tool_timeout: float | None = DEFAULT_TIMEOUT,
        **parameters: Any,
    ) -> ToolRun:
        """Run the tool loop: call Python functions for the model until it answers without a tool call.

        - ``tools``: functions, async or not, or FunctionTools, described by signature and docstring. Calls of one
          turn run concurrently. Exceptions of a function are reported to the model. Mappings are tools that the
          service runs itself (``{"type": "deepseek_web_search"}``), sent unchanged.
        - ``max_turns``: maximum answers of the model, the last one included.
        - ``max_calls``: maximum calls executed per turn; the model is told that further ones were not executed.
        - ``tool_timeout``: seconds per call, then the model is told that it timed out; None: no limit.
        - ``parameters``: as for ``create``. A ``tool_choice`` that forces a call applies to the first turn only.

        Raises ToolRunError if a call was truncated by ``max_tokens`` (it is never executed), or if the model
        still calls tools after ``max_turns`` answers; and the errors of ``create``. Every error has ``messages``,
        with the results of all functions that ran, and ``usage``: pass the messages to a new run to continue.
        """
        if parameters.pop("stream", None):
            raise InvalidRequestError("run_tools does not support streaming; omit stream")
        if choices_asked(parameters.get("n")) > 1:
            raise InvalidRequestError(f"run_tools continues one conversation; omit n, got {parameters['n']}")
        for name, most in (("max_turns", max_turns), ("max_calls", max_calls)):
            if not isinstance(most, int) or most < 1:
                raise InvalidRequestError(f"{name} must be an integer of at least 1, got {most!r}")
        if tool_timeout is not None and not (isinstance(tool_timeout, int | float) and tool_timeout > 0):
            raise InvalidRequestError(f"tool_timeout must be a number of seconds above 0, got {tool_timeout!r}")
        functions = [tool for tool in tools if not isinstance(tool, Mapping)]
        own = [tool for tool in tools if isinstance(tool, Mapping)]
        known = as_tools(functions) if functions or not own else []
        definitions = [tool.definition for tool in known] + own
        choice = parameters.pop("tool_choice", None)
        later = None if choice == "required" or isinstance(choice, Mapping) else choice

        async def ask(conversation: list[Message], first: bool) -> ChatCompletion:
            completion: ChatCompletion = await self.create(
                messages=conversation,
                model=model,
                tools=definitions,
                tool_choice=choice if first else later,
                **parameters,
            )
            return completion

        switches = {name: parameters.get(name) for name in ("thinking", "reasoning_effort")}
        thinking = is_thinking(chat_parameters(model, messages, switches))
        return await run_tools(
            ask,
            messages,
            known,
            max_turns=max_turns,
            thinking=thinking,
            threads=self._connection.tool_threads,
            timeout=tool_timeout,
            max_calls=max_calls,
        )


def _output_of(response_format: Any, parameters: dict[str, Any]) -> StructuredOutput[Any] | None:
    """Return the class to parse into; a format of the API's own is added to ``parameters`` instead."""
    output = StructuredOutput.of(response_format)
    if output is None:
        parameters["response_format"] = response_format
    return output


class Chat:
    """``client.chat``."""

    completions = resource(Completions)
    with_raw_response = NotHere("use client.chat.completions.with_raw_response")
    with_streaming_response = NotHere("use client.chat.completions.with_streaming_response")

    def __init__(self, connection: ResourceClient) -> None:
        self._context = connection


def _check_options(stream: bool | None, resume: str | None, *, raise_on_refusal: bool) -> None:
    """Raise InvalidRequestError for options that contradict ``stream``."""
    if resume is not None and (resume != "prefix" or not stream):
        raise InvalidRequestError(f"resume must be 'prefix', with stream=True; got {resume!r}, stream={stream!r}")
    if raise_on_refusal and stream:
        raise InvalidRequestError("raise_on_refusal cannot be used with stream=True; check stream.refused instead")
