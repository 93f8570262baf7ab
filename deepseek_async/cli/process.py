"""What a command may do to its own process, and a library must not."""

from __future__ import annotations

import asyncio
import logging
import resource
from typing import Final

from deepseek_async.cli.terminal import say

SPARE_DESCRIPTORS: Final = 64
"""Files beside the connections: the standard streams, input, output, lock, the event loop's own."""


class _Warnings(logging.Handler):
    """What the library logs, as lines of the command."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"warning: {record.getMessage()}")


def runner() -> asyncio.Runner:
    """An event loop: uvloop's if it is installed (the extra ``fast``). The library's warnings are shown from now on."""
    log = logging.getLogger("deepseek_async")
    if not any(isinstance(handler, _Warnings) for handler in log.handlers):
        log.addHandler(_Warnings(logging.WARNING))
    try:
        import uvloop  # noqa: PLC0415  optional
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def descriptor_limits() -> tuple[int, int]:
    """How many files this process may open now, and how many it may allow itself."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def allow_connections(number: int) -> None:
    """Raise the limit of open files to what ``number`` connections need, as far as it may be raised."""
    soft, hard = descriptor_limits()
    needed = number + SPARE_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
