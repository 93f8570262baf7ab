"""Arguments and environment variables to one frozen, checked record. Arguments win over the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from deepseek_async.call.retry import RetryPolicy
from deepseek_async.credential import ApiKey
from deepseek_async.errors import ConfigurationError
from deepseek_async.transport.watchdog import Timeouts

DEFAULT_BASE_URL: Final = "https://api.deepseek.com"
DEFAULT_CONCURRENCY: Final = 100
_LOOPBACK: Final = frozenset({"localhost", "::1"})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a client is made from. Holds no live object, so it can be shown and compared."""

    api_key: ApiKey
    base_url: str
    timeouts: Timeouts
    retry: RetryPolicy
    max_concurrency: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    proxy: str | None
    default_headers: Mapping[str, str]


def settings_from(
    *,
    api_key: str | None,
    base_url: str | None,
    timeout: float | Timeouts | None,
    max_concurrency: int | None,
    requests_per_minute: float | None,
    tokens_per_minute: float | None,
    retry: RetryPolicy | int | None,
    proxy: str | None,
    default_headers: Mapping[str, str] | None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Check the arguments and fill the gaps from the environment.

    Reads ``DEEPSEEK_API_KEY``, ``DEEPSEEK_BASE_URL`` and ``DEEPSEEK_ASYNC_MAX_CONCURRENCY``.
    Raises ConfigurationError, naming the setting, for one that is missing or cannot be used.
    """
    environ = os.environ if environment is None else environment
    secret = api_key if api_key is not None else environ.get("DEEPSEEK_API_KEY")
    if secret is None:
        raise ConfigurationError("no API key: pass api_key= or set DEEPSEEK_API_KEY")
    return Settings(
        api_key=ApiKey(secret),
        base_url=_checked_url("base_url", base_url or environ.get("DEEPSEEK_BASE_URL") or DEFAULT_BASE_URL),
        timeouts=_timeouts(timeout),
        retry=RetryPolicy(max_attempts=retry) if isinstance(retry, int) else retry or RetryPolicy(),
        max_concurrency=_concurrency(max_concurrency, environ),
        requests_per_minute=_above_zero("requests_per_minute", requests_per_minute),
        tokens_per_minute=_above_zero("tokens_per_minute", tokens_per_minute),
        proxy=proxy,
        default_headers=_checked_headers(default_headers or {}),
    )


def _timeouts(timeout: float | Timeouts | None) -> Timeouts:
    if timeout is None:
        return Timeouts()
    return timeout if isinstance(timeout, Timeouts) else Timeouts(total=timeout)


def _concurrency(argument: int | None, environ: Mapping[str, str]) -> int:
    name, value = "max_concurrency", argument
    text = environ.get("DEEPSEEK_ASYNC_MAX_CONCURRENCY")
    if value is None and text:
        name = "DEEPSEEK_ASYNC_MAX_CONCURRENCY"
        try:
            value = int(text)
        except ValueError:
            raise ConfigurationError(f"{name} must be a whole number, not {text!r}") from None
    if value is None:
        return DEFAULT_CONCURRENCY
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{name} must be a whole number of at least 1, not {value!r}")
    return value


def _above_zero(name: str, value: float | None) -> float | None:
    if value is not None and not value > 0:
        raise ConfigurationError(f"{name} must be above 0, not {value!r}; leave it out for no limit")
    return value


def _checked_url(name: str, url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"{name} must be a full URL such as {DEFAULT_BASE_URL}, not {url!r}")
    if parts.username or parts.password:
        raise ConfigurationError(f"{name} must not hold a user name or password; pass the key as api_key")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{name} must end with the path; a query or fragment cannot be kept: {url!r}")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ConfigurationError(
            f"{name} must be https: the key would cross the network in the clear to {parts.hostname}",
        )
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    return host in _LOOPBACK or host.startswith("127.")


def _checked_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if name.lower() == "authorization":
            raise ConfigurationError("default_headers must not hold Authorization; pass the key as api_key")
        if any(character in f"{name}{value}" for character in "\r\n\0"):
            raise ConfigurationError(f"default_headers[{name!r}] holds a line break or NUL")
    return dict(headers)
