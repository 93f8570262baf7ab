"""``client.tools.speech``: audio as it comes, over HTTP and over a WebSocket, and nothing cut that passes for whole."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from simulating import Simulate
from support.clients import AT_ONCE, Connect
from support.servers import RESET, Script, Serve, head, response
from support.waiting import until

from deepseek_async import (
    APIError,
    APITimeoutError,
    AuthenticationError,
    BudgetExceededError,
    ConfigurationError,
    ContentBlockedError,
    ContentRiskError,
    InvalidRequestError,
    RateLimitError,
    StreamInterruptedError,
    Timeouts,
    ToolLimits,
)
from deepseek_async.admission.budget import Budget
from deepseek_async.content import ContentFilter
from deepseek_async.events import CallEnded
from deepseek_async.resources.standalone.speech_requests import billed_characters
from deepseek_async.simulator import Fault

RATE = {"CNY": 0.1}
CHARACTER = 1.5 / 10_000 * 0.1
"""US dollars, by that rate."""
AUDIO_OF_A_CHARACTER = 960
"""Bytes, of the simulator."""
WAV = b"RIFF\xff\xff\xff\xffWAVEfmt "


async def read(audio: Any) -> bytes:
    async with audio:
        return b"".join([piece async for piece in audio])


async def collect(audio: Any, got: list[bytes]) -> None:
    got.append(await anext(audio))
    async for piece in audio:
        got += [piece]


async def pieces(*texts: Any) -> AsyncIterator[Any]:
    for text in texts:
        yield text


def chunked(*blocks: bytes, whole: bool) -> Script:
    frames = b"".join(b"%x\r\n%b\r\n" % (len(block), block) for block in blocks)
    start = head(200, "OK", content_type="audio/wav", transfer_encoding="chunked")
    return [start + frames + (b"0\r\n\r\n" if whole else b"")]


def test_a_chinese_character_is_billed_as_two():
    assert [billed_characters(text) for text in ("abc", "天", "天气 ok", "かな", "𠀀")] == [3, 2, 7, 2, 2]


@pytest.mark.parametrize("form", ["wav", "pcm", None])
async def test_audio_comes_piece_by_piece_and_tells_what_it_cost(
    simulate: Simulate, connect: Connect, form: str | None
):
    server = await simulate()
    budget = Budget(1.0, path=":memory:")
    client = connect(server.base_url, budget=budget, currency_rates=RATE)
    audio = await client.tools.speech("Hi 天", format=form)
    sound = await read(audio)

    assert sound.startswith(b"RIFF") == (form != "pcm")
    assert len(sound) == 4 * AUDIO_OF_A_CHARACTER + (0 if form == "pcm" else 44)
    assert [(fee.kind, fee.count) for fee in audio.fees] == [("speech_characters", 5)]
    assert server.ledger.fees == {"speech_characters": 5}
    assert 1.0 - budget.remaining == pytest.approx(5 * CHARACTER) == pytest.approx(server.ledger.nano_yuan / 1e9 * 0.1)


async def test_a_speech_says_what_it_was_asked_and_nothing_else(serve: Serve, connect: Connect):
    server = await serve(chunked(WAV, whole=True), chunked(b"\x01\x00", whole=True))
    client = connect(server)
    await read(await client.tools.speech("Hi"))
    options = {"voice_id": "new", "format": "pcm", "filter_markdown": False, "extra_body": {"speed": 2}}
    await read(await client.tools.speech("Hi", **options))
    assert [json.loads(request.body) for request in server.requests] == [
        {"text": "Hi"},
        {"text": "Hi", "voice_id": "new", "format": "pcm", "filter_markdown": False, "speed": 2},
    ]


@pytest.mark.parametrize(
    ("text", "options", "why"),
    [
        ("", {}, "must be a non-blank string"),
        (" \n", {}, "must be a non-blank string"),
        (None, {}, "must be a non-blank string"),
        ("x" * 10_001, {}, "10,000"),
        ("天" * 5_001, {}, "got 10,002"),
        ("Hi", {"format": "opus"}, "format must be wav or pcm"),
        ("Hi", {"format": "mp3"}, "format must be wav or pcm"),
        ("\x01" * 9_999 + "x", {"extra_body": {"note": "x" * 10_000}}, "65,536 bytes"),
    ],
)
async def test_what_cannot_be_spoken_is_not_sent(
    serve: Serve, connect: Connect, text: Any, options: dict[str, Any], why: str
):
    server = await serve()
    with pytest.raises(InvalidRequestError, match=why) as caught:
        await connect(server).tools.speech(text, **options)
    assert not server.requests
    assert "(DeepSeek docs, " in str(caught.value)


async def test_the_longest_texts_are_sent(serve: Serve, connect: Connect):
    server = await serve(*[chunked(WAV, whole=True)] * 2)
    for text in ("x" * 10_000, "天" * 5_000):
        await read(await connect(server).tools.speech(text))
    assert len(server.requests) == 2


async def test_cut_audio_is_an_error_and_charged(serve: Serve, connect: Connect):
    server = await serve(chunked(WAV, b"12", whole=False))
    budget = Budget(1.0, path=":memory:")
    calls: list[Any] = []
    client = connect(server, budget=budget, currency_rates=RATE, retry=AT_ONCE, listeners=[calls.append])
    audio = await client.tools.speech("Hello")
    got: list[bytes] = []
    with pytest.raises(StreamInterruptedError, match=r"audio interrupted after 18 bytes"):
        await collect(audio, got)

    assert b"".join(got) == WAV + b"12"
    assert len(server.requests) == 1
    assert 1.0 - budget.remaining == pytest.approx(5 * CHARACTER)
    (call,) = [event for event in calls if isinstance(event, CallEnded)]
    assert (call.outcome, [fee.count for fee in call.fees]) == ("stream_interrupted", [5])


async def test_before_its_first_byte_a_speech_is_tried_again(serve: Serve, connect: Connect):
    busy = [response(b"", 503)]
    server = await serve(busy, chunked(whole=False), chunked(WAV, whole=True))
    audio = await connect(server, retry=AT_ONCE).tools.speech("Hello")
    assert await read(audio) == WAV
    assert len(server.requests) == 3
    assert [fee.count for fee in audio.fees] == [10], "the second attempt may have been billed"


@pytest.mark.parametrize("form", ["wav", "pcm"])
async def test_an_error_in_the_place_of_audio_is_an_error(serve: Serve, connect: Connect, form: str):
    server = await serve([response({"error": {"message": "Content Exists Risk", "type": "invalid_request_error"}})])
    with pytest.raises(APIError, match="Content Exists Risk"):
        await read(await connect(server, retry=1).tools.speech("Hello", format=form))


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b"RI"])
async def test_what_is_no_wav_file_is_no_audio(serve: Serve, connect: Connect, body: bytes):
    server = await serve([response(body, content_type="audio/wav")])
    with pytest.raises(APIError):
        await read(await connect(server, retry=1).tools.speech("Hello"))


@pytest.mark.parametrize("kind", ["application/json", "application/problem+json; charset=utf-8", "text/html"])
@pytest.mark.parametrize("form", ["wav", "pcm"])
async def test_what_the_server_calls_a_text_is_no_audio(serve: Serve, connect: Connect, form: str, kind: str):
    said = b'\n{ "type": "error", "error": {"message": "Content Exists Risk"}}'
    server = await serve([response(said, content_type=kind)])
    with pytest.raises(ContentRiskError):
        await read(await connect(server, retry=AT_ONCE).tools.speech("Hello", format=form))
    assert len(server.requests) == 1


async def test_samples_may_begin_as_a_text_does(serve: Serve, connect: Connect):
    server = await serve([response(b"{\n  abc", content_type="audio/pcm")])
    assert await read(await connect(server).tools.speech("Hello", format="pcm")) == b"{\n  abc"


async def test_a_format_in_the_extra_body_is_sent_unchecked(serve: Serve, connect: Connect):
    server = await serve([response(WAV, content_type="audio/wav")])
    await read(await connect(server).tools.speech("Hello", format="wav", extra_body={"format": "mp3"}))
    assert server.requests[0].json()["format"] == "mp3"


async def test_a_wav_header_may_come_byte_by_byte(serve: Serve, connect: Connect):
    server = await serve(chunked(*(WAV[at : at + 1] for at in range(len(WAV))), b"sound", whole=True))
    assert await read(await connect(server).tools.speech("Hello")) == WAV + b"sound"


async def test_whoever_leaves_early_gives_the_place_back_and_is_charged(simulate: Simulate, connect: Connect):
    server = await simulate()
    server.script(Fault("stall", after_events=3))
    budget = Budget(1.0, path=":memory:")
    limits = ToolLimits(speech_at_once=1)
    client = connect(server.base_url, budget=budget, currency_rates=RATE, tool_limits=limits)
    async with await client.tools.speech("Hello") as audio:
        async for _ in audio:
            break
    assert client._context.caller().account_limiter.in_flight == 0
    assert 1.0 - budget.remaining == pytest.approx(5 * CHARACTER)
    await until(lambda: server.ledger.fees == {"speech_characters": 5})


async def test_a_file_appears_once_the_audio_is_whole(serve: Serve, connect: Connect, tmp_path: Path):
    server = await serve(chunked(WAV, whole=False), chunked(WAV, b"sound", whole=True), chunked(WAV, whole=True))
    client, path = connect(server), tmp_path / "a.wav"
    with pytest.raises(StreamInterruptedError):
        await (await client.tools.speech("Hello")).write_to(path)
    assert not any(await asyncio.to_thread(lambda: [*tmp_path.iterdir()]))
    spoken = await (await client.tools.speech("Hello")).write_to(path)
    assert (path.read_bytes(), spoken.audio_bytes, spoken.characters) == (WAV + b"sound", 21, 5)
    with pytest.raises(ConfigurationError):
        await (await client.tools.speech("Hello")).write_to(path)


async def test_a_budget_holds_a_speech_before_it_is_sent(simulate: Simulate, connect: Connect):
    server = await simulate()
    client = connect(server.base_url, budget=Budget(4 * CHARACTER, path=":memory:"), currency_rates=RATE)
    with pytest.raises(BudgetExceededError):
        await client.tools.speech("Hello")
    assert not server.requests


# Over a WebSocket.


async def test_texts_are_spoken_as_they_come(simulate: Simulate, connect: Connect):
    server = await simulate()
    budget = Budget(1.0, path=":memory:")
    client = connect(server.base_url, budget=budget, currency_rates=RATE)
    more = asyncio.Event()

    async def texts() -> AsyncIterator[str]:
        yield "Hello "
        await more.wait()
        yield "天"

    audio = await client.tools.speech(texts(), voice_id="tide", format="opus", filter_markdown=True)
    sound = await anext(audio)
    more.set()
    sound += await read(audio)

    assert len(sound) == 7 * AUDIO_OF_A_CHARACTER
    assert audio.finish == {"event": "finish", "code": "ok"}
    assert [(fee.kind, fee.count) for fee in audio.fees] == [("speech_characters", 8)]
    await until(lambda: server.ledger.fees == {"speech_characters": 8})
    assert 1.0 - budget.remaining == pytest.approx(8 * CHARACTER)
    (record,) = server.requests
    assert (record.path, record.status) == ("/v1/tools/tts", 101)


async def test_silence_of_the_caller_is_not_the_servers(simulate: Simulate, connect: Connect):
    client = connect((await simulate()).base_url)
    more = asyncio.Event()

    async def texts() -> AsyncIterator[str]:
        yield "Hello"
        await more.wait()
        yield "!"

    short = Timeouts(idle=0.05, stall=0.05, headers=5, first_content=5, attempt=60)
    audio = await client.tools.speech(texts(), timeout=short)
    await anext(audio)
    asyncio.get_running_loop().call_later(0.5, more.set)
    assert await read(audio)


async def test_a_socket_that_closes_without_a_finish_is_a_failure(simulate: Simulate, connect: Connect):
    server = await simulate(speech_finishes=False)
    budget = Budget(10.0, path=":memory:")
    client = connect(server.base_url, budget=budget, currency_rates=RATE)
    with pytest.raises(StreamInterruptedError, match="before finish"):
        await read(await client.tools.speech(pieces("Hello")))
    await until(lambda: len(server.ledger) == 1)
    assert 10.0 - budget.remaining >= server.ledger.nano_yuan / 1e9 * 0.1
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("texts", "why"),
    [((), "non-blank text"), (("",), "non-blank text"), ((7,), "must be str"), (("x" * 9_999, "天"), "got 10,001")],
)
async def test_texts_that_cannot_be_spoken_are_an_error(
    simulate: Simulate, connect: Connect, texts: tuple[Any, ...], why: str
):
    with pytest.raises(InvalidRequestError, match=why):
        await read(await connect((await simulate()).base_url).tools.speech(pieces(*texts)))


@pytest.mark.parametrize("form", ["wav", "mp3"])
async def test_a_format_that_sockets_have_not_is_not_sent(serve: Serve, connect: Connect, form: str):
    server = await serve()
    with pytest.raises(InvalidRequestError, match="pcm or opus"):
        await connect(server).tools.speech(pieces("Hi"), format=form)
    assert not server.requests


async def says(*messages: bytes | dict[str, Any]) -> TestServer:
    """A server that takes any text and then says ``messages``."""

    async def spoken(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if "finish_text" in message.data:
                break
        for said in messages:
            await (socket.send_bytes(said) if isinstance(said, bytes) else socket.send_json(said))
        await socket.close()
        return socket

    app = web.Application()
    app.router.add_get("/v1/tools/tts", spoken)
    server = TestServer(app)
    await server.start_server()
    return server


@pytest.mark.parametrize(
    "last",
    [
        {"event": "finish", "code": 500},
        {"event": "finish", "code": "429"},
        {"event": "finish", "code": "a_code", "error": {"message": "too long"}},
        {"event": "error", "message": "too long"},
        {"error": {"message": "too long"}},
    ],
    ids=str,
)
async def test_a_last_message_that_tells_an_error_is_no_finish(connect: Connect, last: dict[str, Any]):
    server = await says(b"abc", last)
    try:
        with pytest.raises(StreamInterruptedError, match="the server ended the speech with an error") as caught:
            await read(await connect(str(server.make_url("/"))).tools.speech(pieces("Hello")))
        assert json.dumps(last)[1:20] in str(caught.value)
    finally:
        await server.close()


@pytest.mark.parametrize("code", [None, 0, 200, "ok", "a_code_of_2027"])
async def test_a_finish_of_any_other_code_is_the_end_and_handed_out(connect: Connect, code: Any):
    last = {"event": "finish", "code": code, "new": [1]}
    server = await says({"event": "an_event_of_2027"}, b"abc", last)
    try:
        audio = await connect(str(server.make_url("/"))).tools.speech(pieces("Hello"))
        assert await read(audio) == b"abc"
        assert audio.finish == last
    finally:
        await server.close()


async def test_a_failure_of_the_texts_ends_the_speech(simulate: Simulate, connect: Connect):
    async def texts() -> AsyncIterator[str]:
        yield "Hello"
        raise ZeroDivisionError

    with pytest.raises(StreamInterruptedError, match="ZeroDivisionError") as caught:
        await read(await connect((await simulate()).base_url).tools.speech(texts()))
    assert "ZeroDivisionError" in repr(caught.value.__cause__)


async def test_a_refused_handshake_is_told_as_what_it_is(simulate: Simulate, connect: Connect):
    server = await simulate(api_keys=frozenset({"sk-another"}))
    with pytest.raises(AuthenticationError):
        await connect(server.base_url).tools.speech(pieces("Hello"))
    busy = await simulate(tools_at_once=0)
    with pytest.raises(RateLimitError):
        await connect(busy.base_url, retry=AT_ONCE).tools.speech(pieces("Hello"))
    assert len(busy.requests) == 3, "no text was asked for, so it is tried again"


async def test_a_secret_in_two_pieces_is_not_spoken(simulate: Simulate, connect: Connect):
    server = await simulate()
    secret = "sk-" + "a1B2" * 8
    client = connect(server.base_url, content_filter=True)
    await read(await client.tools.speech(pieces("The key is ", secret[:9], secret[9:], " indeed")))
    said = "".join(server.requests[0].body)
    assert said == "The key is [api_key] indeed"


async def test_a_blocked_text_ends_the_speech(simulate: Simulate, connect: Connect):
    server = await simulate()
    calls: list[Any] = []
    client = connect(server.base_url, content_filter=ContentFilter(secrets="block"), listeners=[calls.append])
    with pytest.raises(ContentBlockedError) as caught:
        await read(await client.tools.speech(pieces("The key is sk-" + "a1B2" * 8)))
    assert caught.value.direction == "input"
    assert [event.outcome for event in calls if isinstance(event, CallEnded)] == ["content_blocked"]


async def test_a_server_that_falls_silent_is_given_up(serve: Serve, connect: Connect):
    server = await serve([RESET])
    with pytest.raises(APIError):
        await connect(server, retry=1).tools.speech(pieces("Hello"))
    slow = Timeouts(idle=0.05, headers=0.05, stall=0.05, first_content=0.05, connect=0.05, attempt=0.05)
    stalled = await serve([])
    with pytest.raises(APITimeoutError):
        await connect(stalled, retry=1).tools.speech(pieces("Hello"), timeout=slow)


MEMORY = """
import asyncio
from deepseek_async import AsyncDeepSeek

def peak():  # in KiB; what getrusage says begins with what the parent process has used
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])

BLOCK = bytes(64 * 1024)
BYTES_OF_TEN_MINUTES = 600 * 24_000 * 2

async def serve(reader, writer):
    while head := await reader.readuntil(b"\\r\\n\\r\\n"):
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\\r\\n")[0])
        blocks = 1 if size < 100 else BYTES_OF_TEN_MINUTES // len(BLOCK)
        await reader.readexactly(size)
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: audio/pcm\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n")
        for _ in range(blocks):
            writer.write(b"%x\\r\\n%b\\r\\n" % (len(BLOCK), BLOCK))
            await writer.drain()
        writer.write(b"0\\r\\n\\r\\n")

async def listen(client, text):
    size = 0
    async with await client.tools.speech(text, format="pcm") as audio:
        async for piece in audio:
            size += len(piece)
    return size

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with AsyncDeepSeek(api_key="sk-test", base_url=f"http://127.0.0.1:{port}") as client:
        await listen(client, "x")
        before = peak()
        assert await listen(client, "x" * 9_000) > 28_000_000
        print(peak() - before)
    server.close()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_ten_minutes_of_audio_add_less_than_8_mib_of_memory():
    ran = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 8 * 1024
