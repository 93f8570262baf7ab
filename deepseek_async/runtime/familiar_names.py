"""Names of openai-python's client: those that mean something here, and what to write instead of the others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Self

from deepseek_async.configuration.credential import ApiKey
from deepseek_async.configuration.settings import Settings
from deepseek_async.errors import ConfigurationError
from deepseek_async.resources.chat import Chat
from deepseek_async.resources.resource_attribute import ResourceAttribute
from deepseek_async.runtime.client_runtime import ClientRuntime
from deepseek_async.transport.timeouts import Timeouts

_REST: Final = "calls go to the endpoints in ENDPOINTS.md only; for another one use aiohttp with your own key"

ELSEWHERE: Final[Mapping[str, str]] = {
    "audio": "client.audio is client.tools here: tools.transcribe(file) and tools.speech(text)",
    "batches": "client.batches is client.batch here: client.batch.run('in.jsonl', 'out.jsonl') with the same lines",
    "fine_tuning": "client.fine_tuning.jobs is client.fine_tunes here, at a server that has fine-tuning",
    "moderations": "there is no client.moderations: safety_check='high' in a call, or the client's content_filter=",
    "assistants": "there are no assistants: keep the conversation yourself, or use chat.completions.run_tools",
    "threads": "there are no threads: keep the conversation yourself, or use chat.completions.run_tools",
    "conversations": "there are no stored conversations: send the messages with every call",
    "vector_stores": "there are no vector stores: keep vectors of client.embeddings in a database of your own",
    "uploads": "there is no client.uploads: client.files.create sends a large file in one piece",
    "realtime": "there is no realtime API: use chat.completions.stream and tools.speech(stream.text_deltas())",
    "webhooks": "DeepSeek sends no webhooks: await the call, or client.batch.run",
    "containers": "there is no client.containers: run code in a sandbox of your own, as a tool of run_tools",
    "evals": "there is no client.evals: use client.batch.map and compare the answers",
    "videos": "there is no client.videos: DeepSeek makes no videos",
    "organization": "DeepSeek has no organizations: several keys of one account share limits with account=",
    "project": "DeepSeek has no projects: separate users by user_id= of a call, keys by clients",
    "default_headers": "headers of a client may hold credentials: see client.settings.default_headers",
    "default_query": "there is no default_query: pass extra_query= to a call",
    "with_raw_response": "with_raw_response is at each resource: client.chat.completions.with_raw_response.create(…)",
    "with_streaming_response": (
        "with_streaming_response is at each resource: client.chat.completions.with_streaming_response.create(…)"
    ),
    "get": f"there is no client.get: {_REST}",
    "post": f"there is no client.post: {_REST}",
    "put": f"there is no client.put: {_REST}",
    "patch": f"there is no client.patch: {_REST}",
    "delete": f"there is no client.delete: {_REST}",
}
"""What to write instead of an attribute of openai-python's client."""

_OPTIONS: Final[Mapping[str, str]] = {
    "organization": "DeepSeek has no organizations; for several keys of one account pass account=",
    "project": "DeepSeek has no projects; separate users by user_id= of a call",
    "http_client": "pass proxy=, or transport= for a transport of your own; the pool is the client's",
    "default_query": "pass extra_query= to a call",
    "webhook_secret": "DeepSeek sends no webhooks",
    "websocket_base_url": "speech over a WebSocket goes to base_url, or to endpoints={'tools': …}",
    "admin_api_key": "DeepSeek has no admin API; pass the key as api_key=",
    "workload_identity": "DeepSeek has keys only; pass one as api_key=",
    "provider": "pass base_url= for another server",
    "data_residency": "pass base_url= for another server",
    "_strict_response_validation": "answers are checked already; fields that deviate are named in answer.repaired",
    "_enforce_credentials": "a key is required; for a server that needs none pass any",
    "azure_endpoint": "pass the whole URL of an OpenAI-compatible server as base_url=",
    "api_version": "pass the whole URL of an OpenAI-compatible server as base_url=",
}
_OF_A_CLIENT: Final = frozenset({"api_key", "base_url", "default_headers", "max_concurrency", "proxy"})


def refused_option(name: str, *, of_call: bool = False) -> ConfigurationError | TypeError:
    """Return the error for an argument that does not exist; one of openai-python names what to write instead."""
    if name in _OPTIONS:
        return ConfigurationError(f"{name} is not an option: {_OPTIONS[name]}")
    if of_call and name in _OF_A_CLIENT:
        instead = "create another AsyncDeepSeek for it"
        if name == "default_headers":
            instead = "pass extra_headers= to a call, or create another AsyncDeepSeek"
        return ConfigurationError(f"with_options cannot change {name}, which belongs to the connections: {instead}")
    return TypeError(f"unexpected keyword argument {name!r}")


class FamiliarNames:
    """Attributes of openai-python's client."""

    _settings: Settings
    _runtime: ClientRuntime
    chat: ResourceAttribute[Chat]

    @property
    def base_url(self) -> str:
        """URL of the server."""
        return self._settings.base_url

    @base_url.setter
    def base_url(self, value: str) -> None:
        del value
        raise AttributeError("base_url of a client cannot be set: make another AsyncDeepSeek(base_url=…)")

    @property
    def api_key(self) -> ApiKey:
        """The key, which shows itself as ``sk-…abcd`` only."""
        return self._settings.api_key

    @api_key.setter
    def api_key(self, value: ApiKey) -> None:
        del value
        raise AttributeError("api_key of a client cannot be set: make another AsyncDeepSeek(api_key=…)")

    @property
    def max_retries(self) -> int:
        """Retries of a call, without the first attempt."""
        return self._settings.retry.max_attempts - 1

    @max_retries.setter
    def max_retries(self, value: int) -> None:
        del value
        raise AttributeError("max_retries of a client cannot be set: client.with_options(max_retries=…)")

    @property
    def timeout(self) -> Timeouts:
        """Default timeouts of a call."""
        return self._settings.timeouts

    @timeout.setter
    def timeout(self, value: Timeouts) -> None:
        del value
        raise AttributeError("timeout of a client cannot be set: client.with_options(timeout=…)")

    @property
    def beta(self) -> Beta:
        """``beta.chat`` is ``chat``: openai-python had ``parse`` and ``stream`` there."""
        return Beta(self.chat)

    def copy(self, **options: Any) -> Self:
        """Return a client with other options: ``with_options``."""
        return self.with_options(**options)

    @abstractmethod
    def with_options(self, **options: Any) -> Self:
        """Return a client with other options that shares connections."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections."""

    async def close(self) -> None:
        """Close the connections: openai-python's name of ``aclose``."""
        await self.aclose()

    def is_closed(self) -> bool:
        """Whether the client was closed."""
        return self._runtime.closed


class Beta:
    """``client.beta``: ``beta.chat`` is ``chat``."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat

    def __getattr__(self, name: str) -> Any:
        said = ELSEWHERE.get(name, "beta has chat only, which is client.chat")
        raise AttributeError(f"there is no client.beta.{name}: {said}", name=name, obj=self)
