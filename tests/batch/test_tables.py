"""``client.batch.table``: a frame in, the same frame with its answers as columns out, over real sockets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from bulk import QUICK, Bulk, Start
from pydantic import BaseModel

from deepseek_async import ConfigurationError
from deepseek_async.batch import Progress
from deepseek_async.batch.tables import table_answers
from deepseek_async.batch.tables.column_type import Fields, ListType, Scalar, fitted_column, property_types
from deepseek_async.simulator import Fault, FaultKind

ADDED = ["answer", "error", "usage", "cost"]
ROWS = {"text": ["good", None, "bad", "good"], "label": [[1], [2], [3], [4]]}
USAGE = ["prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens"]


def batch_of(rows: dict[str, Any]) -> pa.RecordBatch:
    return pa.table(rows).to_batches()[0]


MAKERS = pytest.mark.parametrize(
    "made", [pd.DataFrame, pl.DataFrame, pa.table, batch_of], ids=["pandas", "polars", "arrow", "arrow-batch"]
)


async def answered(bulk: Bulk, frame: Any, **options: Any) -> Any:
    return await bulk.client.batch.table(frame, **{"template": "Say {text}", **QUICK, **options})


def records(frame: Any) -> list[dict[str, Any]]:
    match frame:
        case pd.DataFrame():
            return frame.astype(object).where(frame.notna(), None).to_dict("records")
        case pl.DataFrame():
            return frame.to_dicts()
        case _:
            return frame.to_pylist()


def others() -> set[asyncio.Task[Any]]:
    """Tasks of the client; the simulator has some too."""
    return {task for task in asyncio.all_tasks() if "batch" in repr(task.get_coro())}


@MAKERS
async def test_a_frame_comes_back_in_its_own_kind_with_its_answers_beside_its_columns(
    bulk: Bulk, made: Callable[[Any], Any]
):
    frame = made(ROWS)
    result = await answered(bulk, frame)

    assert type(result) is type(frame)
    rows = records(result)
    assert list(rows[0]) == [*ROWS, *ADDED]
    assert [row["text"] for row in rows] == ROWS["text"]
    assert [list(row["label"]) for row in rows] == ROWS["label"]
    assert [row["answer"] and row["answer"].startswith(f"Answer to: Say {row['text']}") for row in rows] == [
        True,
        None,
        True,
        True,
    ]
    assert rows[1]["error"].startswith("InputFormatError: request 2: the column 'text' is ")
    assert [row["error"] for row in rows if row["answer"]] == [None] * 3
    assert rows[1]["usage"] is rows[1]["cost"] is None
    assert list(rows[0]["usage"]) == USAGE
    paid = bulk.simulator.requests
    assert len(paid) == 3
    assert sum(row["usage"]["completion_tokens"] for row in rows if row["usage"]) > 0
    assert all(row["cost"] > 0 for row in rows if row["answer"])
    assert list(records(frame)[0]) == list(ROWS), "the caller's frame is not changed"


@MAKERS
async def test_every_row_has_its_own_answer_in_whatever_order_they_arrive(start: Start, made: Callable[[Any], Any]):
    bulk = await start(latency_spread=0.005)
    names = [f"row{number}" for number in range(60)]
    rows = records(await answered(bulk, made({"text": names})))

    assert [row["text"] for row in rows] == names
    assert all(row["answer"].startswith("Answer to: Say row") for row in rows)
    assert [re.search(r"row\d+", row["answer"])[0] for row in rows] == names
    assert len(bulk.simulator.requests) == len(names)


@MAKERS
async def test_a_frame_without_rows_has_the_same_columns_as_every_other(bulk: Bulk, made: Callable[[Any], Any]):
    class Label(msgspec.Struct):
        mood: str
        stars: int
        tags: list[str]

    none = await answered(bulk, records_free(made), response_format=Label)
    some = await answered(bulk, made({"text": ["a"]}), response_format=Label)

    assert (len(none), bulk.requests) == (0, 1)
    if isinstance(none, pd.DataFrame):
        assert none.dtypes.to_dict() == some.dtypes.to_dict()
    else:
        assert none.schema == some.schema
    assert list(records(some)[0]) == ["text", "answer", "parsed.mood", "parsed.stars", "parsed.tags", *ADDED[1:]]


def records_free(made: Callable[[Any], Any]) -> Any:
    frame = made({"text": ["a"]})
    return frame.iloc[:0] if isinstance(frame, pd.DataFrame) else frame[:0]


@MAKERS
async def test_what_cannot_work_is_one_sentence_before_anything_is_sent(bulk: Bulk, made: Callable[[Any], Any]):
    with pytest.raises(ConfigurationError, match=r"^unknown column 'review' in the template; the table has: text, la"):
        await answered(bulk, made(ROWS), template="{review}")
    with pytest.raises(ConfigurationError, match=r"^a table without a column prompt or messages needs a template"):
        await answered(bulk, made(ROWS), template=None)
    with pytest.raises(ConfigurationError, match=r"^unknown id column 'key'"):
        await answered(bulk, made(ROWS), id_column="key")
    with pytest.raises(ConfigurationError, match=r"^the table already has a column 'answer': rename it, or the added"):
        await answered(bulk, made({"text": ["a"], "answer": ["mine"]}))
    assert bulk.requests == 0
    (row,) = records(await answered(bulk, made({"text": ["a"], "answer": ["mine"]}), prefix="model_"))
    assert row["answer"] == "mine"
    assert row["model_answer"].startswith("Answer to: Say a")


@pytest.mark.parametrize(
    ("frame", "hint"),
    [
        (pl.DataFrame(ROWS).lazy(), r"LazyFrame: call \.collect\(\) first"),
        (pd.Series(["a"]), r"Series: call \.to_frame\(\) first"),
        (pl.Series(["a"]), r"Series: call \.to_frame\(\) first"),
        (["a"], r"list: use client\.batch\.map"),
        ("a", r"str: use client\.batch\.map"),
        (None, "NoneType"),
    ],
    ids=["lazy frame", "pandas series", "polars series", "list", "text", "nothing"],
)
async def test_what_is_not_a_frame_is_refused(bulk: Bulk, frame: Any, hint: str):
    with pytest.raises(ConfigurationError, match=f"^frame must be a pandas or polars DataFrame.*{hint}"):
        await answered(bulk, frame)


@MAKERS
async def test_skipped_rows_stay_in_the_frame_without_an_answer(bulk: Bulk, made: Callable[[Any], Any]):
    told: list[Progress] = []
    rows = records(await answered(bulk, made(ROWS), empty="skip", on_progress=told.append))

    assert len(rows) == 4
    assert [rows[1][name] for name in ADDED] == [None] * 4
    assert (told[-1].done, told[-1].total, told[-1].failed) == (3, 3, 0)


async def test_a_row_that_fails_has_its_error_and_what_it_cost_beside_the_others(bulk: Bulk):
    bulk.simulator.script(Fault(FaultKind.BAD_REQUEST))
    frame = await answered(bulk, pd.DataFrame({"text": ["a", "b", "c"]}), concurrency=1)

    assert frame["answer"].notna().tolist() == [False, True, True]
    assert frame["error"][0].startswith("BadRequestError: ")


async def test_the_index_stays_whatever_it_is(bulk: Bulk):
    frame = pd.DataFrame({"text": ["a", "b", "c"]}, index=["x", "x", "y"])
    frame.attrs["source"] = "mine"
    result = await answered(bulk, frame)
    assert result.index.equals(frame.index)
    assert result["answer"].str.contains("Say [abc]").all()
    assert result.attrs == {"source": "mine"}

    levels = pd.MultiIndex.from_tuples([("de", 1), ("de", 1), (None, 2)], names=["language", "page"])
    result = await answered(bulk, frame.set_axis(levels), template="{language}/{page}: {text}", empty="send")
    assert result.index.equals(levels)
    assert [record.body["messages"][0]["content"] for record in bulk.simulator.requests[3:]] == [
        "de/1: a",
        "de/1: b",
        "/2: c",
    ]


async def test_columns_of_any_type_are_filled_in_and_given_back_unchanged(bulk: Bulk):
    moment = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    frame = pd.DataFrame(
        {
            "kind": pd.Categorical(["a", "b"]),
            "at": pd.to_datetime([moment, None], utc=True),
            "price": [Decimal("1.10"), Decimal(2)],
            "nested": [{"deep": [1, 2]}, {"deep": []}],
            "count": pd.array([1, None], dtype="Int64"),
            "ratio": [1.0, float("nan")],
        }
    )
    result = await answered(bulk, frame, template="{kind} {at} {price} {nested} {count} {ratio}", empty="send")

    pd.testing.assert_frame_equal(result[list(frame)], frame)
    first, second = (record.body["messages"][0]["content"] for record in bulk.simulator.requests)
    assert first == 'a 2026-01-02 03:04:00+00:00 1.10 {"deep":[1,2]} 1 1'
    assert second == 'b  2 {"deep":[]}  '


async def test_nested_and_encoded_columns_of_polars_and_arrow_are_filled_in(bulk: Bulk):
    frame = pl.DataFrame(
        {
            "kind": pl.Series(["a", "b"], dtype=pl.Categorical()),
            "price": [Decimal("1.10"), None],
            "review": [{"text": "x", "n": 1}, None],
            "tags": [["t"], None],
        }
    )
    result = await answered(bulk, frame, template="{kind} {price} {review[text]} {tags}", empty="send")
    assert result[frame.columns].equals(frame)
    table = pa.table(
        {"kind": pa.array(["a", "b"]).dictionary_encode(), "at": pa.array([0, 1], pa.timestamp("s", "UTC"))}
    )
    kept = await answered(bulk, table, template="{kind} {at}")
    assert kept.select(table.column_names).equals(table)

    assert {record.body["messages"][0]["content"] for record in bulk.simulator.requests} == {
        'a 1.10 x ["t"]',
        "b   ",
        "a 1970-01-01 00:00:00+00:00",
        "b 1970-01-01 00:00:01+00:00",
    }


async def test_odd_names_of_columns_are_kept_and_ambiguous_ones_refused(bulk: Bulk):
    frame = pd.DataFrame([["a", "x", 1, 2, 3]], columns=["text", "a column: {odd}", 7, "twice", "twice"])
    result = await answered(bulk, frame, template="{text} {7}")
    assert list(result.columns) == [*frame.columns, *ADDED]
    assert bulk.simulator.requests[0].body["messages"][0]["content"] == "a 1"

    with pytest.raises(ConfigurationError, match=r"^the column 'twice' is ambiguous; the table has: text"):
        await answered(bulk, frame, template="{twice}")
    with pytest.raises(ConfigurationError, match=r"^the column 'twice' is ambiguous"):
        _ = [result async for result in bulk.client.batch.map(frame, template="{twice}")]

    levels = pd.DataFrame([["a", "b"]], columns=pd.MultiIndex.from_tuples([("review", "text"), ("review", "title")]))
    result = await answered(bulk, levels, template="{review.title}: {review.text}")
    assert bulk.simulator.requests[1].body["messages"][0]["content"] == "b: a"
    assert result["answer"].tolist()[0].startswith("Answer to: b: a")
    assert result["review"].equals(levels["review"])

    assert bulk.requests == 2


async def test_a_frame_that_takes_no_columns_is_refused_before_anything_is_sent(
    bulk: Bulk, monkeypatch: pytest.MonkeyPatch
):
    def refuses(*_: object) -> None:
        raise TypeError("this frame is closed")

    monkeypatch.setattr(pd.DataFrame, "__setitem__", refuses)
    with pytest.raises(ConfigurationError, match=r"^the answers cannot be added to the frame as columns: this frame"):
        await answered(bulk, pd.DataFrame({"text": ["a"]}))
    assert bulk.requests == 0


async def test_only_columns_of_the_request_are_read(bulk: Bulk):
    class Precious:
        def tolist(self) -> None:
            raise AssertionError("was read")

    frame = pd.DataFrame({"prompt": ["a"], "max_tokens": [5], "secret": pd.Series([Precious()], dtype=object)})
    await answered(bulk, frame, template=None)

    body = bulk.simulator.requests[0].body
    assert (body["messages"][0]["content"], body["max_tokens"]) == ("a", 5)
    assert "secret" not in body


@dataclass
class Place:
    city: str
    zip: int | None


class Review(BaseModel):
    mood: Literal["good", "bad"]
    stars: int
    score: float
    places: list[Place]
    main: Place
    anything: dict[str, int]


@MAKERS
async def test_fields_of_the_class_become_columns_of_their_types(bulk: Bulk, made: Callable[[Any], Any]):
    result = await answered(bulk, made({"text": ["a", None]}), response_format=Review, max_tokens=2000)
    first, second = records(result)

    read = Review.model_validate_json(first["answer"])
    assert (first["parsed.mood"], first["parsed.stars"], first["parsed.score"]) == (read.mood, read.stars, read.score)
    assert first["parsed.main"] == {"city": read.main.city, "zip": read.main.zip}
    assert [dict(place) for place in first["parsed.places"]] == [vars(place) for place in read.places]
    assert msgspec.json.decode(first["parsed.anything"]) == read.anything
    assert [second[f"parsed.{name}"] for name in Review.model_fields] == [None] * 6
    if isinstance(result, pl.DataFrame):
        assert result.schema["parsed.main"] == pl.Struct({"city": pl.String, "zip": pl.Int64})


def test_a_column_with_a_value_that_does_not_fit_is_text():
    assert fitted_column(Scalar.INTEGER, [1, None, 1 << 70]) == (Scalar.TEXT, ["1", None, str(1 << 70)])
    assert fitted_column(Scalar.NUMBER, [1, 2.5]) == (Scalar.NUMBER, [1.0, 2.5])
    assert fitted_column(Scalar.BOOLEAN, [True, "yes"]) == (Scalar.TEXT, ["true", "yes"])
    assert fitted_column(ListType(Scalar.TEXT), [["a"], "b"]) == (Scalar.TEXT, ['["a"]', "b"])
    both = Fields({"a": Scalar.INTEGER})
    assert fitted_column(both, [{"a": 1}, {}]) == (both, [{"a": 1}, {"a": None}])
    assert fitted_column(both, [{"b": 1}]) == (Scalar.TEXT, ['{"b":1}'])


def test_a_class_within_itself_is_text():
    node = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}}}
    types = property_types(
        {"properties": {"next": {"$ref": "#/$defs/Node"}, "n": {"type": ["integer", "null"]}}, "$defs": {"Node": node}}
    )
    assert types == {"next": Scalar.TEXT, "n": Scalar.INTEGER}


async def test_an_interrupted_table_leaves_nothing_running_and_is_continued_without_paying_twice(start: Start):
    bulk = await start(client={"max_concurrency": 4})
    frame = pd.DataFrame({"text": [f"row{number % 20}" for number in range(40)]})
    reached = asyncio.Event()

    def told(progress: Progress) -> None:
        if progress.done >= 10:
            reached.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_answers, "_TOLD_EVERY", 0.0)
        running = asyncio.create_task(answered(bulk, frame, on_progress=told))
        await reached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert others() == set()
    assert bulk.client.statistics().in_flight == 0

    last: list[Progress] = []
    result = await answered(bulk, frame, on_progress=last.append)
    assert result["answer"].notna().all()
    assert last[-1].resumed >= 10
    assert last[-1].done == last[-1].total == 40
    assert last[-1].requests + last[-1].resumed == 40
    assert result["cost"].gt(0).all(), "what an answer cost is told whenever it was paid for"

    before = bulk.requests
    await answered(bulk, frame)
    assert bulk.requests == before + 40, "answers that were returned are not returned again"


async def test_whenever_it_is_cancelled_nothing_is_left_and_the_next_call_answers_every_row(start: Start):
    bulk = await start(client={"max_concurrency": 3})
    frame = pl.DataFrame({"text": [f"row{number}" for number in range(6)]})
    ends = set()
    for steps in range(0, 60, 4):
        running = asyncio.create_task(answered(bulk, frame))
        for _ in range(steps):
            await asyncio.sleep(0)
        running.cancel()
        (end,) = await asyncio.gather(running, return_exceptions=True)
        ends.add(type(end))
        assert others() == set()
        assert bulk.client.statistics().in_flight == 0
    assert asyncio.CancelledError in ends

    rows = (await answered(bulk, frame)).to_dicts()
    assert all(f"Say {row['text']}" in row["answer"] for row in rows)


async def test_an_error_of_on_progress_loses_no_answer_and_hides_no_cancellation(bulk: Bulk):
    def told(_: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await answered(bulk, pd.DataFrame({"text": ["a"]}), on_progress=told)
    await answered(bulk, pd.DataFrame({"text": ["a"]}))
    assert bulk.requests == 1

    running = asyncio.create_task(answered(bulk, pd.DataFrame({"text": ["b"]}), on_progress=told))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_table_whose_answers_cannot_be_added_keeps_them(bulk: Bulk, monkeypatch: pytest.MonkeyPatch):
    frame, real = pd.DataFrame({"text": ["a", "b"]}), table_answers.with_columns

    def failing(frame: Any, columns: Any) -> Any:
        if len(frame):
            raise MemoryError
        return real(frame, columns)

    monkeypatch.setattr(table_answers, "with_columns", failing)
    with pytest.raises(MemoryError):
        await answered(bulk, frame)
    monkeypatch.undo()

    assert (await answered(bulk, frame))["answer"].notna().all()
    assert bulk.requests == 2


async def test_rows_that_are_added_meanwhile_are_no_part_of_the_table(bulk: Bulk):
    frame = pd.DataFrame({"text": ["a", "b"]})
    running = asyncio.create_task(answered(bulk, frame))
    await asyncio.sleep(0)
    frame.loc[2] = ["c"]

    assert (await running)["text"].tolist() == ["a", "b"]


async def test_two_tables_at_once_keep_their_rows_apart(bulk: Bulk):
    one, two = (pd.DataFrame({"text": [f"{name}{number}" for number in range(30)]}) for name in "ab")
    first, second = await asyncio.gather(answered(bulk, one), answered(bulk, two))

    assert all(text in answer for text, answer in zip(first["text"], first["answer"], strict=True))
    assert all(text in answer for text, answer in zip(second["text"], second["answer"], strict=True))


async def test_a_map_over_a_frame_carries_named_levels_of_its_index(bulk: Bulk):
    frame = pd.DataFrame({"text": ["a"], "label": [1]}, index=pd.Index(["k"], name="key"))
    (result,) = [end async for end in bulk.client.batch.map(frame, template="{text}", id_column="key", **QUICK)]

    assert (result.index, result.custom_id, result.columns) == (0, "k", {"label": 1})


NAMED = ("answer", "error")
LATE = 10**13
"""Seconds since 1970, in the year 318857."""


class Grudge:
    def __str__(self) -> str:
        raise ValueError("not today")

    __repr__ = __str__


@pytest.mark.parametrize(
    "frame",
    [
        pa.table({"text": pa.array([0, LATE, 1], pa.timestamp("s"))}),
        pd.DataFrame({"text": pd.array([0, LATE, 1], dtype=pd.ArrowDtype(pa.timestamp("s")))}),
        pd.DataFrame({"text": ["1970-01-01", Grudge(), "1970-01-01"]}),
        pl.DataFrame({"text": pl.Series([0, LATE * 1000, 1]).cast(pl.Datetime("ms"))}),
        pd.DataFrame({"text": ["1970-01-01", 10**5000, "1970-01-01"]}, dtype=object),
    ],
    ids=["arrow", "pandas of arrow", "object without a text", "polars", "int with too many digits"],
)
async def test_a_cell_that_cannot_be_read_is_the_error_of_its_row(bulk: Bulk, frame: Any):
    result = await answered(bulk, frame)
    answers, errors = (
        result[name].to_pylist() if isinstance(frame, pa.Table) else list(result[name]) for name in NAMED
    )

    assert [isinstance(answer, str) for answer in answers] == [True, False, True]
    assert re.match(r"InputFormatError: request 2: .*(cannot be read|Python cannot hold)", errors[1])
    assert bulk.requests == 2
    mapped = [result async for result in bulk.client.batch.map(frame, template="Say {text}", **QUICK)]
    assert [result.ok for result in sorted(mapped, key=lambda one: one.index)] == [True, False, True]


async def test_a_parameter_that_cannot_be_read_is_the_error_of_its_row(bulk: Bulk):
    frame = pa.table({"prompt": ["a", "b"], "temperature": pa.array([LATE, None], pa.timestamp("s"))})
    result = await answered(bulk, frame, template=None)
    assert result["error"][0].as_py().startswith("InputFormatError: request 1: temperature cannot be read (Overflow")
    assert bulk.requests == 1


@MAKERS
async def test_an_answer_that_does_not_fit_is_in_its_row(bulk: Bulk, made: Callable[[Any], Any]):
    bulk.simulator.answer(when=lambda _: True, content='{"mood": 5}')
    (row,) = records(await answered(bulk, made({"text": ["a"]}), response_format=Mood))

    assert (row["answer"], row["parsed.mood"]) == ('{"mood": 5}', None)
    assert row["error"].startswith("StructuredOutputError: ")
    assert row["cost"] > 0


class Mood(BaseModel):
    mood: str


TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


@MAKERS
async def test_what_the_model_calls_is_in_its_row(bulk: Bulk, made: Callable[[Any], Any]):
    bulk.simulator.answer(when="a", tool_calls=[{"name": "look", "arguments": {"at": "ü"}}])
    rows = records(await answered(bulk, made({"text": ["a", "b"]}), tools=[TOOL]))

    (call,) = msgspec.json.decode(rows[0]["tool_calls"])
    assert call["function"] == {"name": "look", "arguments": '{"at": "ü"}'}
    assert list(rows[0]) == ["text", *ADDED, "tool_calls"]
    await answered(bulk, made({"text": ["a"], "tool_calls": ["mine"]}))
    with pytest.raises(ConfigurationError, match="already has a column 'tool_calls'"):
        await answered(bulk, made({"text": ["a"], "tool_calls": ["mine"]}), tools=[TOOL])


async def test_a_call_of_a_tool_is_paid_once_though_the_table_was_interrupted(bulk: Bulk):
    frame = pd.DataFrame({"text": ["a"]})
    bulk.simulator.answer(when="a", tool_calls=["look"])

    def told(_: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await answered(bulk, frame, tools=[TOOL], on_progress=told)
    assert "look" in (await answered(bulk, frame, tools=[TOOL]))["tool_calls"][0]
    assert bulk.requests == 1


async def test_answers_that_a_row_has_no_place_for_are_not_paid_for(bulk: Bulk):
    with pytest.raises(ConfigurationError, match=r"^n must be 1 in a table, which has one answer for each row"):
        await answered(bulk, pd.DataFrame({"text": ["a"]}), n=3)
    with pytest.raises(ConfigurationError, match=r"^on_progress must be a function of a Progress, got 5$"):
        await answered(bulk, pd.DataFrame({"text": ["a"]}), on_progress=5)
    levels = pd.DataFrame([["a", 1]], columns=pd.MultiIndex.from_tuples([("text", ""), ("answer", "mine")]))
    with pytest.raises(ConfigurationError, match="already has a column 'answer'"):
        await answered(bulk, levels)
    result = await answered(bulk, pd.DataFrame({"prompt": ["a", "b"], "n": [2, 1]}), template=None)
    assert result["error"][0].startswith("InvalidRequestError: n must be 1 in a table")
    assert bulk.requests == 1
