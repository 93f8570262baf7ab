"""Names of the package ``openai``, and what to write instead of them here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_NOT_SENT: Final = "leave the argument out, or pass None, which is not sent"
_CLIENT: Final = "the client is AsyncDeepSeek"
_HTTP: Final = "the client has connections of its own: AsyncDeepSeek(proxy=…), or transport="

INSTEAD: Final[Mapping[str, str]] = {
    "AsyncOpenAI": _CLIENT,
    "AsyncClient": _CLIENT,
    "OpenAI": "the client without coroutines is deepseek_async.blocking.DeepSeek",
    "Client": "the client without coroutines is deepseek_async.blocking.DeepSeek",
    "AsyncAzureOpenAI": f"{_CLIENT}, with base_url=",
    "AzureOpenAI": "the client is deepseek_async.blocking.DeepSeek, with base_url=",
    "OpenAIError": "the base class is DeepSeekError",
    "LengthFinishReasonError": "chat.completions.parse raises StructuredOutputError, with the answer as partial",
    "ContentFilterFinishReasonError": "chat.completions.create(raise_on_refusal=True) raises ContentRefusedError",
    "NOT_GIVEN": _NOT_SENT,
    "NotGiven": _NOT_SENT,
    "not_given": _NOT_SENT,
    "omit": _NOT_SENT,
    "Omit": _NOT_SENT,
    "Timeout": "the class is Timeouts; an httpx.Timeout is taken too",
    "DEFAULT_TIMEOUT": "client.timeout has the defaults",
    "DEFAULT_MAX_RETRIES": "client.max_retries has the default",
    "Stream": "the class is deepseek_async.blocking.BlockingStream",
    "AsyncStream": "the classes are ChatCompletionStream, CompletionStream, ResponseStream and MessageStream",
    "APIResponse": "the class is RawResponse",
    "AsyncAPIResponse": "the class is RawResponse",
    "BaseModel": "answers are msgspec structs; for an answer of your own class pass response_format=",
    "pydantic_function_tool": "pass FunctionTool(function), or {'type': 'function', 'function': {'name': …, "
    "'parameters': Class.model_json_schema()}}",
    "DefaultHttpxClient": _HTTP,
    "DefaultAsyncHttpxClient": _HTTP,
    "DefaultHttpx2Client": _HTTP,
    "DefaultAsyncHttpx2Client": _HTTP,
    "DefaultAioHttpClient": _HTTP,
    "DEFAULT_CONNECTION_LIMITS": _HTTP,
    "api_key": "pass it: AsyncDeepSeek(api_key=…)",
    "base_url": "pass it: AsyncDeepSeek(base_url=…)",
    "http_client": _HTTP,
    "max_retries": "pass it: AsyncDeepSeek(max_retries=…)",
    "timeout": "pass it: AsyncDeepSeek(timeout=…)",
    "file_from_path": "client.files.create(file=…) takes a path",
    "chat": "make a client: AsyncDeepSeek().chat",
    "models": "make a client: AsyncDeepSeek().models",
    "embeddings": "make a client: AsyncDeepSeek().embeddings",
    "completions": "make a client: AsyncDeepSeek().completions",
    "responses": "make a client: AsyncDeepSeek().responses",
    "beta": "make a client: AsyncDeepSeek().beta",
    "resources": "the classes are those of the client's attributes: type(client.chat.completions)",
}
