"""Agents of pydantic-ai against the simulator: tool loop, structured output, streams, history, errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
from support.servers import CANARY, Serve

pytest.importorskip("pydantic_ai", reason="the extra pydantic-ai is not installed")

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.exceptions import UnexpectedModelBehavior, UserError
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from deepseek_async import AsyncDeepSeek
from deepseek_async.errors import APIResponseValidationError, AuthenticationError, StreamInterruptedError
from deepseek_async.integrations import connection
from deepseek_async.integrations.pydantic_ai import DeepSeekModel, DeepSeekModelSettings
from deepseek_async.integrations.pydantic_ai.answers import response_of
from deepseek_async.simulator import Fault, Simulator, SimulatorSettings
from deepseek_async.types import ChatCompletion


class Weather(BaseModel):
    """The weather at a place."""

    place: str
    degrees: int


OSLO = {"place": "Oslo", "degrees": -1}


@pytest.fixture
async def simulator(serve: Serve) -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorSettings(seed=7, reasoning_replay="required")) as running:
        yield running


Make = Callable[..., DeepSeekModel]


@pytest.fixture
async def make(simulator: Simulator) -> AsyncIterator[Make]:
    def build(name: str = "deepseek-flash", **options: Any) -> DeepSeekModel:
        return DeepSeekModel(name, **{"api_key": CANARY, "base_url": simulator.base_url, **options})

    yield build
    await asyncio.to_thread(connection.close_all)


def sent(simulator: Simulator, number: int = -1) -> dict[str, Any]:
    return simulator.requests[number].body


async def test_an_agent_has_text_thinking_usage_and_cost(make: Make, simulator: Simulator):
    simulator.answer(content="Sunny.", reasoning="Look outside.")
    ran = await Agent(make(), instructions="Be brief.").run("How is the weather?")
    assert ran.output == "Sunny."
    answer = ran.all_messages()[-1]
    assert isinstance(answer, ModelResponse)
    thinking, text = answer.parts
    assert isinstance(thinking, ThinkingPart)
    assert (thinking.content, thinking.provider_name) == ("Look outside.", "deepseek")
    assert isinstance(text, TextPart)
    assert answer.finish_reason == "stop"
    assert answer.usage.output_tokens > answer.usage.output_reasoning_tokens > 0
    assert answer.usage.cost == pytest.approx(Decimal(str(simulator.ledger.dollars)))
    assert [message["role"] for message in sent(simulator)["messages"]] == ["system", "user"]


async def test_the_tool_loop_gives_reasoning_back(make: Make, simulator: Simulator):
    agent = Agent(make())

    @agent.tool_plain
    def look_up(place: str) -> str:
        """Look up the weather."""
        return f"sunny in {place}"

    simulator.answer(reasoning="Ask the tool.", tool_calls=[{"name": "look_up", "arguments": {"place": "Oslo"}}])
    simulator.answer(content="It is sunny.")
    ran = await agent.run("Weather in Oslo?")
    assert ran.output == "It is sunny."
    assert ran.usage.requests == 2
    _, assistant, tool = sent(simulator)["messages"]
    assert assistant["reasoning_content"] == "Ask the tool."
    assert tool["content"] == "sunny in Oslo"
    # A later turn, after the history was written and read, is accepted too.
    history = ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(ran.all_messages()))
    simulator.answer(content="You are welcome.")
    again = await agent.run("Thanks", message_history=history)
    assert again.output == "You are welcome."
    assert all(one["reasoning_content"] for one in sent(simulator)["messages"] if one["role"] == "assistant")


async def test_a_value_of_a_tool_that_utf_8_cannot_encode_is_sent(make: Make, simulator: Simulator):
    simulator.answer(tool_calls=[{"name": "listing", "arguments": {}}])
    simulator.answer(content="One file.")
    agent = Agent(make())

    @agent.tool_plain
    def listing() -> dict[str, str]:
        return {"name\udce9": "caf\udce9"}

    ran = await agent.run("Which files are there?")
    assert ran.output == "One file."
    assert simulator.requests[-1].body["messages"][-1]["content"] == '{"name\ufffd":"caf\ufffd"}'
    foreign = ModelResponse(parts=[ToolCallPart("listing", {"of": "\udce9"}, "call1")])
    returned = ModelRequest(parts=[ToolReturnPart("listing", {}, "call1")])
    await agent.run("Again.", message_history=[ModelRequest.user_text_prompt("Hi"), foreign, returned])
    assert simulator.requests[-1].body["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"of":"\ufffd"}'


async def test_a_model_made_after_the_environment_changed_has_the_new_key_and_server(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-wrong")
    monkeypatch.setenv("DEEPSEEK_BASE_URL", "http://127.0.0.1:1")
    wrong = DeepSeekModel("deepseek-flash")
    monkeypatch.setenv("DEEPSEEK_API_KEY", CANARY)
    monkeypatch.setenv("DEEPSEEK_BASE_URL", simulator.base_url)
    right = DeepSeekModel("deepseek-flash")
    assert right.base_url == simulator.base_url
    assert right.client.settings.api_key != wrong.client.settings.api_key
    assert right.client is DeepSeekModel("deepseek-flash").client
    assert (await Agent(right).run("Hi")).output
    await asyncio.to_thread(connection.close_all)


async def test_a_history_of_another_model_is_accepted(make: Make, simulator: Simulator):
    agent = Agent(make(), tools=[len])
    foreign = ModelResponse([ThinkingPart("secret thoughts", provider_name="other"), TextPart("Hello")])
    await agent.run("And?", message_history=[ModelRequest([UserPromptPart("Hi")]), foreign])
    assistant = sent(simulator)["messages"][1]
    assert (assistant["content"], assistant["reasoning_content"]) == ("Hello", " ")


@pytest.mark.parametrize("thinking", [None, False])
async def test_structured_output_by_a_tool(make: Make, simulator: Simulator, thinking: bool | None):
    simulator.answer(tool_calls=[{"name": "final_result", "arguments": OSLO}])
    settings = {} if thinking is None else {"thinking": thinking}
    ran = await Agent(make(settings=settings), output_type=ToolOutput(Weather)).run("The weather in Oslo")
    assert ran.output == Weather(**OSLO)
    forced = {"type": "function", "function": {"name": "final_result"}}
    assert sent(simulator).get("tool_choice") == (forced if thinking is False else None)


@pytest.mark.parametrize("mode", [NativeOutput, PromptedOutput])
async def test_structured_output_as_json(make: Make, simulator: Simulator, mode: Any):
    simulator.answer(parsed=OSLO)
    ran = await Agent(make(), output_type=mode(Weather)).run("The weather in Oslo")
    assert ran.output == Weather(**OSLO)
    assert sent(simulator)["response_format"] == {"type": "json_object"}
    assert '"degrees"' in sent(simulator)["messages"][0]["content"]


async def test_an_answer_that_does_not_fit_is_asked_again(make: Make, simulator: Simulator):
    simulator.answer(tool_calls=[{"name": "final_result", "arguments": '{"place": "Os'}])
    simulator.answer(tool_calls=[{"name": "final_result", "arguments": {"place": "Oslo"}}])
    simulator.answer(tool_calls=[{"name": "final_result", "arguments": OSLO}])
    ran = await Agent(make(), output_type=Weather, retries=3).run("The weather in Oslo")
    assert ran.output == Weather(**OSLO)
    assert ran.usage.requests == 3
    assert ran.usage.cost == pytest.approx(Decimal(str(simulator.ledger.dollars)))


async def test_a_stream_gives_the_text_as_it_comes_and_the_same_usage(make: Make, simulator: Simulator):
    simulator.answer(content="One two three four.", reasoning="Count.")
    agent = Agent(make())
    async with agent.run_stream("Count.") as streamed:
        pieces = [piece async for piece in streamed.stream_text(delta=True, debounce_by=None)]
    assert "".join(pieces) == "One two three four."
    assert len(pieces) > 1
    answer = streamed.all_messages()[-1]
    assert isinstance(answer, ModelResponse)
    assert [part.part_kind for part in answer.parts] == ["thinking", "text"]
    assert answer.state == "complete"
    assert answer.finish_reason == "stop"
    assert answer.usage.cost == pytest.approx(Decimal(str(simulator.ledger.dollars)))


async def test_a_stream_with_tools_ends_in_an_object(make: Make, simulator: Simulator):
    simulator.answer(tool_calls=[{"name": "final_result", "arguments": OSLO}])
    async with Agent(make(), output_type=Weather).run_stream("The weather in Oslo") as streamed:
        assert await streamed.get_output() == Weather(**OSLO)


async def test_leaving_and_cancelling_a_stream_gives_its_place_back(make: Make, simulator: Simulator):
    model = make()
    async with Agent(model).run_stream("Count.") as streamed:
        async for _ in streamed.stream_text(delta=True, debounce_by=None):
            break
    async with Agent(model).run_stream("Count.") as streamed:
        await streamed.cancel()
    call = asyncio.create_task(Agent(model).run("Hi"))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    async def idle() -> None:
        while any(each.in_flight for each in model.client.statistics().models):  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    async with asyncio.timeout(30):
        await model._connection.arun(idle())


async def test_settings_are_sent_under_their_names(make: Make, simulator: Simulator):
    settings = DeepSeekModelSettings(
        max_tokens=500, stop_sequences=["END"], temperature=0.3, thinking="xhigh", deepseek_user_id="u1", timeout=30
    )
    await Agent(make(), model_settings=settings).run("Hi")
    body = sent(simulator)
    assert (body["max_tokens"], body["stop"], body["user_id"]) == (500, ["END"], "u1")
    assert body["reasoning_effort"] == "high"
    await Agent(make(), model_settings={"thinking": False, "max_retries": 0}).run("Hi")
    assert sent(simulator)["thinking"] == {"type": "disabled"}


async def test_tool_choices_that_no_tool_fits_are_errors_before_anything_is_sent(make: Make, simulator: Simulator):
    agent = Agent(make(), tools=[len])
    with pytest.raises(UserError):
        await agent.run("Hi", model_settings={"tool_choice": ["nothing"]})
    assert list(simulator.requests) == []


async def test_pictures_are_sent(make: Make, simulator: Simulator):
    await Agent(make()).run(["What is this?", BinaryContent(b"\x00", media_type="image/png")])
    assert sent(simulator)["messages"][0]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AA=="},
    }


async def test_our_errors_come_out_as_themselves(make: Make, simulator: Simulator):
    simulator.answer(when="Hi", status=401, content="Authentication Fails")
    with pytest.raises(AuthenticationError) as raised:
        await Agent(make()).run("Hi")
    assert CANARY not in str(raised.value)
    with pytest.raises(AuthenticationError):
        async with Agent(make()).run_stream("Hi"):
            pass


async def test_a_stream_that_breaks_off_keeps_what_had_come(make: Make, simulator: Simulator):
    simulator.script(Fault("reset_mid_event"))

    async def read() -> None:
        async with Agent(make()).run_stream("Hi", model_settings={"max_retries": 0}) as streamed:
            async for _ in streamed.stream_text():
                pass

    with pytest.raises(StreamInterruptedError) as raised:
        await read()
    assert raised.value.partial is not None


async def test_an_answer_that_is_refused_until_retries_end_is_the_frameworks_error(make: Make, simulator: Simulator):
    simulator.answer(when="Weather", content="I would rather talk.", finish_reason="stop")
    with pytest.raises(UnexpectedModelBehavior):
        await Agent(make(), output_type=ToolOutput(Weather), retries=0).run("Weather")


async def test_one_event_loop_after_another_may_use_a_model(make: Make, simulator: Simulator):
    agent = Agent(make())
    for _ in range(2):
        assert (await asyncio.to_thread(lambda: asyncio.run(agent.run("Hi")))).output
    assert len(simulator.ledger) == 2


async def test_a_client_of_ones_own_is_used_on_its_loop(simulator: Simulator):
    async with AsyncDeepSeek(api_key=CANARY, base_url=simulator.base_url, budget=5) as client:
        agent = Agent(DeepSeekModel("deepseek-flash", client=client))
        assert (await agent.run("Hi")).output
        async with agent.run_stream("Hi") as streamed:
            assert await streamed.get_output()


def test_a_paid_answer_that_pydantic_ai_does_not_take_is_in_the_error():
    odd = ChatCompletion(choices=[object()])  # type: ignore[list-item]
    with pytest.raises(APIResponseValidationError, match=r"it is in \.partial") as raised:
        response_of(odd, 0.1, "http://127.0.0.1")
    assert raised.value.partial is odd


async def test_arguments_that_are_no_object_are_the_models_fault_and_paid_once(make: Make, simulator: Simulator):
    simulator.answer(tool_calls=[{"name": "final_result", "arguments": "[1]"}])
    with pytest.raises(UnexpectedModelBehavior):
        await Agent(make(), output_type=ToolOutput(Weather), retries=0).run("Hi")
    assert len(simulator.ledger) == 1
