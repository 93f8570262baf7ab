"""Going on with another input, again with other parameters, in parts: what is sent, and what is refused unpaid."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from bulk import QUICK, AfterCalls, Bulk, Start, numbered
from support.clients import AT_ONCE, Connect
from support.servers import Serve, answer, response

from deepseek_async import ConfigurationError, InputChangedError, InputFormatError
from deepseek_async.batch import ExitCode
from deepseek_async.batch.review.job_summary import account_of
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.review.row_selection import LatestRun
from deepseek_async.pricing.prices import price_table
from deepseek_async.simulator import Fault
from deepseek_async.types import CompletionUsage

EXACT = {**QUICK, "temperature": 0}


def latest(bulk: Bulk) -> dict[str, dict[str, Any]]:
    """The last line of each row: the one that counts."""
    return {line["custom_id"]: line for line in bulk.lines()}


# An input that is not the one of the output


async def test_a_changed_row_is_refused_before_anything_is_paid_for(bulk: Bulk):
    rows = numbered(20)
    bulk.ask(rows)
    await bulk.run()
    rows[7]["prompt"] = "Another question"
    bulk.ask([*rows, *numbered(5, start=100)])

    with pytest.raises(InputChangedError, match="line 8: the request of row '7' changed") as caught:
        await bulk.run()
    assert (caught.value.path, caught.value.line) == (str(bulk.source), 8)
    assert bulk.requests == 20


async def test_changed_parameters_change_every_row(bulk: Bulk):
    bulk.ask(numbered(3))
    await bulk.run()

    with pytest.raises(InputChangedError, match=r"line 1: .* as did 2 further rows"):
        await bulk.run(max_tokens=9)
    assert bulk.requests == 3


async def test_a_changed_row_without_an_id_is_a_new_row_and_the_old_line_stays(bulk: Bulk):
    bulk.ask(['"a"', '"b"', '"c"'])
    await bulk.run()
    before = bulk.output.read_bytes()
    bulk.ask(['"a"', '"B"', '"c"'])
    report = await bulk.run()

    assert (report.ok, report.resumed, report.not_asked, bulk.requests) == (1, 2, 1, 4)
    assert bulk.output.read_bytes().startswith(before)
    again = await bulk.run()
    assert (again.ok, again.resumed, again.not_asked, bulk.requests) == (0, 3, 1, 4)


async def test_changed_rows_run_again_when_that_is_asked_for(bulk: Bulk):
    bulk.ask([*numbered(5), {"prompt": "without a name"}])
    await bulk.run()
    bulk.ask([*numbered(4), {"custom_id": "4", "prompt": "Another question"}, {"prompt": "without a name"}])
    report = await bulk.run(redo="changed")

    assert (report.ok, report.resumed, bulk.requests) == (1, 5, 7)
    assert latest(bulk)["4"]["deepseek_async"]["redo"] == "changed"
    again = await bulk.run()
    assert (again.ok, again.resumed, bulk.requests) == (0, 6, 7)


async def test_a_row_that_failed_and_asks_for_something_else_now_is_asked(bulk: Bulk):
    bulk.simulator.script(*[Fault("bad_request")] * 2)
    bulk.ask(numbered(3))
    await bulk.run(concurrency=1)
    bulk.ask([{**row, "prompt": "Mended"} if row["custom_id"] == "0" else row for row in numbered(3)])
    report = await bulk.run()

    assert (report.ok, report.resumed, report.resumed_failed, bulk.requests) == (1, 2, 1, 4)
    assert latest(bulk)["0"]["error"] is None


async def test_numbers_that_are_written_otherwise_ask_for_the_same(bulk: Bulk):
    bulk.ask([{"prompt": "version 2.0", "temperature": 0, "stop": ["1.0"]}])
    await bulk.run(max_tokens=8)
    bulk.ask(['{"temperature": 0.0, "stop": ["1.0"], "prompt": "version 2.0"}'])
    report = await bulk.run(max_tokens=8.0)

    assert (report.resumed, report.not_asked, bulk.requests) == (1, 0, 1)


async def test_other_parameters_do_not_buy_rows_without_an_id_again_without_a_word(bulk: Bulk):
    bulk.ask(['"a"', '"b"', {"prompt": "c", "temperature": 0.5, "max_tokens": 7}])
    await bulk.run(temperature=0.5)
    bulk.ask(['"a"', '"b"', {"prompt": "c", "temperature": 0.5, "max_tokens": 7}, '"d"'])

    said = r"2 answered rows would be sent again, because max_tokens is 9, was 8\. Nothing was sent"
    with pytest.raises(InputChangedError, match=said):
        await bulk.run(temperature=0.5, max_tokens=9)
    assert bulk.requests == 3
    # Every way that the message names goes on.
    assert (await bulk.run(temperature=0.5)).ok == 1
    other = await bulk.client.batch.run(bulk.source, bulk.folder / "other.jsonl", **{**QUICK, "max_tokens": 9})
    again = await bulk.run(temperature=0.5, max_tokens=9, redo="changed")
    assert (other.ok, again.ok, again.resumed, again.not_asked) == (4, 3, 1, 3)
    finished = await bulk.run(temperature=0.5, max_tokens=9)
    assert (finished.ok, finished.resumed, finished.not_asked) == (0, 4, 3)


async def test_an_edit_under_other_parameters_that_change_no_row_is_an_edit(bulk: Bulk):
    bulk.ask([{"prompt": word, "max_tokens": 7} for word in "abc"])
    await bulk.run(max_tokens=8)
    bulk.ask([{"prompt": word, "max_tokens": 7} for word in "abd"])
    report = await bulk.run(max_tokens=9)

    assert (report.ok, report.resumed, report.not_asked) == (1, 2, 1)


async def test_rows_that_get_ids_later_are_not_bought_again_without_a_word(bulk: Bulk):
    bulk.ask([{"prompt": word, "review": number} for number, word in enumerate("abc")])
    await bulk.run(template="{prompt}")

    with pytest.raises(InputChangedError, match="3 answered rows would be sent again, because id_column is 'review'"):
        await bulk.run(template="{prompt}", id_column="review")
    report = await bulk.run(template="{prompt}", id_column="review", redo="changed")
    assert (report.ok, report.left, bulk.requests) == (3, 0, 6)


async def test_an_output_that_does_not_say_how_it_was_asked_is_not_bought_again_as_a_whole(bulk: Bulk):
    bulk.ask(['"a"', '"b"'])
    await bulk.run()
    lines = bulk.lines()
    for line in lines:
        line["deepseek_async"].pop("run", None)
        del line["deepseek_async"]["crc32"]
    bulk.output.write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = bulk.output.read_bytes()

    with pytest.raises(InputChangedError, match="no row without an id matches an answered request"):
        await bulk.run(max_tokens=9)
    assert (bulk.requests, bulk.output.read_bytes()) == (2, before)
    bulk.ask(['"a"', '"B"'])
    assert (await bulk.run()).ok == 1
    assert (await bulk.run(max_tokens=9, redo="changed")).ok == 2


async def test_a_bad_row_without_an_id_may_be_mended(bulk: Bulk):
    bulk.ask(['"a"', "{bad"])
    await bulk.run()
    bulk.ask(['"a"', '"mended"'])
    report = await bulk.run()

    assert (report.ok, bulk.requests) == (1, 2)


async def test_an_input_that_grows_while_it_is_looked_at_is_refused(bulk: Bulk, monkeypatch: pytest.MonkeyPatch):
    from deepseek_async.batch import row_origin as origin

    bulk.ask(numbered(10))
    read_ids = origin.read_ids

    def read_and_grow(path: Path, *arguments: Any) -> Any:
        yield from read_ids(path, *arguments)
        with path.open("a") as file:
            file.write('"more"\n')

    monkeypatch.setattr(origin, "read_ids", read_and_grow)
    with pytest.raises(InputChangedError, match=r"changed while being read: it grew from .* Wait until"):
        await bulk.run()
    assert (bulk.requests, bulk.output.read_bytes()) == (0, b"")


async def test_an_input_that_grows_during_the_run_stops_it_and_loses_nothing(start: Start):
    def grow() -> None:
        with bulk.source.open("a") as file:
            file.write('{"custom_id":"late","prompt":"x"}\n')

    bulk = await start(client={"listeners": [AfterCalls(10, grow)]})
    bulk.ask(numbered(100))
    report = await bulk.run(concurrency=5)

    assert report.exit_code == ExitCode.STOPPED
    assert isinstance(report.stopped, InputChangedError)
    assert report.rows == len(bulk.named()) == bulk.requests == 100


# Again


async def test_only_rows_that_were_cut_off_run_again_with_what_was_set(bulk: Bulk):
    bulk.ask([{**row, "max_tokens": 2 if number < 3 else 4000} for number, row in enumerate(numbered(10))])
    await bulk.run(max_tokens=None)
    cut = {name for name, line in latest(bulk).items() if finish(line) == "length"}
    assert cut == {"0", "1", "2"}
    before = bulk.output.read_bytes()
    report = await bulk.run(max_tokens=None, redo="length", redo_with={"max_tokens": 5000})

    assert (report.ok, report.resumed, bulk.requests) == (3, 7, 13)
    assert bulk.output.read_bytes().startswith(before), "where the first answers came from is not forgotten"
    for name in cut:
        line = latest(bulk)[name]
        assert finish(line) == "stop"
        assert line["deepseek_async"]["redo"] == "length"
        assert line["deepseek_async"]["set"] == {"max_tokens": 5000}
    assert {record.body["max_tokens"] for record in bulk.simulator.requests[10:]} == {5000}
    # The rows still ask for what they asked for: a plain run has nothing to do, and a second redo neither.
    assert (await bulk.run(max_tokens=None)).resumed == 10
    assert (await bulk.run(max_tokens=None, redo="length")).ok == 0
    assert bulk.requests == 13


async def test_an_answer_that_was_cut_off_while_it_was_thought_about_runs_again_too(bulk: Bulk):
    bulk.ask(numbered(2))
    thinking = {"thinking": {"type": "enabled"}}
    failed = await bulk.run(**thinking, max_tokens=3)
    report = await bulk.run(**thinking, max_tokens=3, redo="length", redo_with={"max_tokens": 5000})

    assert failed.failures == {"ReasoningBudgetExhaustedError": 2}
    assert (report.ok, bulk.requests) == (2, 4)
    assert {line["deepseek_async"]["redo"] for line in latest(bulk).values()} == {"length"}


def finish(line: dict[str, Any]) -> str:
    reason: str = line["response"]["body"]["choices"][0]["finish_reason"]
    return reason


async def test_rows_that_failed_run_again_and_their_last_line_counts(bulk: Bulk):
    bulk.simulator.script(*[Fault("bad_request")] * 4)
    bulk.ask(numbered(10))
    failed = await bulk.run(concurrency=1)
    assert (failed.failed, failed.exit_code) == (4, ExitCode.ROWS_FAILED)
    bulk.simulator.script(Fault("bad_request"))
    once = await bulk.run(concurrency=1, redo="error")
    twice = await bulk.run(redo=["error"])
    finished = await bulk.run()

    assert (once.ok, once.failed, once.resumed, once.exit_code) == (3, 1, 6, ExitCode.ROWS_FAILED)
    assert (twice.ok, twice.failed, twice.exit_code) == (1, 0, ExitCode.OK)
    assert (finished.resumed, finished.resumed_failed, finished.exit_code) == (10, 0, ExitCode.OK)
    assert all(line["error"] is None for line in latest(bulk).values())
    assert bulk.requests == 15


async def test_an_answer_that_is_no_json_runs_again_only_where_json_was_asked_for(bulk: Bulk):
    asked = {"response_format": {"type": "json_object"}}
    bulk.simulator.script(*[Fault("usage_missing")] * 3)
    rows = [{**row, **(asked if number < 2 else {})} for number, row in enumerate(numbered(3))]
    bulk.ask([{**row, "prompt": "Answer as json, please"} for row in rows])
    await bulk.run(concurrency=1, max_tokens=4000)
    lines = bulk.lines()
    for line in lines[:1]:
        line["response"]["body"]["choices"][0]["message"]["content"] = '{"cut": '
        del line["deepseek_async"]["crc32"]
    bulk.output.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = await bulk.run(max_tokens=4000, redo="invalid_json")

    assert report.ok == 1
    assert latest(bulk)["0"]["deepseek_async"]["redo"] == "invalid_json"


async def test_a_redo_leaves_rows_without_an_answer_alone(bulk: Bulk):
    bulk.ask(numbered(5))
    await bulk.run()
    bulk.ask(numbered(8))
    report = await bulk.run(redo="error")

    assert (report.ok, report.resumed, report.left, bulk.requests) == (0, 5, 3, 5)


async def test_equal_rows_without_an_id_run_again_each_by_its_name(bulk: Bulk):
    bulk.simulator.script(Fault("bad_request"), Fault("usage_missing"), Fault("bad_request"))
    bulk.ask(['"same"'] * 4)
    await bulk.run(concurrency=1)
    failed = {line["custom_id"] for line in bulk.lines() if line["error"]}
    report = await bulk.run(redo="error")

    assert (report.ok, len(failed)) == (2, 2)
    assert {line["custom_id"] for line in bulk.lines()[4:]} == failed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"redo": "nothing"}, "redo must be among length, error, invalid_json, changed, got 'nothing'"),
        ({"redo_with": {"max_tokens": 5}}, "redo_with requires redo"),
        ({"redo": "error", "redo_with": {"messages": []}}, "redo_with cannot set messages"),
        ({"redo": "error", "dedupe": True}, "redo and dedupe cannot be combined"),
        ({"ordered": True, "dedupe": True}, "ordered and dedupe cannot be combined"),
        ({"durability": "never"}, "durability must be os, group or each"),
        ({"budget": 0}, "budget must be greater than 0"),
        ({"budget": float("nan")}, "budget must be greater than 0"),
        ({"min_free": -1}, "min_free must be at least 0"),
        ({"shard": "2"}, "shard must be number/count"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_touched(bulk: Bulk, options: dict[str, Any], said: str):
    bulk.ask(numbered(1))

    with pytest.raises(ConfigurationError, match=said):
        await bulk.run(**options)
    assert not bulk.output.exists()


# Equal rows


async def test_equal_deterministic_rows_are_sent_once_and_all_get_their_line(bulk: Bulk):
    bulk.ask([{"custom_id": f"{number}", "prompt": f"Question {number % 7}"} for number in range(200)])
    report = await bulk.run(**{**EXACT, "dedupe": True})

    named = bulk.named()
    assert (report.ok, report.progress.copied, bulk.requests) == (200, 193, 7)
    assert report.cost == pytest.approx(sum(line["deepseek_async"]["cost"] for line in named.values()), rel=1e-6)
    copies = [line for line in named.values() if "copy_of" in line["deepseek_async"]]
    assert len(copies) == 193
    for copy in copies:
        original = named[copy["deepseek_async"]["copy_of"]]
        assert copy["response"] == original["response"]
        assert copy["deepseek_async"]["attempts"] == copy["deepseek_async"]["cost"] == 0
        assert int(copy["custom_id"]) % 7 == int(original["custom_id"]) % 7
    assert (await bulk.run(**EXACT)).resumed == 200


async def test_copies_are_made_of_answers_of_an_earlier_run_too(bulk: Bulk):
    bulk.ask(numbered(5))
    await bulk.run(**EXACT)
    bulk.ask([*numbered(5), *({"custom_id": f"copy {number}", "prompt": f"Question {number}"} for number in range(5))])
    report = await bulk.run(**{**EXACT, "dedupe": True})

    assert (report.ok, report.progress.copied, bulk.requests) == (5, 5, 5)


async def test_an_error_is_copied_as_an_error(bulk: Bulk):
    bulk.simulator.script(Fault("bad_request"))
    bulk.ask(['"same"'] * 3)
    report = await bulk.run(**{**EXACT, "dedupe": True})

    assert (report.failed, report.failures, bulk.requests) == (3, {"BadRequestError": 3}, 1)


@pytest.mark.parametrize("parameters", [{}, {"temperature": 0.5}, {"temperature": 0, "thinking": {"type": "enabled"}}])
async def test_rows_whose_answers_may_differ_are_each_sent(bulk: Bulk, parameters: dict[str, Any]):
    bulk.ask(['"same"'] * 3)
    await bulk.run(**{**parameters, "max_tokens": 8, "dedupe": True})

    assert bulk.requests == 3


# Budget and parts


async def test_a_used_up_budget_stops_the_job_finishes_what_is_in_flight_and_counts_over_all_runs(bulk: Bulk):
    bulk.ask(numbered(300))
    whole = await bulk.client.batch.run(bulk.source, bulk.folder / "whole.jsonl", **QUICK)
    sent = bulk.requests
    report = await bulk.run(budget=whole.cost / 3, concurrency=5)

    assert report.exit_code == ExitCode.STOPPED
    assert "budget of $" in str(report.stopped)
    assert 80 <= report.ok <= 105
    assert report.rows == len(bulk.named()) == bulk.requests - sent
    again = await bulk.run(budget=whole.cost / 3, concurrency=5)
    assert (again.ok, again.resumed) == (0, report.ok)
    assert again.exit_code == ExitCode.STOPPED
    assert again.spent == pytest.approx(report.spent)
    rest = await bulk.run(budget=whole.cost * 2)
    assert (rest.exit_code, rest.rows) == (ExitCode.OK, 300)


async def test_what_was_paid_for_and_came_to_nothing_counts(bulk: Bulk):
    bulk.ask(numbered(40))
    all_lost = {"thinking": {"type": "enabled"}, "max_tokens": 3}
    whole = await bulk.client.batch.run(bulk.source, bulk.folder / "whole.jsonl", **all_lost)
    report = await bulk.run(**all_lost, concurrency=2, budget=whole.cost / 2)

    assert whole.failures == {"ReasoningBudgetExhaustedError": 40}
    assert whole.progress.completion_tokens == 40 * 3
    assert whole.progress.prompt_tokens > 0
    assert whole.cost > 0
    assert report.exit_code == ExitCode.STOPPED
    assert "budget of $" in str(report.stopped)
    assert 15 <= report.failed <= 22
    assert (await bulk.run(**all_lost, budget=whole.cost / 2)).spent == pytest.approx(report.cost)
    # Whoever looks at the output later finds the same sums.
    output = OutputReader(bulk.folder / "whole.jsonl")
    output.read()
    account = account_of(LatestRun(output), price_table())
    assert account.cost == pytest.approx(whole.cost)
    assert (account.failed, account.tokens.reasoning, account.tokens.answer) == (40, 40 * 3, 0)
    assert account.tokens.fresh + account.tokens.cached == whole.progress.prompt_tokens


async def test_what_rows_in_flight_were_billed_counts_before_one_of_them_is_asked_again(
    serve: Serve, connect: Connect, tmp_path: Path
):
    server = await serve([response(answer(""))])
    client = connect(server, retry=AT_ONCE)
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in numbered(40)))
    usage = CompletionUsage(10, 5, 15, 4, 6)
    price = price_table().cost(usage, "deepseek-flash", time.time())
    assert price is not None
    report = await client.batch.run(source, tmp_path / "out.jsonl", budget=5 * price, concurrency=20)

    assert "budget of $" in str(report.stopped)
    assert len(server.requests) <= 20
    assert report.progress.prompt_tokens == 10 * len(server.requests)


async def test_shards_together_answer_every_row_once(bulk: Bulk):
    bulk.ask([*numbered(60), *({"prompt": f"Without a name {number % 10}"} for number in range(40))])
    names: list[str] = []
    for number in range(1, 4):
        report = await bulk.client.batch.run(
            bulk.source,
            bulk.folder / f"{number}.jsonl",
            shard=f"{number}/3",
            **QUICK,
        )
        assert report.progress.total == report.rows > 10
        again = await bulk.client.batch.run(bulk.source, bulk.folder / f"{number}.jsonl", shard=f"{number}/3", **QUICK)
        assert (again.ok, again.resumed) == (0, report.rows)
        lines = (bulk.folder / f"{number}.jsonl").read_text().splitlines()
        names += [json.loads(line)["custom_id"] for line in lines]

    assert len(names) == len(set(names)) == bulk.requests == 100


async def test_an_id_that_another_row_might_get_is_refused_where_rows_have_none(bulk: Bulk):
    bulk.ask(['"a"'])
    await bulk.run()
    (name,) = latest(bulk)
    rows = ['"a"', json.dumps({"custom_id": name, "prompt": "b"})]

    for output in (bulk.output, bulk.folder / "new.jsonl"):
        bulk.ask(rows)
        with pytest.raises(InputFormatError, match=r"line 2: 'row-.*' has the form of a generated name"):
            await bulk.client.batch.run(bulk.source, output, **QUICK)
        bulk.ask(rows[1:])
    assert bulk.requests == 1


# Where rows stand


def order(bulk: Bulk) -> list[str]:
    """The questions of the rows that an export has, in its order."""
    output = OutputReader(bulk.output)
    output.read()
    answers = [row.line.body.text or "" for row in LatestRun(output).rows() if row.line is not None]
    return [answer.removeprefix("Answer to: ")[:1] for answer in answers]


async def test_rows_that_only_move_are_found_where_they_stand_in_the_latest_input(bulk: Bulk):
    bulk.ask(['"a"', '"b"', '"c"'])
    await bulk.run()
    for asked in ("cab", "cba", "ca", "xca", "bxac"):
        bulk.ask([f'"{word}"' for word in asked])
        report = await bulk.run()

        assert (report.rows, report.ok) == (len(asked), 1 if asked == "xca" else 0)
        assert order(bulk) == list(asked)
    lines = bulk.lines()
    assert bulk.requests == 4
    assert {line["custom_id"] for line in lines} == set(latest(bulk))
    assert sum(line["deepseek_async"]["cost"] for line in lines) == pytest.approx(
        sum(line["deepseek_async"]["cost"] for line in lines if line["deepseek_async"]["attempts"]),
    )


async def test_a_run_of_the_same_input_writes_nothing(bulk: Bulk):
    bulk.ask(numbered(5))
    await bulk.run()
    before = bulk.output.read_bytes()
    await bulk.run()
    await bulk.run(redo="error")

    assert bulk.output.read_bytes() == before


async def test_a_part_of_a_job_asks_for_the_rows_of_the_other_parts_too(bulk: Bulk):
    bulk.ask(['"a"', '"b"', '"c"', '"d"'])
    await bulk.run()
    await bulk.run(shard="1/2")

    assert order(bulk) == ["a", "b", "c", "d"]


async def test_the_answer_to_what_a_row_asked_before_is_left_out_when_it_asks_for_something_else(bulk: Bulk):
    bulk.ask([{"custom_id": "1", "prompt": "a"}, {"custom_id": "2", "prompt": "b"}])
    await bulk.run()
    bulk.ask([{"custom_id": "2", "prompt": "x"}, {"custom_id": "1", "prompt": "y"}])
    first = bulk.output.stat().st_size
    await bulk.run(redo="changed", concurrency=1)
    assert order(bulk) == ["x", "y"]

    # A kill after the first row of the second run.
    content = bulk.output.read_bytes()
    bulk.output.write_bytes(content[: content.index(b"\n", first) + 1])
    assert order(bulk) == ["x"]
