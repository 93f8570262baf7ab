"""Host name classification: resolvable, loopback, exempt from proxies. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from yarl import URL

_DEEPSEEK: Final = "deepseek.com"
_LABEL: Final = re.compile(r"[a-z0-9_-]{1,63}")
_BETWEEN: Final = re.compile(r"[,\s]+")


def can_be_resolved(url: str) -> bool:
    """Whether the host of ``url`` can be resolved. Raises ValueError if the URL cannot be parsed."""
    host, place = URL(url).raw_host or "", urlsplit(url).netloc.rpartition("@")[2]
    if not place.isprintable():
        return False
    if "[" in place:
        return ipaddress.ip_address(host.partition("%")[0]).version == 6
    labels = host.removesuffix(".").split(".")
    if labels[-1].isdigit():
        # Alternative spellings of an address, such as 127.1, would bypass checks of host names.
        return ipaddress.ip_address(host).version == 4
    # https://https://… is a paste error.
    return len(host) < 255 and host not in {"http", "https"} and all(map(_LABEL.fullmatch, labels))


def is_localhost(host: str) -> bool:
    """Whether ``host`` is localhost (RFC 6761, 6.3), with or without the trailing dot."""
    return host.lower().removesuffix(".") == "localhost"


def is_loopback(host: str) -> bool:
    """Whether ``host`` is a loopback address or localhost."""
    address = _address(host)
    return is_localhost(host) if address is None else address.is_loopback


def is_deepseeks(url: str) -> bool:
    """Whether ``url`` is a server of DeepSeek itself, not a compatible one."""
    host = urlsplit(url).hostname or ""
    return host == _DEEPSEEK or host.endswith("." + _DEEPSEEK)


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Whether ``no_proxy``, the value of ``NO_PROXY``, exempts the host.

    Same syntax as curl and httpx: domain names including subdomains (a leading dot or ``*.`` is ignored), addresses,
    networks such as 10.0.0.0/8, each with or without a port; ``*`` matches everything.
    """
    host = host.lower().strip("[]").rstrip(".")
    return any(_names(entry, host, port) for entry in _BETWEEN.split(no_proxy.lower()) if entry)


def _names(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    entry = entry.rpartition("://")[2]
    address = _address(host)
    if address is not None:
        network, only = _network(entry)
        return network is not None and address in network and only in (None, port)
    name, colon, digits = entry.partition(":")
    name = name.removeprefix("*").strip(".")
    return bool(name) and (not colon or digits == str(port)) and (host == name or host.endswith(f".{name}"))


def _network(entry: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network | None, int | None]:
    """Return the addresses that an entry covers, and its port if it has one."""
    bare, port = entry, ""
    if entry.startswith("["):
        bare, _, port = entry[1:].partition("]")
        port = port.removeprefix(":")
    elif entry.count(":") == 1:
        bare, _, port = entry.partition(":")
    try:
        return ipaddress.ip_network(bare, strict=False), int(port) if port else None
    except ValueError:
        return None, None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    # ::ffff:127.0.0.1 is 127.0.0.1; not every version of Python treats it so.
    return getattr(found, "ipv4_mapped", None) or found
