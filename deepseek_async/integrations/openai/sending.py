"""Asynchronous clients of httpx and httpx2 whose requests are answered by a relay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepseek_async.client import AsyncDeepSeek
from deepseek_async.errors import DeepSeekError
from deepseek_async.integrations.openai.exchange import Address, AsyncBody, joined, response_of
from deepseek_async.integrations.openai.failures import answered
from deepseek_async.integrations.openai.library import http_library
from deepseek_async.relay import StreamedBody

if TYPE_CHECKING:
    import httpx2


class RelayTransport:
    """Transport of an asynchronous httpx client."""

    def __init__(self, client: AsyncDeepSeek, http: Any) -> None:
        self.relay = client.relay
        self.http = http
        self.address = Address(http.URL(client.settings.base_url))
        self._body = joined(AsyncBody, http.AsyncByteStream)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer ``request``. Cancelling it ends the request at the server."""
        await request.aread()
        try:
            answer = await self.relay.send(self.address.request(request))
        except DeepSeekError as error:
            answer = answered(error, request)
        body = self._body(answer.body, request) if isinstance(answer.body, StreamedBody) else None
        return response_of(answer, request, self.http, body)


class RelayClient:
    """``send`` of an asynchronous httpx client, without what a request over sockets needs: authentication, redirects,
    cookies."""

    _relay_transport: RelayTransport
    event_hooks: dict[str, list[Any]]

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: object) -> httpx2.Response:
        """Answer ``request``."""
        del options
        hooks = self.event_hooks
        for hook in hooks["request"]:
            await hook(request)
        response = await self._relay_transport.handle_async_request(request)
        for hook in hooks["response"]:
            await hook(response)
        if not stream:
            await response.aread()
        return response


def http_client(client: AsyncDeepSeek, library: str | None = None) -> Any:
    """Return an ``AsyncClient`` of httpx2 or httpx over ``client``, for frameworks that make their own AsyncOpenAI.

    ``library``: "httpx2" or "httpx"; default: that of the installed openai-python. Closing it does not close
    ``client``.
    """
    http = http_library(library)
    transport = joined(RelayTransport, http.AsyncBaseTransport)(client, http)
    made = joined(RelayClient, http.AsyncClient)(
        transport=transport, timeout=client.timeouts.total, base_url=client.settings.base_url, trust_env=False
    )
    made._relay_transport = transport  # noqa: SLF001  ours
    return made
