"""``deepseek-async serve`` as a process: its start, its signals, its log, and what it says when it cannot start."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from command_line import KEY, SECONDS, CommandLine, Serve

from deepseek_async.cli.app import run
from deepseek_async.gateway.callers import Callers
from deepseek_async.gateway.folder import GatewayFolder

SERVE = ("serve", "--port", "0", "--folder", "gateway")
QUIET = ("serve", "--no-access-log")
SECRET = "a question that no log may hold"
ASKED = {"model": "deepseek-flash", "messages": [{"role": "user", "content": SECRET}]}


async def listening(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(SECONDS):
        return (await process.stdout.readline()).decode().strip()


async def said(process: asyncio.subprocess.Process, text: str) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(SECONDS):
        while text not in (await process.stderr.readline()).decode():
            pass


async def ask(session: aiohttp.ClientSession, **options: Any) -> aiohttp.ClientResponse:
    return await session.post("/v1/chat/completions", json={**ASKED, **options})


async def test_a_gateway_answers_says_how_it_is_and_logs_no_contents(command: CommandLine, serve: Serve):
    await serve()
    process = await command.start(*SERVE)
    async with aiohttp.ClientSession(await listening(process)) as session:
        answer = await (await ask(session)).json()
        statuses = [(await session.get(path)).status for path in ("/healthz", "/readyz", "/metrics", "/v1/models")]
        process.send_signal(signal.SIGTERM)
        ended = await command.end_of(process)

    content = answer["choices"][0]["message"]["content"]
    assert statuses == [200, 200, 200, 200]
    assert ended.code == 0
    lines = [json.loads(line) for line in ended.err.splitlines() if line.startswith("{")]
    assert [line["path"] for line in lines if line["path"].startswith("/v1")] == ["/v1/chat/completions", "/v1/models"]
    assert all(set(line) == {"at", "caller", "method", "path", "status", "seconds"} for line in lines)
    assert SECRET not in ended.err
    assert content not in ended.err


async def test_a_large_document_passes_through_little_memory(command: CommandLine, serve: Serve):
    megabyte = b"%PDF one".ljust(1 << 20, b"\xff")
    simulator = await serve()
    process = await command.start(*SERVE)

    async def document(megabytes: int) -> AsyncIterator[bytes]:
        yield b'--m\r\nContent-Disposition: form-data; name="purpose"\r\n\r\ntext_recognition\r\n'
        yield b'--m\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
        for _ in range(megabytes):
            yield megabyte
        yield b"\r\n--m--\r\n"

    def most_resident() -> int:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    form = {"Content-Type": "multipart/form-data; boundary=m"}
    async with aiohttp.ClientSession(await listening(process)) as session:
        held = []
        for megabytes in (1, 48):
            async with session.post("/v1/tools/ocr", data=document(megabytes), headers=form) as answer:
                assert answer.status == 200
                assert (await answer.json())["pages"]
            held.append(most_resident())
        process.send_signal(signal.SIGTERM)
        assert (await command.end_of(process)).code == 0

    assert held[1] - held[0] < 24, held
    assert simulator.statistics().served == 2
    assert list((command.folder / "gateway" / "files").iterdir()) == []


async def test_sigterm_lets_a_stream_end_and_leaves_the_batch_for_the_next_start(command: CommandLine, serve: Serve):
    simulator = await serve(latency=1.0)
    process = await command.start(*SERVE)
    async with aiohttp.ClientSession(await listening(process)) as session:
        row = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": ASKED}
        form = aiohttp.FormData({"purpose": "batch"})
        content = b"".join(json.dumps({**row, "custom_id": f"{n}"}).encode() + b"\n" for n in range(9))
        form.add_field("file", content, filename="in.jsonl")
        given = (await (await session.post("/v1/files", data=form)).json())["id"]
        batch = {"input_file_id": given, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        made = await (await session.post("/v1/batches", json=batch)).json()
        stream = asyncio.create_task(ask(session, stream=True))
        await simulator.until(lambda now: now.in_flight >= 1)
        process.send_signal(signal.SIGTERM)
        received = await (await stream).read()
        ended = await command.end_of(process)

    assert received.endswith(b"data: [DONE]\n\n")
    assert ended.code == 0
    assert "answers in flight have 30 s" in ended.err
    record = json.loads((command.folder / "gateway" / "batches" / f"{made['id']}.json").read_text())
    assert record["status"] in {"validating", "in_progress"}
    assert simulator.statistics().aborted == 0


@pytest.mark.parametrize(("drain", "again", "code"), [("0.2", False, 0), ("1000", True, 3)])
async def test_what_does_not_end_is_cut_after_the_stated_time_or_at_a_second_signal(
    command: CommandLine, serve: Serve, drain: str, again: bool, code: int
):
    simulator = await serve(latency=1000.0)
    process = await command.start(*SERVE, "--drain", drain)
    async with aiohttp.ClientSession(await listening(process)) as session:
        page = await session.get("/console/events")
        asking = asyncio.create_task(ask(session))
        await simulator.until(lambda now: now.in_flight == 1)
        process.send_signal(signal.SIGTERM)
        await said(process, "ending")
        if again:
            process.send_signal(signal.SIGTERM)
        ended = await command.end_of(process)
        with suppress(aiohttp.ClientError):
            await asking
        page.close()

    assert ended.code == code
    await simulator.until(lambda now: now.aborted == 1)


async def test_sighup_exchanges_the_settings_while_a_stream_runs(command: CommandLine, serve: Serve):
    first = await serve(latency=1.0)
    second = await serve()
    del command.environment["DEEPSEEK_BASE_URL"]
    settings = command.write("deepseek.yaml", "deepseek:", f"  endpoint: {first.base_url}")
    process = await command.start(*SERVE, "--settings", "deepseek.yaml")
    async with aiohttp.ClientSession(await listening(process)) as session:
        stream = asyncio.create_task(ask(session, stream=True))
        await first.until(lambda now: now.in_flight == 1)
        settings.write_text("deepseek: [\n")
        process.send_signal(signal.SIGHUP)
        await said(process, "settings unchanged: ")
        for _ in range(2):
            settings.write_text(f"deepseek:\n  endpoint: {second.base_url}\n")
            process.send_signal(signal.SIGHUP)
            await said(process, "settings read again")
        assert (await ask(session)).status == 200
        received = await (await stream).read()
        process.send_signal(signal.SIGTERM)
        ended = await command.end_of(process)

    assert received.endswith(b"data: [DONE]\n\n")
    assert (first.statistics().served, second.statistics().served) == (1, 1)
    assert ended.code == 0
    assert "nclosed" not in ended.err


def test_what_cannot_be_served_is_said_at_once(refused: Callable[..., str], tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"cannot listen on 127.0.0.1:{port}: " in refused(*QUIET, "--folder", "gateway", "--port", port)
        assert "choose another port (--port), or stop the program that has it" in refused(*QUIET, "--port", port)
    (tmp_path / "file").write_text("")
    for arguments in ((*QUIET, "--port", "0"), ("serve", "keys", "add", "team-a")):
        assert "cannot use the folder file: it is a file; name one" in refused(*arguments, "--folder", "file")
    assert "cannot use the folder" in refused(*QUIET, "--folder", "file/gateway")
    with GatewayFolder(tmp_path / "gateway"):
        assert "is in use by another gateway (process " in refused(*QUIET, *SERVE[1:])
    assert "without keys a gateway listens on loopback only" in refused(*QUIET, *SERVE[1:], "--host", "0.0.0.0")
    (tmp_path / "wrong.yaml").write_text("deepseek:\n  max_concurency: 3\n")
    assert "max_concurency" in refused(*QUIET, *SERVE[1:], "--settings", "wrong.yaml")
    (tmp_path / "gateway" / "keys.json").write_text("{")
    assert "is not a keys file of a gateway" in refused(*QUIET, *SERVE[1:])


def test_a_key_is_shown_once_and_kept_as_a_hash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    keys = ("serve", "keys")
    folder = ("--folder", "gateway")
    assert run([*keys, "add", "team-a", "--daily", "5", "--lane", "bulk", *folder]) == 0
    key = capsys.readouterr().out.strip()
    assert run([*keys, "list", *folder]) == 0
    listed = capsys.readouterr().out

    kept = (tmp_path / "gateway" / "keys.json").read_text()
    assert key.startswith("dsg-")
    assert key not in kept + listed
    assert KEY not in kept
    assert listed.splitlines()[1].split()[:5] == ["team-a", "5", "-", "all", "bulk"]
    assert run([*keys, "add", "team-a", *folder]) == 2
    assert "there is a caller 'team-a' already; revoke it first" in capsys.readouterr().err
    found = Callers(tmp_path / "gateway" / "keys.json").find(key)
    assert found is not None
    assert found.name == "team-a"

    assert run([*keys, "revoke", "team-a", *folder]) == 0
    assert Callers(tmp_path / "gateway" / "keys.json").find(key) is None


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("add", "team/a"), "the name of a caller must be 1 to 64 letters"),
        (("add", "team-a", "--daily", "-5"), "--daily"),
        (("add", "team-a", "--lane", "fast"), "--lane"),
        (("add", ""), "the name of a caller must be 1 to 64 letters"),
        (("add", "team-a", "--max-concurrency", "0"), "--max-concurrency"),
        (("revoke", "team-b"), "no caller 'team-b'; there are: none"),
    ],
)
def test_wrong_options_of_keys_are_refused(refused: Callable[..., str], arguments: tuple[str, ...], error: str):
    assert error in refused("serve", "keys", *arguments, "--folder", "gateway")
