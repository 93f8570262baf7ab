"""Forms with files: what is refused, who pays, and what is left of one that breaks off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from gateways import Gated, StartGateway
from support.clients import Connect
from support.waiting import until

DOCUMENT = b"%PDF one\ftwo"
MARK = "between"
PATHS = ("/v1/files", "/v1/tools/ocr")


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    named = f'; filename="{filename}"' if filename else ""
    head = f'--{MARK}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + content + b"\r\n"


PURPOSE, FILE, END = part("purpose", b"text_recognition"), part("file", DOCUMENT, "a.pdf"), f"--{MARK}--\r\n".encode()


async def sent(gated: Gated, path: str, body: bytes) -> tuple[int, Any]:
    return await gated.ask("POST", path, data=body, headers={"Content-Type": f"multipart/form-data; boundary={MARK}"})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (PURPOSE + FILE, "ended early"),
        (PURPOSE + FILE[:-6], "ended early"),
        (PURPOSE + FILE + FILE + END, "one file"),
        (b"".join(part(f"field-{n}", b"x") for n in range(40)) + FILE + END, "at most 32 fields"),
        (part("purpose", b"x" * 2_000) + FILE + END, "at most 1024 bytes"),
        (PURPOSE + END, "file is required"),
        (part("_charset_", b"x" * 40) + FILE + END, "cannot read the form"),
        (f"--{MARK}\r\nContent-Disposition: {'x' * 20_000}\r\n\r\n".encode() + END, "cannot read the form"),
        (b"nothing of a form", "cannot read the form"),
        (b"", "cannot read the form"),
    ],
)
async def test_a_form_that_is_no_whole_upload_is_refused_and_leaves_nothing(
    gated: Gated, path: str, body: bytes, said: str
):
    status, answer = await sent(gated, path, body)

    assert (status, said in answer["error"]["message"]) == (400, True), answer
    assert list((gated.folder / "files").iterdir()) == []
    assert gated.simulator.statistics().requests == 0


@pytest.mark.parametrize("path", PATHS)
async def test_a_caller_that_leaves_during_its_upload_leaves_nothing(gated: Gated, path: str):
    host, port = gated.gateway.url.removeprefix("http://").rsplit(":", 1)
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: multipart/form-data; boundary={MARK}\r\n"
    writer.write(f"{head}Content-Length: 1000000\r\n\r\n".encode() + PURPOSE + FILE[:-2] + b"x" * 200_000)
    folder = gated.folder / "files"
    await until(lambda: any(folder.iterdir()))
    writer.transport.abort()

    await until(lambda: not any(folder.iterdir()))
    assert (await gated.ask("GET", "/v1/files"))[1]["data"] == []
    assert gated.simulator.statistics().requests == 0


async def test_a_form_that_comes_in_small_pieces_is_read(gated: Gated):
    async def pieces() -> AsyncIterator[bytes]:
        body = part("purpose", b"batch") + part("file", b"{}\n", "in.jsonl") + END
        for at in range(0, len(body), 7):
            yield body[at : at + 7]
            await asyncio.sleep(0)

    headers = {"Content-Type": f"multipart/form-data; boundary={MARK}"}
    status, answer = await gated.ask("POST", "/v1/files", data=pieces(), headers=headers)

    assert (status, answer["bytes"], answer["purpose"]) == (200, 3, "batch")


@pytest.mark.parametrize("path", PATHS)
async def test_a_document_is_billed_to_who_uploads_it(gateway: StartGateway, path: str):
    gated = await gateway(keys={"rich": {"daily": 5.0}, "poor": {"daily": 0.0000001}})
    codes = {}
    for name, key in gated.keys.items():
        form = aiohttp.FormData({"purpose": "text_recognition"})
        form.add_field("file", DOCUMENT, filename="a.pdf")
        codes[name] = (await gated.ask("POST", path, key=key, data=form))[0]

    assert codes == {"rich": 200, "poor": 429}
    assert gated.simulator.statistics().requests == 1
    (row,) = gated.gateway._activity.shown("rich")["spent"]
    assert row["cost"] > 0


async def test_an_upload_under_way_ends_with_the_former_settings(gateway: StartGateway, connect: Connect):
    gated = await gateway(keys={"team-a": {}}, latency=0.3)
    form = aiohttp.FormData({"purpose": "text_recognition"})
    form.add_field("file", DOCUMENT, filename="a.pdf")
    uploading = asyncio.create_task(gated.ask("POST", "/v1/files", key=gated.keys["team-a"], data=form))
    await gated.simulator.until(lambda now: now.requests == 1)

    await (await gated.gateway.use(connect(gated.simulator.base_url))).aclose()

    assert (await uploading)[0] == 200
