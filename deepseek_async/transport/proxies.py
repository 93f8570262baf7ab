"""Which proxy a server is reached through: the client's own, else the one of the environment. Pure.

The variables are read as httpx, and so openai-python, and curl read them.
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
    """An HTTP proxy. Its password does not show itself."""

    url: str
    """Without user name and password."""
    source: str
    """Who named it: ``proxy``, or a variable."""
    authorization: Secret | None = None
    """The value of Proxy-Authorization."""

    def __str__(self) -> str:
        return self.url if self.source == "proxy" else f"{self.url} ({self.source})"

    def on_the_way_to(self, origin: str) -> str:
        """How errors name ``origin``."""
        return f"{origin} through the proxy {self}"


def proxies_to(servers: Sequence[str], given: str | None, environment: Mapping[str, str]) -> dict[str, Proxy]:
    """The proxy to each of ``servers`` that is reached through one. Raises ConfigurationError.

    ``servers`` are base URLs, the client's own first; ``given`` is the proxy that was named for the client. It is not
    for other servers if they are on this machine, and the environment's is for none that is.
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
    """The variable that says how ``server`` is reached; None if none does.

    ``NO_PROXY`` if it exempts the server. Servers on this machine are nobody's to say.
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
    """``name`` if that variable is set, else its upper-case form if that is; one that is set to nothing hides it."""
    for spelling in (name, name.upper()):
        # A CGI server makes HTTP_PROXY from a header that the visitor sends (httpoxy, CVE-2016-5385).
        if spelling in environment and not (spelling == "HTTP_PROXY" and "REQUEST_METHOD" in environment):
            return spelling if environment[spelling].strip() else None
    return None


def _proxy(source: str, text: str) -> Proxy:
    """The proxy that ``text`` names. It may hold a password, so no error shows it."""
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme in {"http", "https"} and parts.port != 0 and can_be_resolved(text.strip())
    except ValueError:  # a port that is no number, a bracket without its pair
        raise _wrong(source) from None
    if parts.scheme in _SOCKS:
        instead = "" if source == "proxy" else "; set HTTPS_PROXY, which wins over ALL_PROXY, to such a one"
        raise ConfigurationError(f"{source} {_MUST}; SOCKS proxies are not supported{instead}{_way_out(source)}")
    if not usable:
        raise _wrong(source)
    if "@" in parts.path + parts.query + parts.fragment:
        raise ConfigurationError(
            f"{source} {_MUST}; # / and ? in a user name or password are written %23, %2F and %3F",
        )
    return Proxy(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", source, _authorization(parts))


_MUST: Final = "must be the full URL of an HTTP proxy, such as http://127.0.0.1:3128"


def _wrong(source: str) -> ConfigurationError:
    return ConfigurationError(f"{source} {_MUST}{_way_out(source)}")


def _way_out(source: str) -> str:
    if source == "proxy":
        return ""
    return "; NO_PROXY exempts a server from it, and trust_env=False the whole client"


def _authorization(parts: SplitResult) -> Secret | None:
    if parts.username is None and parts.password is None:
        return None
    password = unquote(parts.password or "")
    said = f"{unquote(parts.username or '')}:{password}"
    encoded = base64.b64encode(said.encode(errors="surrogateescape")).decode("ascii")
    return KnownSecret(f"Basic {encoded}", encoded, password, parts.password or "")
