"""A column of the input looks alike in every export, whether the input is read again or not, and never ends one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deepseek_async.batch.line_encoder import encode_line
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.review.columns import Columns
from deepseek_async.batch.review.export import Format, export
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.review.row_selection import LatestRun, RowsOfInput, SelectedRows
from deepseek_async.batch.row import Defaults
from deepseek_async.batch.row_source import read_rows
from deepseek_async.errors import InputFormatError

TYPED = pa.table(
    {
        "custom_id": ["a"],
        "prompt": ["Hi"],
        "bytes": [b"text"],
        "image": [b"\xff\xd8"],
        "price": [Decimal("1.10")],
        "day": [date(2026, 11, 1)],
        "moment": [datetime(2026, 11, 1, 12, tzinfo=UTC)],
        "clock": [time(12, 30)],
        "took": pa.array([timedelta(seconds=5)], pa.duration("s")),
        "large": pa.array([2**64 - 1], pa.uint64()),
        "counts": pa.array([[(3, 1)]], pa.map_(pa.int64(), pa.int64())),
        "values": [[1, None]],
    }
)
HOSTILE = (
    r'{"custom_id":"a","prompt":"Hi","long":123456789012345678901234567890,"half":"\ud83d",'
    r'"in":["\ud83d",1e999],"\ud83d":1}'
)


def outputs(source: Path) -> Iterator[tuple[SelectedRows, SelectedRows]]:
    """What is asked about with the input, and what without, once the rows of ``source`` have ended."""
    output = source.with_name("out.jsonl")
    lines = []
    for row in read_rows(source, Defaults()):
        result = BatchResult(
            index=row.index, custom_id=row.custom_id, error=InputFormatError("no"), columns=row.columns
        )
        lines.append(encode_line(result, row.custom_id or "", 0))
    output.write_bytes(b"".join(lines))
    read = OutputReader(output)
    read.read()
    yield RowsOfInput(read, source, None), LatestRun(read)


def columns(asked: SelectedRows, form: Format, names: set[str], *, content_only: bool) -> dict[str, Any]:
    target = io.BytesIO()
    assert export(asked, target, form, content_only=content_only) == 1
    if form == "parquet":
        (row,) = pq.read_table(io.BytesIO(target.getvalue())).to_pylist()
    elif form == "csv":
        (row,) = csv.DictReader(io.StringIO(target.getvalue().decode(), newline=""))
    else:
        row = json.loads(target.getvalue())
        row = row if content_only else row["deepseek_async"]["columns"]
    return {name: row[name] for name in names}


@pytest.mark.parametrize("content_only", [False, True])
@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_value_of_any_type_is_exported_alike_with_and_without_the_input(
    tmp_path: Path, form: Format, content_only: bool
):
    source = tmp_path / "in.parquet"
    pq.write_table(TYPED, source)
    names = {*TYPED.column_names} - {"custom_id", "prompt"}
    for with_input, without in outputs(source):
        said = columns(with_input, form, names, content_only=content_only)
        assert said == columns(without, form, names, content_only=content_only)
        assert (said["bytes"], said["price"], said["took"]) == ("text", "1.10", "0:00:05")


@pytest.mark.parametrize("content_only", [False, True])
@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_what_no_file_can_hold_ends_no_export(tmp_path: Path, form: Format, content_only: bool):
    source = tmp_path / "in.jsonl"
    source.write_text(HOSTILE + "\n")
    for asked in next(outputs(source)):
        said = columns(asked, form, {"long", "half", "?"}, content_only=content_only)
        assert (str(said["half"]), str(said["?"])) == ("?", "1")
        assert int(float(said["long"])) == int(float(123456789012345678901234567890))


@pytest.mark.parametrize(
    ("values", "exported"),
    [
        ([2**53 + 1, 1.5], [str(2**53 + 1), "1.5"]),
        ([1.5, 7, -(2**53) - 1], ["1.5", "7", str(-(2**53) - 1)]),
        ([7, 2**53 + 1, None], [7, 2**53 + 1, None]),
        ([7, 1.5], [7.0, 1.5]),
    ],
)
def test_a_number_in_parquet_keeps_its_digits_whatever_the_column_has_beside_it(values: list[Any], exported: list[Any]):
    columns = Columns()
    for value in values:
        columns.add({"key": value})
    types = {"int64": pa.int64(), "float64": pa.float64(), "string": pa.string()}
    written = pa.array([columns.cell("key", value) for value in values], types[columns.type("key")])

    assert written.to_pylist() == exported
