"""Network round-trip time, measured by the kernel during the TCP handshake and so independent of event-loop load."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from contextlib import suppress
from typing import Any, Final

_SAMPLES: Final = 8
"""Connections to sample: a single one may have lost a packet."""
_LENGTH: Final = 72
_ROUND_TRIP: Final = 68
"""Offset of ``tcpi_rtt`` (microseconds) in ``struct tcp_info`` (linux/tcp.h)."""


class Distance:
    """Minimum round-trip time over the first connections, in seconds; None if the kernel does not report it."""

    __slots__ = ("_left", "seconds")

    def __init__(self) -> None:
        self.seconds: float | None = None
        self._left = _SAMPLES if sys.platform == "linux" else 0

    def __call__(self) -> float | None:
        """``seconds``."""
        return self.seconds

    def measure(self, transport: asyncio.BaseTransport | None) -> None:
        """Sample a new connection."""
        if not self._left or transport is None:
            return
        self._left -= 1
        held: Any = transport.get_extra_info("socket")
        with suppress(AttributeError, OSError, TypeError, struct.error):
            told = held.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LENGTH)
            (microseconds,) = struct.unpack_from("=I", told, _ROUND_TRIP)
            if microseconds:
                self.seconds = min(microseconds / 1e6, self.seconds or 1e9)
