"""Texts that a spreadsheet would run are made harmless when asked, and nothing else is changed."""

from __future__ import annotations

import csv
from io import BytesIO, StringIO
from pathlib import Path

import pytest
from answers import answered, written
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.review.export import export
from deepseek_async.batch.review.output_reader import OutputReader
from deepseek_async.batch.review.row_selection import LatestRun
from deepseek_async.batch.review.spreadsheet import harmless
from deepseek_async.errors import ConfigurationError

BEGINNINGS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"

FORMULAS = [
    "=1+1",
    "@SUM(1)",
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "\tx",
    "\r=1",
    "\uff1d1",
    "\uff0ba",
    "\uff0da",
    "\uff20a",
    " =1",
    "\ufeff=1",
    "- a list",
]
TEXTS = ["", "a=1", "a-b", "1+1", "'=1", "mail@example.org", "Ü", "(=1)"]
NUMBERS = ["-1", "+1", "-1.5", "+.5", "-2e-10", "-7.", "0"]


@pytest.mark.parametrize("cell", FORMULAS)
def test_what_begins_like_a_formula_is_marked_as_a_text(cell: str):
    assert harmless(cell) == "'" + cell


@pytest.mark.parametrize("cell", [*TEXTS, *NUMBERS])
def test_other_texts_and_numbers_stay_as_they_are(cell: str):
    assert harmless(cell) == cell


@given(st.text(st.sampled_from([*BEGINNINGS, "1", ".", "e", "a", " "]), max_size=6))
def test_no_cell_begins_like_a_formula_and_is_no_number(cell: str):
    shown = harmless(cell)
    assert shown.removeprefix("'") == cell.removeprefix("'") or shown == "'" + cell
    if shown[:1] and shown[0] in BEGINNINGS:
        float(shown)


def exported(path: Path, *lines: bytes, safe: bool, form: str = "csv") -> list[dict[str, str]]:
    output = OutputReader(written(path / "out.jsonl", lines))
    output.read()
    target = BytesIO()
    export(LatestRun(output), target, form, spreadsheet_safe=safe)  # type: ignore[arg-type]
    return list(csv.DictReader(StringIO(target.getvalue().decode(), newline="")))


@pytest.mark.parametrize("safe", [False, True])
def test_an_export_changes_texts_only_when_asked(tmp_path: Path, safe: bool):
    mark = "'" if safe else ""
    columns = {"=name": "@a", "amount": -5, "sign": "-1"}
    (row,) = exported(tmp_path, answered(0, "=cmd|' /C calc'!A0", name="+x", columns=columns), safe=safe)

    assert row["content"] == mark + "=cmd|' /C calc'!A0"
    assert row["custom_id"] == mark + "+x"
    assert row[mark + "=name"] == mark + "@a"
    assert (row["amount"], row["sign"], row["index"]) == ("-5", "-1", "0")


def test_other_formats_have_no_formulas(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="requires CSV, got"):
        exported(tmp_path, answered(0), safe=True, form="jsonl")
