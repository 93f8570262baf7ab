"""A cassette records what the service answers and replays it without a network."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.clients import AT_ONCE
from support.servers import Serve, response

from deepseek_async import AsyncDeepSeek, Budget, ConfigurationError, StreamInterruptedError
from deepseek_async.simulator import Fault, Simulator, SimulatorSettings
from deepseek_async.testing import CassetteError, Recording, recording
from deepseek_async.testing.cassette import Cassette
from deepseek_async.transport.conformance import CHECKS
from deepseek_async.transport.protocol import HTTPRequest, TransportOptions
from deepseek_async.transport.timeouts import Timeouts
from deepseek_async.transport.watchdog import Watchdog

NOWHERE = "http://127.0.0.1:9"
OPTIONS = TransportOptions(base_url=NOWHERE, headers={}, connections=1)
KEY = "sk-recorded-Zq7/+x=0123456789"
WHERE = [{"role": "user", "content": "Where is my order?"}]


def client_of(url: str, tape: Recording, *, key: str = KEY, **options: Any) -> AsyncDeepSeek:
    return AsyncDeepSeek(**{"api_key": key, "base_url": url, "transport": tape, "retry": 1, **options})


async def ask(client: AsyncDeepSeek, text: str = "Where is my order?", **parameters: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return await client.chat.completions.create(model="deepseek-flash", messages=messages, **parameters)


async def said(url: str, tape: Recording, *texts: str, **parameters: Any) -> list[str]:
    async with client_of(url, tape) as client:
        return [(await ask(client, text, **parameters)).choices[0].message.content for text in texts]


@pytest.fixture
async def simulator() -> Any:
    async with Simulator(SimulatorSettings(seed=7)) as started:
        yield started


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "tape.jsonl"


def watchdog() -> Watchdog:
    return Watchdog(Timeouts(), asyncio.get_running_loop())


def mode_of(path: Path) -> int | None:
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else None


def text_of(path: Path) -> str:
    return path.read_text()


def exchanges(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


@pytest.fixture
def another_run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets what follows be a later run of the tests."""

    def begin(name: str = "later") -> None:
        for module in ("cassette", "recorder"):
            monkeypatch.setattr(f"deepseek_async.testing.{module}.RUN", name)

    return begin


async def test_what_was_recorded_is_replayed_without_a_network(simulator: Simulator, path: Path, another_run: Any):
    recorded = await said(simulator.base_url, recording(path), "One?", "Two?")
    another_run()
    tape = recording(path)

    assert await said(NOWHERE, tape, "Two?", "One?") == recorded[::-1]
    assert tape.records is False
    assert simulator.statistics().requests == 2
    assert mode_of(path) == 0o600


PIECES = [
    b": keep-alive\n\n",
    b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"G"}}]}\n\n: keep-alive\n\n',
    b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"\xc3',
    b'\xbc"}}]}\n\n',
    b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"n"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
]


class InPieces:
    """A transport whose only answer comes in ``PIECES``."""

    def __init__(self, _: Any) -> None:
        self.status, self.headers = 200, {"Content-Type": "text/event-stream"}
        self.left = [*PIECES, b""]

    async def send(self, outgoing: Any, watchdog: Any, *, fresh: bool = False) -> Any:
        return self

    async def read_available(self) -> bytes:
        return self.left.pop(0)

    def release(self) -> None: ...

    close = release

    async def aclose(self) -> None: ...


async def test_a_stream_is_replayed_in_the_pieces_in_which_it_came(path: Path, another_run: Any):
    read: list[list[bytes]] = []
    for tape in (recording(path, transport=InPieces), None):
        if tape is None:
            another_run()
        sent = await (tape or recording(path))(OPTIONS).send(HTTPRequest("POST", "/x", b"{}"), watchdog())
        read.append([])
        while block := await sent.read_available():
            read[-1].append(block)
        sent.release()
    assert read == [PIECES, PIECES]

    async with client_of(NOWHERE, recording(path, mode="new", transport=InPieces)) as client:  # noqa: SIM117
        async with await ask(client, stream=True) as stream:
            assert "".join([chunk.choices[0].delta.content async for chunk in stream]) == "Gün"


async def test_equal_requests_get_their_answers_in_order(simulator: Simulator, path: Path, another_run: Any):
    for text in ("first", "second"):
        simulator.answer(content=text)
    async with client_of(simulator.base_url, recording(path, mode="all")) as client:
        recorded = [(await ask(client)).choices[0].message.content for _ in range(2)]
    another_run()

    assert recorded == ["first", "second"]
    assert await said(NOWHERE, recording(path), *["Where is my order?"] * 2) == recorded


async def test_members_of_an_object_may_come_in_any_order(simulator: Simulator, path: Path, another_run: Any):
    recorded = await said(simulator.base_url, recording(path), "Hi", temperature=0, top_p=1)
    another_run()
    assert await said(NOWHERE, recording(path), "Hi", top_p=1, temperature=0) == recorded


async def test_a_request_without_an_answer_is_told_with_the_nearest_one(
    simulator: Simulator, path: Path, another_run: Any
):
    await said(simulator.base_url, recording(path), "Where is my order?", "Who are you?")
    another_run()
    asked = "Where is my refund?"
    message = (
        f"no recorded answer in {path} fits POST /chat/completions: the nearest, line 2, differs first in "
        'messages[0].content: recorded "Where is my order?", asked "Where is my refund?"; record it with '
        "--deepseek-record=new, or all of the file again with --deepseek-record=all"
    )
    with pytest.raises(CassetteError, match=re.escape(message)):
        await said(NOWHERE, recording(path), asked)
    with pytest.raises(CassetteError, match=r"sent more often than it is recorded in .* \(line 3\)"):
        await said(NOWHERE, recording(path), "Who are you?", "Who are you?")


async def test_a_miss_is_neither_retried_nor_sent_to_a_fallback(path: Path):
    tape = recording(path, mode="none")
    async with client_of(NOWHERE, tape, retry=AT_ONCE, fallback_models=["deepseek-v4-pro"]) as client:
        with pytest.raises(CassetteError, match=r"no recorded answer for POST /chat/completions: .* is empty"):
            await ask(client)
    assert mode_of(path) is None


async def test_new_requests_are_added_and_all_are_recorded_again(simulator: Simulator, path: Path, another_run: Any):
    await said(simulator.base_url, recording(path), "One?")
    another_run()
    await said(simulator.base_url, recording(path, mode="new"), "One?", "Two?")
    assert simulator.statistics().requests == 2
    assert [one["request"]["body"]["messages"][0]["content"] for one in exchanges(path)] == ["One?", "Two?"]

    another_run("last")
    await said(simulator.base_url, recording(path, mode="all"), "Two?", "Three?")
    assert [one["request"]["body"]["messages"][0]["content"] for one in exchanges(path)] == ["Two?", "Three?"]


async def test_the_environment_decides_the_mode(simulator: Simulator, path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEEPSEEK_ASYNC_RECORD", "none")
    with pytest.raises(CassetteError):
        await said(simulator.base_url, recording(path, mode="all"), "One?")
    monkeypatch.setenv("DEEPSEEK_ASYNC_RECORD", "some")
    with pytest.raises(ConfigurationError, match="DEEPSEEK_ASYNC_RECORD must be none, once, new, all, got 'some'"):
        recording(path)


def encodings(key: str) -> list[str]:
    """The key as it is, and as a server may write it."""
    found = [key, quote(key, safe=""), json.dumps(key).replace("/", "\\/"), key.replace("/", "\\u002f")]
    return found + [base64.b64encode(before + key.encode() + b":").decode() for before in (b"", b"a", b"ab")]


async def test_a_key_is_never_in_the_file(serve: Serve, path: Path):
    said = " ".join(encodings(KEY)).replace('"', "'")
    body = json.dumps({"id": "1", "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": said}}]})
    server = await serve([response(body.encode(), x_echo=f"Bearer {KEY}", set_cookie="id=secret")])
    async with client_of(server.url, recording(path)) as client:
        await ask(client, f"My key is {KEY}", extra_headers={"X-Api-Key": "another-secret"})
    text = text_of(path)
    (exchange,) = exchanges(path)

    for encoded in encodings(KEY):
        assert encoded[4:-6] not in text
    assert not {"Set-Cookie", "set-cookie", "authorization"} & exchange["response"]["headers"].keys()
    assert exchange["response"]["headers"]["x-echo"] == "scrubbed"
    assert "secret" not in text
    assert exchange["request"]["body"]["messages"][0]["content"] == "My key is scrubbed"


async def test_named_fields_are_neither_stored_nor_compared(simulator: Simulator, path: Path, another_run: Any):
    arguments = '{"email": "a@example.org", "kept": 1}'
    simulator.answer(tool_calls=[{"name": "mail", "arguments": arguments}], usage={"prompt_tokens": 77})
    tool = {"type": "function", "function": {"name": "mail", "parameters": {"type": "object", "properties": {}}}}
    scrub = ["user_id", "email", "prompt_tokens", "prompt_cache_miss_tokens"]
    async with client_of(simulator.base_url, recording(path, scrub=scrub)) as client:
        await ask(client, tools=[tool], user_id="alice")
    another_run()
    assert not {"alice", "example.org", "77"} & set(re.findall(r"\w+(?:\.\w+)?", text_of(path)))
    async with client_of(NOWHERE, recording(path, scrub=scrub)) as client:
        answer = await ask(client, tools=[tool], user_id="bob")
    (call,) = answer.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"email": "scrubbed", "kept": 1}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.strip("_"))
async def test_a_recorded_transport_is_a_transport(path: Path, check: Any):
    await check(recording(path, mode="all"))


async def test_a_stream_that_its_reader_left_is_replayed_so_far(path: Path, another_run: Any):
    for tape, read_on in ((recording(path, transport=InPieces), False), (None, False), (None, True)):
        if tape is None:
            another_run()
        async with client_of(NOWHERE, tape or recording(path)) as client:  # noqa: SIM117
            async with await ask(client, stream=True) as stream:
                first = await anext(stream)
                assert first.choices[0].delta.content == "G"
                if read_on:
                    with pytest.raises(StreamInterruptedError, match="ends where its reader left it") as caught:
                        await anext(stream)
                    assert caught.value.text == "G"
    assert exchanges(path)[0]["response"]["ending"] == "left"


async def test_refusals_and_broken_answers_are_replayed(simulator: Simulator, path: Path, another_run: Any):
    simulator.answer(status=429, content="slow down")
    simulator.script(Fault("reset_mid_event"))
    async with client_of(simulator.base_url, recording(path), retry=AT_ONCE) as client:
        recorded = (await ask(client)).choices[0].message.content
    another_run()
    tape = recording(path)
    async with client_of(NOWHERE, tape, retry=AT_ONCE) as client:
        assert (await ask(client)).choices[0].message.content == recorded
    tape.check_used()
    assert [one["response"]["status"] for one in exchanges(path)][-2:] == [429, 200]


async def test_many_recordings_share_a_file(simulator: Simulator, path: Path, another_run: Any):
    questions = [f"Question {number}?" for number in range(20)]
    tapes = [recording(path, mode="new") for _ in range(4)]
    await asyncio.gather(*(said(simulator.base_url, tape, *questions[number::4]) for number, tape in enumerate(tapes)))
    another_run()
    tape = recording(path)
    assert len(await said(NOWHERE, tape, *questions)) == 20
    tape.check_used()


def test_many_processes_share_a_file(path: Path):
    program = f"""
import sys
from deepseek_async.testing.cassette import Cassette, Exchange
from deepseek_async.testing.recorded_request import RecordedRequest
for number in range(50):
    request = RecordedRequest("GET", f"/models/{{sys.argv[1]}}/{{number}}")
    Cassette({str(path)!r}).append(Exchange("http://127.0.0.1", request, 200, {{}}, [b"x" * 9000]), anew=True)
"""
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(number)], env={"PYTEST_XDIST_TESTRUNUID": "one"})
        for number in range(3)
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert Cassette(path).run() == "one"
    assert len({exchange.request.path for exchange in Cassette(path).read()}) == 150


async def test_a_line_that_a_killed_process_left_is_overwritten(simulator: Simulator, path: Path, another_run: Any):
    await said(simulator.base_url, recording(path), "One?")
    with path.open("ab") as file:
        file.write(b'{"server": "http://')
    another_run()
    await said(simulator.base_url, recording(path, mode="new"), "One?", "Two?")
    assert len(exchanges(path)) == 2


def keep_unended(path: Path, lines: int) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]).rstrip(b"\n"))


@pytest.mark.parametrize("left", [1, 2])
async def test_an_editor_that_removes_the_end_of_the_last_line_removes_no_answer(
    simulator: Simulator, path: Path, another_run: Any, left: int
):
    await said(simulator.base_url, recording(path), "One?")
    keep_unended(path, left)
    another_run()
    await said(simulator.base_url, recording(path, mode="new"), "One?")
    assert len(simulator.requests) == 3 - left
    keep_unended(path, 2)
    await said(simulator.base_url, recording(path, mode="new"), "One?", "Two?")
    assert [exchange["request"]["body"]["messages"][0]["content"] for exchange in exchanges(path)] == ["One?", "Two?"]


async def test_a_request_without_a_recorded_answer_costs_nothing(path: Path, tmp_path: Path):
    budget = Budget(1.0, path=tmp_path / "budget")
    async with client_of(NOWHERE, recording(path, mode="none"), budget=budget) as client:
        with pytest.raises(CassetteError):
            await ask(client)
        assert [spending.spent for spending in (await budget.spending()).values()] == [0]


async def test_recorded_answers_that_nobody_asks_for_are_named(simulator: Simulator, path: Path, another_run: Any):
    await said(simulator.base_url, recording(path), "One?", "Two?")
    another_run()
    tape = recording(path)
    await said(NOWHERE, tape, "Two?")
    with pytest.raises(AssertionError, match=r"were not used: POST /chat/completions \(line 2\)"):
        tape.check_used()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"messages": []}\n', "is not a cassette of this library; name another file"),
        ('{"cassette": "deepseek_async", "version": 9}\n', "is a cassette of version 9, this library reads 1"),
        ('{"cassette": "deepseek_async", "version": 1, "run": "a"}\n{}\n', "line 2, is not a recorded exchange"),
    ],
)
def test_a_file_that_is_no_cassette_is_named_and_kept(path: Path, content: str, message: str):
    path.parent.mkdir()
    path.write_text(content)
    for mode in ("once", "all") if "line" not in message else ("once",):
        with pytest.raises(CassetteError, match=message):
            recording(path, mode=mode)  # type: ignore[arg-type]
    assert path.read_text() == content


async def test_nothing_is_sent_if_it_cannot_be_recorded(simulator: Simulator, tmp_path: Path):
    (tmp_path / "tape.jsonl").symlink_to(tmp_path / "nothing")
    tape = recording(tmp_path / "tape.jsonl")
    with pytest.raises(CassetteError, match=r"cannot write .*tape.jsonl: .* is a symbolic link to nothing"):
        await said(simulator.base_url, tape, "Hi")
    assert simulator.statistics().requests == 0


async def test_an_answer_that_cannot_be_recorded_is_given_all_the_same(
    simulator: Simulator, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def full(*_: Any, **__: Any) -> None:
        raise CassetteError("cannot write: No space left on device")

    monkeypatch.setattr(Cassette, "append", full)
    tape = recording(path)
    assert (await said(simulator.base_url, tape, "Hi"))[0].startswith("Answer to: Hi")
    with pytest.raises(AssertionError, match="an answer was not recorded: cannot write: No space left"):
        tape.check_answered()
    assert "was not recorded" in caplog.text


async def test_a_miss_that_the_program_swallows_is_told_afterwards(path: Path):
    tape = recording(path, mode="none")
    async with client_of(NOWHERE, tape) as client:
        (row,) = [row async for row in client.batch.map(["Hi"], model="deepseek-flash")]
    assert isinstance(row.error, CassetteError)
    with pytest.raises(AssertionError, match="is empty"):
        tape.check_answered()


async def test_a_call_that_is_cancelled_while_it_is_recorded_leaves_nothing_open(
    simulator: Simulator, path: Path, another_run: Any
):
    simulator.answer(when="late", content="x", after=30)
    async with client_of(simulator.base_url, recording(path)) as client:
        late = asyncio.ensure_future(ask(client, "late"))
        await simulator.until(lambda now: now.in_flight == 1)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late
        await ask(client, "Hi")
        await simulator.until(lambda now: now.in_flight == 0)
    another_run()
    assert len(await said(NOWHERE, recording(path), "Hi")) == 1
