"""The chat model."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr

from deepseek_async.client import AsyncDeepSeek
from deepseek_async.integrations.connection import Connection, shared_connection
from deepseek_async.integrations.langchain.answers import PROVIDER, chunk_of, last_chunk_of, result_of, unconvertible
from deepseek_async.integrations.langchain.request import choice_of, definition_of, request_of
from deepseek_async.integrations.langchain.structured import Schema, StructuredMethod, structured
from deepseek_async.resources.chat import Completions
from deepseek_async.types import ChatCompletion

_CONTEXT, _LONGEST = 1_048_576, 393_216  # DeepSeek docs, Models & Pricing
_NOT_SAID = frozenset({"client", "api_key", "default_headers"})


class ChatDeepSeek(BaseChatModel):
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

    _connection: Connection | None = PrivateAttr(default=None)
    _completions: Completions | None = PrivateAttr(default=None)
    _defaults: dict[str, Any] | None = PrivateAttr(default=None)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connected()  # not in a validator: pydantic would wrap the error

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

    def _connected(self) -> tuple[Connection, Completions]:
        """Return the connection, and the calls of its client with this model's retries."""
        if self._connection is None or self._completions is None:
            if self.client is not None:
                connection = Connection(self.client, own=False)
            else:
                key = None if self.api_key is None else self.api_key.get_secret_value()
                base = self.api_base or os.environ.get("DEEPSEEK_API_BASE") or None
                connection = shared_connection(key, base, tuple((self.default_headers or {}).items()))
            client = connection.client
            if self.max_retries is not None or self.request_timeout is not None:
                client = client.with_options(timeout=self.request_timeout, max_retries=self.max_retries)
            self._connection, self._completions = connection, client.chat.completions
        return self._connection, self._completions

    def _request(self, messages: list[BaseMessage], stop: list[str] | None, given: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of ``create`` for one call."""
        defaults = self._defaults
        if defaults is None:
            defaults = self._defaults = {
                **{name: value for name in _REQUESTED if (value := getattr(self, name, None)) is not None},
                "model": self.model_name,
                **self.model_kwargs,
            }
            del defaults["model_name"], defaults["model_kwargs"]
        if stop is not None:
            given = {**given, "stop": stop or None}
        return request_of(messages, defaults, given)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002  the base class reports
        **kwargs: Any,
    ) -> ChatResult:
        connection, completions = self._connected()
        request = self._request(messages, stop, kwargs)
        return self._result(connection, connection.run(completions.create(**request)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002  the base class reports
        **kwargs: Any,
    ) -> ChatResult:
        connection, completions = self._connected()
        request = self._request(messages, stop, kwargs)
        return self._result(connection, await connection.arun(completions.create(**request)))

    @staticmethod
    def _result(connection: Connection, completion: ChatCompletion) -> ChatResult:
        return result_of(completion, connection.client.cost_of(completion).total)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        connection, completions = self._connected()
        request = self._request(messages, stop, kwargs)
        for chunk in connection.iterate(_chunks(connection, completions, request)):
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
        connection, completions = self._connected()
        request = self._request(messages, stop, kwargs)
        chunks = connection.aiterate(_chunks(connection, completions, request))
        try:
            async for chunk in chunks:
                if run_manager is not None:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        finally:
            await chunks.aclose()

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
        connection, _ = self._connected()
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
        values = {**state["__dict__"], "api_key": None, "default_headers": None}
        values.pop("_serialized", None)
        private = {"_connection": None, "_completions": None, "_defaults": None}
        return {**state, "__dict__": values, "__pydantic_private__": private}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.__copy__()  # a client is shared, never copied


_REQUESTED = frozenset(
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


async def _chunks(
    connection: Connection, completions: Completions, request: dict[str, Any]
) -> AsyncIterator[ChatGenerationChunk]:
    async with completions.stream(**request) as stream:
        async for chunk in stream.chunks:
            try:
                made = chunk_of(chunk)
            except Exception as error:
                raise unconvertible(stream.partial, error) from error
            if made is not None:
                yield made
        completion = stream.completion
    try:
        last = last_chunk_of(completion, connection.client.cost_of(completion).total)
    except Exception as error:
        raise unconvertible(completion, error) from error
    yield last
