"""A gateway that is killed at random moments: every row of its batch once, and no half of an upload.

``--rounds 30`` for more.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from killing import CountingServer
from killing_gateway import GatewayKilling, kill_gateway_again_and_again
from support.waiting import until


@pytest.mark.timeout(900)
async def test_a_batch_whose_gateway_is_killed_again_and_again_has_each_row_once(
    tmp_path: Path, request: pytest.FixtureRequest
):
    rounds = request.config.getoption("--rounds") or 2
    killing, _ = await kill_gateway_again_and_again(
        tmp_path / "gateway", rounds=rounds, rows=100 * rounds, concurrency=16, seed=11
    )

    # What is promised has been asserted at the end.
    assert killing.batch["request_counts"]["completed"] == 100 * rounds


FIELDS = b'--m\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
FILE = b'--m\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n'
CONTENT = b'{"custom_id": "a"}\n' * 20_000
END = b"\r\n--m--\r\n"
WHOLE = FIELDS + FILE + CONTENT + END
STORED = 5
"""Uploads of each kind that are cut when part of their file has come."""


def unfinished(folder: Path) -> int:
    return len(list(folder.glob("*.part")))


async def begin_upload(url: str, path: str, sent: int) -> asyncio.StreamWriter:
    """Send the first bytes of an upload, and leave the connection open."""
    address = urlsplit(url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    head = f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: multipart/form-data; boundary=m\r\n"
    writer.write(f"{head}Content-Length: {len(WHOLE)}\r\n\r\n".encode() + WHOLE[:sent])
    await writer.drain()
    return writer


async def test_an_upload_that_a_kill_cuts_leaves_nothing_and_one_that_was_answered_stays(
    tmp_path: Path, request: pytest.FixtureRequest
):
    chance = random.Random(7)
    rounds = request.config.getoption("--rounds") or 1
    killing = GatewayKilling(tmp_path / "gateway", rows=0, concurrency=4, chance=chance, rounds=rounds)
    folder = killing.folder / "files"
    answered: set[str] = set()
    async with CountingServer(chance) as server:
        for _ in range(rounds):
            async with killing.served(server) as served:
                files = [len(WHOLE) // 2, len(WHOLE) - len(END), len(WHOLE) - 1]
                files += [chance.randrange(100_000, len(WHOLE)) for _ in range(STORED - len(files))]
                begun = [
                    await begin_upload(served.url, path, sent)
                    for path in ("/v1/files", "/v1/tools/ocr")
                    for sent in (0, 10, len(FIELDS), len(FIELDS + FILE) + 1_000, *files)
                ]
                await until(lambda: unfinished(folder) == 2 * STORED, seconds=60)
                async with aiohttp.ClientSession(served.url) as session:
                    form = {"Content-Type": "multipart/form-data; boundary=m"}
                    async with session.post("/v1/files", data=WHOLE, headers=form) as answer:
                        answered.add((await answer.json())["id"])
                served.process.kill()
                await served.process.wait()
                for writer in begun:
                    writer.transport.abort()
            assert unfinished(folder) == 2 * STORED
        async with killing.served(server) as served, aiohttp.ClientSession(served.url) as session:
            async with session.get("/v1/files") as answer:
                listed = (await answer.json())["data"]
            async with session.get(f"/v1/files/{min(answered)}/content") as answer:
                assert await answer.read() == CONTENT
            left = {path.name for path in folder.iterdir()}

    assert {each["id"] for each in listed} == answered
    assert {each["bytes"] for each in listed} == {len(CONTENT)}
    assert left == answered | {f"{each}.json" for each in answered}
