"""A job writes to a file that is empty, new, or proven an output by its first line; to no other, nor beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.foreign_files import KINDS, untouched
from writing import Writing, line, names_in, read_back

from deepseek_async.errors import OutputWriteError


@pytest.fixture
def writing(tmp_path: Path) -> Writing:
    folder = tmp_path / "folder"
    folder.mkdir()
    return Writing(folder / "out.jsonl")


@pytest.mark.parametrize("length", [1, 12, 17, 20, 33, 46, 60, 200])
async def test_a_file_without_a_whole_line_is_emptied(writing: Writing, length: int):
    writing.path.write_bytes(line("torn", 200)[:length])
    await writing.write("a")

    assert writing.names() == ["a"]


@pytest.mark.parametrize(
    "left", [b"\0" * 200_000, line("torn", 200)[:20] + b"\0" * 5000, b"\0" * 512 + line("b", 700)[512:]]
)
async def test_what_a_power_cut_leaves_of_the_first_line_of_a_locked_output_is_damage(writing: Writing, left: bytes):
    await writing.write("a")
    writing.path.write_bytes(left)
    async with writing.journal() as journal:
        assert read_back(journal) == ([], left.count(b"\n"))
        await journal.append(line("b"), "b")
    assert names_in(writing.path.read_bytes().lstrip(b" \n")) == ["b"]


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_a_file_that_no_job_has_written_is_left_as_it_is(writing: Writing, kind: str):
    KINDS[kind](writing.path)
    with untouched(writing.path.parent), pytest.raises(OutputWriteError, match="name another file"):
        async with writing.journal():
            pass


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_a_file_that_has_the_name_of_the_lock_is_left_as_it_is(writing: Writing, kind: str):
    """As ``-o Gemfile`` has, beside a Gemfile.lock."""
    KINDS[kind](writing.path.with_name("out.jsonl.lock"))
    with untouched(writing.path.parent), pytest.raises(OutputWriteError, match=r"out\.jsonl\.lock"):
        async with writing.journal():
            pass


@given(head=st.binary(min_size=1, max_size=200), tail=st.booleans())
async def test_only_the_first_line_proves_an_output(tmp_path_factory: pytest.TempPathFactory, head: bytes, tail: bool):
    content = head + b"\n" + (line("a") if tail else b"")
    assume(content.strip() and not content.strip(b" \t\r\n").startswith(b'{"id":"batch_req_'))
    writing = Writing(tmp_path_factory.mktemp("output") / "out.jsonl")
    writing.path.write_bytes(content)
    if tail and not head.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n"):
        return  # blank lines, as damaged ones leave
    with untouched(writing.path.parent), pytest.raises(OutputWriteError, match="name another file"):
        async with writing.journal():
            pass


async def test_the_first_line_may_be_behind_a_byte_order_mark_or_blanks_or_be_damaged_further_on(writing: Writing):
    for start in (b"\xef\xbb\xbf" + line("a"), b"    \n\n" + line("a"), line("a").replace(b"attempts", b"attempTs")):
        writing.path.write_bytes(start + line("b"))
        await writing.write("c")
        assert [text for text in writing.path.read_bytes().splitlines() if b'"b"' in text] == [line("b").rstrip()]


@pytest.mark.parametrize("lines", [1, 3])
async def test_damaged_lines_never_go_into_a_file_that_is_there(
    writing: Writing, lines: int, caplog: pytest.LogCaptureFixture
):
    mine = writing.path.with_name("out.jsonl.damaged")
    mine.write_bytes(b"mine\n")
    for number in range(lines):
        writing.path.write_bytes(line("a") + line(number).replace(b"attempts", b"attempTs"))
        async with writing.journal() as journal:
            assert read_back(journal) == (["a"], 1)
    assert mine.read_bytes() == b"mine\n"
    sides = sorted(path.name for path in mine.parent.glob("*.damaged.*"))
    assert sides == [f"out.jsonl.damaged.{number}" for number in range(2, lines + 2)]
    assert str(writing.path) in caplog.text
    assert sides[-1] in caplog.text
