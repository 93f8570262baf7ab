"""Rows out of files, as editors, spreadsheets and scripts really write them."""

from __future__ import annotations

import gzip
import os
import random
import re
import threading
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.input_fingerprint import Fingerprint
from deepseek_async.batch.row import Defaults, Row
from deepseek_async.batch.row_source import read_ids, read_rows
from deepseek_async.errors import ConfigurationError

MANY = 200_000


def rows_of(path: Path, content: bytes | str, **defaults: Any) -> list[Row]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_rows(path, Defaults(**defaults)))


def prompts(rows: list[Row]) -> list[str | None]:
    """The prompt of each row; None for a row that is none."""
    return [row.body["messages"][0]["content"] if row.body is not None else None for row in rows]


def reason(row: Row) -> str:
    assert row.error is not None
    return row.error.message


# JSON lines


def test_a_template_shows_a_whole_number_of_any_length_as_it_stands_in_the_file(tmp_path: Path):
    content = '{"number": 12345678901234567890123, "share": 0.5}'
    assert prompts(rows_of(tmp_path / "in.jsonl", content, template="{number}: {share}")) == [
        "12345678901234567890123: 0.5"
    ]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "ending"])
def test_line_ends_of_both_worlds_and_a_missing_one_at_the_end_are_all_fine(tmp_path: Path, ending: str, last: str):
    text = ending.join(['{"prompt":"a"}', '"b"', '[{"role":"user","content":"c"}]']) + (ending if last else "")

    assert prompts(rows_of(tmp_path / "in.jsonl", text)) == ["a", "b", "c"]
    assert len(list(read_ids(tmp_path / "in.jsonl", Defaults()))) == 3


def test_blank_lines_are_no_rows_but_count_as_lines(tmp_path: Path):
    rows = rows_of(tmp_path / "in.jsonl", '\n"a"\n  \n\r\n"b"\n\n')

    assert [(row.index, row.line) for row in rows] == [(0, 2), (1, 5)]


def test_a_byte_order_mark_is_not_part_of_the_first_row(tmp_path: Path):
    assert prompts(rows_of(tmp_path / "in.jsonl", b'\xef\xbb\xbf{"prompt":"a"}\n"b"')) == ["a", "b"]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b" \r\n\r\n"])
def test_an_empty_file_has_no_rows(tmp_path: Path, content: bytes):
    assert rows_of(tmp_path / "in.jsonl", content) == []


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"hello",
        b"{'prompt': 'a'}",
        b'{"prompt":"a"} {"prompt":"b"}',
        b'"\xff"',
        b'{"prompt":"a","temperature":Infinity}',
        b'{"messages":' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"prompt":' + b"9" * 5000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
    ids=lambda line: line[:30].decode("ascii", "replace"),
)
def test_a_line_that_is_not_json_is_one_bad_row(tmp_path: Path, line: bytes):
    rows = rows_of(tmp_path / "in.jsonl", b'"a"\n' + line + b'\n"b"\n')

    assert prompts(rows) == ["a", None, "b"]
    assert re.match(rf"{tmp_path / 'in.jsonl'}, line 2: not (JSON|UTF-8): ", reason(rows[1]))
    assert "line 1 column" not in reason(rows[1])


def test_a_long_conversation_is_not_taken_for_a_deep_one(tmp_path: Path):
    messages = ",".join('{"role":"user","content":"a"}' for _ in range(500))
    (row,) = rows_of(tmp_path / "in.jsonl", f'{{"messages":[{messages}]}}')

    assert row.body is not None
    assert len(row.body["messages"]) == 500


def test_half_of_an_emoji_is_read_so_that_the_request_can_say_where_it_is(tmp_path: Path):
    rows = rows_of(tmp_path / "in.jsonl", '{"prompt":"cut \\ud83d off"}\n"b"\n')

    assert prompts(rows) == ["cut \ud83d off", "b"]


def test_a_number_that_is_missing_is_not_sent(tmp_path: Path):
    rows = rows_of(tmp_path / "in.jsonl", '{"prompt":"a","temperature":NaN,"label":NaN}\n')

    assert set(rows[0].body or ()) == {"model", "messages"}


@given(st.binary(max_size=200))
def test_no_bytes_stop_the_reading(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    folder = tmp_path_factory.getbasetemp()
    for name, defaults in (("any.jsonl", {}), ("any.txt", {})):
        rows = rows_of(folder / name, b'"a"\n' + content, **defaults)
        assert all((row.body is None) != (row.error is None) for row in rows)
        assert [row.index for row in rows] == list(range(len(rows)))


@given(st.binary(max_size=200))
def test_no_bytes_stop_the_reading_of_a_table(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    rows = rows_of(tmp_path_factory.getbasetemp() / "any.csv", b"text,other\na,b\n" + content, template="{text}")

    assert all((row.body is None) != (row.error is None) for row in rows)
    assert prompts(rows[:1]) == ["a"]


# Plain text


def test_a_text_file_has_a_prompt_a_line(tmp_path: Path):
    rows = rows_of(tmp_path / "in.txt", b'\xef\xbb\xbfHello\r\n\r\n"quoted"\n{"not": json\nlast')

    assert prompts(rows) == ["Hello", '"quoted"', '{"not": json', "last"]
    assert [row.line for row in rows] == [1, 3, 4, 5]


def test_a_text_line_that_is_not_utf8_is_one_bad_row(tmp_path: Path):
    rows = rows_of(tmp_path / "in.TXT", b"a\ncaf\xe9\nb\n")

    assert prompts(rows) == ["a", None, "b"]
    assert "line 2: not UTF-8: " in reason(rows[1])


# Tables


def test_a_table_needs_a_template(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="needs a template"):
        rows_of(tmp_path / "in.csv", "text\na\n")


def test_fields_may_hold_quotes_commas_and_line_breaks(tmp_path: Path):
    table = '\ufefftext,n\r\n"a, ""b""\r\nc",1\r\n\r\nd,2\r\n'
    rows = rows_of(tmp_path / "in.csv", table, template="{n}: {text}")

    assert prompts(rows) == ['1: a, "b"\r\nc', "2: d"]
    assert rows[0].line == 2, "the line on which the record begins"


def test_a_custom_id_column_names_the_rows(tmp_path: Path):
    rows = rows_of(tmp_path / "in.csv", "custom_id,text\nx,a\n,b\n", template="{text}")

    assert rows[0].custom_id == "x"
    assert "custom_id must be a non-empty string" in reason(rows[1])


@pytest.mark.parametrize("content", ["name,n\na,1\n", "", "\n"])
def test_a_missing_column_is_found_before_the_first_row(tmp_path: Path, content: str):
    (tmp_path / "in.csv").write_text(content)

    with pytest.raises(ConfigurationError, match="unknown column 'text' in the template"):
        read_rows(tmp_path / "in.csv", Defaults(template="{text}"))


@pytest.mark.parametrize("record", ["only", "a,b,c", "a,b,"])
def test_a_record_of_another_length_is_one_bad_row(tmp_path: Path, record: str):
    rows = rows_of(tmp_path / "in.csv", f"text,n\na,1\n{record}\nb,2\n", template="{text}")

    assert prompts(rows) == ["a", None, "b"]
    assert "line 3: " in reason(rows[1])
    assert "but the header has 2" in reason(rows[1])


def test_a_record_that_is_not_utf8_is_one_bad_row(tmp_path: Path):
    rows = rows_of(tmp_path / "in.csv", b"text\na\ncaf\xe9\nb\n", template="{text}")

    assert prompts(rows) == ["a", None, "b"]
    assert "line 3: not UTF-8" in reason(rows[1])


def test_a_replacement_character_is_a_character_like_others(tmp_path: Path):
    assert prompts(rows_of(tmp_path / "in.csv", "text\nscraped \ufffd badly\n", template="{text}")) == [
        "scraped \ufffd badly",
    ]


def test_a_quote_that_is_never_closed_does_not_swallow_the_rest_without_a_word(tmp_path: Path):
    rows = rows_of(tmp_path / "in.csv", 'text\na\n"b\nc\nd\n', template="{text}")

    assert prompts(rows) == ["a", None]
    assert "line 3: not CSV: " in reason(rows[1])


def test_a_field_may_be_longer_than_the_128_kib_of_the_csv_module(tmp_path: Path):
    (row,) = rows_of(tmp_path / "in.csv", f"text\n{'a' * 500_000}\n", template="{text}")

    assert len(prompts([row])[0] or "") == 500_000


def test_a_header_that_is_not_csv_is_an_error_of_the_file(tmp_path: Path):
    (tmp_path / "in.csv").write_text('"text"x,n\na,1\n')

    with pytest.raises(ConfigurationError, match=r"the first line of .* is not CSV"):
        read_rows(tmp_path / "in.csv", Defaults(template="{text}"))


# Names alone, and rows that are passed over

ODD_ROWS = [
    '{"custom_id":"a","prompt":"x"}',
    "",
    '{"custom_id":7,"prompt":"x"}',
    '{"prompt":"x","custom_id":null}',
    '"a prompt"',
    '[{"role":"user","content":"x"}]',
    '{"custom_id":"","prompt":"x"}',
    '{"custom_id":true,"prompt":"x"}',
    '{"custom_id":["a"],"prompt":"x"}',
    '{"custom_id":"a\\u0007","prompt":"x"}',
    '{"custom_id":"é","prompt":"x"}',
    '{"custom_id":"cut","prompt":"\\ud83d"}',
    '{"custom_id":"bad","prompt":5}',
    '{"custom_id":"broken","prompt":',
    "5",
    '{"a":' * 5000 + "1" + "}" * 5000,
]


@pytest.mark.parametrize("suffix", [".jsonl", ".txt"])
def test_the_names_alone_are_those_of_the_rows(tmp_path: Path, suffix: str):
    path = tmp_path / f"in{suffix}"
    rows = rows_of(path, "\n".join(ODD_ROWS))

    assert list(read_ids(path, Defaults())) == [(row.line, row.custom_id) for row in rows]


def test_the_names_alone_of_a_table_are_those_of_its_rows(tmp_path: Path):
    rows = rows_of(tmp_path / "in.csv", "custom_id,text\na,x\nb,y\n", template="{text}")

    assert [(row.line, row.custom_id) for row in rows] == [(2, "a"), (3, "b")]
    assert list(read_ids(tmp_path / "in.csv", Defaults(template="{text}"))) == [(2, "a"), (3, "b")]


@pytest.mark.parametrize(
    ("suffix", "content"),
    [(".jsonl", '"a"\n\n"b"\n{bad\n"d"\n'), (".txt", "a\nb\n\nc\nd\n"), (".csv", 'text\na\n"b\n"\nc,c\nd\n')],
)
def test_rows_that_are_not_wanted_are_passed_over_and_the_others_keep_their_place(
    tmp_path: Path,
    suffix: str,
    content: str,
):
    path = tmp_path / f"in{suffix}"
    path.write_text(content)
    defaults = Defaults(template="{text}" if suffix == ".csv" else None)
    everything = list(read_rows(path, defaults))

    for wanted in ([0, 1, 0, 1], [1, 0, 1, 0], [0, 0, 1, 1], [0] * 4, [1] * 4):
        some = list(read_rows(path, defaults, wanted))
        assert [(row.index, row.line) for row in some] == [
            (row.index, row.line) for row in everything if wanted[row.index]
        ]


def test_rows_beyond_those_that_were_judged_are_not_wanted(tmp_path: Path):
    (tmp_path / "in.txt").write_text("a\nb\nc\n")

    assert [row.index for row in read_rows(tmp_path / "in.txt", Defaults(), [1, 1])] == [0, 1]


# Parquet


def parquet(path: Path, **columns: list[Any]) -> Path:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    write_table(pa.table(columns), path)
    return path


def test_ids_may_stand_in_any_column_of_a_table(tmp_path: Path):
    defaults = Defaults(template="{text}", id_column="review")
    table = parquet(tmp_path / "in.parquet", review=[5, 6], text=["a", "b"])
    (tmp_path / "in.csv").write_text("review,text\n5,a\n6,b\n")
    (tmp_path / "in.jsonl").write_text('{"review": 5, "text": "a"}\n{"review": 6, "text": "b"}\n')
    for path in (table, tmp_path / "in.csv", tmp_path / "in.jsonl"):
        rows = list(read_rows(path, defaults))

        assert [row.custom_id for row in rows] == ["5", "6"]
        assert [name for _, name in read_ids(path, defaults)] == ["5", "6"]


@pytest.mark.parametrize("name", ["in.csv", "in.parquet", "in.txt"])
def test_a_column_of_ids_that_is_not_there_is_refused(tmp_path: Path, name: str):
    parquet(tmp_path / "in.parquet", text=["a"])
    (tmp_path / "in.csv").write_text("text\na\n")
    (tmp_path / "in.txt").write_text("a\n")

    with pytest.raises(ConfigurationError, match=r"no id column 'review'|unknown id column 'review'"):
        read_rows(tmp_path / name, Defaults(template="{text}", id_column="review"))


def test_a_parquet_file_is_read_like_a_table(tmp_path: Path):
    path = parquet(tmp_path / "in.parquet", custom_id=[f"{n}" for n in range(600)], text=[f"t{n}" for n in range(600)])
    rows = list(read_rows(path, Defaults(template="Say {text}")))

    assert [row.custom_id for row in rows] == [f"{number}" for number in range(600)]
    assert prompts(rows) == [f"Say t{number}" for number in range(600)]
    assert [row.line for row in rows] == list(range(1, 601))
    assert [row.index for row in read_rows(path, Defaults(template="{text}"), [0] * 599 + [1])] == [599]


def test_a_parquet_file_with_prompts_needs_no_template(tmp_path: Path):
    assert prompts(list(read_rows(parquet(tmp_path / "in.parquet", prompt=["a", "b"]), Defaults()))) == ["a", "b"]


@pytest.mark.parametrize(
    ("template", "reason"),
    [("{nope}", "unknown column 'nope' in the template; .* has: text"), (None, "needs a template.* has: text")],
)
def test_a_parquet_file_without_the_column_is_refused_before_the_first_row(
    tmp_path: Path,
    template: str | None,
    reason: str,
):
    path = parquet(tmp_path / "in.parquet", text=["a"])

    with pytest.raises(ConfigurationError, match=reason):
        read_rows(path, Defaults(template=template))


def test_what_is_no_parquet_file_is_refused(tmp_path: Path):
    (tmp_path / "in.parquet").write_text('"a"\n')

    with pytest.raises(ConfigurationError, match="is not a Parquet file"):
        read_rows(tmp_path / "in.parquet", Defaults())


# Files that others write to


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.write_text("more than before"), "it grew from 6 to 16 bytes"),
        (lambda path: path.write_text("less"), "it shrank from 6 to 4 bytes"),
        (lambda path: os.utime(path, (1, 1)), "it was written to, or replaced"),
        (lambda path: path.unlink() or path.write_text("before"), "it was written to, or replaced"),
    ],
)
def test_a_file_that_somebody_writes_to_is_noticed(tmp_path: Path, change: Any, said: str):
    path = tmp_path / "in.txt"
    path.write_text("before")
    fingerprint = Fingerprint.of(path)
    assert fingerprint.difference(path) is None
    change(path)

    assert fingerprint.difference(path) == said


# Templates and files that cannot be used


@pytest.mark.parametrize("template", ["{", "{text", "}", "{}", "{0}", "a {} b", "no place at all", ""])
def test_a_template_that_cannot_work_is_refused_before_the_first_row(tmp_path: Path, template: str):
    (tmp_path / "in.jsonl").write_text("{}")

    with pytest.raises(ConfigurationError, match="template"):
        read_rows(tmp_path / "in.jsonl", Defaults(template=template))


@pytest.mark.parametrize("name", ["in.jsonl", "in.txt", "in.csv"])
def test_a_missing_file_is_found_before_the_first_row(tmp_path: Path, name: str):
    with pytest.raises(ConfigurationError, match=r"cannot read the input .*No such file"):
        read_rows(tmp_path / name, Defaults(template="{text}"))


@pytest.mark.parametrize("name", ["in.jsonl", "in.txt", "in.csv"])
def test_a_file_that_cannot_be_read_is_found_before_the_first_row(tmp_path: Path, name: str):
    (tmp_path / name).mkdir()

    with pytest.raises(ConfigurationError, match=r"cannot read the input .*Is a directory"):
        read_rows(tmp_path / name, Defaults(template="{text}"))


@pytest.mark.parametrize("name", ["in.jsonl", "in.txt", "in.csv"])
@pytest.mark.parametrize(
    ("encoding", "said"), [("utf-16", "got UTF-16"), ("utf-16-be", "UTF-16"), ("utf-32", "got UTF-32")]
)
def test_another_encoding_is_found_before_the_first_row(tmp_path: Path, name: str, encoding: str, said: str):
    (tmp_path / name).write_bytes("\ufefftext\nHello\n".encode(encoding))

    with pytest.raises(ConfigurationError, match=said) as caught:
        read_rows(tmp_path / name, Defaults(template="{text}"))
    assert "iconv -f UTF-" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "filter_"),
    [
        ('[\n {"prompt": "a"},\n {"prompt": "b"}\n]\n', "'.[]'"),
        ('\ufeff\n[{"prompt": "a"},\n{"prompt": "b"}]', "'.[]'"),
        ('{\n "prompt": "a"\n}\n', "'.'"),
    ],
)
def test_json_over_several_lines_is_found_before_the_first_row(tmp_path: Path, content: str, filter_: str):
    (tmp_path / "in.json").write_text(content, encoding="utf-8")

    with pytest.raises(ConfigurationError, match="is JSON over several lines") as caught:
        read_rows(tmp_path / "in.json", Defaults())
    assert f"jq -c {filter_}" in str(caught.value)


# Packed files


@pytest.mark.parametrize(
    ("name", "content", "template"),
    [
        ("in.jsonl.gz", '{"custom_id": "a", "prompt": "one"}\n\n"two"\n', None),
        ("in.txt.gz", "one\ntwo\n", None),
        ("IN.CSV.GZ", "text\none\ntwo\n", "{text}"),
    ],
)
def test_a_packed_file_is_read_as_what_is_in_it(tmp_path: Path, name: str, content: str, template: str | None):
    (tmp_path / name).write_bytes(gzip.compress(content.encode()))

    assert prompts(list(read_rows(tmp_path / name, Defaults(template=template)))) == ["one", "two"]
    assert len(list(read_ids(tmp_path / name, Defaults(template=template)))) == 2


def test_a_packed_file_that_is_cut_off_or_none_is_an_error_of_the_file(tmp_path: Path):
    path = tmp_path / "in.txt.gz"
    path.write_bytes(b"a prompt\n")
    with pytest.raises(ConfigurationError, match="is not a complete gzip file"):
        read_rows(path, Defaults())
    path.write_bytes(gzip.compress(random.Random(1).randbytes(1 << 18).hex("\n").encode())[:-1000])
    rows = read_rows(path, Defaults())
    with pytest.raises(ConfigurationError, match="is not a complete gzip file"):
        list(rows)


# How many rows


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.jsonl", '"a"\n\n  \r\nno json\n"b"'),
        ("in.txt", "a\n\nb\nc"),
        ("in.csv", 'text,n\n"a\nb",1\n\nshort\n"c ""d""",2\n'),
        ("empty.jsonl", "\n"),
    ],
)
def test_rows_are_counted_as_they_are_read(tmp_path: Path, name: str, content: str):
    (tmp_path / name).write_text(content)
    template = "{text}" if name == "in.csv" else None

    defaults = Defaults(template=template)

    number = 0 if "empty" in name else 3
    assert number == len(list(read_rows(tmp_path / name, defaults))) == len(list(read_ids(tmp_path / name, defaults)))


# Laziness


@pytest.mark.parametrize(
    ("name", "line"),
    [("in.jsonl", b'{"prompt":"a row of some length"}\n'), ("in.txt", b"a prompt\n"), ("in.csv", b"a field\n")],
)
def test_a_file_is_read_only_as_far_as_rows_are_pulled(tmp_path: Path, name: str, line: bytes):
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(b"text\n" if name == "in.csv" else b"")
        file.write(line * MANY)
        before = file.tell()
    rows = read_rows(path, Defaults(template="{text}" if name == "in.csv" else None))

    taken = list(islice(rows, 10))
    # What has been read is in the buffer; all behind it can still be taken away.
    os.truncate(path, before // 2)
    rest = sum(1 for _ in rows)

    assert len(taken) == 10
    assert rest < MANY * 0.6


def test_rows_come_while_the_file_is_still_being_written(tmp_path: Path):
    pipe = tmp_path / "in.jsonl"
    os.mkfifo(pipe)
    (tmp_path / "there.jsonl").write_text("")
    more, taken = threading.Event(), []

    def write() -> None:
        with pipe.open("wb", buffering=0) as file:
            file.write(b'"first"\n' + b" " * 8192 + b"\n")
            assert more.wait(120)
            file.write(b'"second"\n')

    # Opening for both keeps the existence check of `read_rows` from waiting for the other end.
    held = os.open(pipe, os.O_RDWR)
    rows = read_rows(pipe, Defaults())
    writer = threading.Thread(target=write)
    writer.start()
    taken.append(next(rows))
    more.set()
    taken.append(next(rows))
    writer.join()
    os.close(held)

    assert prompts(taken) == ["first", "second"]
    assert list(rows) == []
