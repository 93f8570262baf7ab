"""No line of a file takes more memory than it may, packed or not, and the rows around it are what they are.

Files are read by a process of its own, because memory that a process has given back is not seen again.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepseek_async import ConfigurationError, finetune
from deepseek_async.batch.journal import reading
from deepseek_async.batch.journal.merge import merge
from deepseek_async.batch.line_encoder import encode_line
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.row import Defaults
from deepseek_async.batch.row_source import read_ids, read_rows
from deepseek_async.errors import APIConnectionError
from deepseek_async.observe.audit import query

PROGRAM = Path(__file__).with_name("memory_of_rows.py")
MIB = 1 << 20
LIMIT = MIB // 4
LONG = 8 * MIB
KB_GROWN = 4 * 1024
"""Far from what the line has, and room for buffers and what the allocator keeps."""


def long(piece: bytes) -> Iterator[bytes]:
    return repeat(piece * (MIB // len(piece)), LONG // MIB)


SHAPES: dict[str, tuple[bytes, bytes, bytes, bytes]] = {
    # The rows before, the beginning and the filling of the long one, its end and the rows behind it.
    "a JSON line": (b'{"prompt":"a"}\n', b'{"prompt":"', b"x", b'"}\n{"prompt":"b"}\n'),
    "a line of blanks": (b'{"prompt":"a"}\n', b"", b" ", b'\n{"prompt":"b"}\n'),
    "a line without an end": (b'{"prompt":"a"}\n{"prompt":"b"}\n', b'{"prompt":"', b"x", b""),
}
TEXTS = {"a line of text": (b"a\n", b"", b"x", b"\nb\n"), "an old Mac's line": (b"a\r", b"", b"x", b"\rb\r")}
TABLES = {
    "a cell": (b"prompt,n\na,1\n", b"", b"x", b",2\nb,3\n"),
    "a quoted cell": (b"prompt,n\na,1\n", b'"', b"x", b'",2\nb,3\n'),
    "a quoted cell of lines that look like rows": (
        b"prompt,n\na,1\n",
        b'"',
        b"not sent " * 20 + b",1\n",
        b'",2\nb,3\n',
    ),
    "a quoted cell of quotes": (b"prompt,n\na,1\n", b'"', b'"",""' * 30 + b"\n", b'",2\nb,3\n'),
    "cells without end": (b"prompt,n\na,1\n", b"", b",", b"\nb,3\n"),
    "a cell in another script": (b"prompt,n\na,1\n", b"", "深".encode(), b",2\nb,3\n"),
}
FILES = [
    *((f"{name}.jsonl{packed}", shape) for name, shape in SHAPES.items() for packed in ("", ".gz")),
    *((f"{name}.txt{packed}", shape) for name, shape in TEXTS.items() for packed in ("", ".gz")),
    *((f"{name}.csv{packed}", shape) for name, shape in TABLES.items() for packed in ("", ".gz")),
]


def write(path: Path, before: bytes, beginning: bytes, filling: Iterator[bytes], behind: bytes) -> None:
    with gzip.open(path, "wb", compresslevel=1) if path.suffix == ".gz" else path.open("wb") as file:
        file.write(before + beginning)
        for piece in filling:
            file.write(piece)
        file.write(behind)


async def read_in_a_process(path: Path) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), str(path), str(LIMIT)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, told = await process.communicate()
    assert process.returncode == 0, told.decode()
    read: dict[str, Any] = json.loads(said)
    return read


@pytest.mark.parametrize(("name", "shape"), FILES, ids=[name for name, _ in FILES])
async def test_a_line_that_is_too_long_is_a_bad_row_that_was_never_in_memory(
    tmp_path: Path, name: str, shape: tuple[bytes, bytes, bytes, bytes]
):
    before, beginning, filling, behind = shape
    path = tmp_path / f"long{''.join(Path(name).suffixes)}"
    write(path, before, beginning, long(filling), behind)
    write(path.with_name(f"small{''.join(path.suffixes)}"), before, beginning, iter([filling * 2]), behind)
    read = await read_in_a_process(path)
    path.unlink()
    assert [prompt for _, prompt, _ in read["rows"]].count(None) == 1
    assert [prompt for _, prompt, _ in read["rows"] if prompt is not None] == ["a", "b"]
    ((line, _, reason),) = [row for row in read["rows"] if row[1] is None]
    assert f"line {line}: row " in reason
    assert f"exceeds {LIMIT:,} bytes" in reason
    assert "max_row_bytes" in reason
    assert read["ids"] == [row[0] for row in read["rows"]]
    assert read["grown"] < KB_GROWN


async def test_a_row_of_parquet_that_is_too_long_is_a_bad_row(tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pytest.importorskip("pyarrow").table
    path = tmp_path / "long.parquet"
    many = ["short"] * 300
    parquet.write_table(table({"prompt": [*many, "x" * 2 * MIB, *many]}), path)
    rows = list(read_rows(path, Defaults(max_row_bytes=MIB)))
    assert [row.index for row in rows] == list(range(601))
    (bad,) = [row for row in rows if row.error is not None]
    assert (bad.line, str(bad.error)[-200:].count("max_row_bytes")) == (301, 1)


async def test_rows_of_parquet_are_read_a_few_at_a_time_where_they_are_long(tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pytest.importorskip("pyarrow").table
    cells = [f"{number}" * 60_000 for number in range(100, 356)]
    # A page is decoded whole, so pages are short.
    parquet.write_table(table({"prompt": cells}), tmp_path / "long.parquet", use_dictionary=False, write_batch_size=1)
    parquet.write_table(table({"prompt": ["a"]}), tmp_path / "small.parquet")
    read = await read_in_a_process(tmp_path / "long.parquet")
    assert [reason for _, _, reason in read["rows"]] == [None] * 256
    assert read["grown"] < 4 * KB_GROWN


@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.csv.gz"])
async def test_a_first_line_that_is_too_long_is_named(tmp_path: Path, name: str):
    write(tmp_path / name, b"", b"prompt", iter([b"x" * 5000]), b"\n")
    with pytest.raises(ConfigurationError, match=r"the first line of .* exceeds 1,000 bytes.*--max-row-bytes"):
        list(read_rows(tmp_path / name, Defaults(max_row_bytes=1000)))


SIZES = st.lists(st.tuples(st.integers(0, 40), st.sampled_from("ab深\u2028")), max_size=8)


@given(SIZES, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.integers(20, 40))
def test_a_line_is_a_row_or_too_long_by_its_bytes(tmp_path_factory, sizes, ending: str, last: bool, longest: int):
    texts = ["x" + letter * size for size, letter in sizes]
    path = tmp_path_factory.mktemp("rows") / "in.txt"
    path.write_bytes((ending.join(texts) + ending * last).encode())
    rows = list(read_rows(path, Defaults(max_row_bytes=longest)))
    for row, text in zip(rows, texts, strict=True):
        size = len(text.encode())
        if size + len(ending) <= longest:
            assert row.body is not None
            assert row.body["messages"][0]["content"] == text
        elif size > longest:
            assert row.error is not None
            assert f"{longest:,}" in row.error.message


RECORDS = st.lists(st.text(alphabet='ab,"\n\r深', max_size=12), min_size=1, max_size=6)


@example(['aaaaa""""\r\n', ""], 13)
@example(['aaaaa""""\r\n', "b"], 13)
@example(["a" * 30 + "\r\n", "\r\n" * 8, "b"], 32)
@given(RECORDS, st.integers(8, 30))
def test_a_record_that_is_too_long_changes_no_other_record(tmp_path_factory, cells: list[str], longest: int):
    folder = tmp_path_factory.mktemp("records")
    written = ['"{}"'.format(cell.replace('"', '""')) for cell in cells]
    (folder / "in.csv").write_bytes(("prompt,n\n" + "".join(f"{cell},1\n" for cell in written)).encode())
    whole = list(read_rows(folder / "in.csv", Defaults()))
    bounded = list(read_rows(folder / "in.csv", Defaults(max_row_bytes=longest)))
    assert len(whole) == len(bounded) == len(cells)
    for cell, row, all_the_same in zip(written, bounded, whole, strict=True):
        size = len(cell.encode()) + 2
        if size <= longest:
            assert (row.body, row.line) == (all_the_same.body, all_the_same.line)
        elif size > longest + 2:
            assert row.error is not None
            assert "max_row_bytes" in row.error.message


@pytest.mark.parametrize("most", [0, -1, 1.5, True, "1"])
def test_a_limit_that_is_no_number_of_bytes_is_named(most: Any):
    with pytest.raises(ConfigurationError, match="max_row_bytes must be an integer number of bytes greater than 0"):
        Defaults(max_row_bytes=most)


def test_two_lines_that_are_too_long_are_told_apart_and_known_again(tmp_path: Path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"".join(b'{"prompt":"%b"}\n' % (letter * 100) for letter in (b"a", b"b", b"a")))
    texts = [row.text for row in read_rows(path, Defaults(max_row_bytes=50))]
    assert texts[0] == texts[2] != texts[1]
    assert [custom_id for _, custom_id in read_ids(path, Defaults(max_row_bytes=50))] == [None] * 3


def test_a_dialogue_that_is_too_long_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("deepseek_async.finetune.preparation.MAX_ROW_BYTES", 200)
    lines = [{"prompt": "a", "completion": "b"}, {"prompt": "a" * 300, "completion": "b"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = finetune.prepare(tmp_path / "in.jsonl")
    assert summary.rejected == {"too_long": 1}
    assert summary.examples[0].message.startswith("has 334 bytes, the limit is 200")


def row_line(name: str) -> bytes:
    return encode_line(BatchResult(index=0, error=APIConnectionError("reset")), name, 1)


def test_a_line_of_an_output_that_no_run_can_have_written_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for module in (reading, sys.modules["deepseek_async.batch.review.output_reader"]):
        monkeypatch.setattr(module, "LONGEST_LINE", 1000)
    path = tmp_path / "out.jsonl"
    hole = bytes(5000)
    path.write_bytes(row_line("a") + hole + b"\n" + row_line("b"))
    lines = reading.OutputLines(path)
    assert list(lines) == [row_line("a"), row_line("b")]
    assert lines.damaged == [(len(row_line("a")), len(hole) + 1)]
    output = OutputReader(path)
    output.read()
    assert (len(output), output.damaged) == (2, 1)
    merged = merge([path], tmp_path / "merged.jsonl")
    assert (merged.rows, merged.damaged) == (2, 1)


def test_a_line_of_the_audit_log_that_no_call_can_have_made_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(query, "_LONGEST_LINE", 1000)
    line = b'{"event":"call","response_id":"%d"}\n'
    (tmp_path / "audit-2026-11-25.jsonl").write_bytes(line % 1 + b"x" * 5000 + b"\n" + line % 2)
    assert [found["response_id"] for found in query.lines(tmp_path, query.Query())] == ["1", "2"]
