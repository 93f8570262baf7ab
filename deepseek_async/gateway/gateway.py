"""The gateway: an HTTP server in front of one client."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, Self

from aiohttp import web

from deepseek_async.client import AsyncDeepSeek
from deepseek_async.configuration.credential import ApiKey
from deepseek_async.errors import ConfigurationError, DeepSeekError
from deepseek_async.files.private_files import reason_of
from deepseek_async.gateway import access_log
from deepseek_async.gateway.activity import Activity
from deepseek_async.gateway.batch_handlers import BatchHandlers
from deepseek_async.gateway.batches.runner import BatchRunner, OwnersBatch
from deepseek_async.gateway.callers import CallerProfile, Callers, mask_keys
from deepseek_async.gateway.connections import Connections
from deepseek_async.gateway.console import Console, page_at
from deepseek_async.gateway.direct_replies import UnsentReply, has_begun
from deepseek_async.gateway.file_handlers import FileHandlers
from deepseek_async.gateway.files import FileStore
from deepseek_async.gateway.folder import GatewayFolder, default_folder
from deepseek_async.gateway.health import Health
from deepseek_async.gateway.permissions import RowCheck
from deepseek_async.gateway.relaying import HEARTBEAT, Relaying, refusal_reply
from deepseek_async.gateway.replies import GatewayError, error_reply
from deepseek_async.gateway.request_identity import ANYBODY, identify, is_loopback
from deepseek_async.gateway.routing import Routes
from deepseek_async.gateway.serving_client import ServingClient
from deepseek_async.gateway.tenants import Tenants
from deepseek_async.gateway.tool_uploads import ToolUploads
from deepseek_async.gateway.upkeep import Upkeep
from deepseek_async.relay import Relay

_LOG: Final = logging.getLogger("deepseek_async.gateway")

PORT: Final = 8321
DRAIN_SECONDS: Final = 30.0
"""How long answers and rows in flight may take after the end was asked for."""

_BACKLOG: Final = 4_096
_IDLE_SECONDS: Final = 75.0
"""As nginx: how long a connection without a request stays open."""
_LARGEST_HEADER: Final = 16 * 1024


class AsyncGateway:
    """``async with AsyncGateway(client, folder=…) as gateway: gateway.url``.

    - ``client``: sends everything; it stays open when the gateway closes.
    - ``folder``: keys, files and batches; default ``gateway`` in the user's state folder. One gateway at a time.
    - ``host``, ``port``: where to listen; default loopback and 8321, 0 for any free port. Without keys another address
      is refused.
    - ``drain``: seconds for answers and rows in flight to end when it closes; default 30.
    - ``heartbeat``: seconds of silence after which a caller that waits for a stream gets a comment; default 10.

    Entering raises ConfigurationError, before it listens, for a folder or an address that cannot be used.
    """

    def __init__(
        self,
        client: AsyncDeepSeek,
        *,
        folder: str | Path | None = None,
        host: str = "127.0.0.1",
        port: int = PORT,
        drain: float = DRAIN_SECONDS,
        heartbeat: float = HEARTBEAT,
    ) -> None:
        self._folder = GatewayFolder(default_folder() if folder is None else Path(folder))
        self._host = host
        self._port = port
        self._drain = drain
        self._heartbeat = heartbeat
        self._activity = Activity()
        self._callers = Callers(self._folder.keys)
        self._tenants = Tenants(self._folder.path / "budgets", lambda: self.client, client.settings)
        self._server: web.ServerRunner | None = None
        self._batches: BatchRunner | None = None
        self._upkeep: asyncio.Task[None] | None = None
        self._closed = False
        self._closing = asyncio.Event()
        self._health = Health(lambda: self.client)
        self._serving = self._serve_with(client)
        self._former_keys: dict[str, ApiKey] = {}
        """By fingerprint. While it is referenced a key is masked, and answers to come may repeat one."""
        self.url = ""
        """Where it listens, such as ``http://127.0.0.1:8321``; empty until it does."""

    @property
    def client(self) -> AsyncDeepSeek:
        """The client that sends."""
        return self._serving.client

    async def __aenter__(self) -> Self:
        self._folder.__enter__()
        try:
            await self._start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _start(self) -> None:
        self._callers.refresh()
        if not len(self._callers) and not is_loopback(self._host):
            raise ConfigurationError(
                f"without keys a gateway listens on loopback only, not on {self._host!r}: make a key with "
                "deepseek-async serve keys add NAME"
            )
        files = FileStore(self._folder.files)
        batches = self._batches = BatchRunner(
            self._folder.batches, files, self._batch_of, refusal_of=RowCheck(self._callers, files).refusal_of
        )
        self._relaying = Relaying(self._used, self._tenants, files, heartbeat=self._heartbeat)
        self._routes = Routes(
            files=FileHandlers(files, self._sending, batches.needed_files),
            uploads=ToolUploads(files, self._sending),
            batches=BatchHandlers(batches, files),
            console=Console(
                lambda: self.client,
                self._activity,
                batches,
                caller_of=lambda request: identify(request, self._callers),
                closing=self._closing,
            ),
            relay=self._relaying.answer,
        )
        await self._listen()
        batches.start()
        self._upkeep = asyncio.create_task(Upkeep(self._callers, batches, files, self._tenants).run())

    async def _listen(self) -> None:
        server = Connections(
            self._handle,
            self._relaying.lost,
            access_log=None,
            keepalive_timeout=_IDLE_SECONDS,
            max_field_size=_LARGEST_HEADER,
        )
        self._server = runner = web.ServerRunner(server, shutdown_timeout=self._drain)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port, backlog=_BACKLOG).start()
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                what = "name an address of this machine (--host)"
            else:
                what = "choose another port (--port), or stop the program that has it"
            # asyncio's own text says it twice.
            reason = reason_of(error) if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
            raise ConfigurationError(f"cannot listen on {self._host}:{self._port}: {reason}; {what}") from None
        host, port = runner.addresses[0][:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @contextmanager
    def _batch_of(self, owner: str) -> Iterator[OwnersBatch]:
        """Yield the bulk processing of a caller. Raises KeyError for one who has been removed."""
        caller = self._callers.named(owner) if owner else ANYBODY
        if caller is None:
            raise KeyError(owner)
        with self._serving, self._tenants.serving(caller):
            client = self._serving.client
            batch = client.batch if client.settings.lint == "off" else client.batch.of_foreign_requests()
            yield OwnersBatch(batch, caller.max_concurrency)

    @asynccontextmanager
    async def _sending(self, caller: CallerProfile) -> AsyncIterator[AsyncDeepSeek]:
        """Yield the client: see ``Sending``."""
        serving = self._serving
        with serving:
            async with self._tenants.place(caller):
                yield serving.client

    def _used(self) -> AbstractContextManager[Relay]:
        return self._serving

    def check(self, client: AsyncDeepSeek) -> None:
        """Raise ConfigurationError for a client that a running gateway cannot ``use``.

        It names another Redis with ``shared``, or none: what callers have spent today is counted there.
        """
        if any(caller.daily is not None for caller in self._callers):
            self._tenants.check(client.settings)

    async def use(self, client: AsyncDeepSeek) -> AsyncDeepSeek:
        """Send with ``client`` from now on. Return the former one, once nothing of the gateway uses it any more.

        Raises ConfigurationError, and goes on with the former one: see ``check``.
        """
        self.check(client)
        former, self._serving = self._serving, self._serve_with(client)
        key = former.client.settings.api_key
        self._former_keys[key.fingerprint()] = key
        self._tenants.release()
        if self._batches is not None:
            await self._batches.start_again()
        await former.unused()
        former.release()
        return former.client

    def _serve_with(self, client: AsyncDeepSeek) -> ServingClient:
        return ServingClient(client, (self._activity, *self._health.listeners))

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        began, path, name = time.monotonic(), request.path, ""
        response: web.StreamResponse | None
        try:
            response = self._health.answer(path) or page_at(request.method, path)
            if response is None:
                caller = identify(request, self._callers)
                name = caller.name
                response = await self._routes.answer(request, caller)
        except GatewayError as error:
            response = error_reply(error, path)
        except DeepSeekError as error:
            response = refusal_reply(error, path)
        except ConnectionError:
            response = UnsentReply()
        except asyncio.CancelledError:
            if access_log.is_on():
                access_log.note(name, request.method, path, UnsentReply(), time.monotonic() - began)
            raise
        except Exception:  # noqa: BLE001  a fault of ours must not show a caller what it is
            _LOG.exception("%s %s failed", request.method, mask_keys(path))
            response = error_reply(GatewayError(500, "internal error of the gateway; its log says more"), path)
        if access_log.is_on():
            access_log.note(name, request.method, path, response, time.monotonic() - began)
        # After the head of a response its status is told, and another one would stand in the middle of it.
        return response if response.prepared or not has_begun(request) else UnsentReply()

    async def aclose(self) -> None:
        """Stop listening, let answers and rows in flight end, and free the folder."""
        if self._closed:
            return
        self._closed = self._health.draining = True
        self._closing.set()
        server, self._server = self._server, None
        batches, self._batches = self._batches, None
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.wait((self._upkeep,))
        try:
            await asyncio.gather(
                *([server.cleanup()] if server is not None else []),
                *([batches.aclose(self._drain)] if batches is not None else []),
            )
            await self._tenants.aclose()
        finally:
            self._serving.release()
            self._folder.__exit__(None, None, None)
