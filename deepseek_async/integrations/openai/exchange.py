"""Requests and responses of httpx, or httpx2, to those of a relay and back."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Self

from deepseek_async.errors import DeepSeekError, InvalidRequestError
from deepseek_async.integrations.openai.failures import EXTENSION, broken_off
from deepseek_async.relay import RelayRequest, RelayResponse, StreamedBody, passed_on

if TYPE_CHECKING:
    import httpx2

_HTTP_1: Final = b"HTTP/1.1"
_AT_ONCE: Final = timedelta(0)


class Address:
    """Where a client believes its requests go; the engine sends them to its own base URL."""

    def __init__(self, url: httpx2.URL) -> None:
        self._origin = url.scheme, url.netloc
        self._base = url.raw_path.decode().rstrip("/")

    def is_of(self, url: httpx2.URL) -> bool:
        """Whether requests to ``url`` are for the engine."""
        return (url.scheme, url.netloc) == self._origin

    def request(self, asked: httpx2.Request) -> RelayRequest:
        """Return ``asked``, whose body has been read, for a relay. Raises InvalidRequestError for another origin."""
        url, fields = asked.url, asked.headers
        if (url.scheme, url.netloc) != self._origin:
            raise InvalidRequestError(
                f"cannot ask {url.host}: requests go through the client of {self._origin[1].decode()}, with its key"
            )
        timeout = asked.extensions.get("timeout")
        return RelayRequest(
            method=asked.method,
            path=url.raw_path.decode().removeprefix(self._base),
            body=asked.content,
            content_type=fields.get("content-type", ""),
            headers=passed_on(fields.items()),
            timeout=timeout.get("read") if timeout else None,
        )


def response_of(answer: RelayResponse, request: httpx2.Request, http: Any, body: Any = None) -> httpx2.Response:
    """Return ``answer`` as a response of the library ``http``; ``body`` instead of its own, for a stream."""
    extensions: dict[str, Any] = {"http_version": _HTTP_1}
    if answer.failure is not None:
        extensions[EXTENSION] = answer.failure
    content = {"content": answer.body} if body is None else {"stream": body}
    made: httpx2.Response = http.Response(
        answer.status, headers=answer.headers, request=request, extensions=extensions, **content
    )
    made.elapsed = _AT_ONCE
    return made


class AsyncBody:
    """A streamed answer as a stream of httpx."""

    def __init__(self, body: StreamedBody, request: httpx2.Request) -> None:
        self._body = body
        self._request = request

    # Its own iterator: a generator would keep a stream that nobody closed until a collection more.
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._body)
        except DeepSeekError as error:
            raise broken_off(error, self._request) from error

    async def aclose(self) -> None:
        await self._body.aclose()


@cache
def joined(own: type, base: type) -> type:
    """Return a class of ours with a ``base`` of the HTTP library, which is known at run time only."""
    return type(own.__name__, (own, base), {})
