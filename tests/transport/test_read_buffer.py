"""How much one read of a connection without TLS asks for."""

from __future__ import annotations

import asyncio
from typing import Any

from support.servers import ANSWER, Serve

from deepseek_async.transport.handler import READ_BUFFER, StrictHandler


async def test_a_read_does_not_ask_for_memory_that_is_mapped_and_given_back_each_time(serve: Serve):
    server = await serve([ANSWER])
    loop = asyncio.get_running_loop()
    made: Any = await loop.create_connection(lambda: StrictHandler(loop), "127.0.0.1", server.port)
    transport, _ = made
    try:
        assert transport.max_size == READ_BUFFER < 128 * 1024, "glibc maps memory from there on"
    finally:
        transport.abort()
        await server.idle.wait()
