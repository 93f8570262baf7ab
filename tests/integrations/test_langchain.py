"""The chat model for LangChain against the simulator: what it sends, what it gives, what it keeps."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from support.servers import CANARY, Serve

pytest.importorskip("langchain_core", reason="the extra langchain is not installed")

from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.exceptions import OutputParserException
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage, trim_messages
from pydantic import BaseModel, ValidationError

from deepseek_async import AsyncDeepSeek
from deepseek_async.codec.chat_body import decode_completion
from deepseek_async.errors import (
    APIResponseValidationError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    InvalidRequestError,
    StreamInterruptedError,
)
from deepseek_async.integrations import connection
from deepseek_async.integrations.langchain import ChatDeepSeek
from deepseek_async.integrations.langchain.answers import result_of
from deepseek_async.simulator import Fault, Simulator, SimulatorSettings
from deepseek_async.types import ChatCompletion


class Weather(BaseModel):
    """The weather at a place."""

    place: str
    degrees: int


def look_up(place: str) -> str:
    """Look up the weather."""
    return f"sunny in {place}"


@pytest.fixture
async def simulator(serve: Serve) -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorSettings(seed=7)) as running:
        yield running


Make = Callable[..., ChatDeepSeek]


@pytest.fixture
async def make(simulator: Simulator) -> AsyncIterator[Make]:
    def build(**options: Any) -> ChatDeepSeek:
        defaults = {"model": "deepseek-flash", "api_key": CANARY, "base_url": simulator.base_url}
        return ChatDeepSeek(**{**defaults, **options})

    yield build
    await asyncio.to_thread(connection.close_all)


def sent(simulator: Simulator, number: int = -1) -> dict[str, Any]:
    return simulator.requests[number].body


async def in_a_thread(call: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(call)


async def test_an_answer_has_text_reasoning_usage_and_cost(make: Make, simulator: Simulator):
    simulator.answer(content="Sunny.", reasoning="Look outside.")
    message = await make().ainvoke("How is the weather?")
    assert isinstance(message, AIMessage)
    assert message.content == "Sunny."
    assert message.additional_kwargs["reasoning_content"] == "Look outside."
    assert message.usage_metadata is not None
    assert message.usage_metadata["output_token_details"]["reasoning"] > 0
    assert message.usage_metadata["input_token_details"]["cache_read"] == 0
    assert message.response_metadata["model_name"] == "deepseek-flash"
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.response_metadata["cost"] == pytest.approx(simulator.ledger.dollars)
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]


async def test_a_stream_adds_up_to_the_answer(make: Make, simulator: Simulator):
    simulator.answer(content="One two three four.", reasoning="Count.")
    whole: AIMessageChunk | None = None
    async for chunk in make().astream("Count."):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    assert whole.content == "One two three four."
    assert whole.additional_kwargs["reasoning_content"] == "Count."
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] > 0
    assert whole.response_metadata["finish_reason"] == "stop"
    assert whole.response_metadata["cost"] == pytest.approx(simulator.ledger.dollars)


async def test_every_way_to_call_shares_one_client(make: Make, simulator: Simulator):
    model, other = make(), make(temperature=0)
    await model.ainvoke("a")
    await in_a_thread(lambda: other.invoke("b"))
    await in_a_thread(lambda: list(model.stream("c")))
    await in_a_thread(lambda: other.batch(["d", "e"]))
    await model.abatch(["f", "g"])
    await in_a_thread(lambda: asyncio.run(model.ainvoke("h")))
    assert len(simulator.requests) == 8
    assert model._connected[0] is other._connected[0]
    assert model._connected[0].client.statistics().models[0].in_flight == 0


async def test_a_batch_runs_at_once_and_keeps_the_order(make: Make, simulator: Simulator):
    for number in range(20):
        simulator.answer(when=f"question {number:02}", content=f"answer {number:02}", after=0.1)
    answers = await in_a_thread(lambda: make().batch([f"question {number:02}" for number in range(20)]))
    assert [answer.content for answer in answers] == [f"answer {number:02}" for number in range(20)]
    assert simulator.statistics().peak_in_flight > 6


async def test_a_batch_gives_errors_in_their_places(make: Make, simulator: Simulator):
    simulator.answer(when="bad", status=400, content="no")
    good, bad = await in_a_thread(lambda: make().batch(["good", "bad"], return_exceptions=True))
    assert isinstance(good, AIMessage)
    assert isinstance(bad, BadRequestError)


async def test_tools_go_and_come_and_reasoning_is_given_back_with_them(make: Make, simulator: Simulator):
    simulator.answer(reasoning="Ask the tool.", tool_calls=[{"name": "look_up", "arguments": {"place": "Oslo"}}])
    model = make().bind_tools([look_up])
    question = HumanMessage("Weather in Oslo?")
    asked = await model.ainvoke([SystemMessage("Be brief."), question])
    assert asked.tool_calls[0]["args"] == {"place": "Oslo"}
    result = ToolMessage("sunny", tool_call_id=asked.tool_calls[0]["id"])
    await model.ainvoke([SystemMessage("Be brief."), question, asked, result])
    system, user, assistant, tool = sent(simulator)["messages"]
    assert (system["role"], user["content"], tool["content"]) == ("system", "Weather in Oslo?", "sunny")
    assert assistant["reasoning_content"] == "Ask the tool."
    assert assistant["tool_calls"][0]["function"] == {"name": "look_up", "arguments": '{"place": "Oslo"}'}


async def test_reasoning_that_was_lost_is_the_least_that_is_accepted_and_without_tools_none_is_sent(
    make: Make, simulator: Simulator
):
    history = [HumanMessage("Hi"), AIMessage("Hello"), HumanMessage("And?")]
    await make().bind_tools([look_up]).ainvoke(history)
    assert sent(simulator)["messages"][1]["reasoning_content"] == " "
    history[1] = AIMessage("Hello", additional_kwargs={"reasoning_content": "Greet."})
    await make().ainvoke(history)
    assert "reasoning_content" not in sent(simulator)["messages"][1]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("any", "required"),
        (True, "required"),
        ("look_up", {"type": "function", "function": {"name": "look_up"}}),
    ],
)
async def test_a_forced_tool_turns_thinking_off(make: Make, simulator: Simulator, choice: Any, expected: Any):
    await make().bind_tools([look_up], tool_choice=choice).ainvoke("Weather?")
    assert sent(simulator)["tool_choice"] == expected
    assert sent(simulator)["thinking"] == {"type": "disabled"}


async def test_a_forced_tool_beside_thinking_fails_before_anything_is_sent(make: Make, simulator: Simulator):
    model = make(reasoning_effort="high").bind_tools([look_up], tool_choice="any")
    with pytest.raises(InvalidRequestError, match="refuses while the model thinks"):
        await model.ainvoke("Weather?")
    with pytest.raises(InvalidRequestError, match=r"name of a tool \(look_up\), got 'other'"):
        make().bind_tools([look_up], tool_choice="other")
    assert list(simulator.requests) == []


async def test_arguments_that_are_no_object_are_kept_as_an_invalid_call(make: Make, simulator: Simulator):
    for arguments in ('{"place": "Os', "[1]", "null", "[" * 100_000):
        simulator.answer(tool_calls=[{"name": "look_up", "arguments": arguments}])
        message = await make().bind_tools([look_up]).ainvoke("Weather?")
        assert message.tool_calls == []
        assert message.invalid_tool_calls[0]["args"] == arguments
        assert message.invalid_tool_calls[0]["error"]


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
@pytest.mark.parametrize("schema", [Weather, Weather.model_json_schema()], ids=["class", "dict"])
async def test_structured_output_by_each_method(make: Make, simulator: Simulator, method: Any, schema: Any):
    values = {"place": "Oslo", "degrees": -1}
    if method == "function_calling":
        simulator.answer(tool_calls=[{"name": "Weather", "arguments": values}])
    else:
        simulator.answer(parsed=values)
    model = make().with_structured_output(schema, method=method)
    found = await model.ainvoke("The weather in Oslo, as json")
    assert found == (Weather(**values) if schema is Weather else values)
    if method == "json_schema":
        assert sent(simulator)["response_format"] == {"type": "json_object"}
        assert '"degrees"' in sent(simulator)["messages"][0]["content"]


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
async def test_an_answer_that_does_not_fit_is_in_the_error(make: Make, simulator: Simulator, method: Any):
    bad = {"place": "Oslo"}
    for _ in range(2):
        if method == "function_calling":
            simulator.answer(tool_calls=[{"name": "Weather", "arguments": bad}])
        else:
            simulator.answer(parsed=bad)
    with pytest.raises(OutputParserException, match="does not fit the schema") as raised:
        await make().with_structured_output(Weather, method=method).ainvoke("The weather, as json")
    assert raised.value.answer.usage_metadata["total_tokens"] > 0  # type: ignore[attr-defined]
    raw = await make().with_structured_output(Weather, method=method, include_raw=True).ainvoke("The weather, as json")
    assert isinstance(raw["raw"], AIMessage)
    assert raw["parsed"] is None
    assert isinstance(raw["parsing_error"], OutputParserException)


async def test_an_answer_without_a_call_is_an_error_that_holds_it(make: Make, simulator: Simulator):
    simulator.answer(content="I would rather talk.")
    with pytest.raises(OutputParserException, match="holds no object") as raised:
        await make().with_structured_output(Weather).ainvoke("The weather")
    assert raised.value.llm_output == "I would rather talk."


async def test_strict_schemas_are_made_for_strict_mode(make: Make, simulator: Simulator):
    simulator.answer(tool_calls=["Weather"])
    await make().with_structured_output(Weather, strict=True).ainvoke("The weather")
    function = sent(simulator)["tools"][0]["function"]
    assert function["strict"] is True
    assert function["parameters"]["additionalProperties"] is False
    assert simulator.requests[-1].path.startswith("/beta")


async def test_settings_of_the_model_are_sent_and_those_of_a_call_go_first(make: Make, simulator: Simulator):
    model = make(thinking=False, temperature=0.5, max_tokens=50, stop=["END"], user_id="u1", top_p=0.9)
    await model.ainvoke("Hi", temperature=1.0, stop=["X"])
    body = sent(simulator)
    assert body["temperature"] == 1.0
    assert (body["max_tokens"], body["stop"], body["user_id"]) == (50, ["X"], "u1")
    assert body["thinking"] == {"type": "disabled"}
    await model.ainvoke("Hi", reasoning_effort="low", model="deepseek-v4-pro")
    assert sent(simulator)["reasoning_effort"] == "low"
    assert "thinking" not in sent(simulator)
    assert sent(simulator)["model"] == "deepseek-v4-pro"


async def test_pictures_and_files_are_sent_and_other_content_is_refused(make: Make, simulator: Simulator):
    with pytest.raises(BadRequestError, match="file-1 does not exist"):  # it was never uploaded
        await make().ainvoke(
            [
                HumanMessage(
                    [
                        {"type": "text", "text": "What is this?"},
                        {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
                        {"type": "file", "file_id": "file-1"},
                    ]
                )
            ]
        )
    assert sent(simulator)["messages"][0]["content"][1:] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "file", "file_id": "file-1"},
    ]
    with pytest.raises(InvalidRequestError, match="got a block of type 'audio'"):
        await make().ainvoke([HumanMessage([{"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"}])])
    assert len(simulator.requests) == 1


async def test_our_errors_come_out_as_themselves(make: Make, simulator: Simulator):
    simulator.answer(when="Hi", status=401, content="Authentication Fails")
    for call in (
        lambda: make().ainvoke("Hi"),
        lambda: in_a_thread(lambda: make().invoke("Hi")),
        lambda: in_a_thread(lambda: list(make().stream("Hi"))),
    ):
        with pytest.raises(AuthenticationError) as raised:
            await call()
        assert raised.value.status_code == 401
        assert CANARY not in str(raised.value)


async def test_a_stream_that_breaks_off_keeps_what_had_come(make: Make, simulator: Simulator):
    simulator.script(Fault("reset_mid_event"))
    pieces: list[str] = []
    with pytest.raises(StreamInterruptedError) as raised:
        pieces.extend([str(chunk.content) async for chunk in make(max_retries=0).astream("Hi")])
    assert raised.value.partial is not None


async def test_leaving_a_stream_and_cancelling_a_call_give_their_places_back(make: Make, simulator: Simulator):
    model = make()
    async for _ in model.astream("Hi"):
        break
    for _ in await in_a_thread(lambda: [next(iter(model.stream("Hi")))]):
        break
    call = asyncio.create_task(model.ainvoke("Hi"))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    used = model._connected[0]

    async def idle() -> None:
        while used.client.statistics().models and used.client.statistics().models[0].in_flight:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    async with asyncio.timeout(30):
        await used.arun(idle())


async def test_a_client_of_ones_own_is_used_on_its_loop(simulator: Simulator):
    async with AsyncDeepSeek(api_key=CANARY, base_url=simulator.base_url, cache=True) as client:
        model = ChatDeepSeek(model="deepseek-flash", client=client, thinking=False, temperature=0)
        first = await model.ainvoke("Hi")
        again = await in_a_thread(lambda: model.invoke("Hi"))
        assert again.content == first.content
        assert again.response_metadata["cached"] == "memory"
        assert again.response_metadata["cost"] == 0
        assert len(simulator.requests) == 1
        with pytest.raises(ConfigurationError, match="would block the event loop"):
            model.invoke("Hi")
        with pytest.raises(ConfigurationError, match="would block the event loop"):
            next(iter(model.stream("Hi")))
        with pytest.raises(TypeError, match="cannot pickle a ChatDeepSeek with client="):
            pickle.dumps(model)


def test_the_key_is_in_no_text(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-of-the-environment")
    model = ChatDeepSeek(model="deepseek-flash", api_key=CANARY, default_headers={"X-Key": CANARY})
    texts = [
        repr(model),
        str(model.asdict()),
        dumps(model),
        str(pickle.dumps(model)),
        str(model._get_invocation_params()),
    ]
    assert all(CANARY not in text for text in texts)
    loaded = pickle.loads(pickle.dumps(model))
    assert loaded.model_name == "deepseek-flash"
    assert loaded._connected[0].client.settings.api_key is not None
    with pytest.raises(ValidationError) as raised:
        ChatDeepSeek(api_key=CANARY, temprature=1)
    assert CANARY not in str(raised.value)


async def test_copies_and_changed_fields_are_sent_and_share_the_client(make: Make, simulator: Simulator):
    model = make(thinking=False)
    await model.ainvoke("Hi")
    copied = model.model_copy(update={"temperature": 0.5})
    await copied.ainvoke("Hi")
    assert sent(simulator)["temperature"] == 0.5
    model.max_tokens = 300
    await model.ainvoke("Hi")
    assert (sent(simulator)["max_tokens"], "temperature" in sent(simulator)) == (300, False)
    assert model._connected[0] is copied._connected[0]


async def test_listeners_are_told_of_calls_that_would_be_quicker_without(make: Make):
    with get_usage_metadata_callback() as told:
        message = await make().ainvoke("Hi")
    assert told.usage_metadata == {"deepseek-flash": message.usage_metadata}


async def test_tokens_are_counted_without_a_request(make: Make, simulator: Simulator):
    model = make()
    text = "How is the weather in Oslo today, and how was it yesterday? " * 20
    message = await model.ainvoke(text)
    billed = (message.usage_metadata or {"input_tokens": 0})["input_tokens"]
    asked = len(simulator.requests)
    assert model.get_num_tokens(text) == pytest.approx(billed, rel=0.3)
    assert model.get_num_tokens_from_messages([HumanMessage(text)]) == pytest.approx(billed, rel=0.3)
    called = AIMessage("", tool_calls=[{"name": "look_up", "args": {"place": "Oslo"}, "id": "call1"}])
    assert 0 < model.get_num_tokens_from_messages([called, ToolMessage("fog\udce9", tool_call_id="call1")]) < 100
    with_tools = model.get_num_tokens_from_messages([HumanMessage("Hi")], tools=[look_up])
    assert with_tools > model.get_num_tokens_from_messages([HumanMessage("Hi")])
    kept = trim_messages([HumanMessage(text), HumanMessage("Hi")], max_tokens=50, strategy="last", token_counter=model)
    assert [one.content for one in kept] == ["Hi"]
    assert make(custom_get_token_ids=lambda text: [1] * len(text)).get_num_tokens("four") == 4
    with pytest.raises(ConfigurationError, match="custom_get_token_ids"):
        model.get_token_ids("four")
    assert len(simulator.requests) == asked


def test_an_argument_of_the_other_chat_deepseek_says_where_it_went():
    with pytest.raises(ConfigurationError, match=r"no argument seed: pass model_kwargs=\{'seed': …\}"):
        ChatDeepSeek(model="deepseek-flash", api_key=CANARY, seed=7)


def test_a_missing_key_is_our_error():
    with pytest.raises(ConfigurationError, match="DEEPSEEK_API_KEY"):
        ChatDeepSeek(model="deepseek-flash")


def test_a_paid_answer_that_langchain_does_not_take_is_in_the_error():
    odd = ChatCompletion(choices=[object()])  # type: ignore[list-item]
    with pytest.raises(APIResponseValidationError, match=r"it is in \.partial") as raised:
        result_of(odd, 0.1)
    assert raised.value.partial is odd


def test_lone_surrogates_do_not_lose_an_answer():
    # The wire carries them escaped, as a model may write half of an emoji.
    body = rb'{"choices":[{"index":0,"message":{"role":"assistant","content":"a\ud83d"},"finish_reason":"stop"}]}'
    assert result_of(decode_completion(body), 0.0).generations[0].text == "a\ufffd"
