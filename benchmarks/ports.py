"""A port for a server that cannot be told to choose one."""

from __future__ import annotations

import socket


class ReservedPort:
    """A free port of loopback that nobody else is given until ``release``.

    A socket is bound to it and does not listen: the system hands the port out to no one, and a server that sets
    SO_REUSEADDR, as Redis and Prometheus do, can listen on it all the same, also a second time.
    """

    def __init__(self) -> None:
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self.number: int = self._held.getsockname()[1]

    def release(self) -> None:
        self._held.close()
