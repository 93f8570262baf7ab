"""``batch run`` to its end: answers, exit codes, what is said and where."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import KEY, CommandLine, Serve

from deepseek_async.simulator import Fault, FaultKind

PROMPTS = Path(__file__).parents[2] / "examples" / "prompts.jsonl"


async def test_a_thousand_rows_are_answered_without_a_key_and_stdout_stays_empty(command: CommandLine):
    del command.environment["DEEPSEEK_API_KEY"], command.environment["DEEPSEEK_BASE_URL"]

    ended = await command.run("batch", "run", str(PROMPTS), "-o", "out.jsonl", "--simulate", "--progress-every", "0.5")

    assert (ended.code, ended.out) == (0, "")
    assert len(set(command.names())) == len(command.lines()) == 1000
    *_, progress, headline, rows, time, tokens, cost = ended.err.splitlines()
    assert re.search(r"1,000/1,000 rows \(100%\) · 0 failed · 0 in flight · \d+ requests/s", progress)
    assert headline == f"done: {PROMPTS} → out.jsonl"
    assert rows.split(None, 1) == ["rows", "1,000 of 1,000: 1,000 answered · 0 failed"]
    assert "1,000 requests ·" in time
    assert "cached" in tokens
    assert cost.endswith("(simulated, not billed)")
    assert len(re.findall(r"^[\d.]+ s: .* in flight", ended.err, re.MULTILINE)) >= 3


async def test_parameters_reach_the_server(command: CommandLine, serve: Serve):
    simulator = await serve()
    command.write("in.csv", "custom_id,text", "a,rain", "b,snow")

    ended = await command.run(
        *("batch", "run", "in.csv", "-o", "out.jsonl", "--template", "Translate: {text}"),
        *("--model", "deepseek-v4-pro", "--max-tokens", "9", "--temperature", "0.5", "--thinking", "off"),
        *("--param", "top_p=0.9", "--param", 'stop=["END"]', "--ordered", "--concurrency", "1"),
    )

    assert ended.code == 0
    assert command.names() == ["a", "b"]
    assert simulator.requests[0].body == {
        "model": "deepseek-v4-pro",
        "messages": [{"role": "user", "content": "Translate: rain"}],
        "max_tokens": 9,
        "temperature": 0.5,
        "thinking": {"type": "disabled"},
        "top_p": 0.9,
        "stop": ["END"],
    }


async def test_limits_are_kept(command: CommandLine, serve: Serve):
    simulator = await serve(latency=0.01)
    command.prompts(60)

    ended = await command.run("batch", "run", "in.jsonl", "-o", "out.jsonl", "-c", "7")

    assert ended.code == 0
    assert 1 <= simulator.statistics().peak_in_flight <= 7


async def test_as_many_rows_as_asked_for_are_in_flight(command: CommandLine, serve: Serve):
    simulator = await serve(latency=1000.0)
    command.prompts(60)

    await command.start("batch", "run", "in.jsonl", "-o", "out.jsonl", "-c", "7")

    await simulator.until(lambda now: now.in_flight == 7)


async def test_a_row_that_fails_for_good_gives_code_1_and_is_named(command: CommandLine, serve: Serve):
    simulator = await serve()
    simulator.script(Fault(FaultKind.BAD_REQUEST, message="no \x1b[31mred\x1b[0m answers"))
    command.write(
        "in.jsonl", '{"custom_id": "first", "prompt": "x"}', "{not json", '{"custom_id": "third", "prompt": "y"}'
    )

    ended = await command.run("batch", "run", "in.jsonl", "-o", "out.jsonl", "-c", "1")

    assert (ended.code, ended.out) == (1, "")
    assert "done, with failures: in.jsonl → out.jsonl" in ended.err
    assert "failures  BadRequestError 1 · InputFormatError 1" in ended.err
    assert "row 1 (first): BadRequestError: " in ended.err
    assert "in.jsonl, line 2: not JSON" in ended.err
    assert "jq -c 'select(.error)' out.jsonl" in ended.err
    assert "\x1b" not in ended.err
    assert len(command.lines()) == 3


async def test_a_second_row_with_the_same_custom_id_is_refused_with_both_lines(command: CommandLine, serve: Serve):
    await serve()
    command.write("in.jsonl", '{"custom_id": "a", "prompt": "x"}', '{"custom_id": "a", "prompt": "y"}')

    ended = await command.run("batch", "run", "in.jsonl", "-o", "out.jsonl")

    assert ended.code == 2
    assert ended.err.startswith("error: in.jsonl, line 2: custom_id 'a' is a duplicate of line 1")
    assert command.lines() == []


async def test_at_most_ten_failures_are_shown(command: CommandLine, serve: Serve):
    await serve()
    command.write("in.jsonl", *["{broken"] * 25)

    ended = await command.run("batch", "run", "in.jsonl", "-o", "out.jsonl")

    assert ended.code == 1
    assert "first failures:" in ended.err
    assert len(re.findall(r"^  in\.jsonl, line \d+:", ended.err, re.MULTILINE)) == 10


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.jsonl", "-o", "out.jsonl"], "the input missing.jsonl does not exist"),
        (["in.jsonl", "-o", "in.jsonl"], "input and output must be different files"),
        (["in.jsonl", "-o", "no/such/folder/out.jsonl"], "the output directory does not exist"),
        (["in.jsonl", "-o", "."], "the output . is a directory"),
        (["in.jsonl", "-o", "/proc/out.jsonl"], "cannot create /proc/out.jsonl.lock"),
        (["-", "-o", "out.jsonl"], "and again on resume: save it to a file first"),
        (["in.jsonl", "-o", "-"], "the output cannot be stdout"),
        (["in.jsonl", "-o", "out.csv"], "use the suffix .jsonl"),
        (["in.csv", "-o", "out.jsonl"], "needs a template"),
        (["in.csv", "-o", "out.jsonl", "--template", "{nope}"], "unknown column 'nope'"),
        (["in.jsonl", "-o", "out.jsonl", "--param", "top_p"], "must be NAME=JSON"),
        (["in.jsonl", "-o", "out.jsonl", "--param", "stop=END"], "quote a string"),
        (["in.jsonl", "-o", "out.jsonl", "--param", 'model="x"'], "use --model"),
        (["in.jsonl", "-o", "out.jsonl", "--param", "messages=[]"], "cannot be set for all rows"),
        (
            ["in.jsonl", "-o", "out.jsonl", "--simulate", "--base-url", "http://127.0.0.1:1"],
            "--simulate and --base-url cannot be combined",
        ),
        (["in.jsonl", "-o", "out.jsonl", "--base-url", "http://example.com"], "base_url must be https"),
    ],
)
def test_what_must_be_changed_first_gives_code_2_and_one_line(
    tmp_path: Path,
    refused: Callable[..., str],
    arguments: list[str],
    said: str,
):
    (tmp_path / "in.jsonl").write_text('"Hello?"\n')
    (tmp_path / "in.csv").write_text("text\nrain\n")

    line = refused("batch", "run", *arguments)

    assert line.startswith("error: ")
    assert said in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(("key", "said"), [(None, "not set"), ("", "empty"), ("  ", "empty")])
def test_without_a_key_the_line_says_where_to_put_it(
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., str],
    key: str | None,
    said: str,
):
    monkeypatch.delenv("DEEPSEEK_API_KEY")
    if key is not None:
        monkeypatch.setenv("DEEPSEEK_API_KEY", key)

    for arguments in (["batch", "run", "in.jsonl", "-o", "out.jsonl"], ["chat", "Hello?"], ["models"], ["balance"]):
        line = refused(*arguments)

        assert line.startswith(f"error: DEEPSEEK_API_KEY is {said}: ")
        assert line.count("\n") == 1


async def test_a_missing_input_gives_code_2_in_a_process_too(command: CommandLine):
    ended = await command.run("batch", "run", "missing.jsonl", "-o", "out.jsonl")

    assert (ended.code, ended.out, ended.err) == (2, "", "error: the input missing.jsonl does not exist\n")


async def test_a_wrong_key_stops_the_job_and_no_row_is_lost(command: CommandLine, serve: Serve):
    await serve(api_keys=frozenset({"sk-another"}))
    command.prompts(5)

    ended = await command.run("batch", "run", "in.jsonl", "-o", "out.jsonl")

    assert (ended.code, ended.out, command.lines()) == (3, "", [])
    assert "stopped: " in ended.err
    assert ended.err.splitlines()[-1].endswith("-m deepseek_async batch run in.jsonl -o out.jsonl")
    assert "Traceback" not in ended.err


async def test_no_file_beside_the_output_holds_the_key(command: CommandLine, serve: Serve):
    await serve()
    command.prompts(20)

    await command.run("batch", "run", "in.jsonl", "-o", "out.jsonl")

    for path in command.folder.iterdir():
        assert KEY.encode() not in path.read_bytes(), path


async def test_quiet_says_nothing_when_all_is_well_and_the_summary_when_not(command: CommandLine, serve: Serve):
    simulator = await serve()
    command.prompts(3)

    well = await command.run("batch", "run", "in.jsonl", "-o", "out.jsonl", "--quiet")
    simulator.script(Fault(FaultKind.BAD_REQUEST))
    ill = await command.run("batch", "run", "in.jsonl", "-o", "again.jsonl", "--quiet")

    assert (well.code, well.out, well.err) == (0, "", "")
    assert ill.code == 1
    assert "BadRequestError" in ill.err


async def test_a_parameter_that_the_api_ignores_is_warned_about_in_one_line(command: CommandLine, serve: Serve):
    await serve()
    command.prompts(30)

    ended = await command.run("batch", "run", "in.jsonl", "-o", "out.jsonl", "--quiet", "--param", "seed=7")

    assert ended.code == 0
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("warning: DeepSeek ignores the parameter 'seed'")


async def test_a_finished_job_has_nothing_left_to_do(command: CommandLine, serve: Serve):
    simulator = await serve()
    command.prompts(5)
    await command.run("batch", "run", "in.jsonl", "-o", "out.jsonl")

    ended = await command.run("batch", "run", "in.jsonl", "-o", "out.jsonl")

    assert ended.code == 0
    assert "nothing left to do" in ended.err
    assert "5 resumed" in ended.err
    assert simulator.statistics().requests == 5
