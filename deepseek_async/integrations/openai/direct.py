"""Plain requests of an AsyncOpenAI or OpenAI, handed to the relay without the detour over an HTTP request.

Of a call's CPU, openai-python spends most on turning its arguments into a request: it compares every value with the
declared types, and builds URL, headers and request anew. A request of plain JSON values needs none of it. Everything
else (streams, uploads, raw responses, headers and queries of a call, models as arguments, hooks, instrumented
methods) takes openai-python's own way, with the same result.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache, cached_property
from math import isfinite
from types import FunctionType
from typing import Any, Final

import orjson

from deepseek_async.errors import DeepSeekError
from deepseek_async.integrations.openai.exchange import response_of
from deepseek_async.integrations.openai.failures import answered
from deepseek_async.integrations.openai.library import openai_library
from deepseek_async.integrations.openai.relayed import AsyncRelayed, BlockingRelayed, kept
from deepseek_async.relay import RelayRequest, RelayResponse, passed_on
from deepseek_async.types.json_text import read

_TESTED: Final = ("2", "3")
"""Major versions whose ways this module knows; with another one every request takes openai-python's own."""

_PLAIN: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
_OPTIONS: Final = frozenset({"extra_json", "security", "timeout"})
_OF_A_CALL: Final = ("extra_headers", "extra_query", "extra_body")
_REQUIRED: Final = frozenset({"messages", "model"})


class _Direct:
    """What both kinds of clients have in common."""

    _client: Any
    _base_url: Any
    _known_base_url: Any = None
    _custom_headers: Mapping[str, Any]
    _custom_query: Mapping[str, Any]
    _strict_response_validation: bool
    timeout: Any

    def _direct_request(self, path: str, cast_to: Any, body: Any, rest: Mapping[str, Any]) -> RelayRequest | None:
        """Return the request for the relay; None if it takes openai-python's own way."""
        options = rest.get("options") or {}
        if (
            rest.get("stream")
            or rest.get("content") is not None
            or rest.get("files") is not None
            or not options.keys() <= _OPTIONS
            or self._custom_query
            or self._strict_response_validation
            or body.__class__ is not dict
            or not isinstance(cast_to, type)
            or any(self._client.event_hooks.values())
            or not self._asks_the_engine()
        ):
            return None
        asked = {**body, **options["extra_json"]} if options.get("extra_json") else body
        try:
            if any(value.__class__ is float and not isfinite(value) for value in asked.values()):
                return None
            wire = orjson.dumps(asked, option=_PLAIN)
        except TypeError:  # a model, an iterator, a class
            return None
        if not path.startswith("/") or asked.get("stream"):
            return None
        timeout = options.get("timeout", self.timeout)
        return RelayRequest(
            method="POST",
            path=path,
            body=wire,
            headers=_texts(self._custom_headers) if self._custom_headers else None,
            timeout=timeout if timeout is None or isinstance(timeout, int | float) else timeout.read,
        )

    def _asks_the_engine(self) -> bool:
        """Whether requests go to the engine's server, and not to one that the program has set since."""
        url = self._base_url
        if url is not self._known_base_url:
            transport = getattr(self._client, "_relay_transport", None)
            if transport is None or not transport.address.is_of(url):
                return False
            self._known_base_url = url
        return True

    def _failure(self, request: RelayRequest, error: DeepSeekError) -> Exception:
        """Return openai-python's error for the engine's."""
        http = self._client._relay_transport.http  # noqa: SLF001  ours
        own: Any = self  # the methods of openai-python
        sent = http.Request("POST", own._prepare_url(request.path), content=request.body)  # noqa: SLF001
        failure: Exception = own._make_status_error_from_response(  # noqa: SLF001
            response_of(answered(error, sent), sent, http)
        )
        return failure


class DirectClient(_Direct, AsyncRelayed):
    """Methods of an AsyncOpenAI over a relay."""

    async def post(self, path: str, *, cast_to: Any, body: Any = None, **rest: Any) -> Any:
        """Send a request, as AsyncOpenAI's ``post``."""
        request = self._direct_request(path, cast_to, body, rest)
        if request is not None:
            return await self._relayed(request, cast_to)
        return await super().post(path, cast_to=cast_to, body=body, **rest)  # type: ignore[misc]

    async def _relayed(self, request: RelayRequest, cast_to: Any) -> Any:
        try:
            answer = await self._client._relay_transport.relay.send(request)  # noqa: SLF001  ours
        except DeepSeekError as error:
            failure = self._failure(request, error)
        else:
            return _made(self, answer, cast_to)
        raise failure


class BlockingDirectClient(_Direct, BlockingRelayed):
    """Methods of an OpenAI over a relay on a loop thread."""

    def post(self, path: str, *, cast_to: Any, body: Any = None, **rest: Any) -> Any:
        """Send a request, as OpenAI's ``post``. Ctrl-C ends it at the server."""
        request = self._direct_request(path, cast_to, body, rest)
        if request is not None:
            return self._relayed(request, cast_to)
        return super().post(path, cast_to=cast_to, body=body, **rest)  # type: ignore[misc]

    def _relayed(self, request: RelayRequest, cast_to: Any) -> Any:
        client = self._client._relay_transport.client  # noqa: SLF001  ours
        try:
            answer = client.run(client.asynchronous.relay.send(request))
        except DeepSeekError as error:
            failure = self._failure(request, error)
        else:
            return _made(self, answer, cast_to)
        raise failure


def _made(client: Any, answer: RelayResponse, cast_to: Any) -> Any:
    """Return openai's object for a plain ``answer``. An error on the way has the answer, which was paid for."""
    wire: Any = answer.body
    try:
        made = client._process_response_data(data=read(wire), cast_to=cast_to, response=None)  # noqa: SLF001
    except Exception as error:
        raise error from kept(error, wire)
    if hasattr(made, "_request_id"):
        named = (value for name, value in answer.headers.items() if name.lower() == "x-request-id")
        made._request_id = next(named, None)  # noqa: SLF001
    return made


class DirectCompletions:
    """``client.chat.completions`` of an AsyncOpenAI over a relay."""

    _client: Any

    async def create(self, **parameters: Any) -> Any:
        """Create a chat completion, as AsyncOpenAI's ``create``."""
        request = _chat_request(self._client, openai_library().resources.chat.AsyncCompletions, parameters)
        if request is not None:
            return await self._client._relayed(request, openai_library().types.chat.ChatCompletion)  # noqa: SLF001
        return await super().create(**parameters)  # type: ignore[misc]


class BlockingDirectCompletions:
    """``client.chat.completions`` of an OpenAI over a relay."""

    _client: Any

    def create(self, **parameters: Any) -> Any:
        """Create a chat completion, as OpenAI's ``create``."""
        request = _chat_request(self._client, openai_library().resources.chat.Completions, parameters)
        if request is not None:
            return self._client._relayed(request, openai_library().types.chat.ChatCompletion)  # noqa: SLF001
        return super().create(**parameters)  # type: ignore[misc]


def _chat_request(client: Any, theirs: Any, parameters: dict[str, Any]) -> RelayRequest | None:
    """Return the request for a chat completion; None if it takes the own way of ``theirs``, openai-python's class."""
    openai = openai_library()
    asked = parameters.keys()
    if parameters.get("stream") or not asked >= _REQUIRED or not asked <= _known() or _instrumented(theirs):
        return None
    absent = (openai.NotGiven, openai.Omit)
    given = {name: value for name, value in parameters.items() if not isinstance(value, absent)}
    headers, query, extra = (given.pop(name, None) for name in _OF_A_CALL)
    options: dict[str, Any] = {"extra_json": extra}
    if "timeout" in given:
        options["timeout"] = given.pop("timeout")
    if headers or query:
        return None
    kind = openai.types.chat.ChatCompletion
    request: RelayRequest | None = client._direct_request("/chat/completions", kind, given, {"options": options})  # noqa: SLF001
    return request


def _texts(fields: Mapping[str, Any]) -> dict[str, str] | None:
    return passed_on((name, value) for name, value in fields.items() if isinstance(value, str))


@cache
def _home() -> str:
    return str(openai_library().__file__).rpartition("/")[0]


@cache
def _known() -> frozenset[str]:
    return frozenset(inspect.signature(openai_library().resources.chat.AsyncCompletions.create).parameters)


def _instrumented(theirs: Any) -> bool:
    """Whether a tracing library has replaced ``create``, which must then be called."""
    create = theirs.create
    return type(create) is not FunctionType or not create.__code__.co_filename.startswith(_home())


@cache
def direct_class() -> Any:
    """Return ``openai.AsyncOpenAI``, or for a version that this module knows a class of it with direct requests."""
    return _direct("Async", DirectClient, DirectCompletions)


@cache
def blocking_class() -> Any:
    """Return ``openai.OpenAI``, or for a version that this module knows a class of it with direct requests."""
    return _direct("", BlockingDirectClient, BlockingDirectCompletions)


def _direct(prefix: str, client: type, of_chat: type) -> Any:
    openai = openai_library()
    theirs = getattr(openai, f"{prefix}OpenAI")
    if openai.__version__.partition(".")[0] not in _TESTED:
        return theirs
    chat = openai.resources.chat
    name = f"{prefix}Completions"
    completions = type(name, (of_chat, getattr(chat, name)), {})
    return _with_chat(f"{prefix}OpenAI", (client, theirs), getattr(chat, f"{prefix}Chat"), completions)


def _with_chat(name: str, bases: tuple[Any, ...], chat: Any, completions: Any) -> Any:
    def made_completions(self: Any) -> Any:
        return completions(self._client)

    def made_chat(self: Any) -> Any:
        return of_client(self)

    # ``cached_property`` learns its name from the class that it is in.
    of_client = type(chat.__name__, (chat,), {"completions": cached_property(made_completions)})
    return type(name, bases, {"chat": cached_property(made_chat)})
