"""Requests that go through a gateway, as openai-python and others send them."""

from __future__ import annotations

import asyncio
import json
from io import BytesIO

import anthropic
import openai
import pytest
from gateways import CHAT, MODEL, QUESTION, Gated, StartGateway
from support.servers import CANARY
from support.waiting import until

from deepseek_async.simulator.faults import Fault, FaultKind

BODY = {"model": MODEL, "messages": QUESTION}


async def test_a_plain_request_is_answered_with_the_servers_bytes(gated: Gated):
    status, answer = await gated.ask("POST", CHAT, json=BODY)

    assert status == 200
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["total_tokens"] > 0


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions"])
async def test_paths_are_known_with_and_without_v1(gated: Gated, path: str):
    assert (await gated.ask("POST", path, json=BODY))[0] == 200


async def test_a_stream_is_relayed_to_its_end(gated: Gated):
    async with gated.openai() as client:
        stream = await client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
        chunks = [chunk async for chunk in stream]

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].choices == [] or chunks[-1].choices[0].finish_reason == "stop"


async def test_responses_completions_messages_embeddings_and_models_are_relayed(gated: Gated):
    async with gated.openai() as client:
        assert (await client.responses.create(model=MODEL, input="Hello")).output_text
        assert (await client.completions.create(model=MODEL, prompt="Hello", max_tokens=5)).choices[0].text
        assert (await client.embeddings.create(model="text-embedding", input="Hello")).data[0].embedding
        assert MODEL in [model.id async for model in client.models.list()]
    async with anthropic.AsyncAnthropic(
        base_url=f"{gated.gateway.url}/anthropic", api_key="none", max_retries=0
    ) as other:
        message = await other.messages.create(
            model=MODEL, max_tokens=50, messages=[{"role": "user", "content": "Hello"}]
        )
    assert message.content


async def test_an_error_has_the_servers_status_text_and_trace(gateway: StartGateway):
    gated = await gateway()
    gated.simulator.script(Fault(FaultKind.INSUFFICIENT_BALANCE))

    async with gated.openai() as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model=MODEL, messages=QUESTION)

    assert caught.value.status_code == 402
    assert "Balance" in caught.value.message
    assert caught.value.response.headers["x-ds-trace-id"]


async def test_an_error_of_messages_is_anthropics(gated: Gated):
    async with anthropic.AsyncAnthropic(
        base_url=f"{gated.gateway.url}/anthropic", api_key="none", max_retries=0
    ) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(model="unknown", max_tokens=9, messages=[{"role": "user", "content": "Hello"}])

    assert caught.value.body["type"] == "error"


async def test_a_caller_that_waits_for_a_stream_gets_comments(gateway: StartGateway):
    gated = await gateway(heartbeat=0.05, latency=0.3)

    _, text = await gated.ask("POST", CHAT, json={**BODY, "stream": True})

    assert text.startswith(": waiting")
    assert text.rstrip().endswith("data: [DONE]")


async def test_a_caller_that_leaves_ends_the_request_at_the_server(gateway: StartGateway):
    gated = await gateway(tokens_per_second=20, answer_tokens=2000)
    client = gated.openai()
    stream = await client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
    await anext(aiter(stream))

    await stream.close()
    await client.close()

    await until(lambda: gated.simulator.statistics().in_flight == 0)
    assert gated.gateway.client.statistics().in_flight == 0


async def test_a_caller_that_leaves_before_the_answer_ends_the_request_at_the_server(gateway: StartGateway):
    gated = await gateway(latency=300)
    asking = asyncio.create_task(gated.ask("POST", CHAT, json=BODY))
    await until(lambda: gated.simulator.statistics().in_flight == 1)

    asking.cancel()

    await until(lambda: gated.simulator.statistics().in_flight == 0)


async def test_an_error_in_a_stream_is_its_last_event(gated: Gated):
    gated.simulator.script(Fault(FaultKind.RESET_MID_EVENT))

    _, text = await gated.ask("POST", CHAT, json={**BODY, "stream": True})

    last = [line for line in text.splitlines() if line.startswith("data: ")][-1]
    assert json.loads(last.removeprefix("data: "))["error"]["message"]


async def test_a_body_over_the_limit_is_refused(gated: Gated):
    status, answer = await gated.ask("POST", CHAT, data=BytesIO(b"x" * (65 * 1024 * 1024)))

    assert status == 413
    assert "at most" in answer["error"]["message"]
    assert gated.simulator.statistics().requests == 0


@pytest.mark.parametrize("path", ["/v1/../admin", "//evil.example/v1/models", "/v1/files/../../keys.json", "/nothing"])
async def test_an_unknown_path_is_an_error_and_no_server_of_others_is_asked(gated: Gated, path: str):
    status, text = await _raw(gated, path)

    assert status in {400, 403, 404}
    assert CANARY not in text


async def _raw(gated: Gated, path: str) -> tuple[int, str]:
    host, port = gated.gateway.url.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    text = (await reader.read()).decode()
    writer.close()
    return int(text.split()[1]), text
