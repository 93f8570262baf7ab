"""Delivery of response bytes: order, timing and connection faults.

`plan` is pure: it turns the frames of an answer and a fault into steps. `deliver` executes them.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from deepseek_async.simulator.faults import Fault, FaultKind
from deepseek_async.simulator.wire.corruption import BLANK_LINE, half, rewritten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

COMMENT = b": keep-alive\n\n"
WRITE_BYTES = 16 * 1024
_SLOW_SECONDS = 0.01
FOR_EVER = math.inf


@dataclass(frozen=True, slots=True)
class StreamPause:
    """Flush everything written so far, then wait. Zero seconds only flush."""

    seconds: float


class StreamEnding(Enum):
    """Abnormal end of a connection."""

    RESET = "reset"
    CLOSE = "close"


Step = bytes | StreamPause | StreamEnding
FLUSH = StreamPause(0.0)


@dataclass(frozen=True, slots=True)
class DeliveryTiming:
    """Timing that does not come from a fault."""

    queue_seconds: float = 0.0
    keep_alive_interval: float = 13.0
    token_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Review:
    """A pause before the last frames, during the review of the answer."""

    seconds: float = 0.0
    last: int = 0


NO_REVIEW = Review()


def plan(
    frames: list[bytes], fault: Fault | None, timing: DeliveryTiming, *, stream: bool, review: Review = NO_REVIEW
) -> Iterator[Step]:
    """Return the steps of an answer. Frames are the events of a stream, or slices of a plain body."""
    queued = timing.queue_seconds
    if fault is not None and fault.kind is FaultKind.QUEUE:
        queued = 3 * timing.keep_alive_interval if fault.seconds is None else fault.seconds
    idle = COMMENT if stream else BLANK_LINE
    if queued:
        yield from _keep_alives(idle, timing.keep_alive_interval, queued)
    if fault is not None and fault.kind is not FaultKind.QUEUE:
        yield from _spoiled(frames, fault, timing, idle)
    elif review.seconds:
        yield from _paced(frames[: -review.last], timing)
        yield StreamPause(review.seconds)
        yield from _paced(frames[-review.last :], timing)
    else:
        yield from _paced(frames, timing)


def _paced(frames: list[bytes], timing: DeliveryTiming) -> Iterator[Step]:
    """Yield frames at the pace of tokens; one event is one token."""
    for frame in frames:
        yield frame
        if timing.token_seconds:
            yield StreamPause(timing.token_seconds)


def _keep_alives(idle: bytes, interval: float, seconds: float) -> Iterator[Step]:
    passed = 0.0
    while passed < seconds:
        step = min(interval, seconds - passed)
        yield StreamPause(step)
        passed += step
        yield idle


def _spoiled(frames: list[bytes], fault: Fault, timing: DeliveryTiming, idle: bytes) -> Iterator[Step]:
    first = frames[: fault.after_events]
    rest = frames[fault.after_events :]
    match fault.kind:
        case FaultKind.RESET_AFTER_HEADERS:
            yield FLUSH
            yield StreamEnding.RESET
        case FaultKind.RESET_MID_EVENT | FaultKind.CLOSE_MID_EVENT:
            yield from _paced(first, timing)
            yield half(rest[0] if rest else frames[-1])
            yield FLUSH
            yield StreamEnding.RESET if fault.kind is FaultKind.RESET_MID_EVENT else StreamEnding.CLOSE
        case FaultKind.EOF_BEFORE_FINISH:
            yield from _paced(first[: max(0, len(frames) - 2)], timing)
        case FaultKind.EOF_WITHOUT_DONE:
            yield from _paced(frames[:-1], timing)
        case FaultKind.STALL:
            yield from _paced(first, timing)
            yield StreamPause(FOR_EVER if fault.seconds is None else fault.seconds)
            yield from _paced(rest, timing)
        case FaultKind.KEEP_ALIVES_FOR_EVER:
            yield from _keep_alives(idle, timing.keep_alive_interval, fault.seconds or FOR_EVER)
        case FaultKind.KEEP_ALIVES_AFTER_CONTENT:
            yield from _paced(first, timing)
            yield from _keep_alives(idle, timing.keep_alive_interval, fault.seconds or FOR_EVER)
        case FaultKind.SLOW_CHUNKS:
            pause = StreamPause(_SLOW_SECONDS if fault.seconds is None else fault.seconds)
            for frame in frames:
                yield frame
                yield pause
        case FaultKind.BYTE_BY_BYTE:
            for byte in b"".join(frames):
                yield bytes((byte,))
                yield FLUSH
        case _:
            yield from _paced(rewritten(frames, fault, stream=idle is COMMENT), timing)


def sliced(body: bytes, count: int = 8) -> list[bytes]:
    """Split a plain body into pieces, so that a fault can occur within it."""
    size = max(1, -(-len(body) // count))
    return [body[start : start + size] for start in range(0, len(body), size)]


@dataclass(slots=True)
class Delivery:
    """Progress of a body."""

    size: int = 0  # bytes of the whole body
    written: int = 0
    ended: bool = False  # whether it was sent completely

    @property
    def share(self) -> float:
        return 1.0 if self.ended else min(1.0, self.written / self.size) if self.size else 0.0


async def deliver(
    response: web.StreamResponse,
    steps: Iterator[Step],
    transport: asyncio.Transport | None,
    delivery: Delivery,
) -> None:
    """Write the steps to a prepared response.

    Bytes between two pauses are sent in few large writes. Pauses follow one running deadline, so a
    delayed stream catches up.
    """
    clock = asyncio.get_running_loop().time
    due = clock()
    pending: list[bytes] = []
    size = 0
    for step in steps:
        if isinstance(step, bytes):
            pending.append(step)
            size += len(step)
            if size < WRITE_BYTES:
                continue
        elif isinstance(step, StreamEnding):
            end_connection(transport, step)
            return
        else:
            due += step.seconds
        if pending and (isinstance(step, bytes) or step.seconds == 0 or due > clock()):
            await response.write(b"".join(pending))
            pending.clear()
            delivery.written += size
            size = 0
        if isinstance(step, StreamPause):
            await _until(due, clock())
    if pending:
        await response.write(b"".join(pending))
    await response.write_eof()
    delivery.ended = True


async def _until(due: float, now: float) -> None:
    if due == FOR_EVER:
        await asyncio.get_running_loop().create_future()
    await asyncio.sleep(max(0.0, due - now))


def end_connection(transport: asyncio.Transport | None, ending: StreamEnding) -> None:
    """End the connection; RESET sends an RST instead of a FIN, by a linger time of zero."""
    if transport is None or transport.is_closing():
        return
    if ending is StreamEnding.RESET:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
