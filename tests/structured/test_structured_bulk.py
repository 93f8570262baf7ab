"""A class as the form of the answers of many requests: a row is done when its answer fits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import pytest
from pydantic import BaseModel, field_validator
from support.clients import Connect
from support.servers import USAGE, Script, Serve, answer, response

from deepseek_async import (
    ConfigurationError,
    DeepSeekError,
    InputChangedError,
    InsufficientBalanceError,
    InvalidRequestError,
    StructuredOutput,
    StructuredOutputError,
)
from deepseek_async.batch.structured_requests import AnswerClasses
from deepseek_async.simulator import Simulator, SimulatorSettings

ASKED = [{"role": "user", "content": "How many?"}]


class Stars(msgspec.Struct):
    stars: int


@dataclass
class StarsData:
    stars: int


class StarsDict(TypedDict):
    stars: int


class StarsModel(BaseModel):
    stars: int

    @field_validator("stars")
    @classmethod
    def check(cls, stars: int) -> int:
        return {4: 4, 5: 5}[stars]  # a check may raise anything


SCHEMA = {"title": "Stars", "type": "object", "properties": {"stars": {"type": "integer"}}, "required": ["stars"]}
SHAPES: list[Any] = [Stars, StarsData, StarsDict, StarsModel, StructuredOutput(SCHEMA), StructuredOutput(Stars)]
FOUR = [response(answer('{"stars": 4}'))]
WRONG = [response(answer('{"stars": "many"}'))]
NONE = [response({"error": {"message": "Insufficient Balance"}}, 402)]


def stars_of(parsed: Any) -> int:
    return parsed["stars"] if isinstance(parsed, dict) else parsed.stars


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text('{"custom_id": "a", "prompt": "How many?"}\n')
    return path


@pytest.mark.parametrize("shape", SHAPES)
async def test_map_gives_objects(serve: Serve, connect: Connect, shape: Any):
    server = await serve(FOUR)
    client = connect(server)
    results = [result async for result in client.batch.map(["a", {"prompt": "b"}], response_format=shape)]

    assert [stars_of(result.parsed) for result in results] == [4, 4]
    sent = server.requests[0].json()
    assert sent["response_format"] == {"type": "json_object"}
    assert "stars" in sent["messages"][0]["content"]


async def test_a_request_may_name_a_class_of_its_own(serve: Serve, connect: Connect):
    requests = [
        {"prompt": "a", "response_format": StarsModel},
        {"prompt": "b", "response_format": Stars},
        {"prompt": "c as json", "response_format": {"type": "json_object"}},
        {"prompt": "d"},
        {"prompt": "e", "response_format": object},
    ]
    client = connect(await serve(FOUR))
    results = [result async for result in client.batch.map(requests, ordered=True, response_format=StarsData)]

    assert [type(result.parsed) for result in results] == [StarsModel, Stars, type(None), StarsData, type(None)]
    assert [result.ok for result in results] == [True, True, True, True, False]


def test_a_class_is_made_ready_once():
    forms = AnswerClasses()
    first, second = (forms.own({"prompt": "a", "response_format": Stars}) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first[1] is second[1]
    assert forms.own("a") is None


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_answer_that_does_not_fit_is_asked_for_again_within_its_row(
    serve: Serve, connect: Connect, source: Path, tmp_path: Path, shape: Any
):
    server = await serve(WRONG, FOUR)
    output = tmp_path / "out.jsonl"
    report = await connect(server).batch.run(source, output, response_format=shape)

    assert (report.ok, report.progress.done, len(server.requests)) == (True, 1, 2)
    (line,) = lines_of(output)
    assert line["response"]["body"]["choices"][0]["message"]["content"] == '{"stars": 4}'
    assert [bill["usage"]["prompt_tokens"] for bill in line["deepseek_async"]["billed"]] == [USAGE["prompt_tokens"]] * 2
    assert report.progress.prompt_tokens == 2 * USAGE["prompt_tokens"]
    assert line["deepseek_async"]["attempts"] == 2
    assert "does not fit" in server.requests[1].json()["messages"][-1]["content"]
    # And it is done: the same command has nothing left to do.
    assert (await connect(server).batch.run(source, output, response_format=shape)).progress.resumed == 1
    assert len(server.requests) == 2


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_answer_that_never_fits_is_kept_as_a_failure_with_its_text_and_its_cost(
    serve: Serve, connect: Connect, source: Path, tmp_path: Path, shape: Any
):
    server = await serve(WRONG)
    output = tmp_path / "out.jsonl"
    client = connect(server)
    report = await client.batch.run(source, output, response_format=shape)

    assert report.failures == {"StructuredOutputError": 1}
    (line,) = lines_of(output)
    assert line["error"]["code"] == "StructuredOutputError"
    assert line["error"]["text"] == '{"stars": "many"}'
    assert len(line["deepseek_async"]["billed"]) == len(server.requests) == 3
    assert line["deepseek_async"]["cost"] > 0
    assert report.spent == pytest.approx(line["deepseek_async"]["cost"])


@pytest.mark.parametrize("method", ["json", "strict_tool"])
async def test_the_output_has_the_json_that_was_read(connect: Connect, source: Path, tmp_path: Path, method: Any):
    async with Simulator(SimulatorSettings(seed=3)) as simulator:
        client = connect(simulator.base_url)
        shape = StructuredOutput(StarsData, method=method)
        report = await client.batch.run(source, tmp_path / "out.jsonl", response_format=shape)
        await client.aclose()
    (line,) = lines_of(tmp_path / "out.jsonl")
    assert report.ok
    choice = line["response"]["body"]["choices"][0]
    assert isinstance(json.loads(choice["message"]["content"])["stars"], int)
    assert choice["finish_reason"] == "stop"


async def test_another_class_is_another_question(serve: Serve, connect: Connect, source: Path, tmp_path: Path):
    server = await serve(FOUR)
    client = connect(server)
    await client.batch.run(source, tmp_path / "out.jsonl", response_format=Stars)
    with pytest.raises(InputChangedError):
        await client.batch.run(
            source, tmp_path / "out.jsonl", response_format=StructuredOutput(SCHEMA | {"title": "X"})
        )
    assert len(server.requests) == 1


EMPTY = [response(answer(""))]


@pytest.mark.parametrize("failure", [NONE, [response({"error": {"message": "wrong"}}, 400)], EMPTY])
async def test_an_answer_that_did_not_fit_is_kept_when_asking_again_fails(
    serve: Serve, connect: Connect, failure: Script
):
    client = connect(await serve(WRONG, failure), retry=1)
    with pytest.raises(DeepSeekError) as caught:
        await client.chat.completions.create(model="deepseek-flash", messages=ASKED, response_format=Stars)

    assert caught.value.partial is not None
    billed = [USAGE["total_tokens"]] * (2 if failure is EMPTY else 1)
    assert caught.value.partial.choices[0].message.content == ("" if failure is EMPTY else '{"stars": "many"}')
    assert [bill.usage.total_tokens for bill in caught.value.billed_attempts] == billed


async def test_a_check_that_raises_anything_leaves_the_answer(serve: Serve, connect: Connect):
    client = connect(await serve([response(answer('{"stars": 9}'))]))
    with pytest.raises(StructuredOutputError, match="KeyError: 9") as caught:
        await client.chat.completions.create(model="deepseek-flash", messages=ASKED, response_format=StarsModel)
    assert caught.value.text == '{"stars": 9}'


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_class_is_taken_wherever_an_answer_is_asked_for(serve: Serve, connect: Connect, shape: Any):
    async def double(number: int) -> int:
        return 2 * number

    client = connect(await serve(FOUR))
    chat = client.chat.completions
    asked: dict[str, Any] = {"model": "deepseek-flash", "messages": ASKED, "response_format": shape}

    assert stars_of((await chat.create(**asked)).parsed) == 4
    assert stars_of((await chat.with_raw_response.create(**asked)).parse().parsed) == 4
    ran = await chat.run_tools(**asked, tools=[double])
    assert stars_of(ran.completion.parsed) == 4
    counted = chat.count_tokens(**asked).prompt_tokens
    assert counted > chat.count_tokens(model="deepseek-flash", messages=ASKED).prompt_tokens
    with pytest.raises(InvalidRequestError, match="n must be 1 in a stream parsed"):
        await chat.create(**asked, stream=True, n=2)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "array"}, "must be a JSON object"),
        ({"type": "objekt"}, "invalid JSON Schema"),
        ({"type": "object", "properties": {"a": {"$ref": "https://example.org/a.json"}}}, "example.org"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}}, "missing"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_before_anything_is_asked(schema: dict[str, Any], said: str):
    with pytest.raises(InvalidRequestError, match=said):
        StructuredOutput(schema)


async def test_a_row_is_not_asked_again_when_the_budget_of_its_job_is_used_up(
    serve: Serve, connect: Connect, source: Path, tmp_path: Path
):
    server = await serve(WRONG)
    report = await connect(server).batch.run(source, tmp_path / "out.jsonl", response_format=Stars, budget=1e-9)

    assert len(server.requests) == 1
    (line,) = lines_of(tmp_path / "out.jsonl")
    assert line["error"]["text"] == '{"stars": "many"}'
    assert report.spent == pytest.approx(line["deepseek_async"]["cost"])


async def test_what_a_row_was_billed_for_counts_also_when_the_row_has_to_wait_for_another_run(
    serve: Serve, connect: Connect, source: Path, tmp_path: Path
):
    server = await serve(WRONG, NONE)
    report = await connect(server).batch.run(source, tmp_path / "out.jsonl", response_format=Stars)

    assert isinstance(report.stopped, InsufficientBalanceError)
    assert (report.progress.done, report.progress.prompt_tokens) == (0, USAGE["prompt_tokens"])
    assert report.spent > 0


async def test_columns_beside_a_request_stand_beside_its_object(serve: Serve, connect: Connect):
    client = connect(await serve(FOUR))
    rows = [{"prompt": "How many?", "review_id": 7}]
    (result,) = [result async for result in client.batch.map(rows, response_format=Stars)]
    assert (result.parsed, result.columns) == (Stars(4), {"review_id": 7})


def test_a_class_is_no_parameter_of_a_redo(connect: Connect, source: Path, tmp_path: Path):
    batch = connect("http://127.0.0.1:1").batch
    with pytest.raises(ConfigurationError, match="pass it as response_format"):
        batch.job(source, tmp_path / "out.jsonl", redo="error", redo_with={"response_format": Stars})
