"""Answers in another form: JSON lines in the order of the input, CSV, or Parquet."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from gzip import GzipFile
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, Final, Literal, cast

import orjson

from deepseek_async.batch.review.output import Line, Output
from deepseek_async.errors import ConfigurationError, OutputWriteError

Format = Literal["jsonl", "csv", "parquet"]

_SUFFIXES: Final[dict[str, Format]] = {".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
_BATCH: Final = 1024
_TYPES: Final = {
    "custom_id": "string",
    "content": "string",
    "reasoning": "string",
    "tool_calls": "string",
    "finish_reason": "string",
    "model": "string",
    "prompt_tokens": "int64",
    "cached_tokens": "int64",
    "completion_tokens": "int64",
    "reasoning_tokens": "int64",
    "cost": "float64",
    "attempts": "int64",
    "started": "float64",
    "latency": "float64",
    "request_id": "string",
    "error": "string",
    "error_message": "string",
}
_CONTENT: Final = ("custom_id", "content")


def format_of(path: Path) -> Format:
    """The format that a file's suffix names, ``.gz`` aside. Raises ConfigurationError for another suffix."""
    named = path.with_suffix("") if is_packed(path) else path
    form = _SUFFIXES.get(named.suffix.lower())
    if form is None or (form == "parquet" and named is not path):
        raise ConfigurationError(
            f"{path}: cannot tell the format from the suffix; use .jsonl, .csv, .jsonl.gz, .csv.gz or .parquet",
        )
    return form


def is_packed(path: Path) -> bool:
    """Whether the name says that the file is packed by gzip."""
    return path.suffix.lower() == ".gz"


def export(output: Output, target: IO[bytes], form: Format, *, content_only: bool = False) -> int:
    """Write every row's last line, in the order of the input; returns the number of rows.

    ``content_only`` leaves ``custom_id`` and ``content``; the content of a row without an answer is null or empty.
    A JSON line otherwise is the output's own line, byte for byte. Raises ConfigurationError when Parquet is asked
    for and pyarrow is not installed.
    """
    return _WRITERS[form](output, target, _CONTENT if content_only else tuple(_TYPES))


@contextmanager
def replaced(path: Path, output: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of ``path`` once it is whole and on disk; packed, if the name ends in ``.gz``.

    Raises OutputWriteError, and ConfigurationError if ``path`` is the job's ``output`` itself.
    """
    if path.exists() and path.samefile(output):
        raise ConfigurationError(f"{path} is the output itself, which is also the job's journal; name another file")
    temporary = None
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            if is_packed(path):
                with GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file) as packed:
                    yield cast("IO[bytes]", packed)
            else:
                yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o600)
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise OutputWriteError(f"cannot write {path}: {error.strerror}", path=str(path)) from None
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def _jsonl(output: Output, target: IO[bytes], columns: tuple[str, ...]) -> int:
    rows = 0
    for wire, line in output.in_order():
        if columns == _CONTENT:
            wire = orjson.dumps({"custom_id": line.custom_id, "content": line.message.content}) + b"\n"  # noqa: PLW2901
        target.write(wire)
        rows += 1
    return rows


def _csv(output: Output, target: IO[bytes], columns: tuple[str, ...]) -> int:
    text = TextIOWrapper(target, encoding="utf-8", newline="", write_through=True)
    try:
        writer = csv.DictWriter(text, columns, extrasaction="ignore")
        writer.writeheader()
        rows = 0
        for _, line in output.in_order():
            writer.writerow(_record(line))
            rows += 1
        return rows
    finally:
        text.detach()


def _parquet(output: Output, target: IO[bytes], columns: tuple[str, ...]) -> int:
    try:
        import pyarrow as pa  # noqa: PLC0415  the extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError("Parquet needs pyarrow: pip install 'deepseek-async[parquet]'") from None
    schema = pa.schema([(name, getattr(pa, _TYPES[name])()) for name in columns])
    rows = 0
    with pq.ParquetWriter(target, schema) as writer:
        records = (_record(line) for _, line in output.in_order())
        for group in _groups(records):
            chosen = [{name: record[name] for name in columns} for record in group]
            writer.write_table(pa.Table.from_pylist(chosen, schema=schema))
            rows += len(group)
    return rows


def _record(line: Line) -> dict[str, Any]:
    message, usage = line.message, line.body.usage
    calls = bytes(message.tool_calls)
    return {
        "custom_id": line.custom_id,
        "content": message.content,
        "reasoning": message.reasoning_content,
        "tool_calls": calls.decode() if calls and calls != b"null" else None,
        "finish_reason": line.finish_reason,
        "model": line.body.model,
        "prompt_tokens": usage.prompt_tokens if usage is not None else None,
        "cached_tokens": usage.cached_tokens if usage is not None else None,
        "completion_tokens": usage.completion_tokens if usage is not None else None,
        "reasoning_tokens": usage.reasoning_tokens if usage is not None else None,
        "cost": line.facts.cost,
        "attempts": line.facts.attempts,
        "started": line.started,
        "latency": line.facts.latency,
        "request_id": line.response.request_id if line.response is not None else None,
        "error": line.error.code if line.error is not None else None,
        "error_message": line.error.message if line.error is not None else None,
    }


def _groups(records: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    records = iter(records)
    while group := list(islice(records, _BATCH)):
        yield group


_WRITERS: Final[dict[Format, Callable[[Output, IO[bytes], tuple[str, ...]], int]]] = {
    "jsonl": _jsonl,
    "csv": _csv,
    "parquet": _parquet,
}
