"""What users of openai-python write, each as a small program whose value must be the same with both clients.

Collected from its README, its notes on streaming and parsing, its examples and what its own tests promise.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import json
import pickle
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import AsyncMock, create_autospec

import httpx2
from pydantic import BaseModel

from deepseek_async.simulator import Simulator

MODEL = "deepseek-flash"
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class City(BaseModel):
    """What an answer is parsed into."""

    name: str
    people: int


@dataclass
class It:
    """One client, its package, and the simulator it asks."""

    library: Any
    client: Any
    simulator: Simulator
    make: Callable[..., Any]
    """Makes another client, of the same server unless told otherwise."""
    text: str = "Hello there"
    asked: dict[str, Any] = field(default_factory=lambda: {"model": MODEL, "messages": HELLO})

    @property
    def is_openai(self) -> bool:
        return bool(self.library.__name__ == "openai")

    def says(self, **answer: Any) -> None:
        self.simulator.answer(
            **{"content": self.text, "reasoning": "", **answer} if "tool_calls" not in answer else answer
        )

    async def ask(self, **parameters: Any) -> Any:
        self.says()
        return await self.client.chat.completions.create(**{**self.asked, **parameters})

    async def open(self, **parameters: Any) -> Any:
        self.says()
        return await self.client.chat.completions.create(**{**self.asked, "stream": True, **parameters})

    def stream(self, **parameters: Any) -> Any:
        return self.client.chat.completions.stream(**{**self.asked, **parameters})

    def sent(self) -> Any:
        return self.simulator.requests[-1]

    def types(self, name: str) -> Any:
        return importlib.import_module(f"{self.library.__name__}.{name}")

    async def fails(self, status: int, **parameters: Any) -> Any:
        self.simulator.answer(
            status=status,
            parsed={"error": {"message": "no", "type": "t", "code": "c", "param": "p"}},
            headers={"x-request-id": "req-1", "x-more": "1"},
        )
        try:
            await self.client.chat.completions.create(**{**self.asked, **parameters})
        except self.library.APIError as error:
            return error
        raise AssertionError("it did not fail")


Idiom = Callable[[It], Awaitable[Any]]
IDIOMS: dict[str, Idiom] = {}


def idiom(program: Idiom) -> Idiom:
    IDIOMS[program.__name__] = program
    return program


# Answers


@idiom
async def content(it: It) -> Any:
    return (await it.ask()).choices[0].message.content


@idiom
async def role_and_finish_reason(it: It) -> Any:
    choice = (await it.ask()).choices[0]
    return choice.message.role, choice.finish_reason, choice.index


@idiom
async def usage(it: It) -> Any:
    used = (await it.ask()).usage
    return used.prompt_tokens, used.completion_tokens, used.total_tokens, used.prompt_tokens_details.cached_tokens


@idiom
async def model_dump(it: It) -> Any:
    return (await it.ask()).model_dump()["choices"][0]["message"]["content"]


@idiom
async def model_dump_exclude_none(it: It) -> Any:
    return (await it.ask()).choices[0].message.model_dump(exclude_none=True)


@idiom
async def model_dump_exclude_unset(it: It) -> Any:
    return (await it.ask()).choices[0].message.model_dump(exclude_unset=True)


@idiom
async def model_dump_include(it: It) -> Any:
    return (await it.ask()).model_dump(include={"model": True, "choices": {0: {"finish_reason"}}})


@idiom
async def model_dump_exclude(it: It) -> Any:
    return sorted((await it.ask()).choices[0].model_dump(exclude={"message", "logprobs", "native_finish_reason"}))


@idiom
async def model_dump_mode_json(it: It) -> Any:
    return (await it.ask()).usage.model_dump(mode="json", exclude_unset=True)


@idiom
async def model_dump_json(it: It) -> Any:
    return json.loads((await it.ask()).model_dump_json())["choices"][0]["message"]["role"]


@idiom
async def model_dump_json_indented(it: It) -> Any:
    return (await it.ask()).choices[0].message.model_dump_json(indent=2, include={"content"})


@idiom
async def model_dump_after_a_change(it: It) -> Any:
    done = await it.ask()
    done.choices[0].message.content = "changed"
    return done.model_dump()["choices"][0]["message"]["content"]


@idiom
async def to_dict(it: It) -> Any:
    return (await it.ask()).to_dict()["choices"]


@idiom
async def to_dict_exclude_none(it: It) -> Any:
    return (await it.ask()).choices[0].message.to_dict(exclude_none=True)


@idiom
async def to_json(it: It) -> Any:
    text = (await it.ask()).choices[0].message.to_json()
    return isinstance(text, str), json.loads(text)


@idiom
async def to_json_in_one_line(it: It) -> Any:
    return "\n" in (await it.ask()).to_json(indent=None)


@idiom
async def dict_of_an_answer(it: It) -> Any:
    return dict((await it.ask()).choices[0].message)["content"]


@idiom
async def iteration_over_fields(it: It) -> Any:
    return {name: value for name, value in await it.ask() if name in {"model", "object"}}


@idiom
async def pydantic_1_names(it: It) -> Any:
    done = await it.ask()
    kind = type(done)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = kind.parse_raw(done.json()), kind.parse_obj(done.dict()), done.copy(update={"model": "x"})
        return done.dict()["model"], json.loads(done.json())["model"], [each.model for each in again]


@idiom
async def model_copy(it: It) -> Any:
    done = await it.ask()
    other = done.model_copy(update={"model": "x"})
    return other.model, done.model == "x"


@idiom
async def deep_copies(it: It) -> Any:
    done = await it.ask()
    return copy.deepcopy(done).choices[0].message.content, done.model_copy(deep=True).usage.total_tokens


@idiom
async def pickles(it: It) -> Any:
    return pickle.loads(pickle.dumps(await it.ask())).choices[0].message.content


@idiom
async def model_validate(it: It) -> Any:
    done = await it.ask()
    return it.types("types.chat").ChatCompletion.model_validate(done.model_dump()).choices[0].message.content


@idiom
async def model_validate_json(it: It) -> Any:
    done = await it.ask()
    return type(done).model_validate_json(done.model_dump_json()).usage.total_tokens


@idiom
async def model_construct(it: It) -> Any:
    made = it.types("types.chat").ChatCompletion.construct(id="a", choices=[{"index": 0, "message": {"content": "b"}}])
    return made.id, made.choices[0].message.content


@idiom
async def model_fields_set(it: It) -> Any:
    done = await it.ask()
    return sorted(done.model_fields_set)


@idiom
async def fields_of_a_class(it: It) -> Any:
    done = await it.ask()
    schema = type(done).model_json_schema()
    return (
        schema["title"],
        "choices" in schema["properties"],
        {"id", "choices", "usage"} <= type(done).model_fields.keys(),
    )


@idiom
async def field_of_a_model(it: It) -> Any:
    done = await it.ask()

    class Log(BaseModel):
        answer: type(done)  # type: ignore[valid-type]

    made = Log(answer=done), Log.model_validate_json(Log(answer=done).model_dump_json()), Log(answer=done.model_dump())
    return [each.answer.choices[0].message.content for each in made], [each.answer == done for each in made]


@idiom
async def declared_for_other_models(it: It) -> Any:
    done = await it.ask()
    return done.metadata, done.moderation, done.choices[0].message.annotations


@idiom
async def undeclared_fields(it: It) -> Any:
    it.says(fields={"mood": {"kind": "fine"}})
    message = (await it.client.chat.completions.create(**it.asked)).choices[0].message
    return message.mood["kind"], message.model_extra["mood"]


@idiom
async def declared_but_not_sent(it: It) -> Any:
    done = await it.ask()
    message = done.choices[0].message
    facts = (message.refusal, message.function_call, message.tool_calls, message.audio, message.annotations)
    return facts, done.service_tier, done.choices[0].logprobs


@idiom
async def usage_details_not_sent(it: It) -> Any:
    details = (await it.ask(extra_body={"thinking": {"type": "enabled"}})).usage.completion_tokens_details
    return (details.audio_tokens, details.accepted_prediction_tokens) if details else (None, None)


@idiom
async def request_id_of_an_answer(it: It) -> Any:
    return isinstance((await it.ask())._request_id, str | None)


@idiom
async def answers_are_equal(it: It) -> Any:
    done = await it.ask()
    return done.choices[0].message == copy.deepcopy(done).choices[0].message


@idiom
async def message_goes_back(it: It) -> Any:
    done = await it.ask()
    history = [*HELLO, done.choices[0].message, {"role": "user", "content": "Go on"}]
    await it.client.chat.completions.create(model=MODEL, messages=history)
    return it.sent().body["messages"][1]["content"]


@idiom
async def dumped_message_goes_back(it: It) -> Any:
    done = await it.ask()
    said = done.choices[0].message.model_dump(exclude_none=True)
    await it.client.chat.completions.create(model=MODEL, messages=[*HELLO, said, HELLO[0]])
    return it.sent().body["messages"][1]["role"]


@idiom
async def whole_dump_goes_back(it: It) -> Any:
    done = await it.ask()
    await it.client.chat.completions.create(
        model=MODEL, messages=[*HELLO, done.choices[0].message.model_dump(), HELLO[0]]
    )
    return it.sent().body["messages"][1]["content"]


# Parameters


def _absent(name: str) -> Any:
    import openai

    return getattr(openai, name)


@idiom
async def not_given(it: It) -> Any:
    mark = _absent("NOT_GIVEN")
    await it.ask(temperature=mark, tools=mark, tool_choice=mark, response_format=mark, stop=mark, max_tokens=mark)
    return sorted(it.sent().body)


@idiom
async def omitted(it: It) -> Any:
    mark = _absent("omit")
    await it.ask(temperature=mark, n=mark, user=mark, logprobs=mark)
    return sorted(it.sent().body)


@idiom
async def not_given_options(it: It) -> Any:
    mark = _absent("not_given")
    done = await it.ask(timeout=mark, stream=mark, extra_headers=None, extra_query=None, extra_body=None)
    return done.choices[0].message.content


@idiom
async def false_and_zero_are_given(it: It) -> Any:
    await it.ask(temperature=0, logprobs=False)
    return it.sent().body["temperature"], it.sent().body["logprobs"]


@idiom
async def extra_body(it: It) -> Any:
    await it.ask(extra_body={"thinking": {"type": "disabled"}})
    return it.sent().body["thinking"]


@idiom
async def extra_headers(it: It) -> Any:
    await it.ask(extra_headers={"X-Team": "search"})
    return it.sent().headers.get("X-Team")


@idiom
async def extra_query(it: It) -> Any:
    await it.ask(extra_query={"trace": "on", "tag": ["a b", "c"]})
    return it.sent().path.partition("?")[0].endswith("/chat/completions")


@idiom
async def timeout_in_seconds(it: It) -> Any:
    return (await it.ask(timeout=20)).choices[0].message.content


@idiom
async def timeout_of_httpx(it: It) -> Any:
    return (await it.ask(timeout=httpx2.Timeout(60.0, read=30.0, write=10.0, connect=2.0))).choices[0].message.content


@idiom
async def timeout_of_httpx_without_limits(it: It) -> Any:
    return (await it.ask(timeout=httpx2.Timeout(None))).choices[0].message.content


@idiom
async def timeout_that_expires(it: It) -> Any:
    it.says(after=30)
    try:
        await it.client.chat.completions.create(**it.asked, timeout=httpx2.Timeout(5, read=0.05))
    except it.library.APITimeoutError as error:
        return isinstance(error, it.library.APIConnectionError)
    return None


@idiom
async def max_completion_tokens(it: It) -> Any:
    return (await it.ask(max_completion_tokens=50)).choices[0].message.content


@idiom
async def messages_by_a_generator(it: It) -> Any:
    await it.ask(messages=(message for message in HELLO))
    return it.sent().body["messages"]


@idiom
async def content_in_parts(it: It) -> Any:
    parts = [{"type": "text", "text": "Hello"}, {"type": "text", "text": "you"}]
    await it.ask(messages=[{"role": "user", "content": parts}])
    return len(it.sent().body["messages"][0]["content"])


@idiom
async def developer_role_param(it: It) -> Any:
    kinds = it.types("types.chat")
    message = kinds.ChatCompletionUserMessageParam(role="user", content="Hello")
    await it.ask(messages=[kinds.ChatCompletionSystemMessageParam(role="system", content="Be brief"), message])
    return it.sent().body["messages"]


@idiom
async def json_mode(it: It) -> Any:
    it.says(parsed={"a": 1}, content=None)
    done = await it.client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Answer in json"}],
        response_format={"type": "json_object"},
    )
    return json.loads(done.choices[0].message.content)


@idiom
async def logprobs(it: It) -> Any:
    done = await it.ask(logprobs=True, top_logprobs=2, extra_body={"thinking": {"type": "disabled"}})
    first = done.choices[0].logprobs.content[0]
    return isinstance(first.token, str), isinstance(first.logprob, float), len(first.top_logprobs)


@idiom
async def gathers(it: It) -> Any:
    it.says(times=3, when="Hello")
    done = await asyncio.gather(*(it.client.chat.completions.create(**it.asked) for _ in range(3)))
    return [each.choices[0].message.content for each in done]


# Tools


@idiom
async def tool_calls(it: It) -> Any:
    it.says(tool_calls=[{"name": "weather", "arguments": '{"city": "Oslo"}', "id": "call_1"}])
    message = (await it.client.chat.completions.create(**it.asked, tools=[WEATHER])).choices[0].message
    call = message.tool_calls[0]
    return call.id, call.type, call.function.name, json.loads(call.function.arguments)


@idiom
async def tool_results_go_back(it: It) -> Any:
    it.says(tool_calls=[{"name": "weather", "arguments": '{"city": "Oslo"}', "id": "call_1"}])
    message = (await it.client.chat.completions.create(**it.asked, tools=[WEATHER])).choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
    it.says()
    done = await it.client.chat.completions.create(model=MODEL, messages=[*HELLO, message, result], tools=[WEATHER])
    return done.choices[0].message.content, it.sent().body["messages"][1]["tool_calls"][0]["id"]


@idiom
async def tool_choice(it: It) -> Any:
    it.says(tool_calls=["weather"])
    choice = {"type": "function", "function": {"name": "weather"}}
    off = {"thinking": {"type": "disabled"}}
    done = await it.client.chat.completions.create(**it.asked, tools=[WEATHER], tool_choice=choice, extra_body=off)
    return done.choices[0].message.tool_calls[0].function.name


@idiom
async def call_as_dict(it: It) -> Any:
    it.says(tool_calls=[{"name": "weather", "arguments": '{"city": "Oslo"}', "id": "call_1"}])
    message = (await it.client.chat.completions.create(**it.asked, tools=[WEATHER])).choices[0].message
    return message.tool_calls[0].model_dump(exclude={"index"}, exclude_none=True)


# parse


@idiom
async def parse_into_a_class(it: It) -> Any:
    it.says(content=None, parsed={"name": "Oslo", "people": 700_000})
    asked = it.asked if not it.is_openai else {**it.asked, "extra_body": _json_mode()}
    done = await it.client.chat.completions.parse(**asked, response_format=City)
    return done.choices[0].message.parsed.model_dump()


def _json_mode() -> dict[str, Any]:
    """DeepSeek has no json_schema, which openai-python asks for."""
    return {
        "response_format": {"type": "json_object"},
        "messages": [{"role": "user", "content": "Answer in json"}],
    }


@idiom
async def parse_by_beta(it: It) -> Any:
    it.says(content=None, parsed={"name": "Oslo", "people": 700_000})
    asked = it.asked if not it.is_openai else {**it.asked, "extra_body": _json_mode()}
    done = await it.client.beta.chat.completions.parse(**asked, response_format=City)
    return type(done.choices[0].message.parsed).__name__, done.choices[0].message.refusal


@idiom
async def parse_without_a_class(it: It) -> Any:
    it.says()
    done = await it.client.chat.completions.parse(**it.asked)
    return done.choices[0].message.content, done.choices[0].message.parsed


@idiom
async def parse_arguments(it: It) -> Any:
    it.says(tool_calls=[{"name": "weather", "arguments": '{"city": "Oslo"}', "id": "call_1"}])
    done = await it.client.chat.completions.parse(**it.asked, tools=[WEATHER])
    return done.choices[0].message.tool_calls[0].function.parsed_arguments


@idiom
async def parse_arguments_into_a_class(it: It) -> Any:
    import openai

    it.says(tool_calls=[{"name": "City", "arguments": '{"name": "Oslo", "people": 7}', "id": "call_1"}])
    done = await it.client.chat.completions.parse(**it.asked, tools=[openai.pydantic_function_tool(City)])
    return done.choices[0].message.tool_calls[0].function.parsed_arguments.people


# Streams


@idiom
async def stream_of_chunks(it: It) -> Any:
    return "".join([chunk.choices[0].delta.content or "" async for chunk in await it.open() if chunk.choices])


@idiom
async def stream_as_context(it: It) -> Any:
    async with await it.open() as stream:
        async for chunk in stream:
            return chunk.object, chunk.choices[0].delta.role
    return None


@idiom
async def stream_closed_early(it: It) -> Any:
    stream = await it.open()
    first = await anext(aiter(stream))
    await stream.close()
    return first.choices[0].delta.role


@idiom
async def stream_with_usage(it: It) -> Any:
    stream = await it.open(stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    return len(chunks[-1].choices), chunks[-1].usage.total_tokens, chunks[0].usage


@idiom
async def stream_response(it: It) -> Any:
    async with await it.open() as stream:
        return stream.response.status_code, stream.response.headers["content-type"].partition(";")[0]


@idiom
async def stream_closed_by_its_response(it: It) -> Any:
    stream = await it.open()
    await stream.response.aclose()
    return stream.response.is_success, stream.response.reason_phrase


@idiom
async def chunk_dump(it: It) -> Any:
    chunks = [chunk async for chunk in await it.open()]
    return [chunk.model_dump()["choices"][0]["delta"]["content"] for chunk in chunks if chunk.choices]


@idiom
async def chunk_dump_json(it: It) -> Any:
    chunks = [json.loads(chunk.model_dump_json()) async for chunk in await it.open()]
    return {chunk["object"] for chunk in chunks}, chunks[-1]["choices"][0]["finish_reason"]


@idiom
async def chunk_fields_not_sent(it: It) -> Any:
    async with await it.open() as stream:
        chunk = await anext(aiter(stream))
        delta = chunk.choices[0].delta
        return chunk.service_tier, delta.function_call, delta.tool_calls, delta.refusal


@idiom
async def stream_of_tool_calls(it: It) -> Any:
    it.says(tool_calls=[{"name": "weather", "arguments": '{"city": "Oslo"}', "id": "call_1"}])
    arguments = ""
    stream = await it.client.chat.completions.create(**it.asked, tools=[WEATHER], stream=True)
    async for chunk in stream:
        for call in chunk.choices[0].delta.tool_calls or []:
            arguments += call.function.arguments or ""
    return json.loads(arguments)


@idiom
async def events_by_type(it: It) -> Any:
    it.says()
    async with it.stream() as stream:
        return [event.type async for event in stream if event.type != "chunk"]


@idiom
async def content_deltas(it: It) -> Any:
    it.says()
    async with it.stream() as stream:
        events = [event async for event in stream if event.type == "content.delta"]
    return [event.delta for event in events], events[-1].snapshot


@idiom
async def content_done(it: It) -> Any:
    it.says()
    async with it.stream() as stream:
        return [event.content async for event in stream if event.type == "content.done"]


@idiom
async def chunk_events(it: It) -> Any:
    it.says()
    async with it.stream() as stream:
        async for event in stream:
            if event.type == "chunk":
                last = event.chunk.choices[0].finish_reason, event.snapshot.choices[0].message.content
    return last


@idiom
async def snapshots_grow(it: It) -> Any:
    it.says()
    async with it.stream() as stream:
        return [event.snapshot async for event in stream if event.type == "content.delta"]


@idiom
async def dumped_event(it: It) -> Any:
    it.says()
    async with it.stream() as stream:
        return [event.model_dump() async for event in stream if event.type in {"content.delta", "content.done"}]


@idiom
async def get_final_completion(it: It) -> Any:
    it.says()
    async with it.stream() as stream:
        done = await stream.get_final_completion()
    return done.choices[0].message.content, done.choices[0].finish_reason, done.choices[0].message.parsed


@idiom
async def until_done(it: It) -> Any:
    it.says()
    async with it.stream() as stream:
        await stream.until_done()
        return stream.current_completion_snapshot.choices[0].message.content


@idiom
async def stream_by_beta(it: It) -> Any:
    it.says()
    async with it.client.beta.chat.completions.stream(**it.asked) as stream:
        return (await stream.get_final_completion()).choices[0].message.content


@idiom
async def events_of_tool_calls(it: It) -> Any:
    calls = [
        {"name": "weather", "arguments": '{"city": "Oslo"}', "id": "call_1"},
        {"name": "weather", "arguments": '{"city": "Rome"}', "id": "call_2"},
    ]
    it.says(tool_calls=calls)
    async with it.stream(tools=[WEATHER]) as stream:
        events = [event async for event in stream if event.type.startswith("tool_calls")]
    done = [event for event in events if event.type.endswith("done")]
    pieces = "".join(event.arguments_delta for event in events if event.type.endswith("delta") and event.index == 1)
    return [(event.name, event.index, event.arguments, event.parsed_arguments) for event in done], pieces


@idiom
async def arguments_grow(it: It) -> Any:
    it.says(tool_calls=[{"name": "weather", "arguments": '{"city": "Oslo"}', "id": "call_1"}])
    async with it.stream(tools=[WEATHER]) as stream:
        kind = "tool_calls.function.arguments.delta"
        pieces = [event.model_dump() async for event in stream if event.type == kind]
    return pieces[-1]["arguments"], pieces[-1]["parsed_arguments"]


@idiom
async def order_of_events(it: It) -> Any:
    calls = [{"name": "weather", "arguments": '{"city": "Oslo"}', "id": "call_1"}]
    it.simulator.answer(content="Let me see", reasoning="", tool_calls=calls)
    async with it.stream(tools=[WEATHER]) as stream:
        kinds = [event.type async for event in stream]
    return [kind for before, kind in zip([None, *kinds], kinds, strict=False) if kind not in (before, "chunk")]


@idiom
async def events_of_logprobs(it: It) -> Any:
    it.says()
    async with it.stream(logprobs=True, extra_body={"thinking": {"type": "disabled"}}) as stream:
        events = [event async for event in stream if event.type.startswith("logprobs")]
    return events[-1].type, [each.token for each in events[-1].content]


@idiom
async def stream_parsed_into_a_class(it: It) -> Any:
    it.says(content=None, parsed={"name": "Oslo", "people": 7})
    asked = {} if not it.is_openai else {"extra_body": _json_mode()}
    async with it.stream(response_format=City, **asked) as stream:
        parsed = [event.parsed.people async for event in stream if event.type == "content.done"]
        return parsed, (await stream.get_final_completion()).choices[0].message.parsed.name


@idiom
async def stream_left_by_an_exception(it: It) -> Any:
    it.says()
    try:
        async with it.stream() as stream:
            async for _ in stream:
                raise KeyError("mine")  # noqa: TRY301  what a program's own code may do
    except KeyError as error:
        return str(error)


# Responses


@idiom
async def raw_response(it: It) -> Any:
    it.says()
    raw = await it.client.chat.completions.with_raw_response.create(**it.asked)
    return raw.status_code, raw.headers.get("content-type"), raw.parse().choices[0].message.content


@idiom
async def raw_text(it: It) -> Any:
    it.says()
    raw = await it.client.chat.completions.with_raw_response.create(**it.asked)
    return json.loads(raw.text)["choices"][0]["message"]["content"], json.loads(raw.content)["object"]


@idiom
async def raw_parsed_to_something_else(it: It) -> Any:
    it.says()
    raw = await it.client.chat.completions.with_raw_response.create(**it.asked)
    return json.loads(raw.parse(to=str))["object"], raw.parse(to=dict)["object"], raw.is_closed, raw.http_version


@idiom
async def raw_http_response(it: It) -> Any:
    it.says()
    raw = await it.client.chat.completions.with_raw_response.create(**it.asked)
    return raw.http_response.status_code, raw.retries_taken, raw.method, str(raw.url).endswith("/chat/completions")


@idiom
async def raw_stream(it: It) -> Any:
    it.says()
    raw = await it.client.chat.completions.with_raw_response.create(**it.asked, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in raw.parse()])


@idiom
async def raw_parse(it: It) -> Any:
    it.says()
    raw = await it.client.chat.completions.with_raw_response.parse(**it.asked)
    return raw.parse().choices[0].message.parsed


@idiom
async def raw_models(it: It) -> Any:
    raw = await it.client.models.with_raw_response.list()
    return [model.id for model in raw.parse().data]


@idiom
async def streaming_response(it: It) -> Any:
    it.says()
    async with it.client.chat.completions.with_streaming_response.create(**it.asked) as response:
        done = await response.parse()
        return response.status_code, response.headers["content-type"], done.choices[0].message.content


@idiom
async def streaming_response_json(it: It) -> Any:
    it.says()
    async with it.client.chat.completions.with_streaming_response.create(**it.asked) as response:
        return (await response.json())["choices"][0]["message"]["content"]


@idiom
async def streaming_response_text(it: It) -> Any:
    it.says()
    async with it.client.chat.completions.with_streaming_response.create(**it.asked) as response:
        return json.loads(await response.text())["object"], len(await response.read()) > 100


@idiom
async def streaming_response_lines(it: It) -> Any:
    it.says()
    opening = it.client.chat.completions.with_streaming_response.create(**it.asked, stream=True)
    async with opening as response:
        lines = [line async for line in response.iter_lines() if line]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    said = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks]
    return "".join(said), lines[-1]


@idiom
async def streaming_response_bytes(it: It) -> Any:
    it.says()
    async with it.client.chat.completions.with_streaming_response.create(**it.asked) as response:
        body = b"".join([piece async for piece in response.iter_bytes(16)])
    return json.loads(body)["choices"][0]["message"]["content"]


# Errors


@idiom
async def error_classes(it: It) -> Any:
    names = {400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError"}
    names |= {409: "ConflictError", 422: "UnprocessableEntityError", 500: "InternalServerError"}
    return [isinstance(await it.fails(status), getattr(it.library, name)) for status, name in names.items()]


@idiom
async def error_status(it: It) -> Any:
    error = await it.fails(400)
    return error.status_code, isinstance(error, it.library.APIStatusError)


@idiom
async def error_response(it: It) -> Any:
    error = await it.fails(400)
    return error.response.status_code, error.response.headers["X-More"], error.response.json()["error"]["message"]


@idiom
async def error_response_names(it: It) -> Any:
    response = (await it.fails(400)).response
    return response.is_error, response.is_client_error, response.is_server_error, response.reason_phrase


@idiom
async def error_fields(it: It) -> Any:
    error = await it.fails(400)
    return error.code, error.param, error.type, error.body["message"]


@idiom
async def error_request_id(it: It) -> Any:
    return isinstance((await it.fails(400)).request_id, str)


@idiom
async def error_message(it: It) -> Any:
    error = await it.fails(400)
    return "no" in error.message, "400" in str(error)


@idiom
async def errors_made_for_tests(it: It) -> Any:
    request = httpx2.Request("POST", "http://127.0.0.1/")
    response = httpx2.Response(429, headers={"retry-after": "7"}, request=request)
    limited = it.library.RateLimitError("too many", response=response, body={"message": "too many"})
    lost = it.library.APIConnectionError(request=request), it.library.APITimeoutError(request=request)
    facts = limited.status_code, limited.response.headers["Retry-After"], limited.response.status_code, limited.body
    return facts, limited.message, [error.request.method for error in lost]


@idiom
async def rate_limit_error(it: It) -> Any:
    it.simulator.answer(status=429, content="slow down", headers={"retry-after": "0"}, times=9)
    try:
        await it.client.with_options(max_retries=0).chat.completions.create(**it.asked)
    except it.library.RateLimitError as error:
        return error.status_code, error.response.headers.get("retry-after")


@idiom
async def connection_error(it: It) -> Any:
    client = it.make(base_url="http://127.0.0.1:9/v1")
    try:
        await client.chat.completions.create(**it.asked)
    except it.library.APIConnectionError as error:
        return isinstance(error, it.library.APIError), getattr(error, "code", 0)
    finally:
        await client.close()


@idiom
async def connection_error_fields(it: It) -> Any:
    client = it.make(base_url="http://127.0.0.1:9/v1")
    try:
        await client.chat.completions.create(**it.asked)
    except it.library.APIError as error:
        return error.body, error.code, error.param, error.type, bool(error.message)
    finally:
        await client.close()


# The client


@idiom
async def base_url(it: It) -> Any:
    return str(it.client.base_url).rstrip("/").removesuffix("/v1") == it.simulator.base_url


@idiom
async def max_retries(it: It) -> Any:
    return it.client.max_retries, it.client.with_options(max_retries=7).max_retries


@idiom
async def with_options(it: It) -> Any:
    it.says()
    done = await it.client.with_options(timeout=5, max_retries=1).chat.completions.create(**it.asked)
    return done.choices[0].message.content


@idiom
async def copies(it: It) -> Any:
    it.says()
    done = await it.client.copy(timeout=httpx2.Timeout(5)).chat.completions.create(**it.asked)
    return done.choices[0].message.content


@idiom
async def closes(it: It) -> Any:
    client = it.make()
    before = client.is_closed()
    await client.close()
    return before, client.is_closed()


@idiom
async def client_as_context(it: It) -> Any:
    it.says()
    async with it.make() as client:
        done = await client.chat.completions.create(**it.asked)
    return done.choices[0].message.content


@idiom
async def client_timeout_of_httpx(it: It) -> Any:
    it.says()
    async with it.make(timeout=httpx2.Timeout(60.0, connect=5.0)) as client:
        return (await client.chat.completions.create(**it.asked)).choices[0].message.content


@idiom
async def client_with_default_headers(it: It) -> Any:
    it.says()
    async with it.make(default_headers={"X-Team": "search"}) as client:
        await client.chat.completions.create(**it.asked)
    return it.sent().headers.get("X-Team")


@idiom
async def list_of_models(it: It) -> Any:
    return [model.id async for model in it.client.models.list()]


@idiom
async def page_of_models(it: It) -> Any:
    page = await it.client.models.list()
    return page.data[0].id, page.object, [model.id async for model in page]


@idiom
async def pages_of_models(it: It) -> Any:
    page = await it.client.models.list()
    pages = [[model.id for model in one.data] async for one in page.iter_pages()]
    try:
        await page.get_next_page()
    except RuntimeError:
        return pages, page.has_next_page(), page.next_page_info()


@idiom
async def one_model(it: It) -> Any:
    return (await it.client.models.retrieve(MODEL)).id


@idiom
async def text_completions(it: It) -> Any:
    it.says()
    done = await it.client.completions.create(model=MODEL, prompt="Hello", max_tokens=8)
    return done.choices[0].text, done.object


@idiom
async def responses(it: It) -> Any:
    it.says()
    done = await it.client.responses.create(model=MODEL, input="Hello", instructions="Be brief")
    return done.output_text, done.status, done.model_dump()["object"]


@idiom
async def stream_of_a_response(it: It) -> Any:
    it.says()
    async with it.client.responses.stream(model=MODEL, input="Hello") as stream:
        text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
        done = await stream.get_final_response()
    await stream.close()
    return text, done.output_text, done.temperature, done.metadata


@idiom
async def types_for_annotations(it: It) -> Any:
    chat = it.types("types.chat")
    names = [
        "ChatCompletion",
        "ChatCompletionChunk",
        "ChatCompletionMessage",
        "ChatCompletionMessageParam",
        "ChatCompletionToolParam",
        "ChatCompletionToolChoiceOptionParam",
        "ChatCompletionUserMessageParam",
        "ChatCompletionSystemMessageParam",
        "ChatCompletionAssistantMessageParam",
        "ChatCompletionToolMessageParam",
        "ChatCompletionContentPartParam",
        "ChatCompletionMessageToolCall",
        "ChatCompletionStreamOptionsParam",
        "ParsedChatCompletion",
    ]
    return [hasattr(chat, name) for name in names]


@idiom
async def usage_type(it: It) -> Any:
    kinds = it.types("types")
    return type((await it.ask()).usage) is kinds.CompletionUsage


@idiom
async def mocked_method(it: It) -> Any:
    client = it.make()
    client.chat.completions.create = AsyncMock(return_value="mocked")
    try:
        return await client.chat.completions.create(**it.asked)
    finally:
        await client.close()


async def autospec(it: It) -> Any:
    """Only with ours: openai-python's resources are cached properties, which a specification does not see through."""
    mock = create_autospec(it.library.AsyncDeepSeek, instance=True)
    mock.chat.completions.create.return_value = "mocked"
    return await mock.chat.completions.create(**it.asked)


# What stays different


@dataclass(frozen=True)
class Different:
    """A program that fails before anything is sent, with a sentence that names what to write instead."""

    program: Idiom
    says: str


DIFFERENT: dict[str, Different] = {}


def different(says: str) -> Callable[[Idiom], Idiom]:
    def add(program: Idiom) -> Idiom:
        DIFFERENT[program.__name__] = Different(program, says)
        return program

    return add


@different("proxy=")
async def http_client(it: It) -> Any:
    it.make(http_client=httpx2.AsyncClient())


@different("account=")
async def organization(it: It) -> Any:
    it.make(organization="org-1")


@different("extra_query=")
async def default_query(it: It) -> Any:
    it.make(default_query={"a": "b"})


@different("extra_headers=")
async def with_options_default_headers(it: It) -> Any:
    await it.client.with_options(default_headers={"X-A": "b"}).chat.completions.create(**it.asked)


@different("another AsyncDeepSeek")
async def with_options_api_key(it: It) -> Any:
    await it.client.with_options(api_key="sk-other-key").chat.completions.create(**it.asked)


@different(r"tools\.transcribe")
async def audio(it: It) -> Any:
    await it.client.audio.transcriptions.create(file=b"", model="x")


@different(r"client\.batch\.run")
async def batches(it: It) -> Any:
    await it.client.batches.create(input_file_id="f", endpoint="/v1/chat/completions", completion_window="24h")


@different("fine_tunes")
async def fine_tuning(it: It) -> Any:
    await it.client.fine_tuning.jobs.create(model="m", training_file="f")


@different("safety_check")
async def moderations(it: It) -> Any:
    await it.client.moderations.create(input="x")


@different("ENDPOINTS")
async def post(it: It) -> Any:
    await it.client.post("/foo", cast_to=object, body={})


@different("keep them")
async def stored_completions(it: It) -> Any:
    await it.client.chat.completions.retrieve("chatcmpl-1")


@different("stores no responses")
async def stored_responses(it: It) -> Any:
    await it.client.responses.retrieve("resp_1")


@different(r"chat\.completions\.parse")
async def parsed_responses(it: It) -> Any:
    await it.client.responses.parse(model=MODEL, input="Hello", text_format=City)


@different(r"another AsyncDeepSeek\(api_key=")
async def key_that_is_set(it: It) -> Any:
    it.client.api_key = "sk-other-key"


@different(r"with_options\(max_retries=")
async def retries_that_are_set(it: It) -> Any:
    it.client.max_retries = 7


@different(r"model_dump\(exclude_none=True\)")
async def models_as_messages(it: It) -> Any:
    await it.client.chat.completions.create(model=MODEL, messages=[City(name="Oslo", people=7)])


@different("run_tools")
async def assistants(it: It) -> Any:
    await it.client.beta.threads.create()


@different("keep what you upload")
async def content_of_a_file(it: It) -> Any:
    await it.client.files.content("file-1")


@different("pass None")
async def mark_of_an_omitted_argument(it: It) -> Any:
    await it.client.chat.completions.create(**it.asked, temperature=it.library.NOT_GIVEN)


@different("StructuredOutputError")
async def length_error(it: It) -> Any:
    return it.library.LengthFinishReasonError


@different(r"completions\.with_raw_response")
async def client_with_raw_response(it: It) -> Any:
    await it.client.with_raw_response.chat.completions.create(**it.asked)
