"""aiohttp's errors to ours: every one of them has a counterpart, and none is held by it."""

from __future__ import annotations

import inspect
import ssl
from types import SimpleNamespace
from unittest import mock

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from support.servers import CANARY
from yarl import URL

from deepseek_async import APIConnectionError, APITimeoutError
from deepseek_async.transport.failures import translate

ORIGIN = "https://api.example"
KEY = ConnectionKey("api.example", 443, True, None, None, None, None)
REQUEST = SimpleNamespace(real_url=URL(ORIGIN), headers={"Authorization": f"Bearer {CANARY}"})


def made(kind: type[Exception]) -> Exception:
    """One error of ``kind``, with whatever its constructor asks for."""
    if issubclass(kind, aiohttp.ClientConnectorCertificateError):
        return kind(KEY, ValueError("bad certificate"))
    if issubclass(kind, aiohttp.ClientConnectorError):
        return kind(KEY, OSError(111, "Connection refused"))
    if issubclass(kind, aiohttp.ClientResponseError):
        return kind(REQUEST, (), message=f"odd {CANARY}", headers=REQUEST.headers, status=400)
    if issubclass(kind, aiohttp.ServerFingerprintMismatch):
        return kind(b"a", b"b", "api.example", 443)
    if issubclass(kind, aiohttp.InvalidURL):
        return kind(f"https://x/{CANARY}")
    return kind(f"odd {CANARY}")


EVERY = [kind for _, kind in inspect.getmembers(aiohttp, inspect.isclass) if issubclass(kind, aiohttp.ClientError)]


@pytest.mark.parametrize("kind", [*EVERY, ConnectionResetError, TimeoutError, OSError], ids=lambda kind: kind.__name__)
def test_every_error_of_aiohttp_becomes_one_of_ours_without_the_key(kind: type[Exception]):
    ours = translate(made(kind), ORIGIN)
    assert isinstance(ours, APIConnectionError)
    assert ORIGIN in str(ours)
    assert CANARY not in f"{ours} {vars(ours)}"
    assert ours.__cause__ is None
    assert ours.__context__ is None


@pytest.mark.parametrize(
    ("error", "retryable", "connected"),
    [
        (aiohttp.ClientConnectorCertificateError(KEY, ValueError("x")), False, False),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "x")), False, False),
        (aiohttp.ClientConnectorDNSError(KEY, OSError(1, "x")), True, False),
        (aiohttp.ClientConnectorError(KEY, OSError(111, "x")), True, False),
        (aiohttp.ServerDisconnectedError(), True, True),
        (aiohttp.ClientOSError(104, "x"), True, True),
        (aiohttp.ClientPayloadError("x"), True, True),
    ],
)
def test_what_may_pass_and_what_was_connected(error: Exception, retryable: bool, connected: bool):
    ours = translate(error, ORIGIN)
    assert (ours.retryable, ours.connected) == (retryable, connected)


def test_a_connection_that_takes_too_long_is_a_timeout():
    ours = translate(aiohttp.ConnectionTimeoutError(), ORIGIN)
    assert isinstance(ours, APITimeoutError)
    assert ours.phase == "connect"


def test_what_a_terminal_would_obey_is_not_repeated():
    error = aiohttp.ClientPayloadError("\x1b[31m\r\nred")
    assert str(translate(error, ORIGIN)).isprintable()
    assert str(translate(mock.create_autospec(aiohttp.ClientError, instance=True), ORIGIN))
