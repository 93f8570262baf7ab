"""Before any command runs: help, version, wrong usage, missing packages."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

import pytest
from command_line import CommandLine, Serve

import deepseek_async
from deepseek_async.cli.app import run

_LOADED = """
import sys
sys.argv[1:] = {arguments!r}
from deepseek_async.__main__ import main
try:
    main()
finally:
    heavy = [name for name in ("aiohttp", "msgspec", "orjson", "uvloop", "asyncio") if name in sys.modules]
    print("loaded:", heavy, file=sys.stderr)
"""


async def python(command: CommandLine, code: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=command.environment,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["batch", "run", "--help"], ["chat", "--help"], ["finetune", "prepare", "--help"]],
)
async def test_help_and_version_load_neither_aiohttp_nor_an_event_loop(command: CommandLine, arguments: list[str]):
    code, out, err = await python(command, _LOADED.format(arguments=arguments))

    assert (code, err) == (0, "loaded: []\n")
    assert out


async def test_the_version_is_that_of_the_package(command: CommandLine):
    assert (await command.run("--version")).out == f"deepseek-async {deepseek_async.__version__}\n"


@pytest.mark.parametrize("name", ["batch run", "chat", "finetune prepare", "models", "balance", "check", "simulate"])
def test_every_command_shows_an_example_of_itself(capsys: pytest.CaptureFixture[str], name: str):
    assert run([*name.split(), "--help"]) == 0

    shown = capsys.readouterr().out
    assert f"    deepseek-async {name}" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["batch", "run", "in.jsonl"],
        ["batch", "run", "in.jsonl", "-o", "out.jsonl", "--concurrency", "0"],
        ["batch", "run", "in.jsonl", "-o", "out.jsonl", "--thinking", "maybe"],
        ["batch", "run", "in.jsonl", "-o", "out.jsonl", "--api-key", "sk-typed-by-mistake"],
    ],
)
def test_wrong_usage_ends_with_code_2_and_says_why_on_stderr(refused: Callable[..., str], arguments: list[str]):
    assert "Error" in refused(*arguments)


@pytest.mark.parametrize("package", ["cyclopts", "rich"])
async def test_a_missing_package_is_named_with_the_command_that_installs_it(command: CommandLine, package: str):
    hide = f"""
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == {package!r} else found(name, *rest)
sys.argv[1:] = ["--help"]
from deepseek_async.__main__ import main
main()
"""
    code, out, err = await python(command, hide)

    assert (code, out) == (2, "")
    assert err == 'error: the command line requires cyclopts and rich: pip install "deepseek-async[cli]"\n'


async def test_a_reader_that_leaves_is_no_error_worth_a_traceback(command: CommandLine, serve: Serve):
    await serve()
    reader, writer = os.pipe()
    os.close(reader)
    process = await command.start("models", "--json", stdout=writer)
    os.close(writer)
    _, err = await process.communicate()

    assert process.returncode == 1
    assert err == b""


async def test_an_output_that_takes_nothing_is_one_line(command: CommandLine):
    full = os.open("/dev/full", os.O_WRONLY)
    process = await command.start("batch", "--help", stdout=full)
    os.close(full)
    ended = await command.end_of(process)

    assert (ended.code, ended.err) == (1, "error: No space left on device\n")


@pytest.mark.parametrize("stream", [1, 2])
async def test_a_closed_stream_takes_no_answer_and_no_file(command: CommandLine, serve: Serve, stream: int):
    await serve()
    command.prompts(5)
    # A process without a stderr has no way to say why it died, so its exit code is all there is.
    process = await command.start(
        "batch", "run", "in.jsonl", "-o", "out.jsonl", before=f"import os; os.close({stream})"
    )
    await command.end_of(process)

    assert process.returncode == 0
    assert len(command.names()) == 5


async def test_a_job_goes_on_when_nobody_reads_what_it_says(command: CommandLine, serve: Serve):
    await serve(latency=0.02)
    command.prompts(300)
    reader, writer = os.pipe()
    os.close(reader)
    run = ("batch", "run", "in.jsonl", "-o", "out.jsonl", "-c", "20", "--progress-every", "0.05")
    process = await command.start(*run, stderr=writer)
    os.close(writer)
    await command.end_of(process)

    assert process.returncode == 0
    assert len(command.names()) == 300
