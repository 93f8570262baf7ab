"""How far the server is: what the kernel measured as a connection was made, which a busy event loop does not change."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from contextlib import suppress
from typing import Any, Final

_SAMPLES: Final = 8
"""Connections that are asked: one may have lost a packet."""
_LENGTH: Final = 72
_ROUND_TRIP: Final = 68
"""Where ``tcpi_rtt`` is in ``struct tcp_info`` (linux/tcp.h): microseconds."""


class Distance:
    """The shortest round trip of a packet over the first connections, in seconds; None where no kernel tells it."""

    __slots__ = ("_left", "seconds")

    def __init__(self) -> None:
        self.seconds: float | None = None
        self._left = _SAMPLES if sys.platform == "linux" else 0

    def __call__(self) -> float | None:
        """``seconds``."""
        return self.seconds

    def measure(self, transport: asyncio.BaseTransport | None) -> None:
        """A connection was made."""
        if not self._left or transport is None:
            return
        self._left -= 1
        held: Any = transport.get_extra_info("socket")
        with suppress(AttributeError, OSError, TypeError, struct.error):
            told = held.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LENGTH)
            (microseconds,) = struct.unpack_from("=I", told, _ROUND_TRIP)
            if microseconds:
                self.seconds = min(microseconds / 1e6, self.seconds or 1e9)
