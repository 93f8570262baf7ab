"""``with_raw_response``: answers with the status and headers of their response.

Costs nothing if unused: each call is made by a copy of the resource that records its requests.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from copy import copy
from typing import Any, Final, Generic, ParamSpec, Protocol, Self, TypeVar, overload

import msgspec

from deepseek_async.call.caller import Call
from deepseek_async.errors import InvalidRequestError
from deepseek_async.resources.route import Route
from deepseek_async.text.response_names import ResponseNames
from deepseek_async.types import Answer
from deepseek_async.types.json_text import read
from deepseek_async.types.request_id import trace_id

P = ParamSpec("P")
T = TypeVar("T")

_NONE: Final[Mapping[str, str]] = {}


class CallableText(str):
    """Text that may be called, because ``text`` is a property of some responses and a method of others."""

    __slots__ = ()

    def __call__(self) -> str:
        return str(self)


class RawResponse(ResponseNames, Generic[T]):
    """An answer and its HTTP response; of several attempts or requests, the last.

    An answer from the cache has status 200 and no headers.
    """

    def __init__(self, answer: T, call: Call) -> None:
        self._answer = answer
        self.call = call
        """The call, with its attempts and its last response."""

    @overload
    def parse(self) -> T: ...
    @overload
    def parse(self, *, to: Any) -> Any: ...
    def parse(self, *, to: Any = None) -> Any:
        """Return the answer, as the method without ``with_raw_response`` does.

        ``to``: ``str``, ``bytes``, ``dict``, or a class that the body is to be read into: a pydantic model, a struct, a
        dataclass, a TypedDict. Raises ValueError if the body does not fit the class; the answer is still here.
        """
        return self._answer if to is None else read_into(self.content, to)

    @property
    def status_code(self) -> int:
        """HTTP status code."""
        response = self.call.response
        return 200 if response is None else response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Case-insensitive response headers."""
        response = self.call.response
        return _NONE if response is None else response.headers

    @property
    def request_id(self) -> str | None:
        """Request id assigned by the server: ``x-ds-trace-id``, or ``x-request-id`` of other servers."""
        return trace_id(self.headers)

    @property
    def retries_taken(self) -> int:
        """Number of retries before this response."""
        return max(0, self.call.attempts - 1)

    @property
    def method(self) -> str:
        """HTTP method of the request."""
        return self.call.request.outgoing.method

    @property
    def url(self) -> str:
        """URL of the request."""
        return self.call.target.base_url + self.call.request.outgoing.path

    @property
    def http_response(self) -> Self:
        """This object, which has the status, headers and text of the response."""
        return self

    @property
    def content(self) -> bytes:
        """The body. Raises InvalidRequestError for a stream, which is read with ``parse()``."""
        if not isinstance(self._answer, Answer):
            raise InvalidRequestError("a stream has no text(): iterate over parse() instead")
        return self._answer.encoded()

    @property
    def text(self) -> CallableText:
        """The body as text; ``text()`` is the same. Raises InvalidRequestError for a stream."""
        return CallableText(self.content.decode("utf-8", "replace"))

    def json(self) -> Any:
        """Return the body as plain JSON values. Raises InvalidRequestError for a stream."""
        return read(self.content)

    def __repr__(self) -> str:
        return f"<RawResponse {self.status_code} of {type(self._answer).__name__}>"


def read_into(wire: bytes, kind: Any) -> Any:
    """Return the JSON text ``wire`` as a ``kind``. Raises ValueError if it does not fit."""
    if kind is str or kind is bytes:
        return wire.decode("utf-8", "replace") if kind is str else wire
    if (validate := getattr(kind, "model_validate_json", None)) is not None:
        return validate(wire)
    return msgspec.convert(read(wire), Any if kind is object else kind, strict=False)


class Recordable(Protocol):
    """A resource whose calls can be recorded."""

    def recorded(self, calls: list[Call]) -> Self:
        """Internal: return a copy that appends each call it makes to ``calls``."""
        ...


async def answered(resource: Recordable, name: str, *arguments: Any, **parameters: Any) -> RawResponse[Any]:
    """Call the method ``name`` of ``resource`` and return its answer with its response."""
    calls: list[Call] = []
    answer = await getattr(resource.recorded(calls), name)(*arguments, **parameters)
    return RawResponse(answer, calls[-1])


def raw(
    resource: Recordable, method: Callable[P, Coroutine[Any, Any, T]]
) -> Callable[P, Coroutine[Any, Any, RawResponse[T]]]:
    """Return ``method`` of ``resource`` with its parameters, overloads included, returning a RawResponse."""

    def ask(*arguments: P.args, **parameters: P.kwargs) -> Coroutine[Any, Any, RawResponse[T]]:
        return answered(resource, method.__name__, *arguments, **parameters)

    return ask


class RoutedResource:
    """Base of resources whose calls leave through one route."""

    _route: Route

    def recorded(self, calls: list[Call]) -> Self:
        """Internal: return a copy that appends each call it makes to ``calls``."""
        twin = copy(self)
        twin._route = self._route.recorded(calls)  # noqa: SLF001  its own class
        return twin
