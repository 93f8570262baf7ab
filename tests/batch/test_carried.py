"""What stands beside a request comes out beside its answer, and rows about nothing are refused, sent or left out."""

from __future__ import annotations

import json
from collections import namedtuple
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk import QUICK, Bulk, read_lines

from deepseek_async import ConfigurationError
from deepseek_async.batch import BatchReport, BatchResult, ExitCode
from deepseek_async.batch.line_format import FACTS
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.review.row_selection import RowsOfInput
from deepseek_async.batch.run_record import defaults_of
from deepseek_async.cli.asked_rows import what_is_missing

ROWS = [{"text": "good", "stars": 5.0}, {"text": None, "stars": 1.0}, {"text": "bad", "stars": None}]


async def answers(bulk: Bulk, requests: Any, **options: Any) -> list[BatchResult]:
    return [result async for result in bulk.client.batch.map(requests, ordered=True, **{**QUICK, **options})]


def asked(bulk: Bulk) -> list[str]:
    return sorted(record.body["messages"][-1]["content"] for record in bulk.simulator.requests)


def carried(bulk: Bulk) -> dict[int, Any]:
    return {line[FACTS]["index"]: line[FACTS].get("columns") for line in read_lines(bulk.output)}


async def run(bulk: Bulk, rows: list[Any], **options: Any) -> BatchReport:
    bulk.ask(rows)
    return await bulk.run(**options)


async def test_keys_that_are_no_parameters_come_out_beside_the_answer_and_are_not_sent(bulk: Bulk):
    rows = [{"prompt": "a", "label": "x", "score": 1.5}, {"prompt": "b", "nested": {"a": [1, None]}}, {"prompt": "c"}]
    report = await run(bulk, rows)

    assert carried(bulk) == {0: {"label": "x", "score": 1.5}, 1: {"nested": {"a": [1, None]}}, 2: None}
    assert all(set(record.body) == {"model", "messages", *QUICK} for record in bulk.simulator.requests)
    assert report.carried == ["label", "score", "nested"]
    assert report.exit_code == ExitCode.OK
    again = await bulk.run()
    assert (again.ok, again.resumed) == (0, 3), "lines with columns are read as well as others"


async def test_a_row_that_failed_keeps_its_columns_too(bulk: Bulk):
    await run(bulk, [{"prompt": None, "label": "x"}])

    assert carried(bulk) == {0: {"label": "x"}}


async def test_a_copy_has_the_columns_of_its_own_row(bulk: Bulk):
    rows = [{"prompt": "a", "label": name, "temperature": 0, "thinking": {"type": "disabled"}} for name in "xyz"]
    report = await run(bulk, rows, dedupe=True)

    assert report.progress.copied == 2
    assert bulk.requests == 1
    assert carried(bulk) == {0: {"label": "x"}, 1: {"label": "y"}, 2: {"label": "z"}}


async def test_columns_that_the_template_asks_about_are_not_repeated(bulk: Bulk):
    report = await run(bulk, [{"text": "good", "label": "x", "max_tokens": 3}], template="Is {text} good?")

    assert carried(bulk) == {0: {"label": "x", "max_tokens": 3}}
    assert report.carried == []
    assert bulk.simulator.requests[0].body["max_tokens"] == QUICK["max_tokens"]


async def test_values_that_json_cannot_carry_fail_no_row(bulk: Bulk):
    table = pa.table({"prompt": ["a"], "image": [b"\xff\xd8"], "took": pa.array([5], pa.duration("s"))})
    pq.write_table(table, bulk.folder / "in.parquet")
    report = await bulk.client.batch.run(bulk.folder / "in.parquet", bulk.output, **QUICK)

    assert report.exit_code == ExitCode.OK
    assert carried(bulk) == {0: {"image": "/9g=", "took": "0:00:05"}}


@pytest.mark.parametrize(
    ("empty", "sent", "counts"),
    [
        ("refuse", ["Is good worth 5?"], (1, 2, 0)),
        ("send", ["Is  worth 1?", "Is bad worth ?", "Is good worth 5?"], (3, 0, 0)),
        ("skip", ["Is good worth 5?"], (1, 0, 2)),
    ],
)
async def test_rows_about_nothing_are_refused_sent_or_left_out(bulk: Bulk, empty: str, sent: list[str], counts: Any):
    report = await run(bulk, ROWS, template="Is {text} worth {stars}?", empty=empty)

    assert asked(bulk) == sent
    assert (report.ok, report.failed, report.skipped) == counts
    assert report.complete
    assert report.stopped is None
    assert report.progress.total == 3
    assert len(bulk.lines()) == report.rows == report.ok + report.failed
    assert report.exit_code == (ExitCode.ROWS_FAILED if report.failed else ExitCode.OK)


async def test_rows_that_are_left_out_are_so_in_every_later_run_and_shard(bulk: Bulk):
    rows = [{"prompt": "a" if number % 3 else None, "custom_id": f"{number}"} for number in range(30)]
    parts = [await run(bulk, rows, empty="skip", shard=f"{number}/2") for number in (1, 2)]
    whole = await bulk.run(empty="skip")

    assert sum(part.skipped for part in parts) == whole.skipped == 10
    assert sum(part.ok for part in parts) == whole.resumed == 20
    assert all(report.exit_code == ExitCode.OK for report in [*parts, whole])


async def test_rows_that_were_refused_are_left_out_when_that_is_asked_for(bulk: Bulk):
    await run(bulk, ROWS, template="{text}")
    report = await bulk.run(template="{text}", empty="skip")

    assert (report.resumed, report.skipped, report.exit_code) == (2, 1, ExitCode.OK)
    read = OutputReader(bulk.output)
    read.read()
    assert read.run is not None
    rows = RowsOfInput(read, bulk.source, defaults_of(read.run))
    assert (rows.total, rows.pending, rows.skipped) == (3, 0, 1)
    assert "skipped: 1 row with an empty cell" in list(what_is_missing(rows))
    before = bulk.output.read_bytes()
    await bulk.run(template="{text}", empty="skip")
    assert bulk.output.read_bytes() == before, "it is said once"


@pytest.mark.parametrize("place", ["map", "job"])
async def test_another_word_for_empty_is_refused(bulk: Bulk, place: str):
    with pytest.raises(ConfigurationError, match="empty must be refuse, send or skip, got 'drop'"):
        await (answers(bulk, ["a"], empty="drop") if place == "map" else run(bulk, ["a"], empty="drop"))


# map


async def test_results_of_a_map_carry_the_columns_as_they_were(bulk: Bulk):
    label = object()
    results = await answers(bulk, [{"prompt": "a", "label": label}, "b", {"prompt": "", "label": 2}])

    assert [result.columns for result in results] == [{"label": label}, None, {"label": 2}]


@pytest.mark.parametrize(("empty", "indexes"), [("refuse", [0, 1, 2]), ("send", [0, 1, 2]), ("skip", [0])])
async def test_a_map_fills_templates_and_leaves_out_what_it_is_told_to(bulk: Bulk, empty: str, indexes: list[int]):
    results = await answers(bulk, ROWS, template="{text}: {stars}", empty=empty)

    assert [result.index for result in results] == indexes
    assert "good: 5" in asked(bulk)


def tables() -> list[Any]:
    rows = {"text": ["good", None], "stars": [5, None], "label": [[1], [2]]}
    made = [pytest.param(pa.table(rows), id="pyarrow"), pytest.param(pa.table(rows).to_batches()[0], id="batch")]
    for library in ("pandas", "polars"):
        try:
            module = __import__(library)
        except ImportError:
            continue
        made.append(pytest.param(module.DataFrame(rows), id=library))
    return made


@pytest.mark.parametrize("table", tables())
async def test_a_table_is_read_as_rows_and_never_asked_for_the_names_of_its_columns(bulk: Bulk, table: Any):
    results = await answers(bulk, table, template="{text}: {stars}")

    assert asked(bulk) == ["good: 5"]
    assert [result.ok for result in results] == [True, False]
    assert [json.loads(json.dumps(result.columns)) for result in results] == [{"label": [1]}, {"label": [2]}]


@pytest.mark.parametrize("table", tables())
async def test_a_table_without_what_is_asked_for_is_refused_before_anything_is_sent(bulk: Bulk, table: Any):
    with pytest.raises(ConfigurationError, match=r"a table without .* needs a template.* has: text, stars, label"):
        await answers(bulk, table)
    with pytest.raises(ConfigurationError, match=r"'review'.* has: text, stars, label"):
        await answers(bulk, table, template="{review}")
    assert bulk.requests == 0


async def test_a_table_that_is_not_there_yet_is_refused(bulk: Bulk):
    class LazyFrame:
        def collect_schema(self) -> None:
            raise NotImplementedError

    with pytest.raises(ConfigurationError, match=r"requests must have rows, got LazyFrame.*collect"):
        await answers(bulk, LazyFrame())


async def test_named_tuples_are_records(bulk: Bulk):
    review = namedtuple("review", ["prompt", "label"])  # noqa: PYI024
    results = await answers(bulk, [review("a", 1)])

    assert (asked(bulk), results[0].columns) == (["a"], {"label": 1})


@pytest.mark.parametrize(
    "prompts", [["a", None], ["a", float("nan")], pa.array(["a", None]), pa.chunked_array([["a", ""]])]
)
async def test_a_column_of_prompts_is_asked_as_far_as_it_says_something(bulk: Bulk, prompts: Any):
    results = await answers(bulk, prompts, empty="skip")

    assert asked(bulk) == ["a"]
    assert [result.index for result in results] == [0]


async def test_numbers_beside_texts_are_no_conversation(bulk: Bulk):
    results = await answers(bulk, [(1, "a"), ("id", "b"), [["user", "c"]]])

    assert bulk.requests == 0
    said = ["does not identify the prompt", "does not identify the prompt", "a list of requests"]
    assert all(words in str(result.error) for words, result in zip(said, results, strict=True))


async def test_the_first_line_names_the_columns_of_a_semicolon_file(bulk: Bulk, tmp_path: Path):
    (tmp_path / "in.csv").write_text('text;label\n"a;b";x\n')
    await bulk.client.batch.run(tmp_path / "in.csv", bulk.output, template="{text}", **QUICK)

    assert (asked(bulk), carried(bulk)) == (["a;b"], {0: {"label": "x"}})


async def test_columns_stay_with_their_row_when_it_is_redone_and_when_its_line_is_said_again(bulk: Bulk):
    rows = [{"prompt": f"{number}", "label": number} for number in range(3)]
    await run(bulk, rows)
    await bulk.run(redo="length", redo_with={"max_tokens": 5})
    assert all(line[FACTS]["columns"] == {"label": int(line[FACTS]["index"])} for line in bulk.lines())
    assert len(bulk.lines()) > 3

    moved = await run(bulk, rows[::-1], redo_with={})
    assert (moved.ok, moved.resumed) == (0, 3)
    *_, last = bulk.lines()
    assert last[FACTS]["columns"] == {"label": int(last[FACTS]["index"])}
    assert last["custom_id"] == last[FACTS]["copy_of"]
