"""Files with a header and a separator, and files that are no rows at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async import ConfigurationError
from deepseek_async.batch.row import Defaults, Row
from deepseek_async.batch.row_source import read_ids, read_rows

NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def rows_of(path: Path, content: str | bytes, **defaults: Any) -> list[Row]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_rows(path, Defaults(**defaults)))


def prompts(rows: list[Row]) -> list[Any]:
    return [row.body["messages"][0]["content"] if row.body is not None else None for row in rows]


@pytest.mark.parametrize("separator", NAMES)
@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.tab", "in.TSV"])
def test_the_separator_is_that_which_gives_the_columns(tmp_path: Path, name: str, separator: str):
    line = separator.join
    content = "\ufeff" + "\r\n".join([line(["id", '"text"', "label"]), line(["1", f'"a{separator}b"', "x"]), ""])
    rows = rows_of(tmp_path / name, content, template="{text}", id_column="id")

    assert prompts(rows) == [f"a{separator}b"]
    assert (rows[0].custom_id, rows[0].columns) == ("1", {"label": "x"})
    defaults = Defaults(template="{text}", id_column="id")
    assert list(read_ids(tmp_path / name, defaults)) == [(2, "1")]


@given(st.sampled_from(list(NAMES)), st.sampled_from(list(NAMES)), st.text(",;|\t ab", max_size=8))
def test_other_separators_in_names_and_cells_mislead_nobody(
    tmp_path_factory: pytest.TempPathFactory,
    separator: str,
    other: str,
    cell: str,
):
    header = separator.join(["text", f'"odd{other}name"'])
    content = f'{header}\n"<{cell}>"{separator}"{cell}"\n'
    rows = rows_of(tmp_path_factory.getbasetemp() / "odd.csv", content, template="{text}")

    assert prompts(rows) == [f"<{cell}>"]
    assert rows[0].columns == {f"odd{other}name": cell}


@pytest.mark.parametrize("separator", NAMES)
def test_a_column_that_is_not_there_is_told_with_the_separator_and_those_that_are(tmp_path: Path, separator: str):
    with pytest.raises(
        ConfigurationError, match=f"'nope' in the template; .*in.csv, read with {NAMES[separator]} .*has: text, label"
    ):
        rows_of(tmp_path / "in.csv", separator.join(["text", "label"]) + "\n", template="{nope}")


def test_a_table_with_prompts_needs_no_template(tmp_path: Path):
    rows = rows_of(
        tmp_path / "in.csv",
        'prompt,max_tokens,temperature,stop,logprobs,thinking,label\na,200.0,0.5,7,true,"{""type"":""disabled""}",1\nb,,,,,,\n',
    )

    assert [row.body for row in rows] == [
        {
            "model": "deepseek-flash",
            "messages": [{"role": "user", "content": "a"}],
            "max_tokens": 200,
            "temperature": 0.5,
            "stop": "7",
            "logprobs": True,
            "thinking": {"type": "disabled"},
        },
        {"model": "deepseek-flash", "messages": [{"role": "user", "content": "b"}]},
    ]
    assert [row.columns for row in rows] == [{"label": "1"}, {"label": ""}]


def test_columns_without_a_name_or_with_that_of_another_are_told_apart(tmp_path: Path):
    rows = rows_of(tmp_path / "in.csv", "text,x,,x,x_4,\nhi,1,2,3,4,5\n", template="{text}")

    assert rows[0].columns == {"x": "1", "column_3": "2", "x_5": "3", "x_4": "4", "column_6": "5"}


@pytest.mark.parametrize("template", ["{x}", None])
def test_a_column_that_is_asked_about_must_be_one(tmp_path: Path, template: str | None):
    with pytest.raises(ConfigurationError, match=r"the column .* is ambiguous"):
        rows_of(tmp_path / "in.csv", "x,x,prompt,prompt\n1,2,3,4\n", template=template)


@pytest.mark.parametrize("line", ["a", "a,b,c", 'a,"b', '"a"b,c'])
def test_a_line_that_does_not_fit_is_one_bad_row(tmp_path: Path, line: str):
    rows = rows_of(tmp_path / "in.csv", f"text,label\nok,1\n{line}\n", template="{text}")

    assert prompts(rows[:2]) == ["ok", None]
    assert rows[1].error is not None
    assert rows[1].error.line == 3


def test_names_in_another_encoding_are_refused_with_the_way_to_convert_them(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"not UTF-8.*iconv"):
        rows_of(tmp_path / "in.csv", "größe,text\n1,hi\n".encode("cp1252"), template="{text}")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("in.xlsx", b"PK\x03\x04\x14\x00", "spreadsheet.*CSV"),
        ("in.csv", b"PK\x03\x04\x14\x00", "spreadsheet.*CSV"),
        ("in.ods", b"anything", "spreadsheet.*CSV"),
        ("in.xls", b"\xd0\xcf\x11\xe0\xa1\xb1", "spreadsheet.*CSV"),
        ("in.jsonl", b"PAR1\x15\x04\x15", "Parquet"),
        ("in.arrow", b"ARROW1\x00\x00", "Arrow.*Parquet"),
        ("in.db", b"SQLite format 3\x00", "SQLite.*-csv"),
        ("in.txt", b"%PDF-1.7\n", "PDF"),
        ("in.jsonl", b"\x1f\x8b\x08\x00", r"let its name end in \.gz"),
        ("in.jsonl.bz2", b"BZh91AY&SY\x00\x01", "bzip2.*decompress"),
        ("in.jsonl.zst", b"(\xb5/\xfd\x00", "zstd.*decompress"),
        ("in.csv", "text\nHi\n".encode("utf-16-le"), "UTF-16.*iconv"),
        ("in.csv", b"sep=;\nid;text\n1;Hi\n", r"hint for Excel \(sep=;\).*Delete that line"),
        ("in.csv", b"sep=,\r\nid,text\r\n1,Hi\r\n", r"hint for Excel \(sep=\).*Delete that line"),
    ],
)
def test_what_cannot_be_rows_is_refused_with_the_way_to_do_it(tmp_path: Path, name: str, content: bytes, said: str):
    with pytest.raises(ConfigurationError, match=said):
        rows_of(tmp_path / name, content, template=None if name.endswith(".txt") else "{text}")


@pytest.mark.parametrize("text", ["ORCHIDS and how to keep them", "BZh is no word", "PAR1 is a name", "ARROW1"])
def test_texts_may_begin_as_other_files_do(tmp_path: Path, text: str):
    assert prompts(rows_of(tmp_path / "in.txt", text + "\n")) == [text]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("name", "lines"), [("in.txt", ["a", "b"]), ("in.jsonl", ['"a"', '{"prompt":"b"}'])])
def test_lines_end_as_they_do_on_any_machine(tmp_path: Path, name: str, lines: list[str], end: str):
    rows = rows_of(tmp_path / name, end.join([lines[0], "", lines[1]]))

    assert [(row.line, prompt) for row, prompt in zip(rows, prompts(rows), strict=True)] == [(1, "a"), (3, "b")]
