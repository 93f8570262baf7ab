"""The model."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse, check_allow_model_requests
from pydantic_ai.profiles import ModelProfile, ModelProfileSpec
from pydantic_ai.settings import ModelSettings

from deepseek_async.call.stream import ChatCompletionStream
from deepseek_async.client import AsyncDeepSeek
from deepseek_async.integrations.connection import Connection, shared_connection
from deepseek_async.integrations.pydantic_ai.answers import DeepSeekStreamedResponse, response_of
from deepseek_async.integrations.pydantic_ai.conversation import SYSTEM, UNWRITABLE, conversation, sendable
from deepseek_async.integrations.pydantic_ai.settings import is_thinking, parameters_of
from deepseek_async.resources.chat import Completions

_CONTEXT: Final = 1_048_576  # DeepSeek docs, Models & Pricing


class DeepSeekModel(Model[AsyncDeepSeek]):
    """A DeepSeek model for pydantic-ai.

        agent = Agent(DeepSeekModel("deepseek-flash"), output_type=Invoice)

    - ``model_name``: ``deepseek-flash`` or ``deepseek-v4-pro``.
    - ``client``: the client to use, for a budget, a cache or other settings; it lives on the event loop that it is
      used on first, and is yours to close. By default all models of a process with the same ``api_key`` and
      ``base_url`` share one client, on any event loop.
    - ``api_key``, ``base_url``: default ``DEEPSEEK_API_KEY``, ``DEEPSEEK_BASE_URL``.
    - ``settings``: a DeepSeekModelSettings, for every request; ``profile``: changes to the model's profile.

    The model thinks unless the setting ``thinking`` is False. DeepSeek refuses a forced tool call meanwhile, so a tool
    that must be called is then only offered, and an agent asks again if the answer is text. Native output puts the
    schema into the instructions and asks for JSON. Errors are those of ``deepseek_async``; usage has ``cost`` in US
    dollars. Raises ConfigurationError for settings that the client does not accept.
    """

    unsupported_settings = frozenset({"top_k", "seed", "logit_bias", "parallel_tool_calls", "service_tier"})
    _unsupported_file_inputs = frozenset({"document", "audio", "video"})
    _relocates_tool_files = True

    def __init__(
        self,
        model_name: str,
        *,
        client: AsyncDeepSeek | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        settings: ModelSettings | None = None,
        profile: ModelProfileSpec | None = None,
    ) -> None:
        self._model_name = model_name
        self._connection = shared_connection(api_key, base_url, ()) if client is None else Connection(client, own=False)
        super().__init__(settings=settings, profile=profile)

    @property
    def client(self) -> AsyncDeepSeek:
        """The client."""
        return self._connection.client

    @property
    def model_name(self) -> str:
        """Name of the model."""
        return self._model_name

    @property
    def system(self) -> str:
        """Name of the provider."""
        return SYSTEM

    @property
    def base_url(self) -> str:
        """Base URL of the API."""
        return self.client.settings.base_url

    def _provider_model_profile(self) -> ModelProfile:
        return ModelProfile(
            context_window=_CONTEXT,
            supports_thinking=True,
            thinking_enabled_by_default=True,
            supports_json_object_output=True,
            supports_json_schema_output=True,
            native_output_requires_schema_in_instructions=True,
            supports_image_input="flash" in self._model_name,
        )

    def prepare_messages(self, messages: list[ModelMessage], *args: Any, **options: Any) -> list[ModelMessage]:
        """Prepare a history for a request, as pydantic-ai does, also with text that UTF-8 cannot encode."""
        try:
            return super().prepare_messages(messages, *args, **options)
        except UNWRITABLE:  # in the middle of a run whose answers were paid for
            return super().prepare_messages(sendable(messages), *args, **options)

    def _prepared(
        self, messages: list[ModelMessage], settings: ModelSettings | None, request: ModelRequestParameters
    ) -> tuple[Completions, dict[str, Any], ModelRequestParameters]:
        """Return the calls of the client and the arguments of ``create``."""
        check_allow_model_requests()
        settings, request = self.prepare_request(settings, request)
        settings = settings or {}
        parameters = parameters_of(settings, request)
        with_tools = "tools" in parameters and parameters.get("tool_choice") != "none"
        parameters["messages"] = conversation(
            messages,
            self._get_instruction_parts(messages, request),
            thinking_with_tools=with_tools and is_thinking(parameters),
        )
        client = self.client
        if (retries := settings.get("max_retries")) is not None:
            client = client.with_options(max_retries=retries)
        return client.chat.completions, {"model": self._model_name, **parameters}, request

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Make a request."""
        completions, arguments, _ = self._prepared(messages, model_settings, model_request_parameters)
        completion = await self._connection.arun(completions.create(**arguments))
        return response_of(completion, self.client.cost_of(completion).total, self.base_url)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,  # noqa: ARG002  of the interface
    ) -> AsyncGenerator[StreamedResponse]:
        """Make a streamed request. Leaving the context closes the stream."""
        completions, arguments, request = self._prepared(messages, model_settings, model_request_parameters)
        stream: ChatCompletionStream = await self._connection.arun(completions.create(**arguments, stream=True))
        try:
            yield DeepSeekStreamedResponse(
                model_request_parameters=request,
                _model_name=self._model_name,
                _url=self.base_url,
                _connection=self._connection,
                _stream=stream,
            )
        finally:
            await self._connection.arun(stream.aclose())
