"""A real litellm proxy between the client and the API."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from foreign_servers import Run, Simulate
from support.clients import Connect, ask, failure_of, open_stream, said_by
from support.servers import CANARY

from deepseek_async import AsyncDeepSeek
from deepseek_async.errors import (
    ContextWindowExceededError,
    InsufficientBalanceError,
    RateLimitError,
    ServerOverloadedError,
)
from deepseek_async.simulator.faults import FaultKind

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
QUESTION = [{"role": "user", "content": "Call the tool weather."}]
KINDS = {
    FaultKind.OVERLOADED: ServerOverloadedError,
    FaultKind.RATE_LIMIT_WITHOUT_NUMBERS: RateLimitError,
    FaultKind.CONTEXT_OVERFLOW: ContextWindowExceededError,
    FaultKind.INSUFFICIENT_BALANCE: InsufficientBalanceError,
}

Relay = Callable[[dict[str, str]], Awaitable[str]]


@pytest.fixture
async def relay(run: Run, python_with: Callable[[str], str], free_port: Callable[[], int], tmp_path: Path) -> Relay:
    """Starts a litellm that asks a server for each model; returns the URL to ask it at."""

    async def start(upstreams: dict[str, str]) -> str:
        port = free_port()
        asked = {"model": "openai/deepseek-flash", "api_key": "sk-upstream"}
        settings = {
            # JSON is YAML.
            "model_list": [
                {"model_name": name, "litellm_params": {**asked, "api_base": f"{upstream}/v1"}}
                for name, upstream in upstreams.items()
            ],
            "litellm_settings": {"telemetry": False, "num_retries": 0},
            "router_settings": {"num_retries": 0, "disable_cooldowns": True},
            "general_settings": {"master_key": CANARY},
        }
        configuration = tmp_path / "litellm.yaml"
        configuration.write_text(json.dumps(settings))
        program = str(Path(python_with("litellm")).parent / "litellm")
        await run(
            *(program, "--config", str(configuration), "--host", "127.0.0.1", "--port", str(port)),
            ready=b"Uvicorn running on",
            LITELLM_LOCAL_MODEL_COST_MAP="True",
        )
        return f"http://127.0.0.1:{port}"

    return start


async def test_answers_streams_tools_and_rows_come_through_and_refusals_keep_their_meaning(
    simulate: Simulate, relay: Relay, connect: Connect
):
    """One test, because litellm takes ten seconds of CPU to start."""
    answering = {"deepseek-flash": (await simulate()).base_url}
    refusing = {kind.value: (await simulate(fault_rate=1.0, fault_kinds=(kind,))).base_url for kind in KINDS}
    url = await relay(answering | refusing)
    await all_of_an_answer_comes_through(connect(url))
    for kind, meaning in KINDS.items():
        error = await failure_of(connect(url), stream=False, model=kind.value)
        assert type(error) is meaning, kind
        assert error.attempts == (4 if error.retryable else 1)
    listed = {model.id for model in (await connect(url).models.list()).data}
    assert listed == {*answering, *refusing}


async def all_of_an_answer_comes_through(client: AsyncDeepSeek) -> None:
    assert await said_by(client, stream=False)
    assert await said_by(client, stream=True)
    async with await open_stream(client, tools=[TOOL], messages=QUESTION) as stream:
        async for _ in stream:
            pass
    for done in (stream.completion, await ask(client, tools=[TOOL], messages=QUESTION)):
        assert done.usage is not None
        (call,) = done.choices[0].message.tool_calls
        assert call.function.name == "weather"
        assert "city" in json.loads(call.function.arguments)
    rows = [result async for result in client.batch.map(f"row {number}" for number in range(20))]
    assert [result.error for result in rows if not result.ok] == []
