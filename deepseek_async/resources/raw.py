"""``with_raw_response``: an answer with the status and the headers that it came with.

Costs nothing where it is not used: a resource is made anew over a connection that remembers the calls it makes.
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
    """An answer and the HTTP response that brought it; of several attempts or requests, the last.

    An answer from the cache came with no response: its status is 200 and it has no headers.
    """

    def __init__(self, answer: T, call: Call) -> None:
        self._answer = answer
        self._call = call

    def parse(self) -> T:
        """The answer, as the method without ``with_raw_response`` gives it."""
        return self._answer

    @property
    def status_code(self) -> int:
        """HTTP status."""
        response = self._call.response
        return 200 if response is None else response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields of the response, by name in any case."""
        response = self._call.response
        return _NONE if response is None else response.headers

    @property
    def request_id(self) -> str | None:
        """The name that the server gave to the request: ``x-ds-trace-id``, or ``x-request-id`` of other servers."""
        return trace_id(self.headers)

    @property
    def retries_taken(self) -> int:
        """How often the request was sent again before this response came."""
        return max(0, self._call.attempts - 1)

    def text(self) -> str:
        """The body. Raises InvalidRequestError for a stream, which is read through ``parse()``."""
        if not isinstance(self._answer, Answer):
            raise InvalidRequestError("a stream has no text before it was read: iterate over parse()")
        return self._answer.to_json().decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"<RawResponse {self.status_code} of {type(self._answer).__name__}>"


class Raw:
    """The methods of a resource, each giving a RawResponse."""

    def __init__(self, resource: Callable[[ResourceClient], Any], connection: ResourceClient) -> None:
        self._resource = resource
        self._connection = connection

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, RawResponse[Any]]]:
        if name.startswith("_") or not inspect.iscoroutinefunction(getattr(self._resource, name, None)):
            raise AttributeError(f"there is no {name!r} with a raw response", name=name, obj=self)

        async def asked(*arguments: Any, **parameters: Any) -> RawResponse[Any]:
            remembering = _Remembering(self._connection)
            resource = self._resource(cast("ResourceClient", remembering))
            answer = await getattr(resource, name)(*arguments, **parameters)
            return RawResponse(answer, remembering.calls[-1])

        return asked


class Rawable:
    """A resource whose answers can be had with what they came with."""

    _route: Route

    @property
    def with_raw_response(self) -> Raw:
        """The same methods, each giving a RawResponse: ``.parse()``, ``.headers``, ``.status_code``, ``.text()``."""
        return Raw(type(self), self._route.connection)


class RawGenerating(Generic[WholeT, StreamT]):
    """``create`` of a resource that answers whole or streamed."""

    def __init__(self, resource: Callable[[ResourceClient], Any], connection: ResourceClient) -> None:
        self._raw = Raw(resource, connection)

    @overload
    async def create(self, *, stream: Literal[False] | None = None, **parameters: Any) -> RawResponse[WholeT]: ...

    @overload
    async def create(self, *, stream: Literal[True], **parameters: Any) -> RawResponse[StreamT]: ...

    async def create(self, **parameters: Any) -> RawResponse[Any]:
        """``create`` with the same parameters; with ``stream=True`` as soon as the server has accepted the request."""
        return await self._raw.create(**parameters)


class _Remembering:
    """A connection whose callers note the calls that they make."""

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
        # One for each, because it is asked whether a family has the client's own.
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
