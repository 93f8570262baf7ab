"""Export of an output: JSON lines in input order, CSV, or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from gzip import GzipFile
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, Literal, cast

import orjson

from deepseek_async.batch.cells import as_json
from deepseek_async.batch.line_format import FACTS, with_facts
from deepseek_async.batch.review.columns import ANSWER, as_text
from deepseek_async.batch.review.output_reader import LineFacts, OutputLine
from deepseek_async.batch.review.row_selection import AskedRow, SelectedRows
from deepseek_async.batch.review.spreadsheet import harmless
from deepseek_async.errors import ConfigurationError

Format = Literal["jsonl", "csv", "parquet"]

_SUFFIXES: Final[dict[str, Format]] = {".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
_BATCH: Final = 1024
_CONTENT: Final = ("index", "custom_id", "content")


def format_of(path: Path) -> Format:
    """Return the format for a file's suffix, ignoring ``.gz``. Raises ConfigurationError for an unsupported suffix."""
    named = path.with_suffix("") if is_packed(path) else path
    form = _SUFFIXES.get(named.suffix.lower())
    if form is None or (form == "parquet" and named is not path):
        raise ConfigurationError(
            f"the suffix of {path} must be .jsonl, .csv, .jsonl.gz, .csv.gz or .parquet",
        )
    return form


def is_packed(path: Path) -> bool:
    """Whether the file name ends in ``.gz``."""
    return path.suffix.lower() == ".gz"


def export(
    asked: SelectedRows,
    target: IO[bytes],
    form: Format,
    *,
    content_only: bool = False,
    spreadsheet_safe: bool = False,
) -> int:
    """Write the last line of every row, in input order; return the number of rows.

    Each row has its position in the input and the input's columns. ``content_only`` reduces the answer to
    ``custom_id`` and ``content``; the content of a row without an answer is null or empty. A JSON line is otherwise the
    output's line, byte for byte unless part of it belongs to another input. ``spreadsheet_safe`` prefixes texts in CSV
    that a spreadsheet would execute as formulas with an apostrophe. Raises ConfigurationError if that is requested for
    another format, or for Parquet without pyarrow.
    """
    content = (*_CONTENT, "simulated") if asked.made_up else _CONTENT
    if spreadsheet_safe:
        if form != "csv":
            raise ConfigurationError(f"--spreadsheet-safe requires CSV, got {form}")
        return _csv(asked, target, content if content_only else tuple(ANSWER), _safe)
    return _WRITERS[form](asked, target, content if content_only else tuple(ANSWER))


@contextmanager
def packed(file: IO[bytes], path: Path) -> Iterator[IO[bytes]]:
    """Yield ``file``, or a gzip stream into it if ``path`` ends in ``.gz``."""
    if not is_packed(path):
        yield file
        return
    with GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file) as packing:
        yield cast("IO[bytes]", packing)


def _jsonl(asked: SelectedRows, target: IO[bytes], chosen: tuple[str, ...]) -> int:
    rows, names = 0, asked.columns.names()
    for row in asked.rows():
        if len(chosen) < len(ANSWER):
            columns = {shown: row.columns[name] for name, shown in names.items() if name in row.columns}
            content = None if row.line is None else row.line.body.text
            said = {"index": row.index, "custom_id": row.custom_id, **columns, "content": content}
            if row.line is not None and row.line.facts.simulated:
                said["simulated"] = True
            target.write(as_json(said) + b"\n")
        else:
            target.write(_line(row))
        rows += 1
    return rows


def _line(row: AskedRow) -> bytes:
    facts: dict[str, Any] = {"index": row.index}
    if row.columns:
        facts["columns"] = row.columns
    if row.line is None:
        said = {
            "id": f"batch_req_{row.hashed}",
            "custom_id": row.custom_id,
            "response": None,
            "error": None if row.error is None else {"code": row.error.code, "message": row.error.message},
            FACTS: {"hash": row.hashed},
        }
        return with_facts(orjson.dumps(said), facts)
    own = row.line.facts
    as_it_is = own.index == row.index and own.columns == row.columns and not bytes(own.manifest)
    return row.wire if as_it_is else with_facts(row.wire, {**facts, "manifest": None})


def _safe(cells: list[Any]) -> list[Any]:
    return [harmless(cell) if isinstance(cell, str) else cell for cell in cells]


def _csv(
    asked: SelectedRows,
    target: IO[bytes],
    chosen: tuple[str, ...],
    shown: Callable[[list[Any]], list[Any]] = list,
) -> int:
    text = TextIOWrapper(target, encoding="utf-8", newline="", write_through=True)
    try:
        writer = csv.writer(text)
        names = asked.columns.names()
        order = _in_order(chosen, names.values())
        writer.writerow(shown([*order]))
        rows = 0
        for row in asked.rows():
            record = _record(row)
            record["simulated"] = record["simulated"] and "true"
            record.update((called, _cell(row.columns.get(name))) for name, called in names.items())
            writer.writerow(shown([record[name] for name in order]))
            rows += 1
        return rows
    finally:
        text.detach()


def _parquet(asked: SelectedRows, target: IO[bytes], chosen: tuple[str, ...]) -> int:
    try:
        import pyarrow as pa  # noqa: PLC0415  optional dependency
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError("Parquet needs pyarrow: pip install 'deepseek-async[parquet]'") from None
    names = asked.columns.names()
    types = {**ANSWER, **{shown: asked.columns.type(name) for name, shown in names.items()}}
    schema = pa.schema([(name, getattr(pa, types[name])()) for name in _in_order(chosen, names.values())])
    rows = 0
    with pq.ParquetWriter(target, schema) as writer:
        for group in _groups(asked.rows()):
            records = [_record(row) for row in group]
            for row, record in zip(group, records, strict=True):
                record.update((shown, asked.columns.cell(name, row.columns.get(name))) for name, shown in names.items())
            writer.write_table(pa.Table.from_pylist(records, schema=schema))
            rows += len(group)
    return rows


def _in_order(chosen: tuple[str, ...], columns: Iterable[str]) -> tuple[str, ...]:
    """Return the identifying columns, then the input's columns, then the answer columns."""
    known = _CONTENT[:2]
    return (*known, *columns, *(name for name in chosen if name not in known))


def _cell(value: Any) -> str | None:
    return None if value is None else as_text(value)


def _record(row: AskedRow) -> dict[str, Any]:
    line = row.line or OutputLine(row.custom_id, facts=LineFacts(attempts=0))
    body = line.body
    usage = None if body.usage is None else body.usage.read()
    return {
        "index": row.index,
        "custom_id": row.custom_id,
        "content": body.text,
        "reasoning": body.reasoning,
        "tool_calls": body.tool_calls,
        "finish_reason": body.finish_reason,
        "model": body.model,
        "prompt_tokens": usage.prompt_tokens if usage is not None else None,
        "cached_tokens": usage.cached_tokens if usage is not None else None,
        "completion_tokens": usage.completion_tokens if usage is not None else None,
        "reasoning_tokens": usage.reasoning_tokens if usage is not None else None,
        "cost": line.facts.cost,
        "attempts": line.facts.attempts,
        "started": line.started,
        "latency": line.facts.latency,
        "simulated": line.facts.simulated or None,
        "request_id": line.response.request_id if line.response is not None else None,
        "error": row.error.code if row.error is not None else None,
        "error_message": row.error.message if row.error is not None else None,
    }


def _groups(rows: Iterator[AskedRow]) -> Iterator[list[AskedRow]]:
    while group := list(islice(rows, _BATCH)):
        yield group


_WRITERS: Final[dict[Format, Callable[[SelectedRows, IO[bytes], tuple[str, ...]], int]]] = {
    "jsonl": _jsonl,
    "csv": _csv,
    "parquet": _parquet,
}
