"""The output of a job as a table: in memory from its report, or as a Parquet file that the job writes at its end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk import QUICK, AfterCalls, Bulk, Start, numbered

from deepseek_async import ConfigurationError, OutputWriteError
from deepseek_async.batch import BatchReport, Progress
from deepseek_async.batch.tables import parquet_output, table_job
from deepseek_async.simulator import Fault, FaultKind

AFTER = [
    "error",
    "usage",
    "cost",
    "reasoning",
    "tool_calls",
    "finish_reason",
    "model",
    "attempts",
    "started",
    "latency",
    "request_id",
    "simulated",
]


class Label(msgspec.Struct):
    mood: str
    stars: int
    more: dict[str, int]


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@pytest.fixture
def table(bulk: Bulk) -> Path:
    return bulk.folder / "answers.parquet"


async def run_to(bulk: Bulk, output: Path, **options: Any) -> BatchReport:
    return await bulk.client.batch.run(bulk.source, output, **{**QUICK, **options})


async def test_a_report_becomes_a_table_of_every_library_in_input_order(bulk: Bulk):
    bulk.ask([{**row, "label": int(row["custom_id"]) * 2} for row in numbered(6)])
    bulk.simulator.script(Fault(FaultKind.BAD_REQUEST))
    report = await bulk.run()

    frame, polars, arrow = report.to_pandas(), report.to_polars(), report.to_arrow()
    assert (type(frame), type(polars), type(arrow)) == (pd.DataFrame, pl.DataFrame, pa.Table)
    assert list(frame) == polars.columns == arrow.column_names == ["index", "custom_id", "label", "answer", *AFTER]
    assert frame["index"].tolist() == [0, 1, 2, 3, 4, 5]
    assert polars["custom_id"].to_list() == ["0", "1", "2", "3", "4", "5"]
    assert arrow["label"].to_pylist() == [0, 2, 4, 6, 8, 10]
    assert polars.to_dicts() == arrow.to_pylist()
    (failed,) = [row for row in arrow.to_pylist() if row["answer"] is None]
    assert failed["error"].startswith("BadRequestError: ")
    assert frame["answer"].notna().sum() == frame["error"].isna().sum() == 5
    assert frame["cost"].sum() == pytest.approx(report.cost)


async def test_the_fields_of_a_class_are_columns_of_the_report_too(bulk: Bulk):
    bulk.ask(numbered(2))
    report = await bulk.run(response_format=Label, max_tokens=1000)

    rows = report.to_polars()
    assert rows.columns == ["index", "custom_id", "answer", "parsed.mood", "parsed.stars", "parsed.more", *AFTER]
    for row in rows.to_dicts():
        answer = msgspec.json.decode(row["answer"], type=Label)
        assert (row["parsed.mood"], row["parsed.stars"]) == (answer.mood, answer.stars)
        assert msgspec.json.decode(row["parsed.more"]) == answer.more


async def test_an_answer_that_does_not_fit_its_class_is_in_the_report(bulk: Bulk):
    bulk.ask(numbered(1))
    bulk.simulator.answer(when=lambda _: True, content='{"mood": 5}')
    (row,) = (await bulk.run(response_format=Label)).to_arrow().to_pylist()

    assert (row["answer"], row["parsed.mood"]) == ('{"mood": 5}', None)
    assert row["error"].startswith("StructuredOutputError: ")


async def test_columns_with_the_names_of_answers_stay_apart(bulk: Bulk):
    bulk.ask([{"prompt": "a", "answer": "mine", "error": 1, "index": "x"}])
    (row,) = (await bulk.run()).to_arrow().to_pylist()

    assert (row["input_answer"], row["input_error"], row["input_index"]) == ("mine", 1, "x")
    assert row["answer"].startswith("Answer to: a")
    assert (row["error"], row["index"]) == (None, 0)


async def test_a_report_without_its_output_says_so(bulk: Bulk):
    bulk.ask(numbered(1))
    report = await bulk.run()
    bulk.output.unlink()

    with pytest.raises(ConfigurationError, match=r"cannot read .*out\.jsonl"):
        report.to_pandas()
    with pytest.raises(ConfigurationError, match="has no path of an output"):
        msgspec.structs.replace(report, output=None).to_arrow()


async def test_a_parquet_output_holds_what_the_report_tells_and_its_journal_stays_beside_it(bulk: Bulk, table: Path):
    bulk.ask(numbered(30))
    report = await run_to(bulk, table)

    assert pq.read_table(table).equals(report.to_arrow())
    assert pd.read_parquet(table)["index"].tolist() == list(range(30))
    assert report.output == str(parquet_output.journal_of(table)) == f"{table}.jsonl"
    assert report.complete


async def test_the_same_command_resumes_and_writes_the_whole_table(start: Start):
    stopping = AfterCalls(5)
    bulk = await start(client={"max_concurrency": 2, "listeners": [stopping]})
    table = bulk.folder / "answers.parquet"
    bulk.ask(numbered(20))
    options: Any = {**QUICK, "durability": "each"}
    job = bulk.client.batch.job(bulk.source, table, **options)
    stopping.act = job.stop
    first = await job.run()
    assert 4 < first.rows < 20
    assert pq.read_table(table).num_rows == first.rows, "a job that was stopped has written what it has"

    second = await run_to(bulk, table)
    assert second.complete
    assert pq.read_table(table)["custom_id"].to_pylist() == [str(number) for number in range(20)]
    assert bulk.requests == 20


async def test_a_cancelled_run_leaves_the_table_of_the_run_before(start: Start):
    cancelling = AfterCalls(3 + 5)
    bulk = await start(client={"max_concurrency": 2, "listeners": [cancelling]})
    table = bulk.folder / "answers.parquet"
    bulk.ask(numbered(3))
    await run_to(bulk, table)
    bulk.ask(numbered(20))
    running = asyncio.create_task(run_to(bulk, table, durability="each"))
    cancelling.act = running.cancel
    with pytest.raises(asyncio.CancelledError):
        await running

    assert pq.read_table(table).num_rows == 3
    await run_to(bulk, table)
    assert pq.read_table(table).num_rows == 20
    assert [path.name for path in bulk.folder.iterdir() if path.name.startswith(".")] == []


@pytest.fixture
def precious(table: Path) -> Path:
    table.write_bytes(b"precious")
    return table


async def test_a_table_that_another_program_wrote_is_not_replaced(bulk: Bulk, precious: Path):
    bulk.ask(numbered(1))
    with pytest.raises(ConfigurationError, match=r"^cannot write .*answers\.parquet: it exists, but its journal"):
        await run_to(bulk, precious)
    pq.write_table(pa.table({"prompt": ["a"]}), bulk.folder / "in.parquet")
    with pytest.raises(ConfigurationError, match=r"it is the input"):
        await bulk.client.batch.run(bulk.folder / "in.parquet", bulk.folder / "in.parquet")
    assert (content(precious), bulk.requests) == (b"precious", 0)


async def test_a_job_that_goes_on_for_long_has_a_whole_table_at_any_moment(
    start: Start, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(table_job, "_FIRST", 4)
    bulk = await start(client={"max_concurrency": 2}, latency=0.05)
    table = bulk.folder / "answers.parquet"
    bulk.ask(numbered(60))
    seen: list[tuple[int, int]] = []

    def told(now: Progress) -> None:
        if content(table) is not None:
            seen.append((now.done, pq.read_table(table).num_rows))
            if now.done >= 40:
                running.cancel()

    running = asyncio.create_task(run_to(bulk, table, durability="each", on_progress=told))
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not [task for task in asyncio.all_tasks() if "WorkerThreads" in repr(task.get_coro())]
    rows = [rows for _, rows in seen]
    assert rows == sorted(rows)
    assert 2 <= len(set(rows)) <= 6, "written when the rows have doubled, not for each"
    last = pq.read_table(table)
    assert last.num_rows >= 4
    assert all(answer.startswith("Answer to: ") for answer in last["answer"].to_pylist())

    await run_to(bulk, table)
    assert pq.read_table(table).num_rows == 60


async def test_a_table_that_cannot_be_written_says_where_the_answers_are(
    bulk: Bulk, table: Path, monkeypatch: pytest.MonkeyPatch
):
    bulk.ask(numbered(2))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OutputWriteError, match=r"No space left.*every answer is in .*answers\.parquet\.jsonl"):
        await run_to(bulk, table)
    monkeypatch.undo()

    assert content(table) is None
    await run_to(bulk, table)
    assert (pq.read_table(table).num_rows, bulk.requests) == (2, 2)


async def test_a_table_is_written_in_groups_of_rows(bulk: Bulk, table: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parquet_output, "_GROUP", 4)
    bulk.ask(numbered(10))
    await run_to(bulk, table)

    assert pq.ParquetFile(table).num_row_groups == 3
    assert pq.read_table(table)["index"].to_pylist() == list(range(10))
