"""anthropic's own client, as it is, against the simulator: a second opinion on every shape of the Messages endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from deepseek_async.simulator import Fault, FaultKind, Simulator, SimulatorSettings

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

MODEL = "deepseek-flash"
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
WEATHER: Any = {
    "name": "weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
SERVED: Any = [{"type": kind, "name": kind} for kind in ("deepseek_web_search", "deepseek_read_url")]
STEPS = ["server_tool_use", "web_search_tool_result"]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorSettings(seed=7)) as running:
        yield running


@pytest.fixture
async def anthropic(simulator: Simulator) -> AsyncIterator[AsyncAnthropic]:
    # Most of a second to import, so not where it is only collected.
    from anthropic import AsyncAnthropic

    url = f"{simulator.base_url}/anthropic"
    async with AsyncAnthropic(api_key="sk-test-1234", base_url=url, max_retries=0) as client:
        yield client


async def test_a_message(anthropic: AsyncAnthropic, simulator: Simulator):
    done = await anthropic.messages.create(model=MODEL, messages=HELLO, max_tokens=1000)
    thought, text = done.content
    assert (thought.type, text.type, done.stop_reason) == ("thinking", "text", "end_turn")
    assert thought.thinking
    assert thought.signature
    assert text.text.startswith("Answer to: Hello")
    (bill,) = simulator.ledger
    assert done.usage.input_tokens + (done.usage.cache_read_input_tokens or 0) == bill.prompt_tokens
    assert done.usage.output_tokens == bill.completion_tokens
    assert "sk-test-1234" not in str(simulator.requests[0].headers)


async def test_a_stream_gives_the_same_message(anthropic: AsyncAnthropic):
    plain = await anthropic.messages.create(model=MODEL, messages=HELLO, max_tokens=1000)
    async with anthropic.messages.stream(model=MODEL, messages=HELLO, max_tokens=1000) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        streamed = await stream.get_final_message()
    assert text == streamed.content[-1].text == plain.content[-1].text
    assert streamed.content[0].thinking == plain.content[0].thinking
    assert streamed.content[0].signature
    assert streamed.stop_reason == plain.stop_reason
    assert streamed.usage.output_tokens == plain.usage.output_tokens


async def test_raw_events_come_in_their_order(anthropic: AsyncAnthropic):
    stream = await anthropic.messages.create(model=MODEL, messages=HELLO, max_tokens=1000, stream=True)
    kinds = [event.type async for event in stream]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2


async def test_a_call_of_a_tool_and_its_result(anthropic: AsyncAnthropic):
    turns: list[Any] = [{"role": "user", "content": "Ask weather"}]
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 1000, "tools": [WEATHER]}
    async with anthropic.messages.stream(messages=turns, **asked) as stream:
        first = await stream.get_final_message()
    call = first.content[-1]
    assert (first.stop_reason, call.type, call.name) == ("tool_use", "tool_use", "weather")
    assert isinstance(call.input["city"], str)
    turns.append({"role": "assistant", "content": first.content})
    turns.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "rain"}]})
    second = await anthropic.messages.create(messages=turns, **asked)
    assert second.stop_reason == "end_turn"


async def test_the_other_stop_reasons(anthropic: AsyncAnthropic, simulator: Simulator):
    off: Any = {"type": "disabled"}
    cut = await anthropic.messages.create(model=MODEL, messages=HELLO, max_tokens=2, thinking=off)
    assert cut.stop_reason == "max_tokens"
    stopped = await anthropic.messages.create(
        model=MODEL, messages=HELLO, max_tokens=1000, thinking=off, stop_sequences=["Hello"]
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "Hello")
    simulator.script(Fault(FaultKind.FINISH_REASON, finish_reason="content_filter"))
    refused = await anthropic.messages.create(model=MODEL, messages=HELLO, max_tokens=1000, thinking=off)
    assert refused.stop_reason == "refusal"


@pytest.mark.parametrize("anthropic_errors", [False, True])
async def test_errors_are_understood_in_either_envelope(anthropic_errors: bool):
    from anthropic import AsyncAnthropic, BadRequestError, RateLimitError

    settings = SimulatorSettings(seed=7, anthropic_errors=anthropic_errors)
    async with (
        Simulator(settings) as simulator,
        AsyncAnthropic(api_key="sk-x", base_url=f"{simulator.base_url}/anthropic", max_retries=0) as client,
    ):
        with pytest.raises(BadRequestError, match="at least one message is required"):
            await client.messages.create(model=MODEL, messages=[], max_tokens=10)
        simulator.script(Fault(FaultKind.RATE_LIMIT))
        with pytest.raises(RateLimitError, match="Too many requests"):
            await client.messages.create(model=MODEL, messages=HELLO, max_tokens=10)


async def test_an_error_inside_a_stream_is_raised(anthropic: AsyncAnthropic, simulator: Simulator):
    from anthropic import APIStatusError

    simulator.script(Fault(FaultKind.ERROR_EVENT, error_type="overloaded_error", message="no room"))
    with pytest.raises(APIStatusError, match="no room"):
        async with anthropic.messages.stream(model=MODEL, messages=HELLO, max_tokens=1000) as stream:
            await stream.get_final_message()


async def test_it_passes_over_what_it_does_not_know():
    from anthropic import AsyncAnthropic

    async with (
        Simulator(SimulatorSettings(seed=7, unknown_blocks=True)) as simulator,
        AsyncAnthropic(api_key="sk-x", base_url=f"{simulator.base_url}/anthropic", max_retries=0) as client,
    ):
        done = await client.messages.create(model=MODEL, messages=HELLO, max_tokens=1000)
    assert [block.type for block in done.content] == ["thinking", "weather_report", "text"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_searches_of_the_service_are_its_own_blocks_and_go_back_unchanged(
    anthropic: AsyncAnthropic, simulator: Simulator, streamed: bool
):
    turns: list[Any] = [{"role": "user", "content": "What is up?"}]
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 1000, "tools": SERVED}
    if streamed:
        async with anthropic.messages.stream(messages=turns, **asked) as stream:
            done = await stream.get_final_message()
    else:
        done = await anthropic.messages.create(messages=turns, **asked)
    assert [block.type for block in done.content] == ["thinking", *STEPS * 3, "text"]
    search, found = done.content[1:3]
    assert search.input == {"query": "What is up?"}
    assert found.tool_use_id == search.id
    assert found.content[0].url.startswith("https://example.org/")
    assert done.content[-1].citations[0].cited_text.startswith("Result 0")
    assert done.usage.server_tool_use is not None
    counted = done.usage.server_tool_use
    (bill,) = simulator.ledger
    assert {"search": counted.web_search_requests, "fetch": counted.web_fetch_requests} == bill.fees
    turns += [{"role": "assistant", "content": done.content}, {"role": "user", "content": "And offline?"}]
    again = await anthropic.messages.create(messages=turns, **asked)
    assert again.stop_reason == "end_turn"
    sent = simulator.requests[-1].body["messages"][1]["content"]
    assert [block["type"] for block in sent] == [block.type for block in done.content]


async def test_a_late_refusal_and_a_title_reach_it(anthropic: AsyncAnthropic):
    off: Any = {"type": "disabled"}
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 1000, "thinking": off}
    more = {"safety_check": {"level": "high"}, "title": {"enabled": True}}
    async with anthropic.messages.stream(
        messages=[{"role": "user", "content": "unsafe output"}], extra_body=more, **asked
    ) as stream:
        refused = await stream.get_final_message()
    assert refused.stop_reason == "refusal"
    assert refused.content[0].text.startswith("Answer to: unsafe output")
    titled = await anthropic.messages.create(messages=HELLO, extra_body=more, **asked)
    assert titled.title == "Hello"


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (FaultKind.BAD_REQUEST, "BadRequestError"),
        (FaultKind.WRONG_KEY, "AuthenticationError"),
        (FaultKind.INSUFFICIENT_BALANCE, "APIStatusError"),
        (FaultKind.NOT_FOUND, "NotFoundError"),
        (FaultKind.UNPROCESSABLE, "UnprocessableEntityError"),
        (FaultKind.RATE_LIMIT, "RateLimitError"),
        (FaultKind.SERVER_ERROR, "InternalServerError"),
        (FaultKind.RESET_BEFORE_HEADERS, "APIConnectionError"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_become_its_own_classes(
    simulator: Simulator, anthropic: AsyncAnthropic, fault: FaultKind, name: str, stream: bool
):
    from anthropic import APIError

    simulator.script(Fault(fault))
    with pytest.raises(APIError) as caught:
        await anthropic.messages.create(model=MODEL, messages=HELLO, max_tokens=10, stream=stream)
    assert name in [kind.__name__ for kind in type(caught.value).__mro__[:2]]


async def test_a_model_without_the_tools_refuses_them(anthropic: AsyncAnthropic):
    from anthropic import BadRequestError

    with pytest.raises(BadRequestError, match="not supported by deepseek-v4-pro"):
        await anthropic.messages.create(model="deepseek-v4-pro", messages=HELLO, max_tokens=10, tools=SERVED)
