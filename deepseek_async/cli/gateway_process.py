"""A gateway as a process: signals, logs, and settings that are read again."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from deepseek_async.batch import ExitCode
from deepseek_async.cli.connection import ConnectionFlags
from deepseek_async.cli.process import allow_connections, runner
from deepseek_async.cli.terminal import say
from deepseek_async.client import AsyncDeepSeek
from deepseek_async.errors import DeepSeekError
from deepseek_async.gateway import AsyncGateway
from deepseek_async.gateway.access_log import ACCESS

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)
_COLLECTIONS: Final = (20_000, 20, 20)
"""New objects before a collection of the youngest, and how many of these before one of the older."""
_CONNECTIONS: Final = 1 << 16


class GatewayProcess(msgspec.Struct, frozen=True, kw_only=True):
    """Options of ``deepseek-async serve`` that are not the client's."""

    host: str
    port: int
    folder: Path | None
    drain: float
    access_log: bool

    def run(self, connection: ConnectionFlags, *, api_key: str | None = None) -> int:
        """Serve until a signal ends it; return the exit code. Raises ConfigurationError."""
        if self.access_log:
            _log_requests()
        allow_connections(_CONNECTIONS)
        with runner() as loop:
            return loop.run(self._serve(connection, api_key))

    async def _serve(self, connection: ConnectionFlags, api_key: str | None) -> int:
        gateway = AsyncGateway(
            connection.client(api_key=api_key), folder=self.folder, host=self.host, port=self.port, drain=self.drain
        )
        signals = _Signals(gateway, connection, api_key)
        try:
            async with gateway:
                _collect_garbage_seldom()
                with signals.handled():
                    sys.stdout.write(f"{gateway.url}\n")
                    sys.stdout.flush()
                    say(f"gateway running: base URL {gateway.url}/v1, overview at {gateway.url}/; Ctrl-C stops it")
                    await signals.stopped.wait()
                    say(f"ending: answers in flight have {self.drain:g} s")
                    await gateway.aclose()
        finally:
            await signals.aclose()
            await gateway.client.aclose()
        return ExitCode.OK


class _Signals:
    """SIGTERM and SIGINT end the gateway, SIGHUP has it read its settings again."""

    def __init__(self, gateway: AsyncGateway, connection: ConnectionFlags, api_key: str | None) -> None:
        self.stopped = asyncio.Event()
        self._gateway = gateway
        self._connection = connection
        self._api_key = api_key
        self._exchanges: set[asyncio.Task[None]] = set()

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle the signals within the ``with`` block."""
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._read_again)
        try:
            yield
        finally:
            for number in (*_ENDING, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _end(self) -> None:
        if self.stopped.is_set():
            os._exit(ExitCode.STOPPED)  # asked for twice: what is on disk is whole at any moment
        self.stopped.set()

    def _read_again(self) -> None:
        try:
            client = self._connection.client(api_key=self._api_key)
            self._gateway.check(client)
        except DeepSeekError as error:
            say(f"settings unchanged: {error.message}")
            return
        # At once, although requests under way may need the former client for long: another signal may come meanwhile.
        exchange = asyncio.create_task(self._exchange(client))
        self._exchanges.add(exchange)
        exchange.add_done_callback(self._exchanges.discard)

    async def _exchange(self, client: AsyncDeepSeek) -> None:
        former = self._gateway.client
        try:
            say("settings read again; requests under way end with the former ones")
            await self._gateway.use(client)
        finally:
            await former.aclose()

    async def aclose(self) -> None:
        """Close the clients that were exchanged, once nothing uses them."""
        exchanges = list(self._exchanges)
        for exchange in exchanges:
            exchange.cancel()
        await asyncio.gather(*exchanges, return_exceptions=True)


def _collect_garbage_seldom() -> None:
    """Leave what lives as long as the process out of collections, and have fewer of them.

    A collection with thousands of streams open stops all of them, and reference counts free what requests leave.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTIONS)


def _log_requests() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    ACCESS.setLevel(logging.INFO)
    ACCESS.propagate = False
    ACCESS.addHandler(handler)
