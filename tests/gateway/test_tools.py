"""DeepSeek's tools beside the models, through a gateway: relayed, and billed to their caller."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from gateways import Gated, StartGateway

from deepseek_async.simulator.faults import Fault, FaultKind


def recording() -> bytes:
    """A second of silence."""
    wire = io.BytesIO()
    with wave.open(wire, "wb") as written:
        written.setparams((1, 2, 8_000, 0, "NONE", ""))
        written.writeframes(bytes(16_000))
    return wire.getvalue()


def upload(name: str, content: bytes, **fields: str) -> Callable[[], dict[str, Any]]:
    def form() -> dict[str, Any]:
        data = aiohttp.FormData()
        for field, value in fields.items():
            data.add_field(field, value)
        data.add_field("file", content, filename=name, content_type="application/octet-stream")
        return {"data": data}

    return form


REQUESTS: dict[str, Callable[[], dict[str, Any]]] = {
    "search": lambda: {"json": {"query": "oslo weather", "count": 3, "need_content": True}},
    "fetch": lambda: {"json": {"url": "https://example.org/a"}},
    "ocr": upload("a.pdf", b"%PDF one\ftwo", purpose="text_recognition"),
    "asr": upload("memo.wav", recording()),
    "tts": lambda: {"json": {"text": "Hello", "format": "wav"}},
}
ANSWERED_WITH = {"search": "results", "fetch": "content", "ocr": "pages", "asr": "text"}


async def test_each_tool_is_relayed_and_its_fee_is_its_callers(gateway: StartGateway):
    gated = await gateway(keys={"owner": {"daily": 5.0}})
    for tool, request in REQUESTS.items():
        for path in (f"/v1/tools/{tool}", f"/tools/{tool}"):
            status, answer = await asked(gated, path, "owner", request())
            assert status == 200, answer
            assert answer[:4] == b"RIFF" if tool == "tts" else json.loads(answer)[ANSWERED_WITH[tool]], tool

    fees = gated.simulator.ledger.fees
    assert (fees["search"], fees["fetch"], len(fees)) == (2, 2, 5), fees
    rows = gated.gateway._activity.shown("owner")["spent"]
    assert {row["model"] for row in rows} == {f"/v1/tools/{tool}" for tool in REQUESTS}
    assert all(row["cost"] > 0 and row["calls"] == 2 for row in rows), rows


async def test_a_tool_beyond_its_callers_budget_is_refused_and_not_sent(gateway: StartGateway):
    gated = await gateway(keys={"owner": {"daily": 0.0000001}})

    for tool, request in REQUESTS.items():
        status, answer = await asked(gated, f"/v1/tools/{tool}", "owner", request())
        assert (status, json.loads(answer)["error"]["code"]) == (429, "budget_exceeded"), tool

    assert gated.simulator.statistics().requests == 0


async def test_a_further_field_does_not_hide_a_fee_from_a_budget(gateway: StartGateway):
    gated = await gateway(keys={"owner": {"daily": 0.0000001}})

    for further in ({"tools": []}, {"tools": [{"type": "function"}]}, {"model": "x", "max_tokens": 1}):
        status, _ = await asked(gated, "/v1/tools/search", "owner", {"json": {"query": "x", **further}})
        assert status == 429, further

    assert gated.simulator.statistics().requests == 0


async def test_an_unknown_tool_and_speech_by_websocket_are_refused(gateway: StartGateway):
    gated = await gateway(keys={"owner": {"operator": True}})

    for method, path in (("POST", "/v1/tools/draw"), ("POST", "/v1/v1/tools/search"), ("GET", "/v1/tools/tts?a=b")):
        assert (await gated.raw(method, path, key="owner", head="Content-Length: 2\r\n", body=b"{}"))[0] == 400, path
    status, text = await gated.raw(
        "GET", "/v1/tools/tts", key="owner", head="Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    )

    assert status == 400
    assert "WebSocket is not relayed" in text
    assert gated.simulator.statistics().requests == 0


async def test_speech_that_breaks_off_is_a_body_without_an_end(gateway: StartGateway):
    gated = await gateway()
    gated.simulator.script(Fault(FaultKind.RESET_MID_EVENT))

    with pytest.raises(aiohttp.ClientPayloadError):
        await asked(gated, "/v1/tools/tts", "", REQUESTS["tts"]())


async def asked(gated: Gated, path: str, caller: str, request: dict[str, Any]) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {gated.keys.get(caller, 'none')}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(gated.gateway.url + path, headers=headers, **request) as response,
    ):
        return response.status, await response.read()
