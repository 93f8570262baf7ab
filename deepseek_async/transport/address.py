"""Base URL normalisation and validation. Pure."""

from __future__ import annotations

import posixpath
import re
from typing import Final
from urllib.parse import urlsplit

from deepseek_async.errors import ConfigurationError
from deepseek_async.text.redaction import redact
from deepseek_async.transport.hosts import can_be_resolved, is_loopback

DEFAULT_BASE_URL: Final = "https://api.deepseek.com"

_ADDED: Final = re.compile(
    r"/(chat/completions|completions|embeddings|responses|images/generations|user/balance|messages)$"
)
"""Path suffixes that the client appends itself. Excludes ``/models``: Azure serves ``/models/chat/completions``."""

_SLASHES: Final = re.compile(r"(?<!:)//+")
"""Repeated slashes, except in a URL embedded in the path, which some gateways use."""
_DOTS: Final = re.compile(r"/\.\.?(/|$)")


def checked_url(name: str, url: str) -> str:
    """Return ``url`` as a normalised base URL; ``name`` is the setting. Raises ConfigurationError if it is invalid."""
    url = url.strip()
    if "@" in url:
        raise ConfigurationError(f"{name} must not contain a user name or password; pass the key as api_key")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.port != 0 and url.isprintable() and can_be_resolved(url)
    except ValueError:  # non-numeric port, unmatched bracket, or invalid IDNA name
        usable = False
    if not usable:
        raise ConfigurationError(f"{name} must be a full URL such as {DEFAULT_BASE_URL}, got {redact(url)!r}")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{name} must not have a query or fragment, got {redact(url)!r}")
    host = parts.hostname or ""
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(f"{name} must be https: plain HTTP would send the key unencrypted to {host}")
    path = _SLASHES.sub("/", parts.path)
    path = (posixpath.normpath(path) if _DOTS.search(path) else path).rstrip("/")
    base = f"{parts.scheme}://{parts.netloc.lower().removesuffix(':')}"
    if (added := _ADDED.search(path)) is not None:
        raise ConfigurationError(
            f"{name} must not end with {added[0]}, the client appends it; use {redact(base + path[: added.start()])}",
        )
    return base + path


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host and port."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]
