"""``models``, ``balance``, ``check`` and ``simulate``."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from command_line import KEY, SECONDS, CommandLine, Serve

from deepseek_async import AsyncDeepSeek, NotFoundError
from deepseek_async.simulator import Fault, FaultKind
from deepseek_async.simulator import server as simulated


async def test_models_are_a_table_or_the_servers_json(command: CommandLine, serve: Serve):
    await serve()

    table = await command.run("models")
    as_json = await command.run("models", "--json")

    assert (table.code, table.err) == (0, "")
    assert table.out.splitlines()[0].split() == ["model", "context", "max", "output", "owner"]
    names = [model["id"] for model in json.loads(as_json.out)["data"]]
    assert "deepseek-flash" in names
    assert [line.split()[0] for line in table.out.splitlines()[1:]] == names


async def test_balance_is_a_table_or_the_servers_json(command: CommandLine, serve: Serve):
    await serve(balance=Decimal("12.50"))

    table = await command.run("balance")
    as_json = await command.run("balance", "--json")

    assert table.code == 0
    assert table.out.splitlines()[1].split()[:2] == ["USD", "12.50"]
    assert json.loads(as_json.out)["is_available"] is True


@pytest.mark.parametrize("name", ["models", "balance"])
async def test_a_wrong_key_is_one_line_and_code_1(command: CommandLine, serve: Serve, name: str):
    await serve(api_keys=frozenset({"sk-another"}))

    ended = await command.run(name)

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1


async def test_check_finds_nothing_wrong_with_a_good_service(command: CommandLine, serve: Serve):
    await serve(balance=Decimal(5))

    ended = await command.run("check")

    levels = [line.split()[:2] for line in ended.out.splitlines()]
    assert ended.code == 0
    assert [name for level, name in levels if level == "ok"] == [
        *("versions", "uvloop", "key", "files", "address", "key", "balance"),
    ]
    assert f"sk-…{KEY[-4:]}" in ended.out


async def test_check_without_a_server_says_where_to_look(command: CommandLine):
    ended = await command.run("check")

    assert ended.code == 1
    assert ended.out.splitlines()[-1].startswith("fail  address    ")
    assert "check DEEPSEEK_BASE_URL" in ended.out


async def test_check_with_a_wrong_key_says_that_the_address_is_right(command: CommandLine, serve: Serve):
    await serve(api_keys=frozenset({"sk-another"}))

    ended = await command.run("check")

    assert ended.code == 1
    *_, address, key = ended.out.splitlines()
    assert address.startswith("ok    address")
    assert key.startswith("fail  key        rejected: ")


async def test_check_without_a_key_still_looks_at_the_address(command: CommandLine, serve: Serve):
    await serve(api_keys=frozenset({"sk-another"}))
    del command.environment["DEEPSEEK_API_KEY"]

    ended = await command.run("check")

    assert ended.code == 1
    assert "fail  key        DEEPSEEK_API_KEY is not set" in ended.out
    assert ended.out.splitlines()[-1].startswith("ok    address")


async def test_check_fails_for_a_used_up_balance_and_for_a_server_that_is_another(command: CommandLine, serve: Serve):
    simulator = await serve(balance=Decimal(0))

    poor = await command.run("check")
    simulator.script(Fault(FaultKind.NOT_FOUND))
    other = await command.run("check")

    assert (poor.code, other.code) == (1, 1)
    assert "insufficient for further calls" in poor.out.splitlines()[-1]
    assert "is not a DeepSeek API" in other.out.splitlines()[-1]


async def test_check_compares_the_limit_of_open_files_with_the_plan(command: CommandLine):
    few_files = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1024))"

    process = await command.start("check", "-c", "500", before=few_files)
    soft = await command.end_of(process)
    process = await command.start("check", "-c", "5000", before=few_files)
    hard = await command.end_of(process)

    assert "warn  files      500 requests in flight need 564 open files, the limit is 256" in soft.out
    assert "fail  files      5,000 requests" in hard.out
    assert "--concurrency 960" in hard.out


async def test_a_batch_raises_its_own_limit_of_open_files(command: CommandLine, serve: Serve):
    simulator = await serve(latency=1000.0)
    command.prompts(300)
    await command.start(
        *("batch", "run", "in.jsonl", "-o", "out.jsonl", "-c", "300"),
        before="import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (128, 1024))",
    )

    async with asyncio.timeout(SECONDS):
        await simulator.until(lambda now: now.in_flight == 300)


async def test_simulate_prints_what_to_set_and_ends_on_a_signal(command: CommandLine):
    process = await command.start("simulate", "--seed", "3")
    assert process.stdout is not None
    names = dict([(await process.stdout.readline()).decode().split()[1].split("=", 1) for _ in range(2)])
    command.environment.update(names)

    answered = await command.run("chat", "Hello?")
    process.send_signal(signal.SIGINT)
    ended = await command.end_of(process)

    assert answered.out.startswith("Answer to: Hello?")
    assert ended.code == 0
    assert ended.err.splitlines()[-1] == "1 requests, 1 answered, 0 aborted by the client"


async def test_simulate_has_only_what_is_live_where_that_is_wanted(command: CommandLine):
    process = await command.start("simulate", "--live-only")
    assert process.stdout is not None
    url, key = [(await process.stdout.readline()).decode().strip().split("=", 1)[1] for _ in range(2)]
    async with AsyncDeepSeek(api_key=key, base_url=url) as client:
        with pytest.raises(NotFoundError, match="endpoints="):
            await client.embeddings.create(model="deepseek-embedding", input="Hi")
    process.send_signal(signal.SIGINT)
    assert (await command.end_of(process)).code == 0


async def test_simulate_answers_what_a_file_says(command: CommandLine):
    answers = [{"when": "refund", "content": "It is on its way."}, {"content": "In order."}]
    (command.folder / "answers.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    process = await command.start("simulate", "--answers", "answers.jsonl", "--on-miss", "error")
    assert process.stdout is not None
    command.environment.update(
        dict([(await process.stdout.readline()).decode().split()[1].split("=", 1) for _ in range(2)])
    )
    heard = [await command.run("chat", prompt) for prompt in ("My refund?", "Hello", "Hello again")]
    process.send_signal(signal.SIGINT)
    assert (await command.end_of(process)).code == 0
    assert [ended.out for ended in heard] == ["It is on its way.\n", "In order.\n", ""]
    assert heard[2].code == 1
    assert "no scripted answer matches this request" in heard[2].err
    assert "Hello again" in heard[2].err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "error: --answers answers.jsonl: No such file or directory"),
        ('{"contents": "a"}', "error: --answers answers.jsonl, line 1: keys must be among after, "),
    ],
)
def test_answers_that_cannot_be_read_are_refused_in_one_line(
    refused: Callable[..., str], tmp_path: Path, content: str | None, said: str
):
    if content is not None:
        (tmp_path / "answers.jsonl").write_text(content)
    line = refused("simulate", "--answers", "answers.jsonl")
    assert line.startswith(said)
    assert line.count("\n") == 1


def test_a_port_that_is_taken_is_refused_in_one_line(refused: Callable[..., str]):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refused("simulate", "--port", str(port))

    assert line.startswith(f"error: cannot listen on port {port}: ")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fault", "nonsense"], "error: --fault must be bad_request, "),
        (["--fault-rate", "1.5"], "error: invalid simulator settings: fault_rate must be from 0 to 1"),
    ],
)
def test_knobs_that_cannot_be_are_refused_in_one_line(refused: Callable[..., str], arguments: list[str], said: str):
    line = refused("simulate", *arguments)

    assert line.startswith(said)
    assert line.count("\n") == 1


async def test_check_tells_what_the_service_has_that_this_version_does_not_know(
    command: CommandLine, serve: Serve, monkeypatch: pytest.MonkeyPatch
):
    await serve()
    assert "news" not in (await command.run("check")).out

    new = {"id": "deepseek-v9", "object": "model", "owned_by": "deepseek", "telepathy": True}
    monkeypatch.setattr(simulated, "OFFERED", {"deepseek-v9": new})
    monkeypatch.setattr(simulated, "description", lambda model: model)
    ended = await command.run("check")
    assert ended.code == 0
    assert re.search(r"warn +news .*: models deepseek-v9; fields of models telepathy", ended.out)
