"""How far the server is, as the kernel says."""

from __future__ import annotations

import socket
import struct
import sys

import pytest

from deepseek_async.transport.distance import Distance


class Transport:
    """A transport over a socket that tells this round trip, in microseconds."""

    def __init__(self, microseconds: int | None) -> None:
        self.microseconds = microseconds

    def get_extra_info(self, name: str) -> object:
        return self if name == "socket" and self.microseconds is not None else None

    def getsockopt(self, level: int, option: int, length: int) -> bytes:
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        return bytes(68) + struct.pack("=I", self.microseconds or 0)[: length - 68]


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only this kernel tells it so")


@linux_only
def test_the_shortest_of_the_first_connections_counts() -> None:
    distance = Distance()
    for microseconds in (40_000, 12_000, 90_000):
        distance.measure(Transport(microseconds))  # type: ignore[arg-type]
    assert distance() == pytest.approx(0.012)


@linux_only
@pytest.mark.parametrize("microseconds", [None, 0], ids=["no socket", "not measured"])
def test_what_is_not_told_is_not_known(microseconds: int | None) -> None:
    distance = Distance()
    distance.measure(Transport(microseconds))  # type: ignore[arg-type]
    assert distance() is None


@linux_only
def test_a_connection_on_this_machine_is_less_than_a_hundredth_of_a_second_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as near:

        class Over:
            def get_extra_info(self, _: str) -> socket.socket:
                return near

        distance = Distance()
        distance.measure(Over())  # type: ignore[arg-type]
        seconds = distance()
    assert seconds is not None
    assert 0 < seconds < 0.01
