"""The reference server: a DeepSeek that answers from prebuilt bytes, so that the client is what gets measured.

A process of its own, on a core of its own, on loopback only. When ready it prints ``{"port": …, "ca": …}``; when
its standard input closes it stops and prints one more line with what it did.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import answers
import uvloop

UNSENT_LIMIT = 4 << 20
"""Bytes a client may leave unread before its stream pauses: a slow client must not fill the server's memory."""


class Answerer(asyncio.Protocol):
    """One connection. It finds where a request ends and reads no more of it than the path and ``stream``."""

    __slots__ = ("_buffer", "_server", "next_block", "transport", "writable")

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""
        self.next_block = 0
        self.writable = True

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(high=UNSENT_LIMIT)
        self._server.counts["connections"] += 1

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        while data:
            head_size = data.find(b"\r\n\r\n") + 4
            if head_size < 4:
                break
            # The part of "Content-Length: " that every client writes alike.
            at = data.find(b"ength: ", 0, head_size)
            size = head_size + (int(data[at + 7 : data.find(b"\r", at)]) if at > 0 else 0)
            if len(data) < size:
                break
            self._answer(data, head_size, size)
            data = data[size:]
        self._buffer = data

    def _answer(self, data: bytes, head_size: int, size: int) -> None:
        server = self._server
        server.counts["requests"] += 1
        if data.find(b"/chat/completions", 0, data.find(b"\r\n")) < 0:
            self.transport.write(answers.not_found())
        elif data.find(b'"stream":true', head_size, size) > 0 or data.find(b'"stream": true', head_size, size) > 0:
            server.begin_stream(self)
        else:
            self.transport.write(server.plain)


class Server:
    """What there is to answer, and all open streams, moved on by one shared ticker instead of a timer each."""

    def __init__(self, *, chunks: int, events_a_write: int, rate: float, together: bool) -> None:
        self.counts: Counter[str] = Counter()
        self.plain = answers.plain_response()
        self._opening = answers.stream_head() + answers.opening_event()
        self._blocks = answers.finite_blocks(chunks, events_a_write) if chunks else []
        self._before, self._after = answers.stamped_halves()
        self._unpaced: list[Answerer] = []
        self._slots: list[list[Answerer]] = []
        self._begun = 0
        # 61 has no factor in common with the usual numbers of slots: streams spread evenly over them.
        self._stride = 0 if together else 61
        self._slot = 0
        self._worst_tick = 0
        if rate:
            interval = events_a_write / rate
            # 5,000 events a second must leave one by one; slow streams need no such ticker.
            self._tick = 0.0002 if interval <= 1 else 0.005
            self._slots = [[] for _ in range(max(1, round(interval / self._tick)))]
            self._timer = _periodic_timer(self._tick)
            asyncio.get_running_loop().add_reader(self._timer, self._on_tick)

    def begin_stream(self, answerer: Answerer) -> None:
        """Send the first chunk at once; the ticker, or the loop if nothing is paced, sends the rest."""
        answerer.next_block = 0
        answerer.transport.write(self._opening)
        if self._slots:
            self._slots[self._begun * self._stride % len(self._slots)].append(answerer)
            self._begun += 1
            return
        self._unpaced.append(answerer)
        if len(self._unpaced) == 1:
            asyncio.get_running_loop().call_soon(self._next_round)

    def report(self) -> dict[str, float]:
        """What the server did, and how far its ticker ever fell behind, which makes a paced figure doubtful."""
        late = (self._worst_tick - 1) * self._tick if self._worst_tick else 0.0
        return {**self.counts, "worst_tick_ms": round(late * 1000, 3)}

    def _next_round(self) -> None:
        # One block a stream and round, so that no client is served one stream after the other.
        self._unpaced = [answerer for answerer in self._unpaced if self._send_block(answerer)]
        if self._unpaced:
            asyncio.get_running_loop().call_soon(self._next_round)

    def _on_tick(self) -> None:
        passed = int.from_bytes(os.read(self._timer, 8), sys.byteorder)
        if self._begun:
            self._worst_tick = max(self._worst_tick, passed)
        for _ in range(passed):
            slot = self._slots[self._slot]
            self._slot = (self._slot + 1) % len(self._slots)
            if slot:
                slot[:] = [answerer for answerer in slot if self._send_block(answerer)]

    def _send_block(self, answerer: Answerer) -> bool:
        """Write the next block of a stream; whether more will follow."""
        transport = answerer.transport
        if transport.is_closing():
            return False
        if not answerer.writable:
            self.counts["writes put off"] += 1
            return True
        self.counts["writes"] += 1
        if not self._blocks:
            transport.write(b"%b%019d%b" % (self._before, time.monotonic_ns(), self._after))
            return True
        transport.write(self._blocks[answerer.next_block])
        answerer.next_block += 1
        return answerer.next_block < len(self._blocks)


class _TimerSpec(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "first_s", "first_ns")]


def _periodic_timer(seconds: float) -> int:
    """A timerfd: the timers of both event loops are 1 ms apart. (``os.timerfd_create`` is Python 3.13's.)"""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    nanoseconds = round(seconds * 1e9)
    spec = _TimerSpec(0, nanoseconds, 0, nanoseconds)
    if descriptor < 0 or libc.timerfd_settime(descriptor, 0, ctypes.byref(spec), None):
        raise OSError(ctypes.get_errno(), "cannot make a timer")
    return descriptor


async def serve(options: argparse.Namespace) -> None:
    """Serve until standard input closes."""
    loop = asyncio.get_running_loop()
    server = Server(
        chunks=options.chunks,
        events_a_write=options.events_per_write,
        rate=options.rate,
        together=options.together,
    )
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        trusted, context = None, None
        if options.tls:
            # Imported here because it is slow to load and most scenarios do without.
            from certificate import write_authority

            trusted, context = write_authority(Path(folder))
        listener = await loop.create_server(
            lambda: Answerer(server),
            "127.0.0.1",
            0,
            ssl=context,
            backlog=4096,
        )
        port = listener.sockets[0].getsockname()[1]
        print(json.dumps({"port": port, "ca": trusted and str(trusted)}), flush=True)
        closed = asyncio.Event()
        # Nothing is ever written to it, so it can only become readable by being closed.
        loop.add_reader(sys.stdin.fileno(), closed.set)
        await closed.wait()
        listener.close()
        print(json.dumps(server.report()), flush=True)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core", type=int, help="CPU to stay on")
    parser.add_argument("--chunks", type=int, default=200, help="chunks a stream; 0: endless, time-stamped events")
    parser.add_argument("--events-per-write", type=int, default=20)
    parser.add_argument("--rate", type=float, default=0.0, help="events a second and stream; 0: as fast as it goes")
    parser.add_argument("--together", action="store_true", help="write to all streams at the same tick")
    parser.add_argument("--tls", action="store_true", help="TLS 1.3 under a throw-away authority")
    options = parser.parse_args()
    if not options.chunks and not options.rate:
        parser.error("an endless stream needs a --rate")
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    # A stream holds a socket, and the usual soft limit is about 1,000.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(serve(options))


if __name__ == "__main__":
    main()
