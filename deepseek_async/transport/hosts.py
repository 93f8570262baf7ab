"""Which hosts can be, which are this machine, and which are named as exempt from proxies. Pure."""

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
    """Whether a resolver can be asked for the host of ``url``. Raises ValueError for what cannot even be read."""
    host, place = URL(url).raw_host or "", urlsplit(url).netloc.rpartition("@")[2]
    if not place.isprintable():
        return False
    if "[" in place:
        return ipaddress.ip_address(host.partition("%")[0]).version == 6
    labels = host.removesuffix(".").split(".")
    if labels[-1].isdigit():
        # Other spellings of an address, such as 127.1, pass by checks of what is read as a name.
        return ipaddress.ip_address(host).version == 4
    # https://https://… is a slip of pasting.
    return len(host) < 255 and host not in {"http", "https"} and all(map(_LABEL.fullmatch, labels))


def is_localhost(host: str) -> bool:
    """Whether ``host`` is the name of this machine that every machine has (RFC 6761, 6.3), also with its last dot."""
    return host.lower().removesuffix(".") == "localhost"


def is_loopback(host: str) -> bool:
    """Whether what is sent to ``host`` stays on this machine."""
    address = _address(host)
    return is_localhost(host) if address is None else address.is_loopback


def is_deepseeks(url: str) -> bool:
    """Whether ``url`` leads to a server of DeepSeek's own, and not to what speaks its language."""
    host = urlsplit(url).hostname or ""
    return host == _DEEPSEEK or host.endswith("." + _DEEPSEEK)


def is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Whether ``no_proxy``, the text of ``NO_PROXY``, names the host.

    As curl and httpx read it: names with all below them (a dot or ``*.`` in front changes nothing), addresses,
    networks such as 10.0.0.0/8, each with or without a port; ``*`` for all.
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
    """The addresses that an entry names, and the port if it names one."""
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
    # ::ffff:127.0.0.1 is 127.0.0.1; not every version of Python says so.
    return getattr(found, "ipv4_mapped", None) or found
