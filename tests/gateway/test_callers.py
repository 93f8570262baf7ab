"""Callers of a gateway: their keys and what each may do."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from gateways import CHAT, MODEL, QUESTION, StartGateway, batch_line, jsonl
from support.clients import Connect
from support.waiting import until

from deepseek_async.errors import ConfigurationError
from deepseek_async.gateway import AsyncGateway
from deepseek_async.gateway.callers import Callers

BODY = {"model": MODEL, "messages": QUESTION}


@pytest.fixture
def callers(tmp_path: Path) -> Callers:
    return Callers(tmp_path / "keys.json")


def test_a_key_is_found_and_kept_as_a_hash_only(callers: Callers, tmp_path: Path):
    key = callers.add("team-a", daily=5, lane="bulk")

    found = callers.find(key)

    assert found is not None
    assert (found.name, found.daily, found.lane) == ("team-a", 5, "bulk")
    assert key not in (tmp_path / "keys.json").read_text()
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("key", ["", "dsg-", "sk-something", "dsg-" + "A" * 43, "\udc80", "x" * 100_000])
def test_another_key_is_nobodys(callers: Callers, key: str):
    callers.add("team-a")

    assert callers.find(key) is None


def test_a_revoked_key_is_nobodys_in_a_running_gateway(callers: Callers, tmp_path: Path):
    key = callers.add("team-a")
    running = Callers(tmp_path / "keys.json")

    callers.revoke("team-a")
    running.refresh()

    assert running.find(key) is None


@pytest.mark.parametrize("name", ["", "../x", "a b", "a/b", "-x", "é", "a" * 65, "a\n"])
def test_a_name_that_cannot_be_one_of_a_file_is_refused(callers: Callers, name: str):
    with pytest.raises(ConfigurationError, match="must be 1 to 64 letters"):
        callers.add(name)


def test_a_second_caller_of_a_name_is_refused(callers: Callers):
    callers.add("team-a")

    with pytest.raises(ConfigurationError, match="already"):
        callers.add("team-a")


def test_revoking_an_unknown_caller_says_who_there_is(callers: Callers):
    callers.add("team-a")

    with pytest.raises(ConfigurationError, match="there are: team-a"):
        callers.revoke("team-b")


def test_a_file_that_is_no_keys_file_is_refused_and_kept(tmp_path: Path):
    file = tmp_path / "keys.json"
    file.write_text('{"name": "something else"}')

    with pytest.raises(ConfigurationError, match="not a keys file"):
        Callers(file)
    assert file.read_text() == '{"name": "something else"}'


@pytest.mark.parametrize("key", [None, "", "wrong", "none"])
async def test_without_a_known_key_nothing_is_sent(gateway: StartGateway, key: str | None):
    gated = await gateway(keys={"team-a": {}})

    status, answer = await gated.ask("POST", CHAT, key=key, json=BODY)

    assert status == 401
    assert answer["error"]["code"] == "invalid_api_key"
    assert gated.simulator.statistics().requests == 0


async def test_a_key_in_anthropics_header_is_known(gateway: StartGateway):
    gated = await gateway(keys={"team-a": {}})

    status, _ = await gated.ask("POST", CHAT, headers={"x-api-key": gated.keys["team-a"]}, json=BODY)

    assert status == 200


async def test_a_revoked_key_is_refused_at_the_next_request(gateway: StartGateway):
    gated = await gateway(keys={"team-a": {}, "team-b": {}})
    assert (await gated.ask("POST", CHAT, key=gated.keys["team-a"], json=BODY))[0] == 200

    Callers(gated.folder / "keys.json").revoke("team-a")

    assert (await gated.ask("POST", CHAT, key=gated.keys["team-a"], json=BODY))[0] == 401


async def test_an_address_of_the_network_without_keys_is_refused(connect: Connect, tmp_path: Path):
    with pytest.raises(ConfigurationError, match="keys add"):
        async with AsyncGateway(connect("http://127.0.0.1:9"), folder=tmp_path, host="0.0.0.0", port=0):
            pass


async def test_a_caller_may_use_its_models_only(gateway: StartGateway):
    gated = await gateway(keys={"team-a": {"models": ("deepseek-pro",)}})

    status, answer = await gated.ask("POST", CHAT, key=gated.keys["team-a"], json=BODY)

    assert (status, answer["error"]["code"]) == (403, "model_not_allowed")
    assert gated.simulator.statistics().requests == 0


async def test_a_callers_budget_is_its_own(gateway: StartGateway):
    gated = await gateway(keys={"team-a": {"daily": 0.000001}, "team-b": {"daily": 5.0}})

    refused, answer = await gated.ask("POST", CHAT, key=gated.keys["team-a"], json=BODY)
    allowed, _ = await gated.ask("POST", CHAT, key=gated.keys["team-b"], json=BODY)

    assert (refused, answer["error"]["code"]) == (429, "budget_exceeded")
    assert allowed == 200
    assert gated.simulator.statistics().requests == 1


async def test_a_callers_cap_holds_its_requests_back_and_nobody_elses(gateway: StartGateway):
    gated = await gateway(keys={"team-a": {"max_concurrency": 2}, "team-b": {}}, latency=0.3)

    asking = [asyncio.create_task(gated.ask("POST", CHAT, key=gated.keys["team-a"], json=BODY)) for _ in range(6)]
    await until(lambda: gated.simulator.statistics().in_flight == 2)
    other = await gated.ask("POST", CHAT, key=gated.keys["team-b"], json=BODY)
    answers = await asyncio.gather(*asking)

    assert other[0] == 200
    assert [status for status, _ in answers] == [200] * 6
    assert gated.simulator.statistics().peak_in_flight <= 3


async def test_files_and_batches_of_another_caller_do_not_exist(gateway: StartGateway):
    gated = await gateway(keys={"team-a": {}, "team-b": {}})
    async with gated.openai("team-a") as own, gated.openai("team-b") as other:
        given = await own.files.create(file=("in.jsonl", jsonl([batch_line(1)])), purpose="batch")
        batch = await own.batches.create(input_file_id=given.id, endpoint=CHAT, completion_window="24h")

        for path in (f"/v1/files/{given.id}", f"/v1/files/{given.id}/content", f"/v1/batches/{batch.id}"):
            assert (await gated.ask("GET", path, key=gated.keys["team-b"]))[0] == 404
        assert (await gated.ask("DELETE", f"/v1/files/{given.id}", key=gated.keys["team-b"]))[0] == 404
        assert (await gated.ask("POST", f"/v1/batches/{batch.id}/cancel", key=gated.keys["team-b"]))[0] == 404
        assert [each.id async for each in other.files.list()] == []
        assert [each.id async for each in other.batches.list()] == []
        asked = {"input_file_id": given.id, "endpoint": CHAT, "completion_window": "24h"}
        assert (await gated.ask("POST", "/v1/batches", key=gated.keys["team-b"], json=asked))[0] == 400


async def test_a_file_of_another_caller_cannot_be_named_in_a_request(gateway: StartGateway):
    gated = await gateway(keys={"team-a": {}, "team-b": {}})
    async with gated.openai("team-a") as own:
        stored = await own.files.create(file=("a.png", PIXEL), purpose="user_data")
    said = {"role": "user", "content": [{"type": "file", "file_id": stored.id}, {"type": "text", "text": "What?"}]}

    status, answer = await gated.ask("POST", CHAT, key=gated.keys["team-b"], json={**BODY, "messages": [said]})

    assert (status, answer["error"]["param"]) == (404, "file_id")
    assert (await gated.ask("POST", CHAT, key=gated.keys["team-a"], json={**BODY, "messages": [said]}))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
    ],
)
async def test_a_page_of_another_site_gets_nothing_from_a_gateway_without_keys(
    gateway: StartGateway, headers: dict[str, str]
):
    gated = await gateway()

    status, _ = await gated.ask("POST", CHAT, headers=headers, data=json.dumps(BODY))

    assert status == 403
    assert gated.simulator.statistics().requests == 0


PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
