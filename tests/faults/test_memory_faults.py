"""Rows S10 and S11 of the fault matrix: whatever a server sends, a call takes no more memory than its limits.

Each call is made by a process of its own, because memory that a process has given back is not seen again.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.disclosure import SECRET
from support.servers import (
    ANSWER,
    CANARY,
    LAST_CHUNK,
    OPENING,
    SILENCE,
    STREAM_HEAD,
    Drip,
    Script,
    ScriptedServer,
    Serve,
    begun,
    ending,
    head,
    http_chunk,
    said,
    streamed,
)

from deepseek_async.codec.size_limits import MAX_BODY_BYTES, MAX_EVENT_BYTES

PROGRAM = Path(__file__).with_name("memory_of_a_call.py")
MB = 1_000_000
KB_OF_SLACK = 32 * 1024
"""Growth beyond the limit itself."""

BLOCK = 250_000
CHUNKED = head(content_type="application/json", transfer_encoding="chunked")


def repeated(piece: bytes, size: int) -> Drip:
    """As many HTTP chunks of ``piece`` as make ``size`` bytes."""
    return Drip(http_chunk(piece), pause=0, times=size // len(piece))


async def told_by_a_process(server: ScriptedServer, *, stream: bool) -> dict[str, Any]:
    """What ``memory_of_a_call`` tells of a call to ``server``."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        PROGRAM,
        server.url,
        "stream" if stream else "plain",
        env={"DEEPSEEK_API_KEY": CANARY},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert SECRET.encode() not in output + complaints
    assert process.returncode == 0, complaints.decode()
    told: dict[str, Any] = json.loads(output)
    return told


async def test_s10_a_line_of_20_mb_meets_the_limit_of_an_event(serve: Serve):
    line = [begun(OPENING) + http_chunk(b'data: {"'), repeated(b"x" * BLOCK, 20 * MB), SILENCE]
    server = await serve(streamed("Hello"), line)
    told = await told_by_a_process(server, stream=True)
    assert told["kinds"][0] == "APIResponseValidationError"
    assert "exceeds" in told["said"]
    assert told["grown"] < MAX_EVENT_BYTES // 1024 + KB_OF_SLACK


# Bodies of 300 MB, and what each is made of.
ENDLESS: dict[str, tuple[bool, Script]] = {
    "one JSON string": (False, [CHUNKED + http_chunk(b'{"choices": "'), repeated(b"x" * BLOCK, 300 * MB), SILENCE]),
    "blank lines": (False, [CHUNKED, repeated(b"\n" * BLOCK, 300 * MB), SILENCE]),
    "comments": (True, [begun(OPENING), repeated(b": " + b"keep-alive " * 20_000 + b"\n", 300 * MB), SILENCE]),
    "content": (True, [begun(OPENING), repeated(said("x" * 100_000), 300 * MB), SILENCE]),
    "endings": (True, [begun(OPENING), repeated(ending() * 1_000, 300 * MB), SILENCE]),
    "no events": (True, [STREAM_HEAD, repeated(b"<p>" + b"x" * BLOCK + b"\n", 300 * MB), SILENCE]),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_s10_a_body_of_300_mb_meets_the_limit_of_a_body(serve: Serve, kind: str):
    stream, script = ENDLESS[kind]
    server = await serve(streamed("Hello") if stream else [ANSWER], script)
    told = await told_by_a_process(server, stream=stream)
    assert "APIResponseValidationError" in told["kinds"]
    assert "exceeds" in told["said"]
    assert told["grown"] < MAX_BODY_BYTES // 1024 + KB_OF_SLACK


def compressed(size: int, *, before: bytes = b"") -> Iterator[bytes]:
    """A gzip member of ``before`` and ``size`` zeros, in pieces."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    yield packer.compress(before)
    for _ in range(size // BLOCK):
        yield packer.compress(b"0" * BLOCK)
    yield packer.flush()


GZIP = head(content_type="application/json", content_encoding="gzip", transfer_encoding="chunked")


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "in pieces"])
async def test_s11_a_gzip_bomb_of_200_mb_is_stopped_by_what_it_grows_to(serve: Serve, stream: bool, apart: bool):
    bomb = list(compressed(200 * MB, before=b"data: " if stream else b'{"choices": ['))
    body = [http_chunk(piece) for piece in bomb if piece] if apart else [http_chunk(b"".join(bomb))]
    assert sum(map(len, body)) < MB
    server = await serve(streamed("Hello") if stream else [ANSWER], [GZIP, *body, LAST_CHUNK])
    told = await told_by_a_process(server, stream=stream)
    assert told["kinds"][0] in {"APIResponseValidationError", "APIConnectionError"}
    limit = MAX_EVENT_BYTES if stream else MAX_BODY_BYTES
    assert told["grown"] < limit // 1024 + KB_OF_SLACK


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_s11_what_follows_the_end_of_a_gzip_body_is_not_gathered(serve: Serve, stream: bool):
    member = gzip.compress(OPENING if stream else b"   ")
    endless = [GZIP + http_chunk(member), repeated(b"x" * BLOCK, 300 * MB), SILENCE]
    server = await serve(streamed("Hello") if stream else [ANSWER], endless)
    told = await told_by_a_process(server, stream=stream)
    assert told["kinds"][0] in {"APIResponseValidationError", "APIConnectionError"}
    assert told["grown"] < KB_OF_SLACK
