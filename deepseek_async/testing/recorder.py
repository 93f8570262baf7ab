"""Record and replay below the client: ``AsyncDeepSeek(transport=recording("cassette.jsonl"))``.

Retries, limits, cache and decoding run above it as they do in production. A request is recognized by method, path and
JSON body; headers are neither compared nor stored.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from typing import Final, Literal, get_args

from deepseek_async.configuration.credential import ApiKey
from deepseek_async.errors import APIConnectionError, ConfigurationError
from deepseek_async.files.upload import UploadBody
from deepseek_async.process.worker_threads import FILE_THREADS
from deepseek_async.testing.cassette import RUN, Cassette, CassetteError, Exchange
from deepseek_async.testing.collected_texts import CollectedTexts, collected
from deepseek_async.testing.playback import Playback
from deepseek_async.testing.recorded_request import RecordedRequest, request_of, texts_request, upload_request
from deepseek_async.testing.responses import RecordingResponse, ReplayedResponse
from deepseek_async.testing.scrubbing import Scrubber
from deepseek_async.transport.custom_transport import TransportWrapper
from deepseek_async.transport.header_fields import secrets_in
from deepseek_async.transport.pool import Pool
from deepseek_async.transport.protocol import HTTPRequest, HTTPResponse, MakeTransport, Transport, TransportOptions
from deepseek_async.transport.proxies import Proxy
from deepseek_async.transport.watchdog import Watchdog

RecordMode = Literal["none", "once", "new", "all"]

_LOG: Final = logging.getLogger("deepseek_async")

VARIABLE: Final = "DEEPSEEK_ASYNC_RECORD"
"""Environment variable that decides the mode of every recording, set by ``--deepseek-record``."""


class Recording:
    """A cassette as a transport: call it with TransportOptions, once for each server. See ``recording``."""

    def __init__(self, cassette: Cassette, mode: RecordMode, scrub: Iterable[str], make: MakeTransport) -> None:
        self._cassette = cassette
        self._make = make
        self._scrubber = Scrubber(scrub)
        self._anew = mode == "all"
        run = cassette.run()
        exchanges = [] if self._anew and run != RUN else cassette.read()
        self.records: Final = mode in ("new", "all") or (mode == "once" and run in (None, RUN))
        """Whether a request without a recorded answer is sent. If not, no connection is ever made."""
        self._playback = Playback(cassette.name, exchanges)
        self._failures: list[str] = []

    def __call__(self, options: TransportOptions) -> Transport:
        self._scrubber.learn(secrets_in(options.headers))
        return _RecordedTransport(self, options)

    @property
    def unused(self) -> list[str]:
        """The recorded requests that were not asked, as ``POST /chat/completions (line 3)``."""
        return [f"{exchange.request} (line {exchange.line})" for exchange in self._playback.left]

    def check_used(self) -> None:
        """Raise AssertionError if recorded answers were not used."""
        if unused := self.unused:
            raise AssertionError(f"recorded answers of {self._cassette.name} were not used: {', '.join(unused)}")

    def check_answered(self) -> None:
        """Raise AssertionError if a request had no recorded answer, or an answer could not be recorded.

        For programs that swallow the error of a call.
        """
        if self._failures:
            raise AssertionError(self._failures[0])

    async def _request(self, outgoing: HTTPRequest, texts: CollectedTexts | None) -> RecordedRequest:
        self._scrubber.learn(secrets_in(outgoing.headers or {}))
        method, path, body = outgoing.method, outgoing.path, outgoing.body
        if texts is not None:
            return texts_request(method, path, texts.said, self._scrubber)
        if isinstance(body, UploadBody):
            return await FILE_THREADS.run(upload_request, method, path, body, self._scrubber)
        return request_of(method, path, body, self._scrubber)

    def _find(self, request: RecordedRequest, server: str) -> Exchange | None:
        """Return the recorded exchange; None if the request is to be sent. Raises CassetteError."""
        found = self._playback.take(request, server)
        if found is None:
            if not self.records:
                failure = self._playback.missing(request)
                self._failures.append(failure.message)
                raise failure
            self._cassette.check_writable()  # before anything is paid for
        return found

    def _save(self, exchange: Exchange) -> None:
        try:
            exchange.headers = {name: self._scrubber.text(value) for name, value in exchange.headers.items()}
            exchange.chunks = self._scrubber.chunks(exchange.chunks)
            self._cassette.append(exchange, anew=self._anew)
        except Exception as error:  # noqa: BLE001
            # The answer was paid for: it is given to the program in any case.
            self._failures.append(f"an answer was not recorded: {error}")
            _LOG.exception("an answer was not recorded in %s", self._cassette.name)

    def __repr__(self) -> str:
        return f"<Recording {self._cassette.name}{'' if self.records else ', replayed only'}>"


def recording(
    path: str | os.PathLike[str],
    *,
    mode: RecordMode | None = None,
    scrub: Iterable[str] = (),
    transport: MakeTransport | None = None,
) -> Recording:
    """Return a transport that records exchanges in the file ``path`` and replays them.

    - ``mode``: ``once`` (the default) records if the file does not exist, and else only replays; ``none`` only
      replays; ``new`` replays what is recorded and records the rest; ``all`` records everything again, in a new file.
      What this run of the tests has recorded itself, it replays in every mode.
      The option ``--deepseek-record`` of pytest, and the variable ``DEEPSEEK_ASYNC_RECORD``, override it.
    - ``scrub``: names of JSON fields, at any depth of request and response, whose values are neither stored nor
      compared, for example ``["user_id"]``. API keys and other credentials in headers are never stored.
    - ``transport``: factory of the transport that is recorded; default the client's own.

    Only while it records does it use the network; a client that only replays takes any ``api_key``. Each recorded
    answer is replayed once, by each ``recording``. A request without one raises CassetteError, as does a file that
    cannot be read, or be written before the request is sent; an answer that cannot be written afterwards is given
    all the same, and ``check_answered`` tells. Raises ConfigurationError for an unknown mode.
    """
    chosen = os.environ.get(VARIABLE) or mode or "once"
    for known in get_args(RecordMode):
        if chosen == known:
            return Recording(Cassette(path), known, _names(scrub), transport or _own_transport)
    source = VARIABLE if os.environ.get(VARIABLE) else "mode"
    raise ConfigurationError(f"{source} must be {', '.join(get_args(RecordMode))}, got {chosen!r}")


def _names(scrub: Iterable[str]) -> Iterable[str]:
    if isinstance(scrub, str):
        raise ConfigurationError(f"scrub must be a list of names of fields, got the string {scrub!r}")
    return scrub


def _own_transport(options: TransportOptions) -> Transport:
    """Return the client's own pool of connections."""
    key = options.headers.get("Authorization")
    proxy = None if options.proxy is None else Proxy(options.proxy, "proxy")
    headers = {name: value for name, value in options.headers.items() if name != "Authorization"}
    api_key = None if key is None else ApiKey(key.removeprefix("Bearer "))
    return Pool(options.base_url, api_key, limit=options.connections, proxy=proxy, headers=headers)


class _RecordedTransport(TransportWrapper[Transport | None]):
    """The transport to one server."""

    def __init__(self, owner: Recording, options: TransportOptions) -> None:
        self._owner = owner
        self._options = options
        self._transport: Transport | None = None
        self._closed = False

    async def send(self, outgoing: HTTPRequest, watchdog: Watchdog, *, fresh: bool = False) -> HTTPResponse:
        """See ``Transport.send``."""
        owner = self._owner
        if self._closed:
            raise APIConnectionError("client closed during the call", retryable=False, reason="closed")
        texts = None if outgoing.texts is None else await collected(outgoing.texts)
        request = await owner._request(outgoing, texts)  # noqa: SLF001  its other half
        server = owner._scrubber.text(self._options.base_url)  # noqa: SLF001
        found = owner._find(request, server)  # noqa: SLF001
        if found is not None:
            if isinstance(outgoing.body, UploadBody):
                outgoing.body.progress.now(len(outgoing.body.content), len(outgoing.body.content))
                outgoing.body.progress.whole = True
            await asyncio.sleep(0)  # other tasks run here too when there is a network
            return ReplayedResponse(found, watchdog)
        if texts is not None:
            outgoing = HTTPRequest(outgoing.method, outgoing.path, outgoing.body, outgoing.headers, texts)
        if self._transport is None:
            self._transport = owner._make(self._options)
        response = await self._transport.send(outgoing, watchdog, fresh=fresh)
        return RecordingResponse(response, server, request, owner._save)  # noqa: SLF001

    async def aclose(self) -> None:
        """Close every connection."""
        self._closed = True
        if self._transport is not None:
            await self._transport.aclose()


__all__ = ["CassetteError", "RecordMode", "Recording", "recording"]
