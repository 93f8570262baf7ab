"""Callers share an account at DeepSeek, and reach nothing of each other there."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from gateways import CHAT, MODEL, QUESTION, Gated, StartGateway, jsonl

BODY = {"model": MODEL, "messages": QUESTION}
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
MESSAGES = "/anthropic/v1/messages"
RESPONSES = "/v1/responses"


@pytest.fixture
async def shared(gateway: StartGateway) -> tuple[Gated, str]:
    """A gateway with two callers, and the id of a file of the first one at DeepSeek."""
    gated = await gateway(keys={"owner": {}, "other": {}, "flash": {"models": (MODEL,)}})
    async with gated.openai("owner") as client:
        return gated, (await client.files.create(file=("a.png", PIXEL), purpose="user_data")).id


def naming(part: dict[str, Any]) -> dict[str, Any]:
    return {**BODY, "max_tokens": 9, "messages": [{"role": "user", "content": [part]}]}


WAYS: dict[str, tuple[str, Any]] = {
    "chat file part": (CHAT, lambda name: naming({"type": "file", "file_id": name})),
    "chat file part of OpenAI": (CHAT, lambda name: naming({"type": "file", "file": {"file_id": name}})),
    "image URL": (CHAT, lambda name: naming({"type": "image_url", "image_url": {"url": name}})),
    "completion": ("/v1/completions", lambda name: {"model": MODEL, "prompt": "x", "suffix": name}),
    "message document": (
        MESSAGES,
        lambda name: naming({"type": "document", "source": {"type": "file", "file_id": name}}),
    ),
    "message picture": (MESSAGES, lambda name: naming({"type": "image", "source": {"type": "file", "file_id": name}})),
    "alias of messages": (
        "/anthropic/messages",
        lambda name: naming({"type": "image", "source": {"type": "file", "file_id": name}}),
    ),
    "tool result of a message": (
        MESSAGES,
        lambda name: naming(
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [{"type": "image", "source": {"type": "file", "file_id": name}}],
            }
        ),
    ),
    "response input_file": (
        RESPONSES,
        lambda name: {
            "model": MODEL,
            "input": [{"role": "user", "content": [{"type": "input_file", "file_id": name}]}],
        },
    ),
    "response input_image": (
        RESPONSES,
        lambda name: {
            "model": MODEL,
            "input": [{"role": "user", "content": [{"type": "input_image", "file_id": name}]}],
        },
    ),
    "list of a tool": (
        RESPONSES,
        lambda name: {
            "model": MODEL,
            "input": "x",
            "tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": [name]}}],
        },
    ),
    "beta": ("/beta/chat/completions", lambda name: naming({"type": "file", "file_id": name})),
    "stream": (CHAT, lambda name: {**naming({"type": "file", "file_id": name}), "stream": True}),
}


async def test_no_protocol_names_a_file_of_another_caller(shared: tuple[Gated, str]):
    gated, file_id = shared
    before = gated.simulator.statistics().requests

    for way, (path, body) in WAYS.items():
        status, _ = await gated.ask("POST", path, key=gated.keys["other"], json=body(file_id))
        assert status == 404, way

    assert gated.simulator.statistics().requests == before


async def test_a_file_of_another_caller_is_not_named_in_escapes(shared: tuple[Gated, str]):
    gated, file_id = shared
    body = json.dumps(naming({"type": "file", "file_id": file_id}))
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in file_id)
    for spelled in ("\\u0066ile_id", "file\\u005fid", "file_i\\u0064"):
        for data in (body.replace("file_id", spelled), body.replace(file_id, escaped).replace("file_id", spelled)):
            assert (await gated.ask("POST", CHAT, key=gated.keys["other"], data=data))[0] == 404


async def test_a_row_of_a_batch_names_no_file_of_another_caller(shared: tuple[Gated, str]):
    gated, file_id = shared
    errors = await refused(gated, "other", naming({"type": "file", "file_id": file_id}))

    assert errors == [("not_found", "body.file_id")]


async def test_a_row_of_a_batch_uses_no_model_that_its_caller_may_not(shared: tuple[Gated, str]):
    gated, _ = shared
    errors = await refused(gated, "flash", {**BODY, "model": "deepseek-pro"})

    assert errors == [("model_not_allowed", "body.model")]


async def refused(gated: Gated, caller: str, body: dict[str, Any]) -> list[tuple[str | None, str | None]]:
    before = gated.simulator.statistics().requests
    row = {"custom_id": "a", "method": "POST", "url": CHAT, "body": body}
    async with gated.openai(caller) as client:
        given = await client.files.create(file=("in.jsonl", jsonl([row])), purpose="batch")
        batch = await client.batches.create(input_file_id=given.id, endpoint=CHAT, completion_window="24h")
        while batch.status in {"validating", "in_progress"}:
            await asyncio.sleep(0.02)  # a poll over HTTP, as users do it
            batch = await client.batches.retrieve(batch.id)
    assert gated.simulator.statistics().requests == before
    assert batch.errors is not None
    return [(error.code, error.param) for error in batch.errors.data or ()]


PATHS = (
    "/files",
    "/v1/files/",
    "/beta/files",
    "/v1/v1/files",
    "/v1/beta/files",
    "/beta/v1/files",
    "/anthropic/v1/files",
    "/anthropic/files",
    "/%66iles",
    "/%2566iles",
    "/v1/models/..%2ffiles",
    "/v1/models/..%252ffiles",
    "/v1/models/%252e%252e/files",
    "/v1/responses/resp_1",
    "/v1/fine_tuning/jobs",
    "/v1/batches",
    "/FILES",
)
"""Ways to files and other objects of the whole account."""


async def test_no_path_lists_or_reads_what_another_caller_has(shared: tuple[Gated, str]):
    gated, file_id = shared
    before = gated.simulator.statistics().requests
    for path in PATHS:
        for each in (path, f"{path}/{file_id}"):
            status, text = await gated.raw("GET", each, key="other")
            # A refusal repeats the path; lists of the gateway are the caller's own.
            assert status in {400, 404} or (status == 200 and '"data":[]' in text), each
        for method in ("DELETE", "POST"):
            assert (await gated.raw(method, f"{path}/{file_id}", key="other"))[0] in {400, 404}, path
    assert gated.simulator.statistics().requests == before


async def test_a_method_that_the_api_has_not_reaches_no_server(gateway: StartGateway):
    gated = await gateway(keys={"owner": {"operator": True}})

    for method in ("HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"):
        assert (await gated.raw(method, "/v1/models", key="owner"))[0] in {400, 405}, method

    assert gated.simulator.statistics().requests == 0


async def test_an_owner_names_its_own_file_and_an_operator_reads_the_account(gateway: StartGateway):
    gated = await gateway(keys={"owner": {}, "operator": {"operator": True}})
    async with gated.openai("owner") as client:
        stored = await client.files.create(file=("a.png", PIXEL), purpose="user_data")

    asked = naming({"type": "file", "file_id": stored.id})
    assert (await gated.ask("POST", CHAT, key=gated.keys["owner"], json=asked))[0] == 200
    assert (await gated.raw("GET", "/beta/files", key="operator"))[0] == 200
