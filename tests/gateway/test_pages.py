"""The gateway's pages and figures as a server sees them: headers, other origins, and where no key may be."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from base64 import b64encode
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from gateways import CHAT, MODEL, QUESTION, Gated, StartGateway, batch_line, jsonl
from support.disclosure import SECRET
from support.event_source import EventSource
from support.servers import CANARY

from deepseek_async.events import CallEnded
from deepseek_async.gateway.callers import CallerProfile, Callers
from deepseek_async.gateway.console import Console
from deepseek_async.labels import Labels

BODY = {"model": MODEL, "messages": QUESTION}
PAGES = ("/", "/chat")
ASSETS = ("style.css", "session.js", "console.js", "chat.js", "answer.js", "markdown.js")
SHOWN = (*PAGES, *(f"/pages/{name}" for name in ASSETS))


async def responses(gated: Gated, *asked: tuple[str, str, dict[str, Any]]) -> list[tuple[int, dict[str, str], str]]:
    """Status, headers and body of each request."""
    got = []
    async with aiohttp.ClientSession() as session:
        for method, path, options in asked:
            async with session.request(method, gated.gateway.url + path, **options) as response:
                got.append((response.status, dict(response.headers), await response.text()))
    return got


@pytest.mark.parametrize("keys", [None, {"team-a": {}}])
async def test_pages_and_assets_may_run_nothing_but_the_gateways_own_scripts(
    gateway: StartGateway, keys: dict[str, Any] | None
):
    gated = await gateway(keys=keys)

    for status, headers, text in await responses(gated, *(("GET", path, {}) for path in SHOWN)):
        assert status == 200
        policy = dict(rule.strip().split(" ", 1) for rule in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers
        assert "Set-Cookie" not in headers
        assert "http://" not in text
        assert "https://" not in text


async def test_every_asset_that_a_page_or_script_names_exists(gated: Gated):
    texts = [text for _, _, text in await responses(gated, *(("GET", path, {}) for path in SHOWN))]

    named = {part.split('"')[0] for text in texts for part in text.split('"/pages/')[1:]}

    assert named == set(ASSETS)


@pytest.mark.parametrize(
    "path", ["/pages/", "/pages/../console.py", "/pages/%2e%2e/gateway.py", "/pages/console.html", "/style.css"]
)
async def test_nothing_beside_the_pages_is_served(gated: Gated, path: str):
    status, answer = await gated.ask("GET", path)

    assert status == 404
    assert "import" not in str(answer)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_page_is_only_to_be_read(gateway: StartGateway, method: str):
    gated = await gateway(keys={"team-a": {}})

    assert (await gated.ask(method, "/"))[0] == 401


@pytest.mark.parametrize("path", ["/console/events", "/console/cost?model=deepseek-flash&usage={}"])
async def test_figures_are_for_callers_with_a_key(gateway: StartGateway, path: str):
    gated = await gateway(keys={"team-a": {}})

    assert (await gated.ask("GET", path))[0] == 401
    assert (await gated.ask("GET", path, key="dsg-wrong"))[0] == 401


HOSTILE = '<script>pwned=1</script>"\r\nSet-Cookie: a=b'


async def test_a_text_of_a_caller_comes_back_as_json_only(gated: Gated):
    async with gated.openai() as client:
        given = await client.files.create(file=(HOSTILE.replace("\r\n", " "), jsonl([batch_line(1)])), purpose="batch")
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/v1/files/%3Cscript%3E", {}),
        ("GET", "/v1/batches?after=%3Cscript%3E", {}),
        ("GET", f"/v1/files/{given.id}", {}),
        ("GET", f"/v1/files/{given.id}/content", {}),
        ("GET", "/console/cost?usage=%3Cscript%3E", {}),
        ("POST", "/v1/batches", {"json": {"input_file_id": HOSTILE, "endpoint": CHAT, "completion_window": "24h"}}),
        ("POST", CHAT, {"json": {**BODY, "model": HOSTILE}}),
    ]

    for _, headers, _ in await responses(gated, *asked):
        assert headers["Content-Type"].partition(";")[0] in {"application/json", "application/octet-stream"}
        assert "Set-Cookie" not in headers
        if headers["Content-Type"].startswith("application/octet-stream"):
            assert headers["Content-Disposition"].startswith("attachment;")
        assert headers.get("X-Content-Type-Options", "nosniff") == "nosniff"


CHANGING: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", CHAT, {"data": json.dumps(BODY)}),
    ("POST", "/anthropic/v1/messages", {"data": json.dumps({**BODY, "max_tokens": 9})}),
    ("POST", "/v1/files", {"data": {"purpose": "batch", "file": "x"}}),
    ("POST", "/v1/batches", {"data": json.dumps({"endpoint": CHAT})}),
    ("POST", "/v1/batches/batch_1/cancel", {}),
    ("DELETE", "/v1/files/file_1", {}),
    ("POST", "/v1/tools/ocr", {"data": "{}"}),
    ("OPTIONS", CHAT, {}),
]
ELSEWHERE = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}


async def test_no_call_of_another_origin_is_taken_by_a_gateway_without_keys(gated: Gated):
    asked = [(method, path, {**options, "headers": ELSEWHERE}) for method, path, options in CHANGING]

    got = await responses(gated, *asked)

    assert [status for status, _, _ in got] == [403] * len(CHANGING)
    assert not [name for _, headers, _ in got for name in headers if name.startswith("Access-Control")]
    assert gated.simulator.statistics().requests == 0
    assert list((gated.folder / "files").glob("*")) == []


@pytest.mark.parametrize("carried", ["nothing", "a cookie", "the address", "basic authentication"])
async def test_a_key_counts_in_a_header_that_no_form_can_send(gateway: StartGateway, carried: str):
    gated = await gateway(keys={"team-a": {"operator": True}})
    key = gated.keys["team-a"]
    sent: dict[str, Any] = {
        "nothing": {},
        "a cookie": {"Cookie": f"gateway-key={key}; Authorization=Bearer {key}; key={key}"},
        "the address": {},
        "basic authentication": {"Authorization": f"Basic {b64encode(key.encode()).decode()}"},
    }[carried]
    query = f"?key={key}&api_key={key}&access_token={key}" if carried == "the address" else ""

    got = await responses(
        gated,
        *((method, path + query, {**options, "headers": {**ELSEWHERE, **sent}}) for method, path, options in CHANGING),
    )

    assert [status for status, _, _ in got] == [401] * len(CHANGING)
    assert not [name for _, headers, _ in got for name in headers if name.startswith("Access-Control")]
    assert gated.simulator.statistics().requests == 0


async def test_figures_end_when_the_key_is_revoked(gateway: StartGateway):
    gated = await gateway(keys={"team-a": {}})
    headers = {"Authorization": f"Bearer {gated.keys['team-a']}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{gated.gateway.url}/console/events") as response,
    ):
        await response.content.readuntil(b"\n\n")
        Callers(gated.folder / "keys.json").revoke("team-a")

        async with asyncio.timeout(10):
            rest = await response.content.read()

    assert rest.count(b"data: ") <= 1


@pytest.mark.parametrize("removed", ["the last key", "the file of keys"])
async def test_to_remove_the_last_key_opens_nothing(gateway: StartGateway, removed: str):
    gated = await gateway(keys={"team-a": {}})
    file = gated.folder / "keys.json"
    if removed == "the last key":
        Callers(file).revoke("team-a")
    else:
        file.unlink()

    assert (await gated.ask("POST", CHAT, json=BODY))[0] == 401
    assert (await gated.ask("POST", CHAT, key=gated.keys["team-a"], json=BODY))[0] == 401
    assert gated.simulator.statistics().requests == 0


async def test_a_gateway_that_ends_does_not_wait_for_who_looks_at_its_figures(gated: Gated):
    async with aiohttp.ClientSession() as session, session.get(f"{gated.gateway.url}/console/events") as response:
        await response.content.readuntil(b"\n\n")
        began = time.monotonic()

        await gated.gateway.aclose()

        assert time.monotonic() - began < 3  # its drain is 5
        assert b"data: " not in await response.content.read()


async def test_a_caller_sees_figures_of_its_own_and_an_operator_those_of_all(gateway: StartGateway):
    gated = await gateway(keys={"team-a": {}, "team-b": {}, "boss": {"operator": True}})
    for name in ("team-a", "team-b"):
        await gated.ask("POST", CHAT, key=gated.keys[name], json=BODY)
        await gated.ask("POST", CHAT, key=gated.keys[name], json={**BODY, "model": f"of-{name}"})

    assert await owners_shown_to(gated, "team-a") == {"team-a"}
    assert await owners_shown_to(gated, "boss") == {"team-a", "team-b"}


async def owners_shown_to(gated: Gated, name: str) -> set[str]:
    activity = (await figures(gated, name))["activity"]
    callers = {row["caller"] for row in activity["spent"]}
    assert {failure["caller"] for failure in activity["failures"]} == callers
    return callers


async def test_figures_stay_few_whatever_callers_name(gateway: StartGateway):
    gated = await gateway(keys={"team-a": {}, "boss": {"operator": True}})
    for number in range(1_200):
        gated.gateway._activity(ended_call(f"model-{number}-" + "m" * 10_000))
    async with gated.openai("team-a") as client:
        bad = await client.files.create(file=("in.jsonl", b"{\n" * 100), purpose="batch")
        words = {f"{n}" * 30: "w" * 512 for n in range(10)}
        for _ in range(60):
            await client.batches.create(input_file_id=bad.id, endpoint=CHAT, completion_window="24h", metadata=words)

    for name in ("team-a", "boss"):
        seen = await figures(gated, name)
        spent = seen["activity"]["spent"]
        assert len(json.dumps(seen)) < 64 * 1024
        assert (len(spent), len(seen["batches"])) == (51, 50)
        assert sum(row["calls"] for row in spent) == 1_200
        assert sum(row["cost"] for row in spent) == pytest.approx(1.2)


def ended_call(model: str) -> CallEnded:
    return CallEnded("chat", "http://127.0.0.1:1", b"", model, 0.0, 0.1, "ok", Labels(tag="team-a"), cost=0.001)


async def test_readers_of_the_same_figures_share_them(gateway: StartGateway, monkeypatch: pytest.MonkeyPatch):
    gated = await gateway(keys={"team-a": {}, "boss": {"operator": True}})
    made: dict[str, list[float]] = {"team-a": [], "boss": []}
    whole = Console.figures

    def timed(console: Console, caller: CallerProfile) -> dict[str, Any]:
        made[caller.name].append(asyncio.get_running_loop().time())
        return whole(console, caller)

    monkeypatch.setattr(Console, "figures", timed)
    seen = await asyncio.gather(*(figures(gated, name) for name in ("boss", "team-a") for _ in range(10)))

    assert len(seen) == 20
    for times in made.values():
        assert all(later - earlier >= 0.25 for earlier, later in pairwise(times))


async def figures(gated: Gated, name: str) -> Any:
    headers = {"Authorization": f"Bearer {gated.keys[name]}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{gated.gateway.url}/console/events") as response,
    ):
        assert response.headers["Content-Type"].startswith("text/event-stream")
        (event, *_) = EventSource().feed(await response.content.readuntil(b"\n\n"))
        return event.value


async def test_no_key_is_in_any_page_response_log_or_file(gateway: StartGateway, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    gated = await gateway(keys={"team-a": {"operator": True}})
    own = gated.keys["team-a"]
    given = {"headers": {"Authorization": f"Bearer {own}"}}
    for status in (400, 401, 500):
        gated.simulator.answer(when=f"echo {status}", content=f"no, {CANARY} is no good", status=status, times=9)

    def echo(status: int, **more: Any) -> dict[str, Any]:
        said = [{"role": "user", "content": f"echo {status}"}]
        return {"json": {**BODY, "messages": said, **more}, **given}

    asked: list[tuple[str, str, dict[str, Any]]] = [
        *(("GET", path, given) for path in (*SHOWN, "/healthz", "/readyz", "/metrics", "/v1/models", "/nothing")),
        *(("POST", CHAT, echo(status, stream=stream)) for status in (400, 401, 500) for stream in (False, True)),
        ("POST", "/anthropic/v1/messages", {"json": {**BODY, "max_tokens": 9}, **given}),
        ("POST", CHAT, {"json": BODY, **given}),
        ("POST", CHAT, {"json": BODY, "headers": {"x-api-key": own + "x"}}),
        ("POST", CHAT, {"data": b"{", **given}),
        ("POST", CHAT, {"json": {**BODY, "model": CANARY}, **given}),
        ("GET", f"/v1/files/{CANARY}", given),
        ("GET", f"/v1/batches?after={own}", given),
        ("GET", f"/console/cost?usage={own}", given),
        ("GET", "/metrics", given),
        ("GET", "/v1/files", given),
        ("GET", "/v1/batches", given),
        ("POST", "/v1/batches", {"json": {"input_file_id": own, "endpoint": own, "completion_window": own}, **given}),
    ]
    got = await responses(gated, *asked)
    shown = await figures(gated, "team-a")
    await gated.gateway.aclose()

    everything = [
        *(f"{headers}\n{text}" for _, headers, text in got),
        json.dumps(shown),
        caplog.text,
        *(f"{record.__dict__}" for record in caplog.records),
        *(path.read_bytes().decode("latin-1") for path in gated.folder.rglob("*") if path.is_file()),
        repr(vars(gated.gateway)),
    ]
    assert len(caplog.records) >= len(asked)
    for text in everything:
        assert SECRET not in text
        assert own.removeprefix("dsg-")[4:] not in text
