"""Answers in another form: nothing lost, nothing out of order, nothing half written."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from answers import answered, failed, written

from deepseek_async.batch.review.export import Format, export, format_of, packed
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.review.row_selection import LatestRun
from deepseek_async.errors import ConfigurationError
from deepseek_async.files.replacement import replaced

CALLS = [{"id": "call_00_a", "type": "function", "function": {"name": "look", "arguments": '{"city": "Oslo"}'}}]
AWKWARD = 'a "quoted", text\nof two lines\r\nand \u5185\u5bb9 \u2028 \U0001f389'


def exported(path: Path, form: Format, *lines: bytes, content_only: bool = False) -> bytes:
    output = OutputReader(written(path / "out.jsonl", lines))
    output.read()
    target = io.BytesIO()
    assert export(LatestRun(output), target, form, content_only=content_only) == len(output)
    return target.getvalue()


def table(path: Path, form: Format, *lines: bytes, **options: Any) -> list[dict[str, Any]]:
    wire = exported(path, form, *lines, **options)
    if form == "csv":
        return list(csv.DictReader(io.StringIO(wire.decode(), newline="")))
    if form == "parquet":
        return pq.read_table(io.BytesIO(wire)).to_pylist()  # type: ignore[no-any-return]
    return [json.loads(line) for line in wire.splitlines()]


def test_json_lines_are_the_outputs_own_byte_for_byte_in_order(tmp_path: Path):
    lines = [answered(1), failed(2), answered(0, AWKWARD)]

    assert exported(tmp_path, "jsonl", *lines) == lines[2] + lines[0] + lines[1]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_content_only_keeps_the_name_and_the_text(tmp_path: Path, form: Format):
    rows = table(tmp_path, form, failed(1), answered(0, AWKWARD), content_only=True)

    nothing = "" if form == "csv" else None
    first, second = ("0", "1") if form == "csv" else (0, 1)
    assert rows == [
        {"index": first, "custom_id": "row-0", "content": AWKWARD},
        {"index": second, "custom_id": "row-1", "content": nothing},
    ]


def test_a_table_has_a_column_for_everything(tmp_path: Path):
    answer, failure = table(tmp_path, "parquet", answered(0, cost=0.5, calls=CALLS, request_id="t"), failed(1))

    assert answer == {
        "index": 0,
        "custom_id": "row-0",
        "content": "Yes.",
        "reasoning": "Hm.",
        "tool_calls": json.dumps(CALLS, separators=(",", ":")),
        "finish_reason": "stop",
        "model": "deepseek-flash",
        "prompt_tokens": 1000,
        "cached_tokens": 400,
        "completion_tokens": 100,
        "reasoning_tokens": 60,
        "cost": 0.5,
        "attempts": 1,
        "started": answer["started"],
        "latency": 2.0,
        "simulated": None,
        "request_id": "t",
        "error": None,
        "error_message": None,
    }
    assert (failure["error"], failure["error_message"]) == ("BadRequestError", "400: Content Exists Risk")
    assert (failure["content"], failure["prompt_tokens"], failure["model"]) == (None, None, None)


def test_csv_and_parquet_say_the_same(tmp_path: Path):
    lines = [answered(number, f"{AWKWARD} {number}") for number in range(5)]
    rows = table(tmp_path, "parquet", *lines)
    as_text = [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]

    assert table(tmp_path, "csv", *lines) == as_text


def test_parquet_is_written_in_groups(tmp_path: Path):
    rows = table(tmp_path, "parquet", *(answered(number) for number in range(2500)))

    assert [row["custom_id"] for row in rows] == [f"row-{number}" for number in range(2500)]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_an_empty_output_is_exported_as_no_rows(tmp_path: Path, form: Format):
    assert table(tmp_path, form) == []


@pytest.mark.parametrize(("name", "form"), [("a.jsonl.gz", "jsonl"), ("A.CSV.GZ", "csv")])
def test_a_name_that_ends_in_gz_packs(tmp_path: Path, name: str, form: Format):
    lines = [answered(0, AWKWARD), failed(1)]
    output = OutputReader(written(tmp_path / "out.jsonl", lines))
    output.read()
    assert format_of(Path(name)) == form
    with replaced(tmp_path / name, output.path) as file, packed(file, tmp_path / name) as packing:
        export(LatestRun(output), packing, form)

    assert gzip.decompress((tmp_path / name).read_bytes()) == exported(tmp_path, form, *lines)


def test_parquet_is_packed_already():
    with pytest.raises(ConfigurationError, match="the suffix of"):
        format_of(Path("a.parquet.gz"))


def test_the_suffix_says_the_format():
    assert [format_of(Path(name)) for name in ("a.jsonl", "a.CSV", "a.parquet", "a.pq")] == [
        "jsonl",
        "csv",
        "parquet",
        "parquet",
    ]
    with pytest.raises(ConfigurationError, match=r"must be \.jsonl, \.csv, .* or \.parquet"):
        format_of(Path("a.xlsx"))
