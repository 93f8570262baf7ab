"""Answers as objects: asked for in DeepSeek's terms, read, and asked for again when they do not fit."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Literal, TypedDict

import deepseek_recipe as recipe
import msgspec
import pytest
from msgspec import Meta
from pydantic import BaseModel, Field
from support.clients import Connect
from support.servers import Serve, answer, response

from deepseek_async import InvalidRequestError, ParsedChatCompletion, StructuredOutput, StructuredOutputError
from deepseek_async.codec.json_schema import object_schema, strict_schema
from deepseek_async.codec.python_types import Shape
from deepseek_async.simulator import Simulator, SimulatorSettings

ASKED = [{"role": "user", "content": "How warm is it in Oslo?"}]


class Weather(msgspec.Struct):
    """The weather somewhere."""

    place: str
    degrees: float


@dataclass
class WeatherData:
    place: str
    degrees: float


class WeatherDict(TypedDict):
    place: str
    degrees: float


class WeatherModel(BaseModel):
    place: str
    degrees: float = Field(ge=-100)


SHAPES: list[Any] = [Weather, WeatherData, WeatherDict, WeatherModel]
FITTING = '{"place": "Oslo", "degrees": -3.5}'


def place_of(parsed: Any) -> str:
    return parsed["place"] if isinstance(parsed, dict) else parsed.place


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("thinking", [True, False])
async def test_the_simulator_answers_with_what_is_asked_for(connect: Connect, shape: Any, thinking: bool):
    async with Simulator(SimulatorSettings(seed=7)) as simulator:
        client = connect(simulator.base_url, retry=1)
        done = await client.chat.completions.create(
            model="deepseek-flash", messages=ASKED, response_format=shape, thinking=thinking
        )
    assert isinstance(place_of(done.choices[0].message.parsed), str)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", [FITTING, f"\n ```json\n{FITTING}\n```  ", f"```\n{FITTING}```"])
async def test_an_answer_is_read_as_an_object_of_the_class(serve: Serve, connect: Connect, shape: Any, text: str):
    server = await serve([response(answer(text))])
    done = await connect(server).chat.completions.create(model="deepseek-flash", messages=ASKED, response_format=shape)

    assert isinstance(done, ParsedChatCompletion)
    assert place_of(done.choices[0].message.parsed) == place_of(done.parsed) == "Oslo"
    assert done.choices[0].message.content == text
    assert done.usage is not None
    assert done.to_dict()["choices"][0]["message"] == {"role": "assistant", "content": text}
    (sent,) = [request.json() for request in server.requests]
    assert sent["response_format"] == {"type": "json_object"}
    assert sent["messages"][0]["role"] == "system"
    assert '"degrees"' in sent["messages"][0]["content"]
    assert sent["messages"][1:] == ASKED


async def test_the_schema_joins_the_system_message_that_is_there(serve: Serve, connect: Connect):
    server = await serve([response(answer(FITTING))])
    told = {"role": "system", "content": "Be brief."}
    await connect(server).chat.completions.create(
        model="deepseek-flash", messages=[told, *ASKED], response_format=Weather
    )

    sent = server.requests[0].json()["messages"]
    assert [message["role"] for message in sent] == ["system", "user"]
    assert sent[0]["content"].startswith("Be brief.\n\n")


@pytest.mark.parametrize("wrong", ["no JSON", '{"place": "Oslo"}', '{"place": "Oslo", "degrees": "warm"}', "[]"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_an_answer_that_does_not_fit_is_asked_for_again_with_the_reason(
    serve: Serve, connect: Connect, shape: Any, wrong: str
):
    server = await serve([response(answer(wrong))], [response(answer(FITTING))])
    done = await connect(server).chat.completions.create(model="deepseek-flash", messages=ASKED, response_format=shape)

    assert place_of(done.parsed) == "Oslo"
    first, second = (request.json()["messages"] for request in server.requests)
    assert second[: len(first)] == first
    assert second[len(first)] == {"role": "assistant", "content": wrong}
    assert second[len(first) + 1]["role"] == "user"
    assert "does not fit" in second[len(first) + 1]["content"]


async def test_it_is_asked_for_a_bounded_number_of_times_and_the_last_answer_is_kept(serve: Serve, connect: Connect):
    server = await serve([response(answer("no JSON"))])
    with pytest.raises(StructuredOutputError, match=r"does not fit Weather after 2 attempts") as caught:
        await connect(server).chat.completions.create(
            model="deepseek-flash", messages=ASKED, response_format=StructuredOutput(Weather, attempts=2)
        )
    assert len(server.requests) == caught.value.attempts == 2
    assert caught.value.text == "no JSON"


async def test_an_empty_answer_is_asked_for_again_and_then_an_error(serve: Serve, connect: Connect):
    server = await serve([response(answer(""))], [response(answer(FITTING))])
    done = await connect(server).chat.completions.create(
        model="deepseek-flash", messages=ASKED, response_format=Weather
    )
    assert done.parsed == Weather("Oslo", -3.5)

    server = await serve([response(answer(""))])
    with pytest.raises(StructuredOutputError, match="empty"):
        await connect(server).chat.completions.create(model="deepseek-flash", messages=ASKED, response_format=Weather)
    assert len(server.requests) == 3


@pytest.mark.parametrize(("ending", "said"), [("length", "max_tokens"), ("content_filter", "filter")])
async def test_an_answer_that_was_cut_off_is_not_asked_for_again(
    serve: Serve, connect: Connect, ending: str, said: str
):
    server = await serve([response(answer('{"place": "Os', finish_reason=ending))])
    with pytest.raises(StructuredOutputError, match=said) as caught:
        await connect(server).chat.completions.create(model="deepseek-flash", messages=ASKED, response_format=Weather)
    assert not caught.value.retryable
    assert len(server.requests) == 1


async def test_a_tool_of_the_callers_may_come_before_the_object(serve: Serve, connect: Connect):
    body = answer(None, finish_reason="tool_calls")
    call = {"index": 0, "id": "call_00", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body["choices"][0]["message"]["tool_calls"] = [call]
    server = await serve([response(body)])
    done = await connect(server).chat.completions.create(
        model="deepseek-flash",
        messages=ASKED,
        response_format=Weather,
        tools=[{"type": "function", "function": {"name": "f"}}],
    )
    assert done.parsed is None
    assert done.choices[0].message.tool_calls is not None
    assert done.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_strict_tool_gives_the_object_over_the_beta_base(connect: Connect, shape: Any):
    async with Simulator(SimulatorSettings(seed=1)) as simulator:
        client = connect(simulator.base_url)
        done = await client.chat.completions.create(
            model="deepseek-flash", messages=ASKED, response_format=StructuredOutput(shape, method="strict_tool")
        )
        message = done.choices[0].message
        assert place_of(message.parsed)
        assert json.loads(message.content or "")["place"] == place_of(message.parsed)
        assert (message.tool_calls, done.choices[0].finish_reason) == (None, "stop")
        (request,) = simulator.requests
        assert request.path == "/beta/chat/completions"
        assert request.body["thinking"] == {"type": "disabled"}
        await client.aclose()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"response_format": StructuredOutput(Weather), "stream": True, "n": 2}, "stream"),
        ({"response_format": StructuredOutput(Weather, method="strict_tool"), "thinking": True}, "think"),
        ({"response_format": StructuredOutput(Weather, method="strict_tool"), "tools": [{}]}, "tools"),
        ({"response_format": int}, "object"),
        ({"response_format": 5}, "5"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(connect: Connect, parameters: dict[str, Any], said: str):
    client = connect("http://127.0.0.1:1")
    with pytest.raises(InvalidRequestError, match=said):
        await client.chat.completions.create(model="deepseek-flash", messages=ASKED, **parameters)


@pytest.mark.parametrize("options", [{"attempts": 0}, {"method": "magic"}])
def test_a_structured_output_that_makes_no_sense_is_refused(options: dict[str, Any]):
    with pytest.raises(InvalidRequestError):
        StructuredOutput(Weather, **options)


# Schemas


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Address(msgspec.Struct):
    street: str
    number: int | None = None


class Person(msgspec.Struct):
    name: Annotated[str, Meta(min_length=1, max_length=20, description="Full name")]
    address: Address
    colours: Annotated[list[Colour], Meta(max_length=3)] = []
    kind: Literal["a", "b"] = "a"
    children: list[Person] = []
    second_address: Address | None = None


@dataclass
class Nested:
    address: Address
    tags: list[str] = field(default_factory=list)


class PydanticNested(BaseModel):
    address: WeatherModel
    colour: Colour | None = None
    kind: Literal["a", "b"] = "a"


@pytest.mark.parametrize("shape", [Weather, WeatherData, WeatherDict, WeatherModel, Person, Nested, PydanticNested])
@pytest.mark.parametrize("strict", [True, False])
def test_schemas_are_taken_by_the_official_reader(shape: Any, strict: bool):
    schema = object_schema(Shape(shape))
    function: dict[str, Any] = {"name": "f", "parameters": strict_schema(schema) if strict else schema}
    if strict:
        function["strict"] = True
    body = {
        "model": "deepseek-flash",
        "messages": ASKED,
        "thinking": {"type": "disabled"},
        "tools": [{"type": "function", "function": function}],
    }
    options = recipe.ConversionOptions().with_model_versions_by_name(
        {"deepseek-flash": recipe.ModelVersion.DeepseekV41Flash}
    )
    recipe.ChatCompletionRequest(json.dumps(body)).convert(options)


def test_bounds_that_strict_mode_does_not_take_are_left_to_the_decoder():
    strict = strict_schema(object_schema(Shape(Person)))

    assert strict["properties"]["name"] == {"type": "string", "description": "Full name"}
    assert strict["required"] == [
        "name",
        "address",
        "colours",
        "kind",
        "children",
        "second_address",
    ]
    assert strict["additionalProperties"] is False
    assert strict["$defs"]["Address"]["required"] == ["street", "number"]


class FreeKeys(msgspec.Struct):
    counts: dict[str, int]


class Pair(msgspec.Struct):
    pair: tuple[int, str]


class Node(msgspec.Struct):
    following: Node | None = None


class Husband(BaseModel):
    wife: Wife | None = None


class Wife(BaseModel):
    husband: Husband | None = None


class Morning(msgspec.Struct):
    noon: Noon | None = None


class Noon(msgspec.Struct):
    evening: Evening | None = None


class Evening(msgspec.Struct):
    morning: Morning | None = None


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (FreeKeys, r"free keys.*properties\.counts"),
        (Pair, "tuples"),
        (Node, "recursive unions"),
        (Husband, "recursive unions"),
        (Morning, "recursive unions"),
    ],
)
def test_what_strict_mode_cannot_say_is_named(shape: Any, said: str):
    with pytest.raises(InvalidRequestError, match=said):
        strict_schema(object_schema(Shape(shape)))


@pytest.mark.parametrize(
    "text",
    [
        f"```json {FITTING} ```",
        f"Here it is:\n{FITTING}\nAnything else?",
        f"<think>cold</think>{FITTING}",
        f"[{FITTING}]",
        '{"place": "Oslo", "degrees": "-3.5",}',
    ],
)
@pytest.mark.parametrize("shape", SHAPES)
async def test_an_answer_that_is_not_quite_as_it_was_asked_for_is_paid_for_once(
    serve: Serve, connect: Connect, shape: Any, text: str
):
    server = await serve([response(answer(text))])
    done = await connect(server).chat.completions.create(model="deepseek-flash", messages=ASKED, response_format=shape)
    assert place_of(done.parsed) == "Oslo"
    assert len(server.requests) == 1


async def test_of_two_objects_that_differ_none_is_taken(serve: Serve, connect: Connect):
    server = await serve([response(answer(FITTING + '{"place": "Rome", "degrees": 30}'))], [response(answer(FITTING))])
    done = await connect(server).chat.completions.create(
        model="deepseek-flash", messages=ASKED, response_format=Weather
    )
    assert done.parsed == Weather("Oslo", -3.5)
    assert len(server.requests) == 2
