"""A Parquet file as the output of a job: written from the journal, in groups of rows.

A Parquet file cannot be read before its end is written, and cannot be appended to. So the journal stays a file of JSON
lines beside it, and the Parquet file is always a whole one: it is replaced when the run ends, and before whenever its
rows have doubled, which costs no more in all than writing it once again.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, Final

from deepseek_async.batch.tables.frame_library import arrow_type
from deepseek_async.batch.tables.output_columns import OutputTable
from deepseek_async.errors import ConfigurationError
from deepseek_async.files.replacement import check_replaceable, replaced

_GROUP: Final = 1024
"""Rows in memory at once."""


def is_parquet(output: Path) -> bool:
    """Whether the output is to be a Parquet file."""
    return output.suffix.lower() in {".parquet", ".pq"}


def journal_of(output: Path) -> Path:
    """Return the journal of an output: the output itself, or a file beside it if the output is a Parquet file."""
    return output.with_name(f"{output.name}.jsonl") if is_parquet(output) else output


def check_parquet(output: Path, *inputs: Path) -> None:
    """Raise ConfigurationError if the job cannot write ``output`` at its end, or if another program has written it."""
    _pyarrow()
    check_replaceable(output, *inputs, force=True)
    journal = journal_of(output)
    if output.exists() and not journal.exists():
        raise ConfigurationError(
            f"cannot write {output}: it exists, but its journal {journal.name} does not; name another file"
        )


class LeftOffError(Exception):
    """The table was not written, because its job ends."""


def write_parquet(journal: Path, output: Path, leaves_off: Callable[[], bool] = lambda: False) -> None:
    """Write the rows of ``journal`` to ``output``, in input order and in bounded memory.

    Raises ConfigurationError and OutputWriteError, and LeftOffError once ``leaves_off()``; ``output`` is then as it
    was.
    """
    pa, pq = _pyarrow()
    table = OutputTable(journal)
    schema = pa.schema([(name, arrow_type(pa, kind)) for name, kind in table.types.items()])
    with replaced(output, journal, force=True) as file, pq.ParquetWriter(file, schema) as writer:
        records = table.records()
        while group := list(islice(records, _GROUP)):
            if leaves_off():
                raise LeftOffError
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415  optional dependency
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError("Parquet needs pyarrow: pip install 'deepseek-async[parquet]'") from None
    return pa, pq
