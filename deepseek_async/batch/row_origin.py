"""Where the rows of a job come from: a file of rows, or documents, each of which is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Protocol

from deepseek_async.batch.files import check_files
from deepseek_async.batch.finished_rows import LOOK_EVERY
from deepseek_async.batch.row import Defaults, Row
from deepseek_async.batch.source import Fingerprint, read_ids, read_rows


class RowOrigin(Protocol):
    """Gives the same rows however often it is asked. As a text it is what messages call it."""

    @property
    def may_rename(self) -> bool:
        """Whether a row can have other columns than in the run before, and nothing but the output tells of them."""
        ...

    @property
    def look_every(self) -> int:
        """Rows between two looks whether the job was stopped."""
        ...

    def check(self, defaults: Defaults, output: Path) -> None:
        """Raise ConfigurationError for what cannot be the input of a job with that output."""
        ...

    def watch(self) -> Callable[[], str | None]:
        """What tells whether all rows have changed together since now, and in which way; None if not."""
        ...

    def rows(self, defaults: Defaults, wanted: Sequence[int] | None = None) -> Iterator[Row]:
        """The rows; with ``wanted`` only those at whose position it holds something but 0."""
        ...

    def ids(self, defaults: Defaults) -> Iterator[tuple[int, str | None]]:
        """Line and id of every row."""
        ...


class RowFile:
    """A file of rows."""

    may_rename = False
    """Who wants the columns as they are now reads the answers beside the file."""
    look_every = LOOK_EVERY

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def check(self, defaults: Defaults, output: Path) -> None:
        """See ``RowOrigin.check``."""
        check_files(self._path, output)
        with closing(read_rows(self._path, defaults)):  # type: ignore[type-var]
            """A template that cannot work is refused before the output is touched."""

    def watch(self) -> Callable[[], str | None]:
        """See ``RowOrigin.watch``."""
        return partial(Fingerprint.of(self._path).difference, self._path)

    def rows(self, defaults: Defaults, wanted: Sequence[int] | None = None) -> Iterator[Row]:
        """See ``RowOrigin.rows``."""
        return read_rows(self._path, defaults, wanted)

    def ids(self, defaults: Defaults) -> Iterator[tuple[int, str | None]]:
        """See ``RowOrigin.ids``."""
        return read_ids(self._path, defaults)
