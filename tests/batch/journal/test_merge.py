"""Parts of a job put together: each row once, its last line, all or nothing."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest
from writing import Writing, line, names_in

from deepseek_async.batch.journal import Disk
from deepseek_async.batch.journal.merge import merge
from deepseek_async.batch.line_encoder import encode_line
from deepseek_async.batch.result import BatchResult
from deepseek_async.codec.chat_body import decode_completion
from deepseek_async.errors import ConfigurationError, InputChangedError, OutputLockedError, OutputWriteError


def answered(name: str, said: str, hashed: int = 1) -> bytes:
    wire = b'{"choices":[{"index":0,"message":{"content":"%b"},"finish_reason":"stop"}]}' % said.encode()
    return encode_line(BatchResult(index=0, answer=decode_completion(wire), attempts=1), name, hashed)


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_bytes(answered("a", "1") + line("b") + answered("c", "1"))
    two.write_bytes(answered("d", "2") + answered("b", "2"))
    return [one, two]


def test_each_row_is_there_once_with_its_last_line(parts: list[Path], tmp_path: Path):
    merged = merge(parts, tmp_path / "all.jsonl")

    content = (tmp_path / "all.jsonl").read_bytes()
    assert names_in(content) == ["a", "c", "d", "b"]
    assert answered("b", "2") in content
    assert (merged.rows, merged.superseded, merged.damaged) == (4, 1, 0)
    assert stat.S_IMODE((tmp_path / "all.jsonl").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == [
        "all.jsonl",
        "one.jsonl",
        "two.jsonl",
    ]


def test_the_order_of_the_outputs_says_which_line_is_the_last(parts: list[Path], tmp_path: Path):
    merge(parts[::-1], tmp_path / "all.jsonl")

    assert line("b") in (tmp_path / "all.jsonl").read_bytes()


def test_an_output_may_be_merged_into_itself(parts: list[Path]):
    merge(parts, parts[0])
    merged = merge([parts[0]], parts[0])

    assert names_in(parts[0].read_bytes()) == ["a", "c", "d", "b"]
    assert merged.superseded == 0


@pytest.mark.parametrize("linked", [False, True])
def test_an_output_may_be_merged_into_itself_by_another_name(
    parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
):
    parts[0].write_bytes(parts[0].read_bytes() + b"damaged\n")
    monkeypatch.chdir(tmp_path)
    merged = parts[0]
    if linked:
        merged = tmp_path / "link.jsonl"
        merged.symlink_to(parts[0])
    merge([Path("one.jsonl"), Path("two.jsonl")], merged)

    assert names_in(parts[0].read_bytes()) == ["a", "c", "d", "b"]
    assert (tmp_path / "one.jsonl.damaged").read_bytes() == b"damaged\n"
    assert merged.is_symlink() is linked


def test_a_file_without_a_line_of_an_output_is_no_part_and_is_not_called_damaged(parts: list[Path], tmp_path: Path):
    rows = tmp_path / "in.jsonl"
    rows.write_text('{"custom_id":"a","prompt":"Hi"}\n')
    with pytest.raises(ConfigurationError, match=r"in\.jsonl is not a batch output"):
        merge([*parts, rows], tmp_path / "all.jsonl")

    assert not (tmp_path / "all.jsonl").exists()


def test_damaged_and_torn_lines_are_left_out_and_counted(parts: list[Path], tmp_path: Path):
    damaged = answered("x", "1").replace(b'"x"', b'"y"')
    parts[0].write_bytes(damaged + b"\n" + parts[0].read_bytes() + b"\0" * 100 + b"\n" + answered("torn", "1")[:-2])
    merged = merge(parts, tmp_path / "all.jsonl")

    assert names_in((tmp_path / "all.jsonl").read_bytes()) == ["a", "c", "d", "b"]
    assert merged.damaged == 3


def test_lines_of_another_program_are_taken_as_they_are(tmp_path: Path):
    (tmp_path / "one.jsonl").write_text('{"custom_id":"a","response":null,"error":null}\n')
    merge([tmp_path / "one.jsonl"], tmp_path / "all.jsonl")

    assert (tmp_path / "all.jsonl").read_text() == '{"custom_id":"a","response":null,"error":null}\n'


def test_what_are_no_parts_of_one_job_is_not_merged(parts: list[Path], tmp_path: Path):
    parts[1].write_bytes(answered("a", "2", hashed=2))

    with pytest.raises(InputChangedError, match=r"two\.jsonl: the request of row 'a' differs"):
        merge(parts, tmp_path / "all.jsonl")
    assert not (tmp_path / "all.jsonl").exists()


async def test_an_output_that_a_run_writes_is_not_merged(parts: list[Path], tmp_path: Path):
    async with Writing(parts[1]).journal():
        with pytest.raises(OutputLockedError, match=f"pid {os.getpid()}"):
            merge(parts, tmp_path / "all.jsonl")
    merge(parts, tmp_path / "all.jsonl")  # every lock was given back


@pytest.mark.parametrize(
    ("names", "merged", "said"),
    [
        ([], "all.jsonl", "outputs is empty"),
        (["one.jsonl", "missing.jsonl"], "all.jsonl", r"missing\.jsonl does not exist"),
        (["one.jsonl", "."], "all.jsonl", "is not a regular file"),
        (["one.jsonl", "./one.jsonl"], "all.jsonl", r"one\.jsonl twice"),
        (["one.jsonl"], "two.jsonl", r"two\.jsonl exists: remove it, or name it among the outputs"),
        (["one.jsonl"], "no/all.jsonl", "the directory of the merged output does not exist"),
    ],
)
def test_what_cannot_be_merged_is_refused(
    parts: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    names: list[str],
    merged: str,
    said: str,
):
    monkeypatch.chdir(parts[0].parent)
    before = parts[1].read_bytes()

    with pytest.raises(ConfigurationError, match=said):
        merge([Path(name) for name in names], Path(merged))
    assert parts[1].read_bytes() == before


class FullDisk(Disk):
    def write(self, descriptor: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class DyingDisk(Disk):
    def sync(self, descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("disk", [FullDisk(), DyingDisk()])
@pytest.mark.parametrize("merged", ["all.jsonl", "one.jsonl"])
def test_a_merge_that_fails_leaves_everything_as_it_was(parts: list[Path], tmp_path: Path, disk: Disk, merged: str):
    before = {path: path.read_bytes() for path in parts}

    with pytest.raises(OutputWriteError, match="the outputs are unchanged"):
        merge(parts, tmp_path / merged, disk)
    assert {path: path.read_bytes() for path in parts} == before
    assert not list(tmp_path.glob("*.part"))
    assert (tmp_path / "all.jsonl").exists() is False


def test_the_order_may_be_that_of_the_input(tmp_path: Path):
    def at(position: int, run: bytes = b"") -> bytes:
        wire = b'{"choices":[{"index":0,"message":{"content":"1"},"finish_reason":"stop"}]}'
        result = BatchResult(index=position, answer=decode_completion(wire), attempts=1)
        return encode_line(result, f"r{position}", 1, record=b',"run":%b' % run if run else b"")

    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_bytes(at(5, b'{"model":"a"}') + at(0) + at(3))
    two.write_bytes(at(4) + at(1, b'{"model":"b"}'))
    merge([one, two], tmp_path / "all.jsonl", in_order=True)

    lines = (tmp_path / "all.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["custom_id"] for line in lines] == ["r0", "r1", "r3", "r4", "r5", "r5"]
    # How the latest run asked is said last, whatever the order.
    assert json.loads(lines[-1])["deepseek_async"]["run"] == {"model": "b"}
