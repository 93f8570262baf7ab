"""A job that is limited, repeated, shared and refused, from the command line."""

from __future__ import annotations

import json
import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import SECONDS, CommandLine, Serve
from support.waiting import until

from deepseek_async.simulator import Fault, FaultKind

RUN = ("batch", "run", "in.jsonl", "-o", "out.jsonl")


async def test_a_used_up_budget_gives_code_3_and_a_command_that_goes_on(command: CommandLine, serve: Serve):
    simulator = await serve()
    command.prompts(200)
    short = ("--max-tokens", "20", "--thinking", "off")
    whole = await command.run("batch", "run", "in.jsonl", "-o", "whole.jsonl", *short)
    dollars = sum(line["deepseek_async"]["cost"] for line in command.lines("whole.jsonl"))
    asked = simulator.statistics().requests
    limits = (*short, "-c", "5", "--budget", f"{dollars / 2:.8f}")

    stopped = await command.run(*RUN, *limits)
    done = len(command.lines())

    assert (whole.code, stopped.code) == (0, 3)
    assert "stopped: budget of $" in stopped.err
    assert 80 < done == simulator.statistics().requests - asked < 120
    for _ in range(5):
        *_, last = stopped.err.splitlines()
        assert last.startswith("resume with: ")
        _, arguments = last.split(" -m deepseek_async ", 1)
        stopped = await command.run(*shlex.split(arguments))
        if stopped.code == 0:
            break
    assert stopped.code == 0
    assert sorted(command.names()) == sorted(f"row-{row}" for row in range(200))


async def test_rows_that_failed_run_again_under_other_parameters(command: CommandLine, serve: Serve):
    simulator = await serve()
    simulator.script(Fault(FaultKind.BAD_REQUEST))
    command.prompts(5)
    first = await command.run(*RUN, "-c", "1", "--thinking", "off")
    again = await command.run(
        *RUN, "--thinking", "off", "--redo", "error", "--set", "max_tokens=9", "--set", 'stop=["END"]'
    )

    assert (first.code, again.code) == (1, 0)
    assert "1 answered" in again.err
    assert simulator.requests[-1].body["max_tokens"] == 9
    assert command.lines()[-1]["deepseek_async"]["set"] == {"max_tokens": 9, "stop": ["END"]}
    assert (await command.run(*RUN, "--thinking", "off")).code == 0


async def test_the_parts_of_a_job_are_merged_into_a_finished_output(command: CommandLine, serve: Serve):
    simulator = await serve()
    command.prompts(50)
    for number in (1, 2, 3):
        ended = await command.run("batch", "run", "in.jsonl", "-o", f"{number}.jsonl", "--shard", f"{number}/3")
        assert ended.code == 0
    merged = await command.run("batch", "merge", "1.jsonl", "2.jsonl", "3.jsonl", "-o", "out.jsonl")
    finished = await command.run(*RUN)

    assert (merged.code, merged.out) == (0, "")
    assert "merged 3 outputs: 50 rows, 0 lines superseded → out.jsonl" in merged.err
    assert "nothing left to do" in finished.err
    assert sorted(command.names()) == sorted(f"row-{row}" for row in range(50))
    assert simulator.statistics().requests == 50


async def test_a_merge_that_left_out_damaged_lines_gives_code_1(command: CommandLine):
    command.write("one.jsonl", "damaged", '{"custom_id":"a","response":null,"error":null}')

    ended = await command.run("batch", "merge", "one.jsonl", "-o", "out.jsonl")

    assert ended.code == 1
    assert "excluded 1 damaged line; run the job" in ended.err
    assert command.names() == ["a"]


async def test_equal_rows_are_sent_once(command: CommandLine, serve: Serve):
    simulator = await serve()
    command.write("in.jsonl", *['"Hello?"'] * 9)

    ended = await command.run(*RUN, "--dedupe", "--temperature", "0", "--thinking", "off")

    assert ended.code == 0
    assert "9 answered · 0 failed · 8 of them copies of equal rows" in ended.err
    assert simulator.statistics().requests == 1


async def test_a_damaged_line_is_warned_about_and_its_row_runs_again(command: CommandLine, serve: Serve):
    simulator = await serve()
    command.prompts(5)
    await command.run(*RUN)
    output = command.folder / "out.jsonl"
    content = bytearray(output.read_bytes())
    content[len(content) // 2] ^= 1
    output.write_bytes(content)
    ended = await command.run(*RUN)

    assert ended.code == 0
    assert "damaged   1 line of an earlier run, moved to out.jsonl.damaged; rows run again" in ended.err
    assert simulator.statistics().requests == 6
    written = output.read_text().splitlines()
    assert sorted(json.loads(line)["custom_id"] for line in written if line.strip()) == [f"row-{n}" for n in range(5)]


async def test_a_changed_input_gives_code_2_before_anything_is_sent(command: CommandLine, serve: Serve):
    simulator = await serve()
    command.prompts(3)
    await command.run(*RUN)
    command.write("in.jsonl", *(f'{{"custom_id": "row-{row}", "prompt": "Another {row}"}}' for row in range(3)))

    ended = await command.run(*RUN)

    assert ended.code == 2
    assert ended.err.startswith("error: in.jsonl, line 1: the request of row 'row-0' changed")
    assert "--redo changed" in ended.err
    assert simulator.statistics().requests == 3


async def test_the_second_run_ends_without_the_first_which_is_unharmed(command: CommandLine, serve: Serve):
    simulator = await serve(latency=1000.0)
    command.prompts(3)
    first = await command.start(*RUN)
    await simulator.until(lambda now: now.in_flight == 3)
    second = await command.run(*RUN)  # a second run that waited for the first would not end

    assert second.code == 4
    assert first.returncode is None
    assert simulator.statistics().requests == 3


async def test_a_third_signal_ends_a_real_run_at_once_and_the_output_is_valid(command: CommandLine, serve: Serve):
    simulator = await serve(latency=0.01)
    command.prompts(3000)
    process = await command.start(*RUN, "-c", "50")
    await until(lambda: len(command_lines(command)) > 100, seconds=SECONDS)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
    ended = await command.end_of(process)
    kept = command_lines(command)

    assert ended.code == 3
    assert len(set(kept)) == len(kept) > 100
    finished = await command.run(*RUN, "-c", "200")
    assert finished.code == 0
    assert sorted(command.names()) == sorted(f"row-{row}" for row in range(3000))
    assert simulator.statistics().served <= 3000 + 50 + 256


def command_lines(command: CommandLine) -> list[str]:
    """Names in whole lines of the output, while it may be written to."""
    path = command.folder / "out.jsonl"
    content = path.read_bytes() if path.exists() else b""
    return re.findall(r'"custom_id":"([^"]*)"', content[: content.rfind(b"\n") + 1].decode())


async def test_an_output_whose_folder_is_removed_ends_the_run_with_a_clear_error(command: CommandLine, serve: Serve):
    await serve(latency=0.005)
    command.prompts(3000)
    (command.folder / "results").mkdir()
    output = command.folder / "results" / "out.jsonl"
    process = await command.start("batch", "run", "in.jsonl", "-o", str(output), "-c", "20")
    await until(lambda: output.exists() and output.stat().st_size > 10_000, seconds=SECONDS)
    for path in output.parent.iterdir():
        path.unlink()
    output.parent.rmdir()
    ended = await command.end_of(process)

    assert ended.code == 3
    assert "it was deleted while the job was running" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--redo", "everything"], "redo must be among length, error, invalid_json, changed"),
        (["--set", "max_tokens=5"], "redo_with requires redo"),
        (["--redo", "error", "--set", "max_tokens"], "--set must be NAME=JSON"),
        (["--shard", "5/4"], "the number of shard 5/4 must be from 1 to 4"),
        (["--dedupe", "--ordered"], "ordered and dedupe cannot be combined"),
        (["--param", "budget=5"], "use --budget"),
        (["--min-free", str(1 << 40)], "MiB: free space, or lower the limit"),
    ],
)
def test_flags_that_cannot_be_give_code_2_and_one_line(
    tmp_path: Path,
    refused: Callable[..., str],
    arguments: list[str],
    said: str,
):
    (tmp_path / "in.jsonl").write_text('"Hello?"\n')

    line = refused("batch", "run", "in.jsonl", "-o", "out.jsonl", *arguments)

    assert said in line
    assert line.count("\n") == 1
