"""The parts of an output: no row is lost or doubled, whatever number of them there was, and however a run ended."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from writing import names_in

from deepseek_async.batch.journal.disk import Disk
from deepseek_async.batch.journal.parts import Parts
from deepseek_async.batch.line_encoder import encode_line
from deepseek_async.batch.result import BatchResult
from deepseek_async.batch.row_identity import shard_of
from deepseek_async.codec.chat_body import decode_completion
from deepseek_async.errors import OutputLockedError, OutputWriteError


def answered(position: int, said: str = "1") -> bytes:
    wire = b'{"choices":[{"index":0,"message":{"content":"%b"},"finish_reason":"stop"}]}' % said.encode()
    return encode_line(BatchResult(index=position, answer=decode_completion(wire), attempts=1), f"row-{position}", 1)


def write(parts: Parts, rows: list[int]) -> None:
    """As the runs of the parts would."""
    for row in rows:
        path = parts.paths[shard_of(f"row-{row}".encode(), len(parts.paths)) - 1]
        with path.open("ab") as file:
            file.write(answered(row))


def rows_in(output: Path) -> list[int]:
    return [int(name.removeprefix("row-")) for name in names_in(output.read_bytes())]


class Killed(BaseException):
    """The end of the process."""


class DyingDisk(Disk):
    """Kills who uses it at a certain rename or removal."""

    def __init__(self, survives: int) -> None:
        self._left = survives

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)

    def _step(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Killed


@given(
    runs=st.lists(st.tuples(st.integers(1, 5), st.sets(st.integers(0, 30)), st.booleans()), min_size=1, max_size=4),
    killed_at=st.integers(0, 25),
)
def test_every_row_is_in_the_output_once_and_in_the_order_of_the_input(
    runs: list[tuple[int, set[int], bool]], killed_at: int
):
    with TemporaryDirectory() as folder:
        output, known = Path(folder) / "out.jsonl", set[int]()
        for number, (count, rows, ends) in enumerate(runs):
            try:
                with Parts(output, DyingDisk(killed_at) if number == 1 else None) as parts:
                    parts.prepare(count)
                    write(parts, sorted(rows - known, reverse=True))
                    known |= rows
                    if ends:
                        parts.merge()
                        parts.close()
            except Killed:
                pass
        with Parts(output) as parts:
            parts.prepare(parts.left() or 1)
            for path in parts.paths:  # each part knows its own rows, and no others
                names = names_in(path.read_bytes()) if path.exists() else []
                assert all(shard_of(name.encode(), len(parts.paths)) == parts.paths.index(path) + 1 for name in names)
            parts.merge()
            parts.close()
        assert rows_in(output) == sorted(known) if known else not output.exists() or not output.read_bytes()
        assert not parts.folder.exists()


def test_parts_that_a_killed_run_left_are_gone_on_with(tmp_path: Path):
    with Parts(tmp_path / "out.jsonl") as parts:
        parts.prepare(3)
        write(parts, [4, 2, 7])
    with Parts(tmp_path / "out.jsonl") as parts:
        assert parts.left() == 3
        parts.prepare(3)
        assert not (tmp_path / "out.jsonl").exists()
        assert sum(len(names_in(path.read_bytes())) for path in parts.paths if path.exists()) == 3


def test_a_later_answer_of_a_part_supersedes_that_of_the_output(tmp_path: Path):
    (tmp_path / "out.jsonl").write_bytes(answered(0, "old") + answered(1, "old"))
    with Parts(tmp_path / "out.jsonl") as parts:
        parts.prepare(1)
        with parts.paths[0].open("ab") as file:
            file.write(answered(0, "new"))
        assert parts.merge().superseded == 3
    assert (tmp_path / "out.jsonl").read_bytes() == answered(0, "new") + answered(1, "old")


def test_two_runs_cannot_have_one_output(tmp_path: Path):
    with Parts(tmp_path / "out.jsonl"), pytest.raises(OutputLockedError), Parts(tmp_path / "out.jsonl"):
        pass


def test_a_file_of_somebody_else_is_left_as_it_is(tmp_path: Path):
    (tmp_path / "out.jsonl").write_text("dear diary\n")
    with pytest.raises(OutputWriteError, match="is not a batch output"), Parts(tmp_path / "out.jsonl"):
        pass
