"""Reading an output that somebody else writes: order, rows run again, damage, a line in the making."""

from __future__ import annotations

from pathlib import Path

import pytest
from answers import BEGAN, answered, failed, written

from deepseek_async.batch.line_encoder import copied_line
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.review.row_selection import LatestRun
from deepseek_async.errors import ConfigurationError


def read(path: Path) -> OutputReader:
    output = OutputReader(path)
    output.read()
    return output


def names(output: OutputReader) -> list[str]:
    return [row.custom_id for row in LatestRun(output).rows()]


def test_rows_come_in_the_order_of_the_input(tmp_path: Path):
    output = read(written(tmp_path / "out.jsonl", [answered(2), failed(0), answered(1)]))

    assert names(output) == ["row-0", "row-1", "row-2"]
    assert len(output) == 3
    assert (LatestRun(output).began, LatestRun(output).ended) == (BEGAN, BEGAN + 4)


def test_of_a_row_that_was_run_again_the_last_line_counts(tmp_path: Path):
    lines = [failed(0), answered(1), answered(0, "at last"), answered(1, "once more"), answered(1, "for good")]
    output = read(written(tmp_path / "out.jsonl", lines))

    assert [row.line.body.text for row in LatestRun(output).rows() if row.line] == ["at last", "for good"]
    assert [latest for *_, latest in output.lines()] == [False, False, True, False, True]
    assert len(output) == 2


def test_a_line_in_the_making_is_left_out_and_is_no_damage(tmp_path: Path):
    output = read(written(tmp_path / "out.jsonl", [answered(0), answered(1)[:-30]]))

    assert (names(output), output.damaged) == (["row-0"], 0)
    assert len(list(output.lines())) == 1


def test_damaged_lines_are_counted_and_blank_ones_are_not(tmp_path: Path):
    damaged = answered(1).replace(b"Yes.", b"No..")
    output = read(written(tmp_path / "out.jsonl", [answered(0), b"\n", damaged, b"   \n", b"{]\n", answered(2)]))

    assert (names(output), output.damaged) == (["row-0", "row-2"], 2)
    assert [line.custom_id for _, line, _ in output.lines()] == ["row-0", "row-2"]


def test_lines_of_another_program_keep_their_order_after_ours(tmp_path: Path):
    foreign = (
        b'{"id":"1","custom_id":"b","response":{"status_code":200,"body":{"created":7,"choices":[]}},"error":null}\n'
        b'{"id":"2","custom_id":"a","response":null,"error":{"code":"x","message":"y"}}\n'
    )
    output = read(written(tmp_path / "out.jsonl", [foreign, answered(0)]))

    assert names(output) == ["row-0", "b", "a"]


def test_a_file_that_is_no_output_is_refused(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="cannot read"):
        read(tmp_path / "missing.jsonl")
    with pytest.raises(ConfigurationError, match="is not a batch output"):
        read(written(tmp_path / "in.jsonl", [b'{"prompt": "Hi"}\n', b"text\n"]))


def test_an_empty_output_has_no_rows(tmp_path: Path):
    output = read(written(tmp_path / "out.jsonl", []))

    assert (len(output), LatestRun(output).began, list(output.lines())) == (0, None, [])


def test_what_the_answer_lacks_is_none(tmp_path: Path):
    output = read(written(tmp_path / "out.jsonl", [failed(0)]))
    (_, line, _), *_ = output.lines()

    assert (line.body.text, line.body.finish_reason, line.body.usage) == (None, None, None)
    assert line.error is not None
    assert line.error.code == "BadRequestError"


def test_a_copy_of_an_answer_was_never_sent_and_has_no_time(tmp_path: Path):
    source = answered(0, started=BEGAN + 0.75)
    body = source.replace(b'"model":', b'"created":%d,"model":' % (BEGAN - 50), 1)
    output = OutputReader(written(tmp_path / "out.jsonl", [source, copied_line(body.rstrip(), "copy", 7, 1)]))
    output.read()

    assert [line.started for _, line, _ in output.lines()] == [BEGAN + 0.75, None]
    assert LatestRun(output).began == BEGAN + 0.75
