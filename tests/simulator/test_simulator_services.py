"""What only tutorials name, and files: embeddings, images, fine-tuning, `/v1/completions`, old model names."""

from __future__ import annotations

import asyncio
import base64
import io
import struct
import zlib
from typing import Any

import aiohttp
import pytest
from simulator_caller import AUTHORIZATION, Caller, Start, chat_body


async def embedded(caller: Caller, given: Any, **body: Any) -> Any:
    return await caller.send("POST", "/v1/embeddings", json={"model": "deepseek-embedding", "input": given, **body})


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_texts_with_words_in_common_lie_close_together(caller: Caller):
    reply = await embedded(caller, ["the cat sat on the mat", "a cat sat on a mat", "量子 计算 原理"])
    one, near, far = (entry["embedding"] for entry in reply.json["data"])
    assert len(one) == 1024
    assert dot(one, one) == pytest.approx(1)
    assert dot(one, near) > 0.4 > dot(one, far)
    assert reply.json["model"] == "deepseek-embedding"
    assert reply.json["usage"]["prompt_tokens"] == reply.json["usage"]["total_tokens"] > 0


async def test_both_encodings_say_the_same(caller: Caller):
    plain = (await embedded(caller, "text", dimensions=16)).json["data"][0]["embedding"]
    packed = (await embedded(caller, "text", dimensions=16, encoding_format="base64")).json["data"][0]["embedding"]
    assert list(struct.unpack("<16f", base64.b64decode(packed))) == plain


@pytest.mark.parametrize("given", ["a", ["a", "b"], [1, 2], [[1, 2], [3]]])
async def test_inputs_may_be_texts_or_tokens(caller: Caller, given: Any):
    reply = await embedded(caller, given)
    assert len(reply.json["data"]) == (1 if given in ("a", [1, 2]) else 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"input": ""},
        {"input": []},
        {"input": [""]},
        {"input": [True]},
        {"input": None},
        {"input": ["a"] * 2049},
        {"model": ""},
        {"dimensions": 0},
        {"dimensions": True},
        {"encoding_format": "hex"},
    ],
)
async def test_a_wrong_embedding_request_is_400_and_names_the_field(caller: Caller, wrong: dict):
    reply = await caller.send("POST", "/embeddings", json={"model": "m", "input": "a", **wrong})
    assert reply.status == 400
    assert f"'{next(iter(wrong))}'" in reply.message


async def drawn(caller: Caller, **body: Any) -> Any:
    return await caller.send("POST", "/v1/images/generations", json={"prompt": "a fox", **body})


def measures(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    begin = png.index(b"IDAT")
    (length,) = struct.unpack(">I", png[begin - 4 : begin])
    assert len(zlib.decompress(png[begin + 4 : begin + 4 + length])) == height * (1 + -(-width // 8))
    return width, height


async def test_a_picture_has_an_address_from_which_it_can_be_read(caller: Caller):
    url = (await drawn(caller)).json["data"][0]["url"]
    async with caller.session.get(url) as response:
        assert response.headers["Content-Type"] == "image/png"
        assert measures(await response.read()) == (1024, 1024)


async def test_up_to_four_pictures_that_differ_come_at_once(caller: Caller):
    reply = await drawn(caller, num_images=4, size="256x512", style="cyberpunk", response_format="b64_json")
    pictures = [base64.b64decode(entry["b64_json"]) for entry in reply.json["data"]]
    assert [measures(picture) for picture in pictures] == [(256, 512)] * 4
    assert len(set(pictures)) == 4
    again = await drawn(caller, n=4, size="256x512", style="cyberpunk", response_format="b64_json")
    assert again.json["data"] == reply.json["data"]


@pytest.mark.parametrize(
    "wrong",
    [{"prompt": ""}, {"n": 5}, {"num_images": 0}, {"size": "big"}, {"size": "9999x9999"}, {"style": "cubist"}],
)
async def test_a_wrong_image_request_is_400_and_names_the_field(caller: Caller, wrong: dict):
    reply = await drawn(caller, **wrong)
    assert reply.status == 400
    assert f"'{next(iter(wrong))}'" in reply.message


async def test_an_address_of_no_picture_is_404(caller: Caller):
    assert (await caller.send("GET", "/images/generated/x.png")).status == 404


def form(content: Any = b"{}\n", purpose: str = "fine-tune", **fields: Any) -> aiohttp.FormData:
    made = aiohttp.FormData({"purpose": purpose, **fields})
    made.add_field("file", content, filename="data.jsonl")
    return made


async def uploaded(caller: Caller, **fields: Any) -> Any:
    return await caller.send("POST", "/v1/files", data=form(**fields))


async def test_a_file_is_kept_listed_read_and_deleted(caller: Caller):
    made = (await uploaded(caller, content=b"abc")).json
    assert (made["bytes"], made["filename"], made["purpose"]) == (3, "data.jsonl", "fine-tune")
    other = (await uploaded(caller)).json
    assert [entry["id"] for entry in (await caller.send("GET", "/files")).json["data"]] == [made["id"], other["id"]]
    assert (await caller.send("GET", f"/files/{made['id']}")).json == made
    assert (await caller.send("GET", f"/files/{made['id']}/content")).body == b"abc"
    assert (await caller.send("DELETE", f"/files/{made['id']}")).json["deleted"] is True
    assert (await caller.send("GET", f"/files/{made['id']}")).status == 404


async def test_another_account_sees_no_file_of_this_one(caller: Caller):
    made = (await uploaded(caller)).json
    other = {"Authorization": "Bearer sk-other"}
    assert (await caller.send("GET", "/files", headers=other)).json["data"] == []
    for method in ("GET", "DELETE"):
        reply = await caller.send(method, f"/files/{made['id']}", headers=other)
        assert (reply.status, reply.message) == (404, f"No such file: {made['id']}")


async def test_an_upload_without_its_parts_is_refused(caller: Caller):
    for request in (
        {"json": {}},
        {"data": aiohttp.FormData({"purpose": "x", "file": "text"})},
        {"data": form(b"", "")},
    ):
        assert (await caller.send("POST", "/files", **request)).status in {400, 415}
    broken = {"Content-Type": "multipart/form-data"}
    assert (await caller.send("POST", "/files", data=b"x", headers=broken)).status == 415


async def test_the_live_service_takes_pictures_and_documents_only(start: Start):
    caller = await start(live_only=True)
    assert (await uploaded(caller)).status == 400
    for purpose in ("user_data", "text_recognition", "rich_layout_recognition"):
        assert (await uploaded(caller, purpose=purpose)).status == 200


async def test_a_document_has_its_purpose_before_its_file_and_no_status(caller: Caller):
    made = aiohttp.FormData()
    made.add_field("file", b"text", filename="a.txt")
    made.add_field("purpose", "text_recognition")
    assert (await caller.send("POST", "/files", data=made)).status == 400
    reply = await uploaded(caller, purpose="text_recognition")
    assert reply.json["id"].startswith("file-api-")
    assert "status" not in reply.json
    assert [(bill.id, dict(bill.fees)) for bill in caller.simulator.ledger] == [(reply.json["id"], {"page": 1})]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"content": io.BytesIO(b"x" * (32 * 2**20 + 1))}, 413),
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": "3599"}, 400),
        ({"expires_after[anchor]": "created_at"}, 400),
        ({"expires_after[anchor]": "now", "expires_after[seconds]": "3600"}, 400),
    ],
)
async def test_a_wrong_document_is_neither_stored_nor_billed(caller: Caller, fields: dict[str, Any], status: int):
    assert (await uploaded(caller, purpose="text_recognition", **fields)).status == status
    assert (await caller.send("GET", "/files")).json["data"] == []
    assert len(caller.simulator.ledger) == 0


async def test_files_are_listed_page_by_page_in_either_order(caller: Caller):
    ids = [(await uploaded(caller, purpose=purpose)).json["id"] for purpose in ("a", "b", "a")]

    async def listed(query: str) -> tuple[list[str], bool]:
        answer = (await caller.send("GET", f"/files?{query}")).json
        return [entry["id"] for entry in answer["data"]], answer["has_more"]

    assert await listed("limit=2") == (ids[:2], True)
    assert await listed(f"limit=2&after={ids[1]}") == (ids[2:], False)
    assert await listed("order=desc") == (ids[::-1], False)
    assert await listed("purpose=a") == (ids[::2], False)
    assert (await caller.send("GET", "/files?limit=0")).status == 400


async def tuned(caller: Caller, **body: Any) -> Any:
    wanted = {"model": "deepseek-base", "training_file": "s3://bucket/data.jsonl", **body}
    return await caller.send("POST", "/v1/fine_tunes", json=wanted)


async def test_a_fine_tune_goes_on_whenever_it_is_looked_at_until_its_model_answers(caller: Caller):
    file = (await uploaded(caller)).json["id"]
    job = (await tuned(caller, training_file=file, validation_file="s3://bucket/val.jsonl", batch_size=16)).json
    assert (job["status"], job["fine_tuned_model"]) == ("pending", None)
    assert job["hyperparams"] == {"n_epochs": 4, "batch_size": 16}
    seen = [(await caller.send("GET", f"/fine_tunes/{job['id']}")).json for _ in range(3)]
    assert [state["status"] for state in seen] == ["running", "succeeded", "succeeded"]
    events = (await caller.send("GET", f"/v1/fine_tunes/{job['id']}/events")).json["data"]
    assert [event["message"].partition(":")[0] for event in events] == [
        "Created fine-tune",
        "Fine-tune started",
        "Fine-tune succeeded",
    ]
    assert (await caller.send("GET", "/fine_tunes")).json["data"] == [seen[-1]]
    answer = await caller.chat(model=seen[-1]["fine_tuned_model"])
    assert answer.json["model"] == "deepseek-flash"


async def test_a_fine_tune_is_cancelled_only_before_its_end(caller: Caller):
    job = (await tuned(caller)).json["id"]
    assert (await caller.send("POST", f"/fine_tunes/{job}/cancel")).json["status"] == "cancelled"
    again = await caller.send("POST", f"/fine_tunes/{job}/cancel")
    assert (again.status, again.message) == (409, f"Fine-tune {job} has already cancelled")


@pytest.mark.parametrize(
    "wrong",
    [{"training_file": "file-x"}, {"validation_file": "file-x"}, {"n_epochs": 0}, {"batch_size": "a"}, {"model": None}],
)
async def test_a_wrong_fine_tune_is_400_and_names_the_field(caller: Caller, wrong: dict):
    reply = await tuned(caller, **wrong)
    assert reply.status == 400
    assert f"'{next(iter(wrong))}'" in reply.message


async def test_an_unknown_fine_tune_is_404(caller: Caller):
    for method, path in (("GET", ""), ("POST", "/cancel"), ("GET", "/events")):
        assert (await caller.send(method, f"/fine_tunes/ft-x{path}")).status == 404


@pytest.mark.parametrize("path", ["/completions", "/v1/completions"])
async def test_the_prompt_of_the_tutorials_is_a_question(caller: Caller, path: str):
    body = {"model": "deepseek-chat", "prompt": "解释量子计算原理", "temperature": 0.7, "max_tokens": 2000}
    plain = await caller.send("POST", path, json=body)
    assert plain.json["choices"][0]["text"].startswith("Answer to: 解释量子计算原理")
    chunks = (await caller.send("POST", path, json={**body, "stream": True})).chunks
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == plain.json["choices"][0]["text"]


async def test_with_a_suffix_it_is_a_gap(caller: Caller):
    body = {"model": "deepseek-code", "prompt": "def f(", "suffix": "return", "echo": True}
    assert (await caller.send("POST", "/v1/completions", json=body)).json["choices"][0]["text"].startswith("def f(")


@pytest.mark.parametrize("model", ["deepseek-chat", "deepseek-code", "deepseek-base", "deepseek-coder"])
async def test_old_model_names_answer_without_thinking(caller: Caller, model: str):
    body = chat_body(model=model, thinking=...)
    reply = await caller.send("POST", "/chat/completions", json=body)
    assert reply.json["model"] == "deepseek-flash"
    assert "reasoning_content" not in reply.json["choices"][0]["message"]
    assert caller.simulator.requests[0].body["model"] == model


async def test_the_live_service_refuses_names_that_only_tutorials_know(start: Start):
    caller = await start(live_only=True)
    for model in ("deepseek-code", "ft:deepseek-base:ft-1"):
        reply = await caller.chat(model=model)
        assert (reply.status, model in reply.message) == (400, True)


async def test_faults_and_missing_keys_meet_these_services_too(caller: Caller):
    fault = {"x-simulate-fault": "overloaded"}
    assert (await caller.send("GET", "/fine_tunes", headers=fault)).status == 503
    async with caller.session.get(f"{caller.simulator.base_url}/fine_tunes") as response:
        assert response.status == 401
    assert (await caller.send("POST", "/embeddings", json=[1])).status == 422
    assert (
        await caller.send("POST", "/embeddings", data=b"{", headers={"Content-Type": "application/json"})
    ).status == 400


async def test_the_tutorials_own_pool_of_a_hundred_connections_is_served(caller: Caller):
    """Their `batch_call` as it is printed, with the key that it forgets."""
    url = f"{caller.simulator.base_url}/v1/completions"
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=100),
        headers=AUTHORIZATION,
    ) as session:
        tasks = []
        for prompt in map(str, range(300)):
            data = {"prompt": prompt, "model": "deepseek-chat"}
            tasks.append(asyncio.create_task(session.post(url, json=data)))
        responses = await asyncio.gather(*tasks)
        answers = [await r.json() for r in responses]
    assert [answer["choices"][0]["text"].split(".")[0] for answer in answers] == [f"Answer to: {n}" for n in range(300)]


async def test_the_tutorials_load_test_is_served(caller: Caller):
    """Their Locust user sends this body under the key `test_key`."""
    reply = await caller.send(
        "POST",
        "/v1/completions",
        json={"model": "deepseek-code", "prompt": "用Python实现快速排序"},
        headers={"Authorization": "Bearer test_key"},
    )
    assert reply.json["choices"][0]["finish_reason"] == "stop"
