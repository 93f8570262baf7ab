"""What type checkers must make of every resource. Never run: mypy --strict and pyright read it (scripts/check)."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, assert_type

from deepseek_async import (
    AsyncDeepSeek,
    ChatCompletion,
    ChatCompletionStream,
    Completion,
    CompletionStream,
    Endpoint,
    Response,
    ResponseStream,
    presets,
)
from deepseek_async.types import (
    CompletionUsage,
    CreateEmbeddingResponse,
    FileDeleted,
    FileList,
    FileObject,
    FineTune,
    FineTuneEvent,
    FineTuneEventList,
    FineTuneList,
    Image,
    ImagesResponse,
    ResponseStreamEvent,
    ResponseUsage,
)


async def completions(client: AsyncDeepSeek, stream: bool) -> None:
    done = await client.completions.create(model="deepseek-flash", prompt="def f(", suffix="return", max_tokens=9)
    assert_type(done, Completion)
    assert_type(done.choices[0].text, str)
    assert_type(done.usage, CompletionUsage | None)
    assert_type(await client.completions.create(model="m", prompt="p", stream=False), Completion)
    streamed = await client.completions.create(model="m", prompt="p", stream=True, **presets.CODE)
    assert_type(streamed, CompletionStream)
    async with streamed:
        async for chunk in streamed:
            assert_type(chunk, Completion)
    assert_type(streamed.completion, Completion)
    either = await client.completions.create(model="m", prompt="p", stream=stream)
    assert_type(either, Completion | CompletionStream)
    async with client.completions.stream(model="m", prompt="p") as other:
        assert_type(other, CompletionStream)


async def responses(client: AsyncDeepSeek, stream: bool) -> None:
    done = await client.responses.create(model="deepseek-flash", input="Hi", reasoning={"effort": "low"})
    assert_type(done, Response)
    assert_type(done.output_text, str)
    assert_type(done.output[0].arguments, str | None)
    assert_type(done.usage, ResponseUsage | None)
    items = [{"role": "user", "content": "Hi"}]
    assert_type(await client.responses.create(model="m", input=items, stream=False), Response)
    streamed = await client.responses.create(model="m", input=items, stream=True)
    assert_type(streamed, ResponseStream)
    async with streamed:
        async for event in streamed:
            assert_type(event, ResponseStreamEvent)
            assert_type(event.delta, str)
            assert_type(event.response, Response | None)
    assert_type(streamed.response, Response)
    assert_type(streamed.partial, Response)
    either = await client.responses.create(model="m", input="Hi", stream=stream)
    assert_type(either, Response | ResponseStream)
    async with client.responses.stream(model="m", input="Hi") as other:
        assert_type(other, ResponseStream)


async def embeddings(client: AsyncDeepSeek) -> None:
    answer = await client.embeddings.create(model="m", input=["a", "b"], encoding_format="base64", dimensions=8)
    assert_type(answer, CreateEmbeddingResponse)
    assert_type(answer.data[0].embedding, list[float])
    for vector in answer:
        assert_type(vector, list[float])
    await client.embeddings.create(model="m", input="a")
    await client.embeddings.create(model="m", input=[[1, 2], [3]])


async def images(client: AsyncDeepSeek) -> None:
    pictures = await client.images.generate(prompt="a fox", n=2, style="cyberpunk", response_format="b64_json")
    assert_type(pictures, ImagesResponse)
    for picture in pictures:
        assert_type(picture, Image)
        assert_type(picture.b64_json, str | None)


async def files(client: AsyncDeepSeek, opened: BinaryIO) -> None:
    made = await client.files.create(file=Path("train.jsonl"), purpose="fine-tune")
    assert_type(made, FileObject)
    await client.files.create(file=b"{}", purpose="fine-tune")
    await client.files.create(file=("train.jsonl", b"{}"), purpose="fine-tune")
    await client.files.create(file=opened, purpose="fine-tune")
    await client.files.create(file=("report.pdf", Path("report.pdf")), purpose="text_recognition", pages=12)
    life = {"anchor": "created_at", "seconds": 3600}
    assert_type(made.expires_at, int | None)
    await client.files.create(file=opened, purpose="user_data", expires_after=life, on_progress=print)
    await client.files.list(after=made.id, limit=10, order="desc", purpose="user_data")
    assert_type(await client.files.list(), FileList)
    assert_type(await client.files.retrieve(made.id), FileObject)
    assert_type(await client.files.delete(made.id), FileDeleted)


async def fine_tunes(client: AsyncDeepSeek) -> None:
    job = await client.fine_tunes.create(
        training_file="s3://bucket/data.jsonl",
        validation_file="s3://bucket/val.jsonl",
        model="deepseek-base",
        n_epochs=4,
        batch_size=32,
    )
    assert_type(job, FineTune)
    assert_type(job.hyperparams.n_epochs, int | None)
    assert_type(job.fine_tuned_model, str | None)
    assert_type(await client.fine_tunes.retrieve(job.id), FineTune)
    assert_type(await client.fine_tunes.cancel(job.id), FineTune)
    assert_type(await client.fine_tunes.list(), FineTuneList)
    events = await client.fine_tunes.events(job.id)
    assert_type(events, FineTuneEventList)
    for event in events:
        assert_type(event, FineTuneEvent)


async def sampled(client: AsyncDeepSeek) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    done = await client.chat.completions.create(model="deepseek-flash", messages=messages, **presets.CODE)
    assert_type(done, ChatCompletion)
    streamed = await client.chat.completions.create(
        model="deepseek-flash",
        messages=messages,
        stream=True,
        **presets.CREATIVE,
    )
    assert_type(streamed, ChatCompletionStream)
    await client.responses.create(model="m", input="Hi", temperature=presets.EXPERIMENTAL.get("temperature"))


async def elsewhere() -> None:
    async with AsyncDeepSeek(
        endpoints={"embeddings": "https://a.example/v1", "images": Endpoint("https://b.example/v1", "sk-b")},
    ) as client:
        assert_type(client, AsyncDeepSeek)
