"""Which hosts are this machine, and which are named as exempt from proxies. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

_BETWEEN: Final = re.compile(r"[,\s]+")


def is_localhost(host: str) -> bool:
    """Whether ``host`` is the name of this machine that every machine has (RFC 6761, 6.3), also with its last dot."""
    return host.lower().removesuffix(".") == "localhost"


def is_loopback(host: str) -> bool:
    """Whether what is sent to ``host`` stays on this machine."""
    address = _address(host)
    return is_localhost(host) if address is None else address.is_loopback


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
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
