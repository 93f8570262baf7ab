"""Failures of many kinds, and the key is in nothing that they leave behind."""

from __future__ import annotations

import asyncio
import io
import logging
import pickle
import socket
import warnings
from collections.abc import Iterator

import pytest
from support.clients import Connect, said_by
from support.disclosure import SECRET, everything_shown_by
from support.servers import ANSWER, CANARY, CLOSE, RESET, SILENCE, Serve, begun, event, head, response, said

from deepseek_async import AsyncDeepSeek, ConfigurationError, DeepSeekError, Endpoint, Timeouts
from deepseek_async.configuration.credential import ApiKey
from deepseek_async.text.redaction import redact


@pytest.fixture(autouse=True)
def logged() -> Iterator[io.StringIO]:
    """Everything that anybody logs, down to DEBUG; the key must not be in it."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield output
    root.removeHandler(handler)
    root.setLevel(level)
    assert SECRET not in output.getvalue()


ECHO = f'{{"error": {{"message": "Bad key {CANARY}", "type": "Bearer {CANARY}", "code": "{CANARY}"}}}}'.encode()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "script",
    [
        pytest.param([response(ECHO, 401)], id="401 that echoes it"),
        pytest.param([response(ECHO, 500)], id="500 that echoes it"),
        pytest.param([response(f"Authorization: Bearer {CANARY}".encode(), 400)], id="text that echoes it"),
        pytest.param([response(f"<title>{CANARY}</title>".encode(), 502)], id="HTML that echoes it"),
        pytest.param([head(x_long=CANARY * 10_000), CLOSE], id="header that echoes it"),
        pytest.param([f"HTTP/1.1 {CANARY}\r\n\r\n".encode(), CLOSE], id="status line that echoes it"),
        pytest.param([response(b"", 307, location=f"https://x.invalid/{CANARY}")], id="redirect that echoes it"),
        pytest.param([RESET], id="reset"),
        pytest.param([CLOSE], id="close"),
        pytest.param([ANSWER[:-9], RESET], id="reset in the body"),
        pytest.param([begun(said("x")), RESET], id="reset in the stream"),
        pytest.param([SILENCE], id="silence"),
        pytest.param([head(), SILENCE], id="silence after the head"),
    ],
)
async def test_the_errors_of_a_call_do_not_show_it(serve: Serve, connect: Connect, script: list, stream: bool):
    server = await serve(script)
    client = connect(server, retry=2, timeout=Timeouts(headers=0.1, idle=0.1, total=0.5))
    with pytest.raises(DeepSeekError) as caught:
        await said_by(client, stream=stream)
    assert SECRET not in everything_shown_by(caught.value)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "script",
    [
        pytest.param([response(f"<html>{CANARY}".encode())], id="200 that echoes it"),
        pytest.param([response(ECHO)], id="error object that echoes it"),
        pytest.param([response(f'{{"choices": [], "key": "{CANARY}"}}'.encode())], id="answer that echoes it"),
        pytest.param(
            [response(f'{{"choices": {{"{CANARY}": 1}}}}'.encode())], id="answer in another form that echoes it"
        ),
        pytest.param([response(event(ECHO.decode()))], id="error event in the place of an answer that echoes it"),
        pytest.param([begun(said("x"), event(ECHO.decode())), SILENCE], id="error event that echoes it"),
        pytest.param([begun(said("x"), f"data: {CANARY}\n\n".encode()), SILENCE], id="event that echoes it"),
    ],
)
async def test_answers_that_echo_it_do_not_show_it(serve: Serve, connect: Connect, script: list, stream: bool):
    server = await serve(script)
    client = connect(server, retry=2, timeout=Timeouts(headers=0.1, idle=0.1, total=0.5))
    with pytest.raises(DeepSeekError) as caught:
        await said_by(client, stream=stream)
    assert SECRET not in everything_shown_by(caught.value)


@pytest.mark.parametrize("status", [401, 404, 500])
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda client: client.completions.create(model="m", prompt="p"), id="completions"),
        pytest.param(lambda client: client.completions.create(model="m", prompt="p", stream=True), id="text stream"),
        pytest.param(lambda client: client.responses.create(model="m", input="i", stream=True), id="response stream"),
        pytest.param(lambda client: client.embeddings.create(model="m", input="i"), id="embeddings"),
        pytest.param(lambda client: client.images.generate(prompt="p"), id="images"),
        pytest.param(lambda client: client.files.create(file=b"x", purpose="fine-tune"), id="files"),
        pytest.param(lambda client: client.fine_tunes.create(model="m", training_file="f"), id="fine_tunes"),
    ],
)
async def test_the_errors_of_other_resources_do_not_show_it(serve: Serve, connect: Connect, call, status: int):
    server = await serve([response(f"Bearer {CANARY}".encode() if status == 404 else ECHO, status)])
    client = connect(server, retry=1, endpoints={"responses": Endpoint(f"{server.url}/v1", CANARY)})
    with pytest.raises(DeepSeekError) as caught:
        await call(client)
    assert SECRET not in everything_shown_by(caught.value)


async def test_a_connection_that_fails_does_not_show_it(connect: Connect):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = connect(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(DeepSeekError) as caught:
            await said_by(client, stream=False)
    assert SECRET not in everything_shown_by(caught.value)


async def test_a_header_that_cannot_be_sent_does_not_show_it(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    with pytest.raises(DeepSeekError) as caught:
        await said_by(connect(server), stream=False, extra_headers={"X-Mine": f"{CANARY}\r\n"})
    shown = everything_shown_by(caught.value).replace(repr(f"{CANARY}\r\n"), "the caller's own header")
    assert SECRET not in shown


async def test_a_cancelled_call_does_not_show_it(serve: Serve, connect: Connect):
    server = await serve([SILENCE])
    task = asyncio.ensure_future(said_by(connect(server), stream=False))
    await server.arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert SECRET not in everything_shown_by(caught.value)


async def test_nothing_of_a_client_shows_it(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    client = connect(server)
    await said_by(client, stream=False)
    session = client._context.caller().transport
    parts = [
        client,
        client.settings,
        client.settings.api_key,
        vars(client),
        session,
        vars(session),
        client._context.caller(),
    ]
    parts += [session._fields, session._heads, session._connector, vars(session._connector)]
    parts += [client.chat.completions, client.models]
    for part in parts:
        assert SECRET not in f"{part!r} {part} {[part]}"


async def test_warnings_do_not_show_it(serve: Serve, connect: Connect):
    server = await serve([ANSWER])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await said_by(connect(server), stream=False, seed=1, user="u")
    assert len(caught) == 2
    assert SECRET not in " ".join(str(warned.message) for warned in caught)


@pytest.mark.parametrize(
    "wrong",
    [{"base_url": "nonsense"}, {"max_concurrency": 0}, {"timeout": -1}, {"retry": 0}, {"proxy": None, "timeout": 0}],
)
def test_a_wrong_setting_beside_it_does_not_show_it(monkeypatch: pytest.MonkeyPatch, wrong: dict):
    monkeypatch.setenv("DEEPSEEK_API_KEY", CANARY)
    for given in ({}, {"api_key": CANARY}):
        with pytest.raises(ConfigurationError) as caught:
            AsyncDeepSeek(**given, **wrong)
        assert SECRET not in everything_shown_by(caught.value)


@pytest.mark.parametrize("wrong", [f"{CANARY} x", f"{CANARY}\n x", f"{CANARY}ü", f'"{CANARY}" "'])
def test_a_key_that_cannot_be_one_is_not_shown(monkeypatch: pytest.MonkeyPatch, wrong: str):
    monkeypatch.setenv("DEEPSEEK_API_KEY", wrong)
    with pytest.raises(ConfigurationError) as caught:
        AsyncDeepSeek()
    assert SECRET not in everything_shown_by(caught.value)


def test_a_key_shows_its_last_characters_at_most():
    key = ApiKey(CANARY)
    for shown in (repr(key), str(key), f"{key}", f"{key:>40}", f"{[key]}", f"{ {'a': key} }"):
        assert SECRET not in shown
        assert "TAIL" in shown
    assert "hort" not in repr(ApiKey("sk-short"))
    assert SECRET not in repr([key.authorization()])
    with pytest.raises(TypeError):
        pickle.dumps(key)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        (f"key {CANARY}.", "key sk-…."),
        (f"Authorization: Bearer {CANARY}", "Authorization: Bearer sk-…"),
        ('{"a": "bearer abc.def"}', '{"a": "bearer sk-…"}'),
        ("a task-force of disk-drives", "a task-force of disk-drives"),
    ],
)
def test_what_looks_like_a_key_is_redacted_and_nothing_else(text: str, safe: str):
    assert redact(text) == safe
