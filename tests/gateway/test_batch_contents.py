"""What stands in the rows of a batch: what is put into their prompts, and what no file may hold."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateways import CHAT, MODEL, QUESTION, Gated, StartGateway, batch_line, jsonl
from support.clients import Connect
from support.disclosure import SECRET
from support.servers import CANARY
from test_gateway_batches import ended, lines_of, started

from deepseek_async.content import ContentFilter
from deepseek_async.gateway import AsyncGateway
from deepseek_async.simulator import Simulator, SimulatorSettings

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORM = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}


def bodies_seen(simulator: Simulator) -> list[Any]:
    return [record.body for record in simulator.requests if record.path.endswith("/chat/completions")]


async def test_a_schema_is_put_into_the_prompt_of_a_row_as_into_that_of_a_request(gated: Gated):
    asked = {"model": MODEL, "messages": QUESTION, "response_format": FORM}
    status, _ = await gated.ask("POST", CHAT, json=asked)
    async with gated.openai() as client:
        batch = await ended(client, await started(client, jsonl([batch_line(0, body=asked)])))

    request, row = bodies_seen(gated.simulator)
    assert status == 200
    assert (batch.status, batch.error_file_id) == ("completed", None)
    assert row["messages"] == request["messages"]
    assert row["response_format"] == request["response_format"] == {"type": "json_object"}
    assert json.dumps(SCHEMA, separators=(",", ":")) in row["messages"][0]["content"]


async def test_no_file_that_a_caller_can_fetch_holds_a_key(gateway: StartGateway):
    gated = await gateway(keys={"team-a": {}})
    own = gated.keys["team-a"]
    gated.simulator.answer(when="echo 200", content=f"Your keys are {CANARY} and {own}.")
    gated.simulator.answer(when="echo 400", content=f"{CANARY} and {own} are no good", status=400)
    rows = [
        batch_line(n, body={"model": MODEL, "messages": [{"role": "user", "content": f"echo {n}"}]}, custom_id=name)
        for n, name in ((200, "a"), (400, "b"), (1, f"c-{own}"))
    ]
    async with gated.openai("team-a") as client:
        batch = await ended(client, await started(client, jsonl(rows), metadata={"key": CANARY}))
        files = [
            (await client.files.content(file_id)).text
            for file_id in (batch.output_file_id, batch.error_file_id)
            if file_id is not None
        ]

    assert batch.request_counts is not None
    assert (batch.request_counts.completed, batch.request_counts.failed, len(files)) == (2, 1, 2)
    assert "Your keys are sk-… and dsg-…." in files[0]
    for text in (*files, batch.to_json()):
        assert SECRET not in text
        assert own.removeprefix("dsg-") not in text


@pytest.fixture
async def filtered(connect: Connect, tmp_path: Path) -> AsyncIterator[Gated]:
    async with Simulator(SimulatorSettings(seed=7)) as simulator:
        client = connect(simulator.base_url, content_filter=ContentFilter(secrets="redact", personal="block"))
        async with AsyncGateway(client, folder=tmp_path / "gateway", port=0, drain=5) as running:
            yield Gated(simulator, running, tmp_path / "gateway")


async def test_the_content_filter_stands_around_rows_as_around_requests(filtered: Gated):
    secret, address = "ghp_" + "a1B2" * 9, "somebody@example.org"
    filtered.simulator.answer(when="tell me", content=f"It is {secret}.", times=2)
    questions = {"sent": f"My token is {secret}.", "got": "tell me", "blocked": f"Write to {address}."}
    bodies = {
        name: {"model": MODEL, "messages": [{"role": "user", "content": text}]} for name, text in questions.items()
    }
    statuses = {name: (await filtered.ask("POST", CHAT, json=body))[0] for name, body in bodies.items()}
    async with filtered.openai() as client:
        rows = jsonl([batch_line(0, custom_id=name, body=body) for name, body in bodies.items()])
        batch = await ended(client, await started(client, rows))
        answers = await lines_of(client, batch.output_file_id)
        errors = await lines_of(client, batch.error_file_id)

    assert statuses == {"sent": 200, "got": 200, "blocked": 400}
    assert {line["custom_id"] for line in answers} == {"sent", "got"}
    assert [(line["custom_id"], line["error"]["code"]) for line in errors] == [("blocked", "ContentBlockedError")]
    assert secret not in json.dumps(answers)
    assert not [body for body in bodies_seen(filtered.simulator) if secret in json.dumps(body) or address in str(body)]
