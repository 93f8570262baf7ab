"""Blocking clients of httpx and httpx2 whose requests are answered by a relay on a loop thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from deepseek_async.blocking import DeepSeek, LoopThread
from deepseek_async.errors import DeepSeekError
from deepseek_async.integrations.openai.exchange import Address, joined, response_of
from deepseek_async.integrations.openai.failures import answered, broken_off
from deepseek_async.integrations.openai.library import http_library
from deepseek_async.relay import StreamedBody

if TYPE_CHECKING:
    import httpx2


class Body:
    """A streamed answer as a stream of httpx."""

    def __init__(self, body: StreamedBody, request: httpx2.Request, thread: LoopThread) -> None:
        self._body = body
        self._request = request
        self._thread = thread

    def __iter__(self) -> Iterator[bytes]:
        try:
            while block := self._thread.run(self._next()):
                yield block
        except DeepSeekError as error:
            raise broken_off(error, self._request) from error

    async def _next(self) -> bytes:
        async for block in self._body:
            return block
        return b""

    def close(self) -> None:
        self._thread.run(self._body.aclose())


class BlockingRelayTransport:
    """Transport of a blocking httpx client."""

    def __init__(self, client: DeepSeek, http: Any) -> None:
        self.client = client
        self.http = http
        self.address = Address(http.URL(client.asynchronous.settings.base_url))
        self._body = joined(Body, http.SyncByteStream)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer ``request``. Ctrl-C ends the request at the server."""
        request.read()
        client = self.client
        try:
            answer = client.run(client.asynchronous.relay.send(self.address.request(request)))
        except DeepSeekError as error:
            answer = answered(error, request)
        streamed = isinstance(answer.body, StreamedBody)
        body = self._body(answer.body, request, client.loop_thread) if streamed else None
        return response_of(answer, request, self.http, body)


class BlockingRelayClient:
    """``send`` of a blocking httpx client, without what a request over sockets needs."""

    _relay_transport: BlockingRelayTransport
    _on_close: Callable[[], None] | None = None
    event_hooks: dict[str, list[Any]]

    def send(self, request: httpx2.Request, *, stream: bool = False, **options: object) -> httpx2.Response:
        """Answer ``request``."""
        del options
        hooks = self.event_hooks
        for hook in hooks["request"]:
            hook(request)
        response = self._relay_transport.handle_request(request)
        for hook in hooks["response"]:
            hook(response)
        if not stream:
            response.read()
        return response

    def close(self) -> None:
        """Close it, and the client that was made for it."""
        super().close()  # type: ignore[misc]  # of httpx
        if self._on_close is not None:
            self._on_close()


def blocking_http_client(client: DeepSeek, library: str | None = None, *, owned: bool = False) -> Any:
    """Return a ``Client`` of httpx2 or httpx over ``client``, for frameworks that make their own OpenAI.

    ``library``: "httpx2" or "httpx"; default: that of the installed openai-python. Closing it closes ``client`` only if
    it is ``owned``.
    """
    http = http_library(library)
    transport = joined(BlockingRelayTransport, http.BaseTransport)(client, http)
    settings = client.asynchronous.settings
    made = joined(BlockingRelayClient, http.Client)(
        transport=transport, timeout=client.asynchronous.timeouts.total, base_url=settings.base_url, trust_env=False
    )
    made._relay_transport = transport  # noqa: SLF001  ours
    made._on_close = client.close if owned else None  # noqa: SLF001
    return made
