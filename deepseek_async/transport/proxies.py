"""Proxy selection: the client's ``proxy`` argument, else environment variables. Pure.

The variables have the same meaning as in curl and in httpx, and so in openai-python.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from deepseek_async.configuration.credential import KnownSecret, Secret
from deepseek_async.errors import ConfigurationError
from deepseek_async.transport.hosts import can_be_resolved, is_exempt, is_loopback

EXEMPTIONS: Final = ("no_proxy", "NO_PROXY")

_SOCKS: Final = frozenset({"socks", "socks4", "socks4a", "socks5", "socks5h"})


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy; its password is masked."""

    url: str
    """URL without user name and password."""
    source: str
    """Where it is configured: ``proxy`` or an environment variable."""
    authorization: Secret | None = None
    """Value of Proxy-Authorization."""

    def __str__(self) -> str:
        return self.url if self.source == "proxy" else f"{self.url} ({self.source})"

    def on_the_way_to(self, origin: str) -> str:
        """Return the name of ``origin`` for error messages."""
        return f"{origin} through proxy {self}"


def proxies_to(servers: Sequence[str], given: str | None, environment: Mapping[str, str]) -> dict[str, Proxy]:
    """Return the proxy of each of ``servers`` that has one. Raises ConfigurationError.

    ``servers`` are base URLs, the client's own first; ``given`` is the client's ``proxy`` argument. It does not apply
    to other servers on this machine; the environment's proxy applies to no server on this machine.
    """
    found = {server: _proxy_to(server, given, environment, own=server == servers[0]) for server in servers}
    return {server: proxy for server, proxy in found.items() if proxy is not None}


def _proxy_to(server: str, given: str | None, environment: Mapping[str, str], *, own: bool) -> Proxy | None:
    if given is not None and (own or not is_loopback(urlsplit(server).hostname or "")):
        return _proxy("proxy", given)
    variable = variable_for(server, environment)
    if variable is None or variable in EXEMPTIONS:
        return None
    text = environment[variable].strip()
    return _proxy(variable, text if "://" in text else f"http://{text}")


def variable_for(server: str, environment: Mapping[str, str]) -> str | None:
    """Return the environment variable that determines how ``server`` is reached; None if there is none.

    ``NO_PROXY`` if it exempts the server. Servers on this machine ignore the environment.
    """
    parts = urlsplit(server)
    host = parts.hostname or ""
    if is_loopback(host):
        return None
    exempts = _set("no_proxy", environment)
    if exempts and is_exempt(host, parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0), environment[exempts]):
        return exempts
    return _set(f"{parts.scheme}_proxy", environment) or _set("all_proxy", environment)


def _set(name: str, environment: Mapping[str, str]) -> str | None:
    """Return ``name`` if the variable is set, else its upper-case form; a variable set to nothing hides the other."""
    for spelling in (name, name.upper()):
        # A CGI server sets HTTP_PROXY from a request header (httpoxy, CVE-2016-5385).
        if spelling in environment and not (spelling == "HTTP_PROXY" and "REQUEST_METHOD" in environment):
            return spelling if environment[spelling].strip() else None
    return None


def _proxy(source: str, text: str) -> Proxy:
    """Parse a proxy URL. It may contain a password, so no error shows it."""
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme in {"http", "https"} and parts.port != 0 and can_be_resolved(text.strip())
    except ValueError:  # non-numeric port or unmatched bracket
        raise _wrong(source) from None
    if parts.scheme in _SOCKS:
        instead = "" if source == "proxy" else "; set HTTPS_PROXY, which overrides ALL_PROXY, to an HTTP proxy"
        raise ConfigurationError(f"{source} {_MUST}; SOCKS proxies are not supported{instead}{_way_out(source)}")
    if not usable:
        raise _wrong(source)
    if "@" in parts.path + parts.query + parts.fragment:
        raise ConfigurationError(
            f"{source} {_MUST}; escape # / and ? in a user name or password as %23, %2F and %3F",
        )
    return Proxy(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", source, _authorization(parts))


_MUST: Final = "must be the full URL of an HTTP proxy, such as http://127.0.0.1:3128"


def _wrong(source: str) -> ConfigurationError:
    return ConfigurationError(f"{source} {_MUST}{_way_out(source)}")


def _way_out(source: str) -> str:
    if source == "proxy":
        return ""
    return "; set NO_PROXY to exempt a server, or trust_env=False to ignore proxy variables"


def _authorization(parts: SplitResult) -> Secret | None:
    if parts.username is None and parts.password is None:
        return None
    password = unquote(parts.password or "")
    said = f"{unquote(parts.username or '')}:{password}"
    encoded = base64.b64encode(said.encode(errors="surrogateescape")).decode("ascii")
    return KnownSecret(f"Basic {encoded}", encoded, password, parts.password or "")
