"""openai-python's client, as it is, against the simulator: a second opinion on every shape we serve."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deepseek_async.simulator import Fault, FaultKind, Simulator, SimulatorSettings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

MODEL = "deepseek-flash"
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SERVED: Any = [{"type": "deepseek_web_search"}, {"type": "deepseek_read_url"}]
HIGH = {"safety_check": {"level": "high"}, "title": {"enabled": True}}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorSettings(seed=7)) as running:
        yield running


@pytest.fixture
async def openai(simulator: Simulator) -> AsyncIterator[AsyncOpenAI]:
    # Half a second to import, so not where it is only collected.
    from openai import AsyncOpenAI

    async with AsyncOpenAI(api_key="sk-test-1234", base_url=f"{simulator.base_url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture
async def openai_live() -> AsyncIterator[AsyncOpenAI]:
    from openai import AsyncOpenAI

    async with (
        Simulator(SimulatorSettings(seed=7, live_only=True)) as running,
        AsyncOpenAI(api_key="sk-test-1234", base_url=f"{running.base_url}/v1", max_retries=0) as client,
    ):
        yield client


async def test_chat(openai: AsyncOpenAI):
    done = await openai.chat.completions.create(model=MODEL, messages=HELLO)
    message = done.choices[0].message
    assert (message.content or "").startswith("Answer to: Hello")
    assert message.reasoning_content  # type: ignore[attr-defined]  an extra field, kept by name
    assert done.usage is not None
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens
    assert done.usage.completion_tokens_details.reasoning_tokens > 0


async def test_chat_streamed(openai: AsyncOpenAI):
    plain = await openai.chat.completions.create(model=MODEL, messages=HELLO)
    stream = await openai.chat.completions.create(
        model=MODEL,
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == plain.choices[0].message.content
    assert chunks[-1].usage == plain.usage.model_copy(
        update={
            name: getattr(chunks[-1].usage, name)
            for name in ("prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "prompt_tokens_details")
        },
    )


async def test_its_own_streaming_helper_assembles_the_same_answer(openai: AsyncOpenAI):
    async with openai.chat.completions.stream(model=MODEL, messages=HELLO) as stream:
        async for _ in stream:
            pass
        done = await stream.get_final_completion()
    plain = await openai.chat.completions.create(model=MODEL, messages=HELLO)
    assert done.choices[0].message.content == plain.choices[0].message.content


async def test_tools_there_and_back(openai: AsyncOpenAI):
    asked = [{"role": "user", "content": "Ask weather"}]
    first = await openai.chat.completions.create(model=MODEL, messages=asked, tools=[WEATHER])
    message = first.choices[0].message
    assert message.tool_calls is not None
    call = message.tool_calls[0]
    assert (first.choices[0].finish_reason, call.function.name) == ("tool_calls", "weather")
    assert "city" in json.loads(call.function.arguments)
    turns = [*asked, message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    second = await openai.chat.completions.create(model=MODEL, messages=turns, tools=[WEATHER])
    assert second.choices[0].finish_reason == "stop"
    stream = await openai.chat.completions.create(model=MODEL, messages=asked, tools=[WEATHER], stream=True)
    fragments = [delta.function.arguments or "" async for chunk in stream for delta in calls_of(chunk)]
    assert "".join(fragments) == call.function.arguments


def calls_of(chunk: Any) -> list[Any]:
    return [call for choice in chunk.choices for call in choice.delta.tool_calls or ()]


async def test_json_mode(openai: AsyncOpenAI):
    done = await openai.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Hello as json"}],
        response_format={"type": "json_object"},
    )
    assert json.loads(done.choices[0].message.content or "")["final"] is True


async def test_text_completions(openai: AsyncOpenAI):
    done = await openai.completions.create(model="deepseek-chat", prompt="解释量子计算原理")
    assert done.choices[0].text.startswith("Answer to: 解释量子计算原理")
    stream = await openai.completions.create(model="deepseek-chat", prompt="解释量子计算原理", stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == done.choices[0].text


async def test_fill_in_the_middle(simulator: Simulator, openai: AsyncOpenAI):
    beta = openai.with_options(base_url=f"{simulator.base_url}/beta")
    done = await beta.completions.create(model="deepseek-v4-pro", prompt="def f(", suffix="return", echo=True)
    assert done.choices[0].text.startswith("def f(")


async def test_embeddings(openai: AsyncOpenAI):
    packed = await openai.embeddings.create(model="deepseek-embedding", input=["a", "b"])
    plain = await openai.embeddings.create(model="deepseek-embedding", input=["a", "b"], encoding_format="float")
    assert [entry.embedding for entry in packed.data] == [entry.embedding for entry in plain.data]
    assert len(packed.data[0].embedding) == 1024


async def test_images(openai: AsyncOpenAI):
    pictures = await openai.images.generate(prompt="a fox", model="deepseek-image", n=2, size="1024x1024")
    assert pictures.data is not None
    assert len({picture.url for picture in pictures.data}) == 2


async def test_models(openai: AsyncOpenAI):
    assert [model.id async for model in openai.models.list()] == ["deepseek-flash", "deepseek-v4-pro"]
    assert (await openai.models.retrieve(MODEL)).owned_by == "deepseek"


async def test_files(openai: AsyncOpenAI):
    made = await openai.files.create(file=("a.jsonl", b"{}\n"), purpose="fine-tune")
    assert [file.id async for file in openai.files.list()] == [made.id]
    assert (await openai.files.content(made.id)).content == b"{}\n"
    assert (await openai.files.delete(made.id)).deleted


async def test_documents(openai: AsyncOpenAI, tmp_path: Path):
    path = tmp_path / "report.pdf"
    path.write_bytes(b"%PDF-1.7 << /Type /Page >>")
    asked: Any = {"purpose": "text_recognition", "expires_after": {"anchor": "created_at", "seconds": 3600}}
    made = [await openai.files.create(file=file, **asked) for file in (path, ("notes.txt", b"words"))]

    assert [file.filename for file in made] == ["report.pdf", "notes.txt"]
    assert made[0].expires_at == made[0].created_at + 3600
    assert [file.id async for file in openai.files.list(limit=1, order="asc")] == [file.id for file in made]
    assert (await openai.files.retrieve(made[1].id)).bytes == 5
    assert (await openai.files.content(made[1].id)).content == b"words"
    assert (await openai.files.delete(made[1].id)).deleted


async def test_what_was_parsed_cannot_be_had_back_from_the_live_service(openai_live: AsyncOpenAI):
    from openai import NotFoundError

    asked: Any = {"purpose": "rich_layout_recognition"}
    made = await openai_live.files.create(file=("notes.txt", b"words"), **asked)
    assert [file.id async for file in openai_live.files.list()] == [made.id]
    with pytest.raises(NotFoundError):
        await openai_live.files.content(made.id)
    assert (await openai_live.files.delete(made.id)).deleted


async def test_responses(openai: AsyncOpenAI):
    done = await openai.responses.create(model=MODEL, input="Hello")
    assert done.output_text.startswith("Answer to: Hello")
    stream = await openai.responses.create(model=MODEL, input="Hello", stream=True)
    events = [event async for event in stream]
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == done.output_text
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == done.output_text


async def test_its_own_helper_parses_every_event_of_a_response(openai: AsyncOpenAI):
    tool: Any = {"type": "function", "strict": False, **WEATHER["function"]}
    async with openai.responses.stream(model=MODEL, input="Ask weather", tools=[tool]) as stream:
        async for _ in stream:
            pass
        done = await stream.get_final_response()
    assert [item.type for item in done.output] == ["reasoning", "function_call"]


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (FaultKind.BAD_REQUEST, "BadRequestError"),
        (FaultKind.WRONG_KEY, "AuthenticationError"),
        (FaultKind.MISSING_AUTHORIZATION, "AuthenticationError"),
        (FaultKind.INSUFFICIENT_BALANCE, "APIStatusError"),
        (FaultKind.NOT_FOUND, "NotFoundError"),
        (FaultKind.UNPROCESSABLE, "UnprocessableEntityError"),
        (FaultKind.RATE_LIMIT, "RateLimitError"),
        (FaultKind.SERVER_ERROR, "InternalServerError"),
        (FaultKind.OVERLOADED, "InternalServerError"),
        (FaultKind.RESET_BEFORE_HEADERS, "APIConnectionError"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_become_its_own_classes(
    simulator: Simulator,
    openai: AsyncOpenAI,
    fault: FaultKind,
    name: str,
    stream: bool,
):
    from openai import APIError

    simulator.script(Fault(fault))
    with pytest.raises(APIError) as caught:
        await openai.chat.completions.create(model=MODEL, messages=HELLO, stream=stream)
    assert type(caught.value).__name__ == name


async def test_an_error_inside_a_stream_is_its_own_too(simulator: Simulator, openai: AsyncOpenAI):
    from openai import APIError

    simulator.script(Fault(FaultKind.ERROR_EVENT, message="no luck"))
    stream = await openai.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    with pytest.raises(APIError, match="no luck"):
        _ = [chunk async for chunk in stream]


async def test_a_refused_request_says_why(openai: AsyncOpenAI):
    from openai import BadRequestError

    with pytest.raises(BadRequestError, match="valid range of temperature"):
        await openai.chat.completions.create(model=MODEL, messages=HELLO, temperature=3)


async def test_a_response_parses_into_a_class_and_chat_has_no_schema(openai: AsyncOpenAI):
    from openai import BadRequestError
    from pydantic import BaseModel

    class Review(BaseModel):
        stars: int
        words: list[str]

    done = await openai.responses.parse(model=MODEL, input="Review it", text_format=Review)
    assert isinstance(done.output_parsed, Review)
    with pytest.raises(BadRequestError, match="response_format type is unavailable"):
        await openai.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Review)


async def test_searches_of_the_service_are_its_own_items_of_a_response_and_go_back(
    openai: AsyncOpenAI, simulator: Simulator
):
    plain = await openai.responses.create(model=MODEL, input="What is up?", tools=SERVED, extra_body=HIGH)
    async with openai.responses.stream(model=MODEL, input="What is up?", tools=SERVED) as stream:
        kinds = [event.type async for event in stream]
        streamed = await stream.get_final_response()
    for done in (plain, streamed):
        assert [item.type for item in done.output] == ["reasoning", *["web_search_call"] * 3, "message"]
        assert done.usage.server_tool_use == {"web_search_requests": 2, "web_fetch_requests": 1}
    assert plain.title == "What is up?"
    assert "response.web_search_call.searching" in kinds
    turns = [{"role": "user", "content": "What?"}, *plain.output, {"role": "user", "content": "And offline?"}]
    await openai.responses.create(model=MODEL, input=turns, tools=SERVED)
    sent = simulator.requests[-1].body["input"][1:-1]
    assert [item["type"] for item in sent] == [item.type for item in plain.output]


async def test_searches_of_the_service_are_extra_fields_of_a_chat(openai: AsyncOpenAI, simulator: Simulator):
    asked: dict[str, Any] = {"model": MODEL, "messages": HELLO, "tools": SERVED, "extra_body": HIGH}
    plain = await openai.chat.completions.create(**asked)
    message = plain.choices[0].message
    assert message.annotations[0].url_citation.url.startswith("https://example.org/")
    assert message.title == "Hello"
    assert message.server_tools[0]["name"] == "deepseek_web_search"
    stream = await openai.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices[0].delta.title == "Hello"
    assert chunks[-1].usage.server_tool_use == plain.usage.server_tool_use
    turns = [*HELLO, message, *HELLO]
    await openai.chat.completions.create(model=MODEL, messages=turns)
    assert simulator.requests[-1].body["messages"][1]["server_tools"] == message.server_tools


async def test_a_late_refusal_reaches_it(openai: AsyncOpenAI):
    question: list[Any] = [{"role": "user", "content": "unsafe output"}]
    done = await openai.chat.completions.create(model=MODEL, messages=question, extra_body=HIGH)
    assert done.choices[0].finish_reason == "content_filter"
    stream = await openai.chat.completions.create(model=MODEL, messages=question, extra_body=HIGH, stream=True)
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    response = await openai.responses.create(model=MODEL, input="unsafe output", extra_body=HIGH)
    assert response.incomplete_details.reason == "content_filter"


@pytest.mark.parametrize(
    ("fault", "name"), [(FaultKind.RATE_LIMIT, "RateLimitError"), (FaultKind.SERVER_ERROR, "InternalServerError")]
)
async def test_errors_of_a_response_become_its_own_classes(
    simulator: Simulator, openai: AsyncOpenAI, fault: FaultKind, name: str
):
    from openai import APIError

    simulator.script(Fault(fault))
    with pytest.raises(APIError) as caught:
        await openai.responses.create(model=MODEL, input="Hello")
    assert type(caught.value).__name__ == name
