"""How large a request and an answer may be is a setting of the client."""

from __future__ import annotations

import pytest
from support.clients import Connect, ask, failure_of, said_by
from support.servers import ANSWER, OPENING, Drip, Script, Serve, begun, head, http_chunk, response, said, streamed

from deepseek_async import (
    APIError,
    APIResponseValidationError,
    AsyncDeepSeek,
    ConfigurationError,
    InvalidRequestError,
    Limits,
)

SMALL = Limits(request=10_000, body=1_000_000, event=50_000)


@pytest.mark.parametrize(
    ("stream", "script", "told"),
    [
        pytest.param(
            False, [head(transfer_encoding="chunked"), Drip(http_chunk(b" " * 50_000), 0)], "exceeds", id="body"
        ),
        pytest.param(False, [response(b" " * 1_000_001)], "exceeds", id="body in one piece"),
        pytest.param(True, [begun(OPENING), Drip(http_chunk(b":\n" * 10_000), 0)], r"limits\.body", id="comments"),
        pytest.param(True, [begun(OPENING), Drip(http_chunk(said("x" * 1_000)), 0)], r"limits\.body", id="content"),
        pytest.param(True, [begun(OPENING), Drip(http_chunk(b"x" * 20_000), 0)], "exceeds", id="line"),
        pytest.param(True, [begun(OPENING), Drip(http_chunk(b"data: x\n" * 9_000), 0)], "exceeds", id="event"),
    ],
)
async def test_an_answer_past_a_limit_is_an_error_and_not_asked_for_again(
    serve: Serve,
    connect: Connect,
    stream: bool,
    script: Script,
    told: str,
):
    server = await serve(script)
    error = await failure_of(connect(server, limits=SMALL), stream=stream)
    cause = error.__cause__ or error
    assert isinstance(error, APIError)
    assert isinstance(cause, APIResponseValidationError)
    assert not cause.retryable
    assert len(server.requests) == 1
    with pytest.raises(APIError, match=told):
        raise error


async def test_an_answer_within_the_limits_is_taken(serve: Serve, connect: Connect):
    server = await serve([ANSWER], streamed("Hello"))
    client = connect(server, limits=SMALL)
    for stream in (False, True):
        assert await said_by(client, stream=stream) == "Hello"


async def test_a_request_past_the_limit_is_never_sent(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    client = connect(server, limits=SMALL)
    with pytest.raises(InvalidRequestError, match=r"limits\.request"):
        await ask(client, messages=[{"role": "user", "content": "x" * 10_000}])
    assert server.requests == []


@pytest.mark.parametrize("value", ["a\r\nX: 1", "a\nb", "a\0b"])
async def test_a_line_break_or_nul_in_a_name_is_refused_before_anything_is_sent(
    serve: Serve,
    connect: Connect,
    value: str,
):
    server = await serve([ANSWER])
    client = connect(server)
    for call in (
        lambda: ask(client, model=value),
        lambda: ask(client, user_id=value),
        lambda: ask(client, extra_headers={"X-Mine": value}),
        lambda: ask(client, extra_headers={value: "x"}),
        lambda: client.completions.create(model=value, prompt="x"),
        lambda: client.models.retrieve(value),
    ):
        with pytest.raises(InvalidRequestError):
            await call()
    assert server.requests == []


@pytest.mark.parametrize("wrong", [{"request": 0}, {"body": -1}, {"event": 1.5}, {"body": True}])
def test_a_wrong_limit_names_its_field(wrong: dict):
    with pytest.raises(ConfigurationError, match=rf"limits\.{next(iter(wrong))}"):
        Limits(**wrong)


def test_limits_of_another_kind_are_refused():
    with pytest.raises(ConfigurationError, match="limits"):
        AsyncDeepSeek(api_key="sk-any", limits=5)  # type: ignore[arg-type]
