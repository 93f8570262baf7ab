"""A file of dialogues to two files, whole or not at all."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
from support.foreign_files import untouched

from deepseek_async import ConfigurationError, OutputWriteError
from deepseek_async.finetune import prepare


def row(number: int, answer: str = "fine") -> str:
    return json.dumps({"prompt": f"Question {number}", "completion": answer})


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def questions(path: str) -> list[str]:
    return [json.loads(line)["messages"][0]["content"] for line in Path(path).read_text("utf-8").splitlines()]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "dialogues.jsonl"


def test_every_row_is_in_one_of_two_files_and_a_question_in_one_only(source: Path):
    rows = [row(number) for number in range(400)] + [row(number, "other") for number in range(100)]
    summary = prepare(written(source, *rows))
    train, validation = questions(summary.train_file), questions(summary.validation_file)
    assert (len(train), len(validation)) == (summary.train_rows, summary.validation_rows)
    assert len(train) + len(validation) == 500
    assert set(train).isdisjoint(validation)
    assert 0.10 <= summary.validation_share <= 0.15
    assert Path(summary.train_file).name == "dialogues.train.jsonl"
    assert sorted(path.name for path in source.parent.iterdir()) == [
        "dialogues.jsonl",
        "dialogues.train.jsonl",
        "dialogues.validation.jsonl",
    ]


def test_the_same_seed_writes_the_same_bytes_and_another_one_others(source: Path, tmp_path: Path):
    written(source, *map(row, range(300)))
    files = [prepare(source, tmp_path / str(seed), seed=seed).validation_file for seed in (0, 1)]
    again = Path(prepare(source, tmp_path / "again").validation_file)
    first, other = (Path(file).read_bytes() for file in files)
    assert first == again.read_bytes() != other


def test_lines_that_are_no_rows_are_counted_shown_and_left_out(source: Path):
    lines = ["\ufeff" + row(1), "", row(1), row(1, "FINE  "), "{", "nonsense", "[]", "x", '{"messages": []}', row(2)]
    summary = prepare(written(source, *lines))
    assert (summary.lines, summary.rows) == (9, 2)
    assert summary.rejected == {"duplicate": 2, "json": 3, "shape": 2}
    assert summary.wrong == 5
    assert [(found.line, found.kind) for found in summary.examples if found.kind == "json"] == [
        (5, "json"),
        (6, "json"),
        (8, "json"),
    ]
    assert summary.examples[0].line == 3


def test_rows_that_are_too_long_are_left_out(source: Path):
    summary = prepare(written(source, row(1), row(2, "word " * 200)), max_tokens=100)
    assert (summary.rows, summary.rejected) == (1, {"too_long": 1})
    assert summary.longest_line == 1
    assert 0 < summary.longest_tokens == summary.tokens < 100


def test_few_rows_and_an_odd_share_are_warned_about(source: Path):
    few = prepare(written(source, *map(row, range(100))), validation=0.3)
    assert [warning.split()[0] for warning in few.warnings] == ["100", "30.0%"]
    many = prepare(written(source, *map(row, range(10_000))))
    assert (many.warnings, many.rows) == ([], 10_000)


def test_memory_does_not_grow_with_the_rows_but_for_their_digests(source: Path):
    written(source, *(row(number, "x" * 3000) for number in range(3000)))
    prepare(source)
    tracemalloc.start()
    prepare(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Up to 27 bytes a row for the digests and half a megabyte for the places of the split; the file has 9 MB.
    assert peak < 2_000_000


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_a_share_that_is_none_is_refused(source: Path, share: float):
    with pytest.raises(ConfigurationError, match="validation"):
        prepare(written(source, row(1)), validation=share)


def test_a_source_that_is_no_file_is_named(source: Path):
    for wrong in (source, source.parent):
        with pytest.raises(ConfigurationError, match=str(wrong)):
            prepare(wrong)


def test_what_cannot_be_written_leaves_what_was_there(source: Path, tmp_path: Path):
    written(source, row(1))
    (tmp_path / "dialogues.validation.jsonl").mkdir()
    with untouched(tmp_path), pytest.raises(ConfigurationError, match="is a folder"):
        prepare(source)
    with pytest.raises(OutputWriteError):
        prepare(source, source / "below")
