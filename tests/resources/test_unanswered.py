"""What leaves something behind is looked for before it is sent again: nobody pays twice for an answer that was lost."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from support.clients import Connect
from support.servers import RESET, SILENCE, Script, Serve, response

from deepseek_async import APIError, AsyncDeepSeek, NotFoundError, RetryPolicy, Timeouts
from deepseek_async.resources.lost_uploads import LOOKS
from deepseek_async.resources.orphaned_files import looks_until

AT_ONCE = RetryPolicy(base_delay=0, max_delay=0)
LATER = 2**31
"""A moment at which no test runs, in seconds since 1970."""


def as_json(value: Any, status: int = 200) -> Script:
    return [response(json.dumps(value).encode(), status, content_type="application/json")]


CONTENTS = {"text_recognition": b"%PDF-1.7", "user_data": b"\x89PNG\r\n\x1a\n"}


def file(name: str = "a.pdf", size: int = 8, created_at: int = LATER, purpose: str = "") -> dict[str, Any]:
    told = {"id": "file-1", "object": "file", "bytes": size, "created_at": created_at, "filename": name}
    return {**told, "purpose": purpose} if purpose else told


def listed(*entries: dict[str, Any]) -> Script:
    return as_json({"object": "list", "data": list(entries), "has_more": False})


def asked(server: Any) -> list[str]:
    return [f"{request.method} {request.path.partition('?')[0]}" for request in server.requests]


async def upload(client: AsyncDeepSeek, purpose: str) -> Any:
    return await client.files.create(file=("a.pdf", CONTENTS[purpose]), purpose=purpose)


@pytest.mark.parametrize("purpose", ["text_recognition", "user_data"])
@pytest.mark.parametrize("lost", [[RESET], as_json({}, 504), [response(b"<html>", content_type="text/html")]])
async def test_an_upload_whose_answer_is_lost_is_found_and_not_sent_again(
    serve: Serve, connect: Connect, purpose: str, lost: Script
):
    server = await serve(lost, listed(file("other.pdf"), file()))
    made = await upload(connect(server, retry=AT_ONCE), purpose)

    assert made.id == "file-1"
    assert asked(server) == ["POST /files", "GET /files"]


async def test_an_upload_that_left_nothing_is_sent_again(serve: Serve, connect: Connect):
    server = await serve([RESET], listed(), as_json(file()))
    assert (await upload(connect(server, retry=AT_ONCE), "user_data")).id == "file-1"
    assert asked(server) == ["POST /files", "GET /files", "POST /files"]


@pytest.mark.parametrize(
    "other", [file("other.pdf"), file(size=5), file(created_at=1), file(purpose="text_recognition")]
)
async def test_another_file_is_not_taken_for_the_upload(serve: Serve, connect: Connect, other: dict[str, Any]):
    server = await serve([RESET], listed(other), as_json({**file(), "id": "file-2"}))
    assert (await upload(connect(server, retry=AT_ONCE), "user_data")).id == "file-2"


async def test_a_document_that_may_still_be_parsed_is_waited_for(serve: Serve, connect: Connect):
    server = await serve([RESET], listed(), listed(), listed(file()))
    assert (await upload(connect(server, retry=AT_ONCE), "text_recognition")).id == "file-1"
    assert asked(server) == ["POST /files", *["GET /files"] * 3]


GATEWAY = [response(b"<html>busy</html>", 503, content_type="text/html")]


@pytest.mark.parametrize("lost", [[RESET], GATEWAY, as_json({}, 504)])
async def test_a_document_that_is_not_there_for_ten_minutes_is_sent_again_once(
    serve: Serve, connect: Connect, lost: Script
):
    looks = [listed()] * len(looks_until(600))
    server = await serve(lost, *looks, lost, *looks)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(APIError) as caught:
        await upload(connect(server, retry=AT_ONCE), "text_recognition")
    assert 1200 <= loop.time() - began < 1300
    assert not caught.value.may_exist
    assert asked(server).count("POST /files") == 2


async def test_a_document_whose_time_ran_out_is_never_sent_again(serve: Serve, connect: Connect):
    server = await serve([SILENCE], *[listed()] * len(LOOKS))
    with pytest.raises(APIError) as caught:
        await upload(connect(server, retry=AT_ONCE), "text_recognition")
    assert caught.value.may_exist
    assert "files.list(order='desc')" in caught.value.__notes__[0]
    assert asked(server) == ["POST /files", *["GET /files"] * len(LOOKS)]


async def test_a_look_that_fails_is_no_absence(serve: Serve, connect: Connect):
    refused = as_json({"error": {"message": "not now"}}, 503)
    server = await serve([RESET], refused, listed(file()))
    assert (await upload(connect(server, retry=1), "text_recognition")).id == "file-1"
    server = await serve([RESET], *[refused] * len(looks_until(600)))
    with pytest.raises(APIError) as caught:
        await upload(connect(server, retry=1), "text_recognition")
    assert caught.value.may_exist
    assert asked(server).count("POST /files") == 1


async def test_an_upload_is_not_sent_again_where_nobody_can_look(serve: Serve, connect: Connect):
    server = await serve([RESET], as_json({"error": {"message": "no list here"}}, 404))
    with pytest.raises(APIError) as caught:
        await upload(connect(server, retry=AT_ONCE), "user_data")
    assert caught.value.may_exist
    assert not isinstance(caught.value, NotFoundError)
    assert asked(server) == ["POST /files", "GET /files"]


async def test_an_upload_that_was_refused_as_one_too_many_is_sent_again_without_looking(serve: Serve, connect: Connect):
    server = await serve(as_json({"error": {"message": "not now"}}, 429), as_json(file()))
    assert (await upload(connect(server, retry=AT_ONCE), "text_recognition")).id == "file-1"
    assert asked(server) == ["POST /files", "POST /files"]


@pytest.mark.parametrize("purpose", ["text_recognition", "user_data"])
@pytest.mark.parametrize("status", [408, 500, 503])
@pytest.mark.parametrize("there", [True, False])
async def test_an_upload_that_failed_after_it_was_sent_is_looked_for_first(
    serve: Serve, connect: Connect, purpose: str, status: int, there: bool
):
    failed = as_json({"error": {"message": "not now"}}, status)
    looks = 1 if there or purpose == "user_data" else 3
    server = await serve(failed, *[listed(*[file()] * there)] * looks, as_json({**file(), "id": "file-2"}))
    made = await upload(connect(server, retry=AT_ONCE), purpose)
    assert made.id == ("file-1" if there else "file-2")
    assert asked(server) == ["POST /files", *["GET /files"] * looks, *["POST /files"] * (not there)]


async def test_uploads_that_are_lost_again_and_again_end(serve: Serve, connect: Connect):
    server = await serve(*[[RESET], listed()] * 4)
    with pytest.raises(APIError):
        await upload(connect(server, retry=AT_ONCE), "user_data")
    assert asked(server).count("POST /files") == 4


async def test_a_silent_upload_outlasts_the_timers_of_other_calls(serve: Serve, connect: Connect):
    parsed = asyncio.Event()
    server = await serve([parsed, *as_json(file())])
    client = connect(server, timeout=Timeouts(headers=0.01, idle=0.01))
    asyncio.get_running_loop().call_later(0.05, parsed.set)  # when every timer but the attempt's has run out
    assert (await upload(client, "text_recognition")).id == "file-1"
    assert asked(server) == ["POST /files"]


async def test_a_training_job_whose_answer_is_lost_is_found(serve: Serve, connect: Connect):
    job = {"id": "ft-1", "model": "base", "training_file": "file-1", "created_at": LATER}
    server = await serve([RESET], as_json({"object": "list", "data": [{**job, "model": "other"}, job]}))
    made = await connect(server).fine_tunes.create(training_file="file-1", model="base")
    assert made.id == "ft-1"
    assert asked(server) == ["POST /fine_tunes", "GET /fine_tunes"]


@pytest.mark.parametrize(("status", "perhaps"), [(500, True), (503, False), (400, False)])
async def test_a_service_that_broke_off_in_the_middle_may_have_begun_to_train(
    serve: Serve, connect: Connect, status: int, perhaps: bool
):
    server = await serve(as_json({"error": {"message": "no"}}, status), as_json({"object": "list", "data": []}))
    with pytest.raises(APIError) as caught:
        await connect(server, retry=AT_ONCE).fine_tunes.create(training_file="file-1", model="base")
    assert caught.value.may_exist is perhaps
    assert asked(server) == ["POST /fine_tunes", "GET /fine_tunes"][: 1 + perhaps]


async def test_a_training_job_that_is_not_listed_is_not_started_again(serve: Serve, connect: Connect):
    server = await serve([RESET], as_json({"object": "list", "data": []}))
    with pytest.raises(APIError) as caught:
        await connect(server, retry=AT_ONCE).fine_tunes.create(training_file="file-1", model="base")
    assert caught.value.may_exist
    assert asked(server) == ["POST /fine_tunes", "GET /fine_tunes"]


async def test_a_file_that_the_lost_first_attempt_has_deleted_is_deleted(serve: Serve, connect: Connect):
    server = await serve([RESET], as_json({"error": {"message": "no such file"}}, 404))
    assert (await connect(server, retry=AT_ONCE).files.delete("file-1")).deleted

    server = await serve(as_json({"error": {"message": "no such file"}}, 404))
    with pytest.raises(NotFoundError):
        await connect(server, retry=AT_ONCE).files.delete("file-1")


async def test_a_retry_policy_of_one_attempt_sends_an_upload_once(serve: Serve, connect: Connect):
    server = await serve([RESET], listed())
    with pytest.raises(APIError):
        await upload(connect(server, retry=1), "user_data")
    assert asked(server) == ["POST /files", "GET /files"]
