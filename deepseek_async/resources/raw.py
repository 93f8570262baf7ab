"""``with_raw_response``: answers with the status and headers of their response.

Costs nothing if unused: the resource is recreated over a client proxy that records its calls.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Generic, Literal, TypeVar, cast, overload

from deepseek_async.call.caller import Call, Caller
from deepseek_async.codec.refusal import trace_id
from deepseek_async.configuration.endpoint import Family
from deepseek_async.errors import InvalidRequestError
from deepseek_async.resources.resource_client import ResourceClient
from deepseek_async.resources.route import Route
from deepseek_async.types import Answer

T = TypeVar("T")
WholeT = TypeVar("WholeT")
StreamT = TypeVar("StreamT")

_NONE: Final[Mapping[str, str]] = {}


class RawResponse(Generic[T]):
    """An answer and its HTTP response; of several attempts or requests, the last.

    An answer from the cache has status 200 and no headers.
    """

    def __init__(self, answer: T, call: Call) -> None:
        self._answer = answer
        self._call = call

    def parse(self) -> T:
        """Return the answer, as the method without ``with_raw_response`` does."""
        return self._answer

    @property
    def status_code(self) -> int:
        """HTTP status code."""
        response = self._call.response
        return 200 if response is None else response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Case-insensitive response headers."""
        response = self._call.response
        return _NONE if response is None else response.headers

    @property
    def request_id(self) -> str | None:
        """Request id assigned by the server: ``x-ds-trace-id``, or ``x-request-id`` of other servers."""
        return trace_id(self.headers)

    @property
    def retries_taken(self) -> int:
        """Number of retries before this response."""
        return max(0, self._call.attempts - 1)

    def text(self) -> str:
        """Return the body. Raises InvalidRequestError for a stream, which is read with ``parse()``."""
        if not isinstance(self._answer, Answer):
            raise InvalidRequestError("a stream has no text(): iterate over parse() instead")
        return self._answer.to_json().decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"<RawResponse {self.status_code} of {type(self._answer).__name__}>"


class Raw:
    """Methods of a resource, each returning a RawResponse."""

    def __init__(self, resource: Callable[[ResourceClient], Any], connection: ResourceClient) -> None:
        self._resource = resource
        self._connection = connection

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, RawResponse[Any]]]:
        if name.startswith("_") or not inspect.iscoroutinefunction(getattr(self._resource, name, None)):
            raise AttributeError(f"no method {name!r} with a raw response", name=name, obj=self)

        async def asked(*arguments: Any, **parameters: Any) -> RawResponse[Any]:
            remembering = _Remembering(self._connection)
            resource = self._resource(cast("ResourceClient", remembering))
            answer = await getattr(resource, name)(*arguments, **parameters)
            return RawResponse(answer, remembering.calls[-1])

        return asked


class Rawable:
    """Base of resources with ``with_raw_response``."""

    _route: Route

    @property
    def with_raw_response(self) -> Raw:
        """The same methods, each returning a RawResponse: ``.parse()``, ``.headers``, ``.status_code``, ``.text()``."""
        return Raw(type(self), self._route.connection)


class RawGenerating(Generic[WholeT, StreamT]):
    """``create`` of a resource with plain and streamed answers, returning a RawResponse."""

    def __init__(self, resource: Callable[[ResourceClient], Any], connection: ResourceClient) -> None:
        self._raw = Raw(resource, connection)

    @overload
    async def create(self, *, stream: Literal[False] | None = None, **parameters: Any) -> RawResponse[WholeT]: ...

    @overload
    async def create(self, *, stream: Literal[True], **parameters: Any) -> RawResponse[StreamT]: ...

    async def create(self, **parameters: Any) -> RawResponse[Any]:
        """Call ``create``; with ``stream=True`` returns as soon as the server has accepted the request."""
        return await self._raw.create(**parameters)


class _Remembering:
    """Proxy of a client that records the calls made through it."""

    def __init__(self, connection: ResourceClient) -> None:
        self._connection = connection
        self.calls: list[Call] = []
        self._callers: dict[Caller, _RememberingCaller] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def caller(self) -> _RememberingCaller:
        return self._remembering(self._connection.caller())

    def caller_of(self, family: Family) -> _RememberingCaller:
        return self._remembering(self._connection.caller_of(family))

    def _remembering(self, caller: Caller) -> _RememberingCaller:
        # Cached, because callers are compared by identity to detect endpoints of other servers.
        return self._callers.setdefault(caller, _RememberingCaller(caller, self.calls))


class _RememberingCaller:
    def __init__(self, caller: Caller, calls: list[Call]) -> None:
        self._caller = caller
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._caller, name)

    def call(self, *arguments: Any, **options: Any) -> Call:
        call = self._caller.call(*arguments, **options)
        self._calls.append(call)
        return call
