"""``client.tools.ocr`` and ``.transcribe``: files go out as they are read, and what was lost is not bought again."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from simulating import Simulate
from support.clients import AT_ONCE, Connect
from support.servers import RESET, Script, Serve, response
from support.waiting import until
from ways import recording

from deepseek_async import APIError, InvalidRequestError, RateLimitError, ToolLimits
from deepseek_async.admission.budget import Budget
from deepseek_async.errors import ConfigurationError
from deepseek_async.events import CallEnded
from deepseek_async.simulator import Fault

RATE = {"CNY": 0.1}
TEXT = "text_recognition"


def as_json(value: Any, status: int = 200) -> Script:
    return [response(json.dumps(value).encode(), status)]


def document(*endings: str) -> dict[str, Any]:
    pages = [{"index": at, "text": f"page {at}", "finish_reason": ending} for at, ending in enumerate(endings)]
    return {"id": "ocr-1", "object": "ocr.result", "page_count": len(pages), "pages": pages, "new": {"a": 1}}


async def test_pages_come_with_their_endings_and_what_nobody_declared(serve: Serve, connect: Connect):
    server = await serve(as_json(document("stop", "length", "stop")))
    read = await connect(server).tools.ocr(("a.pdf", b"%PDF"), purpose=TEXT)

    assert [page.text for page in read] == ["page 0", "page 1", "page 2"]
    assert (read.cut_pages, read.text, read.new) == ([1], "page 0\fpage 1\fpage 2", {"a": 1})
    assert [(fee.kind, fee.count) for fee in read.fees] == [("page", 3)]
    assert (read.fees[0].cny, read.cost) == (pytest.approx(0.0045), None)


async def test_line_breaks_while_a_document_is_read_are_no_answer(simulate: Simulate, connect: Connect):
    server = await simulate(cut_every_page=2, keep_alive_interval=0.001)
    server.script(Fault("queue", seconds=0.01))
    read = await connect(server.base_url).tools.ocr(("a.txt", b"one\ftwo\fthree"), purpose="rich_layout_recognition")

    assert [page.text for page in read] == ["one", "two", "three"]
    assert read.cut_pages == [1]
    assert server.ledger.fees == {"page": 3}


async def test_a_form_has_its_two_fields_and_purpose_comes_first(serve: Serve, connect: Connect):
    server = await serve(as_json(document("stop")))
    await connect(server).tools.ocr(("a.pdf", b"%PDF"), purpose=TEXT)
    body = server.requests[0].body
    assert body.count(b"Content-Disposition") == 2
    assert body.index(b'name="purpose"') < body.index(b'name="file"; filename="a.pdf"')


@pytest.mark.parametrize("kind", ["path", "bytes", "open file"])
async def test_a_large_file_arrives_whole_whatever_it_is_given_as(
    simulate: Simulate, connect: Connect, tmp_path: Path, kind: str
):
    content = os.urandom(3_000_000).replace(b"\f", b"x")
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    server = await simulate()
    client = connect(server.base_url)
    with path.open("rb") as opened:
        given: Any = {"path": path, "bytes": ("a.bin", content), "open file": opened}[kind]
        read = await client.tools.ocr(given, purpose=TEXT)
    assert read.text == f"A page of {len(content)} bytes."


@pytest.mark.parametrize(
    ("lost", "name"),
    [
        ([RESET], "a reset"),
        (as_json({}, 504), "a gateway that gave up"),
        (as_json({"error": {"message": "late"}}), "a late failure"),
        ([response(b"\n\n\n")], "line breaks alone"),
        (as_json({"id": "ocr-1"}), "no pages"),
    ],
)
async def test_a_document_whose_answer_is_lost_is_charged_and_not_sent_again(
    serve: Serve, connect: Connect, lost: Script, name: str
):
    server = await serve(lost, as_json(document("stop")))
    budget = Budget(1.0, path=":memory:")
    client = connect(server, retry=AT_ONCE, budget=budget, currency_rates=RATE)
    with pytest.raises(APIError) as caught:
        await client.tools.ocr(("a.png", b"\x89PNG"), purpose=TEXT)

    assert caught.value.may_exist
    assert len(server.requests) == 1
    assert 1.0 - budget.remaining == pytest.approx(0.00015), "one page"


@pytest.mark.parametrize("status", [429, 503])
async def test_a_service_that_is_busy_is_sent_a_document_again(serve: Serve, connect: Connect, status: int):
    server = await serve(as_json({}, status), as_json(document("stop")))
    assert (await connect(server, retry=AT_ONCE).tools.ocr(("a.pdf", b"%PDF"), purpose=TEXT)).pages
    assert len(server.requests) == 2


async def test_a_fee_in_yuan_alone_is_held_by_a_rate_only(simulate: Simulate, connect: Connect):
    server = await simulate()
    budget = Budget(1.0, path=":memory:")
    with pytest.raises(ConfigurationError, match=r"page.*currency_rates"):
        await connect(server.base_url, budget=budget).tools.ocr(("a.pdf", b"%PDF"), purpose=TEXT)
    assert not server.requests
    read = await connect(server.base_url, budget=budget, currency_rates=RATE).tools.ocr(
        ("a.pdf", b"%PDF\f2"), purpose=TEXT
    )
    assert read.cost == pytest.approx(1.0 - budget.remaining) == pytest.approx(server.ledger.nano_yuan / 1e9 * 0.1)


@pytest.mark.parametrize("purpose", ["user_data", "", None])
async def test_a_purpose_that_recognition_does_not_have_is_not_sent(serve: Serve, connect: Connect, purpose: Any):
    server = await serve()
    with pytest.raises(InvalidRequestError, match="text_recognition or rich_layout_recognition") as caught:
        await connect(server).tools.ocr(b"%PDF", purpose=purpose)
    assert not server.requests
    assert "(DeepSeek docs, " in str(caught.value)


async def test_a_document_that_is_too_large_is_not_read_to_its_end(serve: Serve, connect: Connect, tmp_path: Path):
    server = await serve()
    path = tmp_path / "large.pdf"
    with path.open("wb") as written:
        written.truncate(100 * 2**20 + 1)
    with pytest.raises(InvalidRequestError, match="104,857,600") as caught:
        await connect(server).tools.ocr(path, purpose=TEXT)
    assert not server.requests
    assert "(DeepSeek docs, " in str(caught.value)


@pytest.mark.parametrize(("content", "why"), [(b"", "empty"), (recording(1), "audio file"), (b"OggS", "audio file")])
async def test_what_is_no_document_is_not_sent(serve: Serve, connect: Connect, content: bytes, why: str):
    server = await serve()
    with pytest.raises(InvalidRequestError, match=why) as caught:
        await connect(server).tools.ocr(("a", content), purpose=TEXT)
    assert not server.requests
    assert "(DeepSeek docs, " in str(caught.value)


def _grown(path: Path) -> None:
    with path.open("ab") as written:
        written.write(b"more")


def _shorter(path: Path) -> None:
    os.truncate(path, 700_000)


def _rewritten(path: Path) -> None:
    path.write_bytes(bytes(1_000_000))
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change", [_grown, _shorter, _rewritten, Path.unlink])
async def test_a_file_that_changes_while_it_is_read_is_an_error_and_costs_nothing(
    serve: Serve, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any
):
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF" + bytes(999_996))
    from deepseek_async.resources.standalone import tools

    looked = tools.most_pages

    def most_pages(*arguments: Any) -> int:
        pages = looked(*arguments)
        change(path)
        return pages

    monkeypatch.setattr(tools, "most_pages", most_pages)
    server = await serve(as_json(document("stop")))
    budget = Budget(1.0, path=":memory:")
    with pytest.raises(InvalidRequestError, match=r"changed while it was read|cannot read file .* again"):
        await connect(server, budget=budget, currency_rates=RATE).tools.ocr(path, purpose=TEXT)
    assert budget.remaining == 1.0
    assert not [request for request in server.requests if request.body.endswith(b"--\r\n")]


async def test_words_are_billed_by_the_second_that_was_begun(simulate: Simulate, connect: Connect):
    server = await simulate()
    budget = Budget(1.0, path=":memory:")
    client = connect(server.base_url, budget=budget, currency_rates=RATE)
    heard = await client.tools.transcribe(("a.wav", recording(2.1)))

    assert (heard.text, heard.duration_ms) == ("A recording of 2100 milliseconds.", 2100)
    assert [(fee.kind, fee.count) for fee in heard.fees] == [("audio_seconds", 3)]
    assert server.ledger.fees == {"audio_seconds": 3}
    assert 1.0 - budget.remaining == pytest.approx(server.ledger.nano_yuan / 1e9 * 0.1)


async def test_without_a_duration_the_length_of_the_file_is_charged(serve: Serve, connect: Connect):
    server = await serve(as_json({"text": "hello"}))
    budget = Budget(1.0, path=":memory:")
    await connect(server, budget=budget, currency_rates=RATE).tools.transcribe(("a.wav", recording(4.5)))
    assert 1.0 - budget.remaining == pytest.approx(5 * 0.39 / 3600 * 0.1, rel=1e-4)


def opus(seconds: float, pages: bool = True) -> bytes:
    head = b"OggS\x00\x02" + bytes(22) + b"OpusHead\x01\x01" + struct.pack("<H", 312) + bytes(7)
    last = b"OggS\x00\x04" + struct.pack("<q", round(seconds * 48_000) + 312) + bytes(13)
    return head + (bytes(200) + last if pages else b"")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"ID3 mp3", "16-bit PCM in WAV, or Opus in Ogg"),
        (b"OggS" + bytes(60) + b"\x01vorbis", "16-bit PCM in WAV, or Opus in Ogg"),
        (recording(121), "120 s"),
        (opus(120.5), "120 s"),
        (recording(1, rate=11_025), "got 11,025"),
        (recording(1, channels=3), "3 channels"),
        (recording(1)[:20], "no valid WAV header"),
        (
            b"RIFF" + bytes(4) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 3, 1, 8000, 32000, 4, 32) + b"data",
            "16-bit PCM, got",
        ),
        (bytes(8 * 2**20 + 1), "8,388,608"),
    ],
)
async def test_a_recording_that_is_not_taken_is_not_sent(serve: Serve, connect: Connect, content: bytes, why: str):
    server = await serve()
    if why == "16-bit PCM, got":
        content += struct.pack("<I", 0)
    with pytest.raises(InvalidRequestError, match=why) as caught:
        await connect(server).tools.transcribe(("a", content))
    assert not server.requests
    assert "(DeepSeek docs, " in str(caught.value)


@pytest.mark.parametrize("content", [recording(120), recording(1, rate=48_000, channels=2), opus(119.5), opus(1)])
async def test_a_recording_that_is_taken_is_sent(serve: Serve, connect: Connect, content: bytes):
    server = await serve(as_json({"text": "x", "duration_ms": 1000}))
    assert (await connect(server).tools.transcribe(("a", content))).text == "x"


async def test_fifty_at_a_time_are_sent_and_more_wait(simulate: Simulate, connect: Connect):
    server = await simulate(latency=3600, tools_at_once=4)
    client = connect(server.base_url, tool_limits=ToolLimits(transcriptions_at_once=3))
    asking = [asyncio.ensure_future(client.tools.transcribe(("a.wav", recording(1)))) for _ in range(5)]
    await until(
        lambda: (
            len(server.requests) == 3
            and client._context.caller().account_limiter.limiter("/v1/tools/asr").queue.waiting == 2
        )
    )
    for one in asking:
        one.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_the_simulator_takes_so_many_at_a_time(simulate: Simulate, connect: Connect):
    server = await simulate(tools_at_once=0)
    with pytest.raises(RateLimitError):
        await connect(server.base_url, retry=1).tools.transcribe(("a.wav", recording(1)))


async def test_a_refusal_in_the_middle_of_an_upload_is_told_as_what_it_is(serve: Serve, connect: Connect):
    server = await serve(as_json({"error": {"message": "too slow"}}, 413))
    with pytest.raises(APIError) as caught:
        await connect(server, retry=1).tools.ocr(("a.bin", bytes(2_000_000)), purpose=TEXT)
    assert caught.value.status_code == 413


MEMORY = """
import asyncio, json, sys
from deepseek_async import AsyncDeepSeek

def peak():  # in KiB; what getrusage says begins with what the parent process has used
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])

ANSWER = json.dumps({"pages": [{"index": 0, "text": "x", "finish_reason": "stop"}]}).encode()

async def serve(reader, writer):
    while True:
        await one(await reader.readuntil(b"\\r\\n\\r\\n"), reader, writer)

async def one(head, reader, writer):
    size = int(head.lower().partition(b"content-length: ")[2].partition(b"\\r\\n")[0])
    while size:
        size -= len(await reader.read(min(size, 65536)))
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n%b"
                 % (len(ANSWER), ANSWER))
    await writer.drain()

async def main(small, large):
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with AsyncDeepSeek(api_key="sk-test", base_url=f"http://127.0.0.1:{port}") as client:
        await client.tools.ocr(small, purpose="text_recognition")
        before = peak()
        await client.tools.ocr(large, purpose="text_recognition")
        print(peak() - before)
    server.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_an_upload_of_100_mib_adds_less_than_8_mib_of_memory(tmp_path: Path):
    small, large = tmp_path / "small.pdf", tmp_path / "large.pdf"
    small.write_bytes(b"%PDF" + bytes(1_000_000))
    with large.open("wb") as written:
        written.write(b"%PDF")
        written.truncate(100 * 2**20)
    ran = subprocess.run(
        [sys.executable, "-c", MEMORY, str(small), str(large)], capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) < 8 * 1024


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "timed out", "type": "timeout_error"}, "pages": []},
        {"error": {"message": "timed out"}, **document("stop")},
        {"pages": None},
    ],
    ids=["no pages", "some pages", "null"],
)
async def test_a_document_that_failed_late_is_an_error_and_not_sent_again(serve: Serve, connect: Connect, said: dict):
    server = await serve(as_json(said))
    with pytest.raises(APIError) as caught:
        await connect(server, retry=AT_ONCE).tools.ocr(("a.pdf", b"%PDF"), purpose=TEXT)
    assert caught.value.may_exist
    assert len(server.requests) == 1


@pytest.mark.parametrize("duration", [None, 0, -5, True, "long"], ids=str)
async def test_a_recording_of_which_no_length_is_told_is_paid_as_it_was_sent(
    serve: Serve, connect: Connect, duration: Any
):
    server = await serve(as_json({"text": "Hello", "duration_ms": duration}))
    told: list[Any] = []
    client = connect(server, listeners=[told.append], currency_rates=RATE)
    heard = await client.tools.transcribe(recording(1.5))
    assert [(fee.kind, fee.count) for fee in heard.fees] == [("audio_seconds", 2)]
    assert [each.fees for each in told if isinstance(each, CallEnded)] == [heard.fees]
