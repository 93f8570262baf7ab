"""JSON that strict parsers refuse, over real sockets: what was paid for arrives, and what is spoilt is told."""

from __future__ import annotations

import json

import pytest
from support.clients import Connect, ask, failure_of, open_stream, said_by
from support.servers import (
    DONE,
    LAST_CHUNK,
    OPENING,
    STREAM_HEAD,
    Serve,
    answer,
    ending,
    http_chunk,
    response,
    said,
)

from deepseek_async import Cache, ContentRiskError

ODD = {
    "half a pair": rb'"\ud83d"',
    "NaN": b"NaN",
    "a number beyond all numbers": b"7" * 5000,
    "no UTF-8": b'"\xff"',
}
ODD_VALUES = pytest.mark.parametrize("odd", ODD.values(), ids=ODD)


def with_field(value: dict, odd: bytes) -> bytes:
    return json.dumps(value).encode()[:-1] + b', "odd": ' + odd + b"}"


@ODD_VALUES
async def test_an_answer_with_an_odd_field_that_nobody_declared_is_whole(serve: Serve, connect: Connect, odd: bytes):
    body = with_field(answer(), odd)
    done = await ask(connect(await serve([response(body)])))
    assert done.choices[0].message.content == "Hello"
    assert done.encoded() == body
    assert "odd" in done.to_dict()


@ODD_VALUES
async def test_members_of_a_list_keep_their_odd_fields(serve: Serve, connect: Connect, odd: bytes):
    listed = b'{"object": "list", "data": [{"id": "deepseek-flash", "odd": ' + odd + b"}]}"
    models = await connect(await serve([response(listed)])).models.list()
    assert models.data[0].id == "deepseek-flash"
    assert "odd" in models.data[0].to_dict()


@ODD_VALUES
async def test_a_chunk_with_an_odd_field_is_passed_on(serve: Serve, connect: Connect, odd: bytes):
    opening = b"data: " + with_field(json.loads(OPENING.removeprefix(b"data: ")), odd) + b"\n\n"
    events = opening + said("Hello") + ending() + DONE
    async with await open_stream(connect(await serve([STREAM_HEAD + http_chunk(events) + LAST_CHUNK]))) as stream:
        chunks = [chunk async for chunk in stream]
    assert "odd" in chunks[0].to_dict()
    assert stream.completion.choices[0].message.content == "Hello"


@ODD_VALUES
async def test_a_response_that_ends_with_odd_json_is_whole(serve: Serve, connect: Connect, odd: bytes):
    if odd == ODD["no UTF-8"]:
        odd = b'"\xc3\xa4"'  # an event of this kind is declared whole, and spoilt text in it is a fault
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}
    whole = with_field({"id": "r1", "status": "completed", "output": [item]}, odd)
    events = b'data: {"type": "response.completed", "response": ' + whole + b"}\n\n"
    client = connect(await serve([STREAM_HEAD + http_chunk(events) + LAST_CHUNK]))
    async with await client.responses.create(model="deepseek-flash", input="Hi", stream=True) as stream:
        async for _ in stream:
            pass
    assert stream.response.output_text == "Hello"


async def test_an_error_in_a_stream_whose_name_is_spoilt_is_no_chunk(serve: Serve, connect: Connect):
    spoilt = b'data: {"err\xffor": {"message": "overloaded"}}\n\n'
    server = await serve([STREAM_HEAD + http_chunk(OPENING + said("He") + spoilt + said("llo") + ending() + DONE)])
    error = await failure_of(connect(server), stream=True)
    assert "does not match the API's format" in str(error)
    assert error.partial.choices[0].message.content == "He"


@pytest.mark.parametrize("odd", [b"\xef\xbb\xbf", b""], ids=["byte order mark", "NaN"])
async def test_a_refusal_in_odd_json_says_what_the_server_said(serve: Serve, connect: Connect, odd: bytes):
    body = odd + b'{"error": {"message": "Content Exists Risk", "code": NaN}}'
    error = await failure_of(connect(await serve([response(body, 400)])), stream=False)
    assert type(error) is ContentRiskError
    assert str(error).startswith("400: Content Exists Risk")
    assert error.body["message"] == "Content Exists Risk"


@pytest.mark.parametrize("stream", [False, True])
@ODD_VALUES
async def test_an_odd_answer_is_served_again_from_the_cache(serve: Serve, connect: Connect, odd: bytes, stream: bool):
    # Spoilt bytes and half a pair at once would be too much of it.
    content = "Hello" if odd == ODD["no UTF-8"] else "half \ud83d"
    server = await serve([response(b"\n" + with_field(answer(content), odd))])
    client = connect(server, cache=Cache(), lint="off")
    settings = {"temperature": 0, "thinking": {"type": "disabled"}}
    for streamed in (False, stream):
        assert await said_by(client, stream=streamed, **settings) == content
    assert len(server.requests) == 1
