"""What of a row is asked, and what is carried along, is the same from every kind of file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.cells import WRITTEN_EMPTY, as_json
from deepseek_async.batch.input_record import PARAMETERS
from deepseek_async.batch.row import Defaults, Row, RowReader
from deepseek_async.batch.row_source import read_rows
from deepseek_async.errors import InputFormatError, InvalidRequestError

WORDS = ("None", "nan", "NaN", "null", "<NA>", "NaT")

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12).filter(
    lambda text: text not in WRITTEN_EMPTY,
)
names = st.text("abcxyz_ü ", min_size=1, max_size=6).filter(
    lambda name: name.strip() == name and name not in PARAMETERS | {"custom_id", "body"},
)
cells = st.one_of(st.none(), texts, st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6).map(lambda x: round(x, 3) + 0.5))
parameters = st.fixed_dictionaries(
    {},
    optional={
        "max_tokens": st.none() | st.integers(1, 5000),
        "temperature": st.none() | st.sampled_from([0.0, 0.5, 1.0]),
        "stop": st.none() | st.sampled_from(["END", "7"]),
        "logprobs": st.none() | st.booleans(),
    },
)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows with the same columns, one of which is asked about."""
    rows = draw(st.integers(1, 5))
    columns: dict[str, list[Any]] = {"prompt": draw(st.lists(st.none() | texts, min_size=rows, max_size=rows))}
    for name, value in draw(parameters).items():
        columns[name] = [value if draw(st.booleans()) else None for _ in range(rows)]
    for name in draw(st.lists(names, max_size=3, unique=True)):
        kind = draw(st.sampled_from([texts, st.integers(-9, 9), st.floats(-9, 9).map(lambda x: round(x, 1) + 0.25)]))
        columns[name] = [draw(st.none() | kind) for _ in range(rows)]
    return [{name: values[number] for name, values in columns.items()} for number in range(rows)]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    match path.suffix:
        case ".parquet":
            columns = {name: pa.array([row[name] for row in rows], from_pandas=True) for name in rows[0]}
            pq.write_table(pa.table(columns), path)
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        case suffix:
            text = io.StringIO()
            writer = csv.writer(text, delimiter="," if suffix == ".csv" else "\t", quoting=csv.QUOTE_ALL)
            writer.writerow(rows[0])
            writer.writerows([_written(value) for value in row.values()] for row in rows)
            path.write_text(text.getvalue(), "utf-8", newline="")
    return path


def _written(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def read(path: Path, **defaults: Any) -> list[Row]:
    return list(read_rows(path, Defaults(**defaults)))


def asked(rows: list[Row]) -> list[Any]:
    return [dict(row.body) if row.body is not None else None for row in rows]


@given(tables(), st.sampled_from(["refuse", "send"]))
def test_the_same_table_asks_the_same_in_every_form(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[dict[str, Any]],
    empty: str,
):
    folder = tmp_path_factory.getbasetemp()
    read_as = {
        suffix: read(write(folder / f"same{suffix}", table), empty=empty)
        for suffix in (".jsonl", ".parquet", ".csv", ".tsv")
    }

    expected = asked(read_as[".jsonl"])
    for suffix, rows in read_as.items():
        assert asked(rows) == expected, suffix
        for row, record in zip(rows, table, strict=True):
            assert set(row.columns or ()) == set(record) - PARAMETERS, suffix
    for suffix in (".jsonl", ".parquet"):
        for row, record in zip(read_as[suffix], table, strict=True):
            assert dict(row.columns or {}) == {name: record[name] for name in record if name not in PARAMETERS}


@given(tables())
def test_what_is_no_parameter_never_reaches_the_wire_and_always_the_output(table: list[dict[str, Any]]):
    reader = RowReader(Defaults(empty="send"))
    for record in table:
        row = reader.read(record)
        beside = {name: value for name, value in record.items() if name not in PARAMETERS}
        assert row.body is not None
        assert set(row.body) <= PARAMETERS
        assert dict(row.columns or {}) == beside


@given(
    st.dictionaries(
        st.sampled_from("abc"),
        cells | st.sampled_from([float("nan"), Decimal("NaN"), "", " ", [], {"x": None}, [float("nan")]]),
        min_size=3,
    ),
    st.sampled_from(["refuse", "send", "skip"]),
)
def test_no_prompt_ever_says_none_or_nan_for_a_cell(row: dict[str, Any], empty: Any):
    read = RowReader(Defaults(template="[{a}][{b}][{c:}]", empty=empty)).read(row)

    if read.body is not None:
        assert not any(word in read.body["messages"][0]["content"] for word in ("None", "nan", "NaN", "NaT"))
    else:
        assert empty != "send"
        assert read.error is not None
        assert read.error.column in row


@pytest.mark.parametrize("value", [None, "", " \t", float("nan"), Decimal("NaN"), Decimal("sNaN"), [], {}, b""])
@pytest.mark.parametrize("defaults", [{}, {"template": "Is {prompt} good?"}])
def test_an_empty_cell_is_a_bad_row_that_names_file_row_and_column(value: Any, defaults: dict[str, Any]):
    row = RowReader(Defaults(**defaults), "in.parquet").read({"prompt": value, "label": 1}, 7)

    assert row.body is None
    assert isinstance(row.error, InputFormatError)
    assert (row.error.path, row.error.line, row.error.column) == ("in.parquet", 7, "prompt")
    assert row.error.message.startswith("in.parquet, line 7: ")
    assert "prompt" in row.error.message
    assert row.columns == {"label": 1}


@pytest.mark.parametrize("word", sorted(WRITTEN_EMPTY))
def test_a_word_that_programs_write_for_nothing_is_an_empty_cell_where_all_is_text(tmp_path: Path, word: str):
    (tmp_path / "in.csv").write_text(f"text\n{word}\n")
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": word}) + "\n")

    assert read(tmp_path / "in.csv", template="{text}")[0].body is None
    assert read(tmp_path / "in.jsonl", template="{text}")[0].body is not None, "a JSON string is what it says"


@pytest.mark.parametrize("word", ["NA", "N/A", "none", "Null", "-", "nothing"])
def test_words_of_people_are_asked_about(tmp_path: Path, word: str):
    (tmp_path / "in.csv").write_text(f"text\n{word}\n")

    assert asked(read(tmp_path / "in.csv", template="{text}"))[0]["messages"][0]["content"] == word


@pytest.mark.parametrize("written", ["", "NaN", "None"])
def test_an_empty_cell_that_is_sent_stays_empty(tmp_path: Path, written: str):
    (tmp_path / "in.csv").write_text(f"text,n\n{written},1\n")

    body = asked(read(tmp_path / "in.csv", template="Rate [{text}] by {n}", empty="send"))[0]
    assert body["messages"][0]["content"] == "Rate [] by 1"


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (5.0, "5"),
        (5.5, "5.5"),
        (-0.0, "0"),
        (Decimal("1.50"), "1.50"),
        (b"caf\xc3\xa9", "café"),
        ({"a": None, "b": ["x", float("nan")]}, '{"a":null,"b":["x",null]}'),
        ([1, 2], "[1,2]"),
        (True, "true"),
        (date(2026, 1, 2), "2026-01-02"),
    ],
)
def test_a_cell_is_shown_as_people_write_it(cell: Any, shown: str):
    body = RowReader(Defaults(template="{cell}")).read({"cell": cell}).body

    assert body is not None
    assert body["messages"][0]["content"] == shown


def test_bytes_that_are_no_text_are_no_prompt():
    for defaults in (Defaults(), Defaults(template="{prompt}")):
        row = RowReader(defaults).read({"prompt": b"\xff\xd8"})
        assert "not UTF-8" in str(row.error)


@pytest.mark.parametrize("name", ["max_tokens", "n", "top_logprobs", "max_completion_tokens"])
@pytest.mark.parametrize("value", [200.0, Decimal(200), Decimal("200.00"), 200])
def test_whole_numbers_stay_whole(name: str, value: Any):
    body = RowReader(Defaults()).read({"prompt": "a", name: value}).body

    assert body is not None
    sent = body.get(name, body.get("max_tokens"))
    assert (sent, type(sent)) == (200, int)


def test_a_null_in_a_column_leaves_the_parameter_of_the_command():
    body = RowReader(Defaults(parameters={"max_tokens": 9})).read({"prompt": "a", "max_tokens": None}).body

    assert body is not None
    assert body["max_tokens"] == 9


def test_further_parameters_are_sent_where_they_are_meant():
    reader = RowReader(Defaults(parameters={"extra_body": {"top_k": 4}, "min_p": 0.1}))
    row = reader.read({"prompt": "a", "extra_body": {"seed": 1}, "seed": 2})

    assert row.body == {
        "model": "deepseek-flash",
        "messages": [{"role": "user", "content": "a"}],
        "top_k": 4,
        "min_p": 0.1,
        "seed": 1,
    }
    assert row.columns == {"seed": 2}
    with pytest.raises(InvalidRequestError, match="extra_body must be an object"):
        RowReader(Defaults(parameters={"extra_body": 5}))


def test_an_explicit_request_passes_on_what_nobody_knows():
    line = {"custom_id": "a", "label": "x", "body": {"messages": [{"role": "user", "content": "a"}], "top_k": 4}}
    row = RowReader(Defaults()).read(line)

    assert row.body is not None
    assert row.body["top_k"] == 4
    assert row.columns == {"label": "x"}


def test_a_conversation_and_an_unknown_key_follow_the_same_law():
    row = RowReader(Defaults()).read({"messages": [{"role": "user", "content": "a"}], "source": "b"})

    assert set(row.body or ()) == {"model", "messages"}
    assert row.columns == {"source": "b"}


@pytest.mark.parametrize("value", ["a", {"prompt": "a"}, {"custom_id": "x", "prompt": "a"}, {"messages": [{}]}])
def test_a_row_with_nothing_beside_the_request_carries_nothing(value: Any):
    assert RowReader(Defaults()).read(value).columns is None


@pytest.mark.parametrize(
    "value",
    [
        Decimal("1.50"),
        datetime(2026, 1, 1, tzinfo=UTC),
        timedelta(seconds=5),
        b"\xff\xd8",
        b"text",
        float("nan"),
        float("inf"),
        2**100,
        "half an emoji \ud83d",
        {"a": {1, 2}, 5: [Decimal(1), None]},
        [(1, 2)],
        object(),
    ],
)
def test_every_value_can_be_carried(value: Any):
    carried = json.loads(as_json({"beside": value}))

    assert set(carried) == {"beside"}


def test_what_is_carried_keeps_its_digits():
    assert json.loads(as_json({"id": 2**100, "price": Decimal("1.50")})) == {"id": 2**100, "price": "1.50"}


@pytest.mark.parametrize("digits", [2**63, 2**64, 2**127 + 12345])
def test_whole_numbers_of_any_length_are_kept(tmp_path: Path, digits: int):
    (tmp_path / "in.jsonl").write_text(f'{{"custom_id":{digits},"prompt":"a","order":{digits}}}\n')
    row = read(tmp_path / "in.jsonl")[0]

    assert (row.custom_id, row.columns) == (str(digits), {"order": digits})


def test_structs_and_maps_of_a_table_are_messages_without_the_fields_that_others_have(tmp_path: Path):
    messages = [
        [{"role": "user", "content": "a", "name": None}],
        [{"role": "assistant", "content": None, "name": "b"}],
    ]
    thinking = pa.array([[("type", "disabled")], None], pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.table({"messages": messages, "thinking": thinking}), tmp_path / "in.parquet")

    assert [(body["messages"], body.get("thinking")) for body in asked(read(tmp_path / "in.parquet"))] == [
        ([{"role": "user", "content": "a"}], {"type": "disabled"}),
        ([{"role": "assistant", "content": None, "name": "b"}], None),
    ]


def test_messages_may_be_json_in_a_cell(tmp_path: Path):
    conversation: list[Mapping[str, Any]] = [{"role": "user", "content": "a, b"}]
    for suffix in (".csv", ".tsv", ".parquet"):
        path = write(tmp_path / f"in{suffix}", [{"messages": json.dumps(conversation), "label": "x"}])
        assert asked(read(path))[0]["messages"] == conversation
