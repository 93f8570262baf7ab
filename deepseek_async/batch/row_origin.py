"""Sources of a job's rows: a file of rows, or documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec

from deepseek_async.batch.completed_rows import LOOK_EVERY
from deepseek_async.batch.files import check_files
from deepseek_async.batch.input_fingerprint import Fingerprint
from deepseek_async.batch.row import Defaults, Row
from deepseek_async.batch.row_source import read_ids, read_rows

Adapt = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class RowOrigin(Protocol):
    """A repeatable source of rows. Its ``str`` is its name in messages."""

    @property
    def may_rename(self) -> bool:
        """Whether columns can change between runs without a change to the request, visible only in the output."""
        ...

    @property
    def look_every(self) -> int:
        """Rows between two checks whether the job was stopped."""
        ...

    def check(self, defaults: Defaults, output: Path) -> None:
        """Raise ConfigurationError if this cannot be the input of a job with that output."""
        ...

    def watch(self) -> Callable[[], str | None]:
        """Return a function that describes a change to the source since now; None if unchanged."""
        ...

    def rows(self, defaults: Defaults, wanted: Sequence[int] | None = None) -> Iterator[Row]:
        """Yield the rows; with ``wanted``, only those whose entry is not 0."""
        ...

    def ids(self, defaults: Defaults) -> Iterator[tuple[int, str | None]]:
        """Yield line and id of every row."""
        ...


class RowFile:
    """A file of rows."""

    may_rename = False
    """Current columns are read from the file, next to the answers."""
    look_every = LOOK_EVERY

    def __init__(self, path: Path, adapted: Adapt | None = None) -> None:
        """``adapted`` returns what is sent in place of the body of a chat request."""
        self._path = path
        self._adapted = adapted

    def __str__(self) -> str:
        return str(self._path)

    def check(self, defaults: Defaults, output: Path) -> None:
        """See ``RowOrigin.check``."""
        check_files(self._path, output)
        with closing(read_rows(self._path, defaults)):  # type: ignore[type-var]
            """Reject an unusable template before touching the output."""

    def watch(self) -> Callable[[], str | None]:
        """See ``RowOrigin.watch``."""
        return partial(Fingerprint.of(self._path).difference, self._path)

    def rows(self, defaults: Defaults, wanted: Sequence[int] | None = None) -> Iterator[Row]:
        """See ``RowOrigin.rows``."""
        rows = read_rows(self._path, defaults, wanted)
        return rows if self._adapted is None else _adapted_rows(rows, self._adapted)

    def ids(self, defaults: Defaults) -> Iterator[tuple[int, str | None]]:
        """See ``RowOrigin.ids``."""
        return read_ids(self._path, defaults)


def _adapted_rows(rows: Iterator[Row], adapted: Adapt) -> Iterator[Row]:
    for row in rows:
        if row.body is None or row.endpoint is not None:
            yield row
        else:
            body = adapted(row.body)
            yield row if body is row.body else msgspec.structs.replace(row, body=body)
