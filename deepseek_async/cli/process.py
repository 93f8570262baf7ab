"""Process-wide setup of a command: event loop, logging, file descriptor limit."""

from __future__ import annotations

import asyncio
import logging
import resource
from typing import Final

from deepseek_async.cli.terminal import say

SPARE_DESCRIPTORS: Final = 64
"""Descriptors other than connections: standard streams, input, output, lock, event loop."""


class _Warnings(logging.Handler):
    """Prints the library's log records as warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"warning: {record.getMessage()}")


def runner() -> asyncio.Runner:
    """Create an event loop runner, with uvloop if installed (extra ``fast``), and start printing library warnings."""
    log = logging.getLogger("deepseek_async")
    if not any(isinstance(handler, _Warnings) for handler in log.handlers):
        log.addHandler(_Warnings(logging.WARNING))
    try:
        import uvloop  # noqa: PLC0415  optional
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def descriptor_limits() -> tuple[int, int]:
    """Return the soft and hard limits of open files."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def allow_connections(number: int) -> None:
    """Raise the soft limit of open files for ``number`` connections, as far as the hard limit allows."""
    soft, hard = descriptor_limits()
    needed = number + SPARE_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
