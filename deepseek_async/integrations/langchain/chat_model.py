"""The chat model."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Self

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    CallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.tools import BaseTool
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from deepseek_async.client import AsyncDeepSeek
from deepseek_async.integrations.connection import Connection, shared_connection
from deepseek_async.integrations.langchain.answers import PROVIDER
from deepseek_async.integrations.langchain.arguments import refuse
from deepseek_async.integrations.langchain.paid_answers import answer_of, chunks_of, generations_of
from deepseek_async.integrations.langchain.request import choice_of, definition_of, request_of
from deepseek_async.integrations.langchain.structured import Schema, StructuredMethod, structured
from deepseek_async.integrations.langchain.token_count import CountsTokens
from deepseek_async.resources.chat import Completions

_CONTEXT: Final = 1_048_576  # DeepSeek docs, Models & Pricing
_LONGEST: Final = 393_216


class ChatDeepSeek(CountsTokens, BaseChatModel):
    """A DeepSeek chat model for LangChain.

        model = ChatDeepSeek(model="deepseek-flash", temperature=0)
        model.invoke("Hello")

    All models of a process with the same key and server share one client: its connections, its concurrency limit and
    its retries. ``batch`` and ``abatch`` make as many calls at once as the account may have, or
    ``config={"max_concurrency": …}``. For a budget, a cache or other settings pass ``client=AsyncDeepSeek(…)``; such a
    client lives on the event loop that it is used on first, and is yours to close.

    A message's ``usage_metadata`` counts cached and reasoning tokens, ``response_metadata`` has the model, the finish
    reason and the ``cost`` in US dollars, and ``additional_kwargs["reasoning_content"]`` the reasoning, which is sent
    back where DeepSeek requires it. Errors are those of ``deepseek_async``.

    Without ``client`` and ``api_key`` the key is ``DEEPSEEK_API_KEY``. The key is in no repr, trace or serialization.
    A pickled model has none: it is read again from the environment where the model is loaded.

    Raises ConfigurationError for settings that the client does not accept, and pydantic's ValidationError for unknown
    arguments.
    """

    model_config = ConfigDict(
        populate_by_name=True, arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True
    )

    model_name: str = Field(alias="model")
    """``deepseek-flash`` or ``deepseek-v4-pro``."""
    api_key: SecretStr | None = None
    """The key; None: ``DEEPSEEK_API_KEY``."""
    api_base: str | None = Field(default=None, alias="base_url")
    """Base URL of the API; None: ``DEEPSEEK_API_BASE``, then ``DEEPSEEK_BASE_URL``, then DeepSeek's."""
    client: AsyncDeepSeek | None = Field(default=None, exclude=True, repr=False)
    """The client to use instead of the shared one."""
    temperature: float | None = None
    """0 to 2; ignored while thinking."""
    top_p: float | None = None
    """Above 0 to 1; ignored while thinking."""
    max_tokens: int | None = None
    """1 to 393,216, reasoning and answer together."""
    stop: list[str] | str | None = Field(default=None, alias="stop_sequences")
    """Up to 16 texts at which an answer ends."""
    presence_penalty: float | None = None
    """-2 to 2; without effect at DeepSeek."""
    frequency_penalty: float | None = None
    """-2 to 2; without effect at DeepSeek."""
    logprobs: bool | None = None
    """Whether ``response_metadata["logprobs"]`` is asked for."""
    top_logprobs: int | None = None
    """0 to 20 alternatives of each token; needs ``logprobs``."""
    thinking: bool | None = None
    """Whether the model thinks; None: as the API decides, which is on, but off for a call that forces a tool."""
    reasoning_effort: str | None = None
    """none, low, high or max; implies ``thinking``."""
    user_id: str | None = None
    """Separates prefix cache and scheduling of your users."""
    streaming: bool = False
    """Whether ``invoke`` asks for a stream too, so that callbacks see every chunk."""
    request_timeout: float | None = Field(default=None, alias="timeout")
    """Seconds for a whole call including retries; None: each wait is limited, and the whole call is not."""
    max_retries: int | None = None
    """Retries after the first attempt; None: the client's, 3."""
    default_headers: Mapping[str, str] | None = Field(default=None, exclude=True, repr=False)
    """Headers of every request."""
    extra_body: Mapping[str, Any] | None = None
    """Additional fields of every request, sent unchecked."""
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further parameters of ``chat.completions.create``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse(kwargs)
        super().__init__(*args, **kwargs)
        _ = self._connected  # not in a validator: pydantic would wrap the error

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether ``langchain_core.load.dumps`` accepts it."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Where ``langchain_core.load`` finds the class."""
        return ["deepseek_async", "integrations", "langchain"]

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Arguments that are written by the name of their variable only."""
        return {"api_key": "DEEPSEEK_API_KEY"}

    @property
    def _llm_type(self) -> str:
        return "chat-deepseek"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        given = {name: getattr(self, name) for name in type(self).model_fields if name in _REQUESTED}
        return {name: value for name, value in given.items() if value not in (None, {})}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        made = super()._get_ls_params(stop=stop, **kwargs)
        made["ls_provider"] = PROVIDER
        if ends := stop or self.stop:
            made["ls_stop"] = [ends] if isinstance(ends, str) else ends
        return made

    def _resolve_model_profile(self) -> ModelProfile | None:
        return ModelProfile(
            max_input_tokens=_CONTEXT,
            max_output_tokens=_LONGEST,
            text_inputs=True,
            text_outputs=True,
            image_inputs="flash" in self.model_name,
            image_url_inputs="flash" in self.model_name,
            reasoning_output=True,
            tool_calling=True,
            structured_output=False,  # nothing but a forced tool or a prompt makes DeepSeek follow a schema
        )

    @cached_property
    def _connected(self) -> tuple[Connection, Completions]:
        """The connection, and the calls of its client with this model's retries."""
        if self.client is not None:
            connection = Connection(self.client, own=False)
        else:
            key = None if self.api_key is None else self.api_key.get_secret_value()
            base = self.api_base or os.environ.get("DEEPSEEK_API_BASE") or None
            connection = shared_connection(key, base, tuple((self.default_headers or {}).items()))
        client = connection.client
        if self.max_retries is not None or self.request_timeout is not None:
            client = client.with_options(timeout=self.request_timeout, max_retries=self.max_retries)
        return connection, client.chat.completions

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        """Parameters of every call."""
        made = {name: value for name in _REQUESTED if (value := getattr(self, name)) is not None}
        further = made.pop("model_kwargs")
        return {"model": made.pop("model_name"), **made, **further}

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self._forget()

    def _forget(self) -> None:
        """Drop what was made from the fields."""
        for name in _MADE:
            self.__dict__.pop(name, None)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other values of some fields; it shares the client."""
        copied = super().model_copy(update=update, deep=deep)
        if update:
            copied._forget()  # noqa: SLF001  of this class
        return copied

    def _request(self, messages: list[BaseMessage], stop: list[str] | None, given: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of ``create`` for one call."""
        if stop is not None:
            given = {**given, "stop": stop or None}
        return request_of(messages, self._defaults, given)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002  the base class reports
        **kwargs: Any,
    ) -> ChatResult:
        connection, completions = self._connected
        request = self._request(messages, stop, kwargs)
        return generations_of(connection, connection.run(completions.create(**request)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002  the base class reports
        **kwargs: Any,
    ) -> ChatResult:
        connection, completions = self._connected
        request = self._request(messages, stop, kwargs)
        return generations_of(connection, await connection.arun(completions.create(**request)))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        connection, completions = self._connected
        request = self._request(messages, stop, kwargs)
        for chunk in connection.iterate(chunks_of(connection, completions, request)):
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        connection, completions = self._connected
        request = self._request(messages, stop, kwargs)
        chunks = connection.aiterate(chunks_of(connection, completions, request))
        try:
            async for chunk in chunks:
                if run_manager is not None:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        finally:
            await chunks.aclose()

    def _plain_messages(
        self, model_input: LanguageModelInput, handlers: Sequence[Any], given: dict[str, Any]
    ) -> list[BaseMessage] | None:
        """Return the messages of a call that nothing but its answer is wanted of; None for any other.

        The base class makes run managers, events and tasks for every call, also where nobody listens: a good part of
        what a call costs.
        """
        if handlers or self.rate_limiter is not None or self.streaming or self.output_version or "stream" in given:
            return None
        if self.cache is not False and (self.cache is not None or get_llm_cache() is not None):
            return None
        messages = self._convert_input(model_input).to_messages()
        # Blocks of older formats are for the base class to translate.
        return messages if all(isinstance(message.content, str) for message in messages) else None

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002  LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Answer ``input``."""
        config = ensure_config(config)
        manager = CallbackManager.configure(config.get("callbacks"), self.callbacks, self.verbose)
        messages = self._plain_messages(input, manager.handlers, kwargs)
        if messages is None:
            return super().invoke(input, config, stop=stop, **kwargs)
        kwargs.pop("ls_structured_output_format", None)
        connection, completions = self._connected
        call = completions.create(**self._request(messages, stop, kwargs))
        return answer_of(connection, connection.run(call), config)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002  LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Answer ``input``."""
        config = ensure_config(config)
        manager = AsyncCallbackManager.configure(config.get("callbacks"), self.callbacks, self.verbose)
        messages = self._plain_messages(input, manager.handlers, kwargs)
        if messages is None:
            return await super().ainvoke(input, config, stop=stop, **kwargs)
        kwargs.pop("ls_structured_output_format", None)
        connection, completions = self._connected
        call = completions.create(**self._request(messages, stop, kwargs))
        return answer_of(connection, await connection.arun(call), config)

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Answer ``inputs``, as many at once as the account may have, or ``config={"max_concurrency": …}``.

        In order. The first error is raised, or with ``return_exceptions`` all are in the list.
        """
        if not inputs:
            return []
        connection, _ = self._connected
        return connection.run(self.abatch(inputs, config, return_exceptions=return_exceptions, **kwargs))

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer ``tools`` to the model.

        - ``tools``: functions, tools, classes, or dicts in the API's format, among them the service's own
          ``{"type": "deepseek_web_search"}``.
        - ``tool_choice``: "auto", "none", "any" (also True and "required"), or the name of a tool. A forced call turns
          thinking off, because DeepSeek refuses both together.
        - ``strict``: whether the service enforces the schemas, within strict mode's subset of JSON Schema.

        Raises InvalidRequestError for a schema that strict mode cannot express.
        """
        definitions = [definition_of(tool, strict=strict) for tool in tools]
        choice = choice_of(tool_choice, definitions)
        return self.bind(tools=definitions, **({} if choice is None else {"tool_choice": choice}), **kwargs)

    def with_structured_output(
        self,
        schema: Schema | None = None,
        *,
        method: StructuredMethod = "function_calling",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Return a runnable whose answers are objects of ``schema``.

        - ``schema``: a pydantic model, a TypedDict, a JSON Schema or a tool in the API's format; the last three give
          dicts. None only for json_mode.
        - ``method``: "function_calling" forces a call of one tool, without thinking; with ``strict`` the service
          enforces the schema. "json_schema" puts the schema into the prompt and asks for JSON, also while thinking.
          "json_mode" asks for JSON only, and the prompt must describe it.
        - ``include_raw``: give ``{"raw": message, "parsed": object or None, "parsing_error": error or None}`` instead.

        An answer that does not fit raises OutputParserException with the message as ``answer``.
        """
        return structured(self, schema, method=method, include_raw=include_raw, strict=strict, further=kwargs)

    def __getstate__(self) -> dict[Any, Any]:
        if self.client is not None:
            raise TypeError(
                "cannot pickle a ChatDeepSeek with client=: it holds live connections; give it settings instead"
            )
        state = super().__getstate__()
        values = {name: value for name, value in state["__dict__"].items() if name not in _MADE}
        return {**state, "__dict__": {**values, "api_key": None, "default_headers": None}}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.__copy__()  # a client is shared, never copied


_MADE: Final = ("_connected", "_defaults", "_serialized")
_REQUESTED: Final = frozenset(
    {
        "model_name",
        "temperature",
        "top_p",
        "max_tokens",
        "stop",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
        "top_logprobs",
        "thinking",
        "reasoning_effort",
        "user_id",
        "extra_body",
        "model_kwargs",
    }
)
