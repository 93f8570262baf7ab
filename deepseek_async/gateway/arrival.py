"""How slowly the body of a request may arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from deepseek_async.gateway.replies import GatewayError

PERIOD: Final = 20.0
"""Seconds, each of which brings at least ``LEAST`` bytes. As Apache's mod_reqtimeout: 20 s, and 500 bytes/s."""
LEAST: Final = 10_000


@asynccontextmanager
async def arriving(request: web.BaseRequest) -> AsyncIterator[None]:
    """Read a body in this block. Raises GatewayError (408) once a period brings too little of it.

    A caller that sends a byte a second would otherwise hold a connection, and what it sent so far, for ever.
    """
    content = request.content
    if content.is_eof():
        yield
        return
    loop = asyncio.get_running_loop()
    seen = 0
    try:
        async with asyncio.timeout(None) as limit:
            watch = loop.call_later(PERIOD, lambda: look())  # noqa: PLW0108  it is defined below

            def look() -> None:
                nonlocal seen, watch
                if not content.is_eof() and content.total_bytes - seen < LEAST:
                    limit.reschedule(loop.time())
                    return
                seen = content.total_bytes
                watch = loop.call_later(PERIOD, look)

            try:
                await _invited(request)
                yield
            finally:
                watch.cancel()
    except TimeoutError:
        if not limit.expired():
            raise
        raise GatewayError(
            408,
            f"the body came too slowly: at least {LEAST:,} bytes must come in each {PERIOD:g} s",
            code="request_timeout",
            headers={"Connection": "close"},
        ) from None


async def _invited(request: web.BaseRequest) -> None:
    """Tell a caller that waits for it to send its body (RFC 9110, 10.1.1), as curl does with a large one."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
