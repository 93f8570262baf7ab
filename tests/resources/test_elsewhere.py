"""Embeddings, images, files and fine-tunes: against a server that has them, and against one that has not."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulating import Simulate
from support.clients import Connect
from support.servers import RESET, Serve, response

from deepseek_async import (
    APIConnectionError,
    APIResponseValidationError,
    AsyncDeepSeek,
    AuthenticationError,
    ConflictError,
    Endpoint,
    InvalidRequestError,
    NotFoundError,
)
from deepseek_async.codec.multipart import MultipartForm


async def test_texts_become_vectors_in_their_order(client: AsyncDeepSeek):
    answer = await client.embeddings.create(model="deepseek-embedding", input=["a cat", "a dog", "a cat"])
    one, two, three = answer
    assert one == three != two
    assert [entry.index for entry in answer.data] == [0, 1, 2]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    assert "1024 numbers" in repr(answer.data[0])


@pytest.mark.parametrize(
    "body", [{"embeddings": [[1.0, 2.0]]}, {"data": []}, {}], ids=["another API's", "empty", "none"]
)
async def test_an_answer_without_vectors_is_bought_once_and_is_an_error(serve: Serve, connect: Connect, body: dict):
    server = await serve([response(body)])
    with pytest.raises(APIResponseValidationError, match="no vectors"):
        await connect(server).embeddings.create(model="m", input="a")
    assert len(server.requests) == 1


async def test_a_vector_is_the_same_however_it_travelled(client: AsyncDeepSeek):
    plain, packed = [
        await client.embeddings.create(model="m", input="text", dimensions=8, encoding_format=encoding)
        for encoding in ("float", "base64")
    ]
    assert plain.data[0].embedding == packed.data[0].embedding
    assert isinstance(packed.to_dict()["data"][0]["embedding"], str)


async def test_the_vector_of_tokens_can_be_asked_for(client: AsyncDeepSeek):
    assert len((await client.embeddings.create(model="m", input=[[1, 2], [3]])).data) == 2


@pytest.mark.parametrize("wrong", ["", [], {"a": 1}])
async def test_nothing_to_embed_is_refused(client: AsyncDeepSeek, wrong: Any):
    with pytest.raises(InvalidRequestError, match="input"):
        await client.embeddings.create(model="m", input=wrong)


async def test_undeclared_fields_of_a_vector_and_a_picture_are_reachable(serve: Serve, connect: Connect):
    server = await serve(
        [response({"data": [{"embedding": [0.5], "mood": "fine"}], "novelty": 1})],
        [response({"data": [{"url": "u", "mood": "fine"}]})],
    )
    client = connect(server)
    vectors = await client.embeddings.create(model="m", input="a", user="u", extra_body={"truncate": True})
    assert (vectors.data[0].mood, vectors.novelty) == ("fine", 1)
    assert server.requests[0].json() == {"model": "m", "input": "a", "user": "u", "truncate": True}
    assert (await client.images.generate(prompt="p")).data[0].mood == "fine"


async def test_pictures_are_drawn_in_the_recommended_size(client: AsyncDeepSeek):
    pictures = await client.images.generate(
        prompt="a fox",
        n=2,
        style="cartoon",
        response_format="b64_json",
    )
    assert len(list(pictures)) == 2
    assert base64.b64decode(pictures.data[0].b64_json or "")[16:24] == bytes((0, 0, 4, 0, 0, 0, 4, 0))
    assert pictures.data[0].revised_prompt == "a fox (cartoon)"


async def test_the_tutorials_names_of_image_parameters_go_out_as_they_are(serve: Serve, connect: Connect):
    server = await serve([response({"data": [{"url": "u"}]})])
    await connect(server).images.generate(prompt="p", num_images=4, style="cyberpunk", extra_body={"seed": 1})
    wanted = {"prompt": "p", "size": "1024x1024", "num_images": 4, "style": "cyberpunk", "seed": 1}
    assert server.requests[0].json() == wanted


@pytest.mark.parametrize(
    "wrong",
    [{"prompt": ""}, {"n": 0}, {"n": 5}, {"num_images": 5}, {"n": 1, "num_images": 1}, {"style": "cubist"}],
)
async def test_pictures_that_cannot_be_drawn_are_refused_before_anything_is_sent(
    serve: Serve,
    connect: Connect,
    wrong: dict[str, Any],
):
    server = await serve([response({})])
    with pytest.raises(InvalidRequestError):
        await connect(server).images.generate(**{"prompt": "p", **wrong})
    assert server.requests == []


async def test_a_file_goes_up_and_can_be_listed_and_deleted(client: AsyncDeepSeek, tmp_path: Path):
    path = tmp_path / "dätä.jsonl"
    path.write_bytes(b'{"messages": []}\n')
    made = await client.files.create(file=path, purpose="fine-tune")
    assert (made.filename, made.bytes, made.purpose) == ("dätä.jsonl", 17, "fine-tune")
    assert [file.id for file in await client.files.list()] == [made.id]
    assert (await client.files.retrieve(made.id)).created_at == made.created_at
    assert (await client.files.delete(made.id)).deleted
    assert list(await client.files.list()) == []
    with pytest.raises(NotFoundError, match="No such file"):
        await client.files.retrieve(made.id)


async def test_a_file_may_be_bytes_or_open_or_have_a_name_of_its_own(client: AsyncDeepSeek, tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc")
    with path.open("rb") as opened:
        names = [
            (await client.files.create(file=file, purpose="fine-tune")).filename
            for file in (b"abc", opened, ("b.txt", b"abc"), ("c.txt", io.BytesIO(b"abc")), str(path))
        ]
    assert names == ["upload", "a.txt", "b.txt", "c.txt", "a.txt"]


async def test_a_file_that_cannot_go_up_is_refused(client: AsyncDeepSeek, tmp_path: Path):
    with pytest.raises(InvalidRequestError, match="cannot read file"):
        await client.files.create(file=tmp_path / "none", purpose="fine-tune")
    with pytest.raises(InvalidRequestError, match="binary mode"):
        await client.files.create(file=io.StringIO("x"), purpose="fine-tune")  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError, match="67,108,864"):
        await client.files.create(file=b"\x89PNG\r\n" + bytes(64 * 1024 * 1024), purpose="user_data")
    with pytest.raises(InvalidRequestError, match="file_id"):
        await client.files.delete("")


async def test_a_large_file_arrives_whole(client: AsyncDeepSeek):
    made = await client.files.create(file=bytes(range(256)) * 10_000, purpose="fine-tune")
    assert made.bytes == 2_560_000


@given(st.binary(max_size=50), st.text(st.characters(exclude_categories=["Cs"]), max_size=10))
def test_a_form_ends_only_where_its_boundary_says(content: bytes, name: str):
    form = MultipartForm({"purpose": "p"}, name, content)
    wire, content_type = form.encoded(), form.header
    boundary = content_type.partition("boundary=")[2].encode()
    assert wire.count(b"--" + boundary) == 3
    head, _, rest = wire.partition(b"Content-Type: application/octet-stream\r\n\r\n")
    assert rest == content + b"\r\n--" + boundary + b"--\r\n"
    assert head.count(b"\r\n") == 6
    assert MultipartForm({"purpose": "p"}, name, content).encoded() == wire


async def test_a_model_is_tuned_and_then_called_by_its_new_name(client: AsyncDeepSeek):
    file = await client.files.create(file=("train.jsonl", b"{}\n"), purpose="fine-tune")
    job = await client.fine_tunes.create(
        training_file=file.id,
        validation_file="s3://bucket/val.jsonl",
        model="deepseek-base",
        n_epochs=4,
        batch_size=32,
    )
    assert (job.hyperparams.n_epochs, job.hyperparams.batch_size, job.fine_tuned_model) == (4, 32, None)
    while job.status != "succeeded":
        job = await client.fine_tunes.retrieve(job.id)
    assert [event.level for event in await client.fine_tunes.events(job.id)] == ["info"] * 3
    assert [listed.id for listed in await client.fine_tunes.list()] == [job.id]
    assert job.fine_tuned_model
    done = await client.chat.completions.create(
        model=job.fine_tuned_model,
        messages=[{"role": "user", "content": "Hi"}],
    )
    assert done.choices[0].message.content


async def test_a_job_that_has_ended_cannot_be_cancelled(client: AsyncDeepSeek):
    job = await client.fine_tunes.create(training_file="s3://b/t.jsonl", model="deepseek-base")
    assert (await client.fine_tunes.cancel(job.id)).status == "cancelled"
    with pytest.raises(ConflictError):
        await client.fine_tunes.cancel(job.id)


async def test_a_job_is_not_started_a_second_time(serve: Serve, connect: Connect):
    server = await serve([RESET])
    with pytest.raises(APIConnectionError):
        await connect(server, retry=1).fine_tunes.create(training_file="s3://b/t.jsonl", model="deepseek-base")
    assert [request.method for request in server.requests] == ["POST", "GET"], "it was only looked for"


@pytest.mark.parametrize("wrong", [{"training_file": ""}, {"model": ""}, {"n_epochs": 0}, {"batch_size": True}])
async def test_a_job_that_cannot_be_started_is_refused(client: AsyncDeepSeek, wrong: dict[str, Any]):
    with pytest.raises(InvalidRequestError, match=next(iter(wrong))):
        await client.fine_tunes.create(**{"training_file": "s3://b/t", "model": "m", **wrong})


NOT_AT_DEEPSEEK = {
    "embeddings": lambda client: client.embeddings.create(model="m", input="a"),
    "images": lambda client: client.images.generate(prompt="p"),
    "fine_tunes": lambda client: client.fine_tunes.list(),
}


@pytest.mark.parametrize("family", NOT_AT_DEEPSEEK)
async def test_where_there_is_none_the_error_names_the_setting_that_helps(live: AsyncDeepSeek, family: str):
    with pytest.raises(NotFoundError) as caught:
        await NOT_AT_DEEPSEEK[family](live)
    assert f'AsyncDeepSeek(endpoints={{"{family}": "https://…/v1"}})' in caught.value.message
    assert (caught.value.status_code, caught.value.attempts) == (404, 1)
    assert caught.value.request_id


@pytest.mark.parametrize("family", NOT_AT_DEEPSEEK)
async def test_the_setting_helps(simulate: Simulate, connect: Connect, family: str):
    live = await simulate(live_only=True)
    other = await simulate(api_keys=frozenset({"sk-other-0123456789abcdef"}))
    endpoint = Endpoint(f"{other.base_url}/v1", "sk-other-0123456789abcdef")
    client = connect(live.base_url, endpoints={family: endpoint})
    await NOT_AT_DEEPSEEK[family](client)
    assert (len(live.requests), len(other.requests)) == (0, 1)


async def test_a_server_with_a_key_of_its_own_gets_none_unless_it_is_named(simulate: Simulate, connect: Connect):
    other = await simulate()
    client = connect((await simulate()).base_url, endpoints={"embeddings": other.base_url})
    with pytest.raises(AuthenticationError):
        await client.embeddings.create(model="m", input="a")
    assert "authorization" not in other.requests[0].headers


async def test_a_missing_object_is_not_a_missing_service(client: AsyncDeepSeek):
    with pytest.raises(NotFoundError, match="No such fine-tune: ft-x") as caught:
        await client.fine_tunes.retrieve("ft-x")
    assert "endpoints=" not in caught.value.message
