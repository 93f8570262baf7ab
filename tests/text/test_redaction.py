"""A client's own keys, whatever they look like and whoever names them: nobody gets to see them."""

from __future__ import annotations

import asyncio
import base64
import gc
import html
import io
import json
import logging
import pickle
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.clients import Connect, failure_of
from support.disclosure import everything_shown_by
from support.servers import CANARY, SILENCE, Serve, answer, begun, event, response, said

from deepseek_async import AsyncDeepSeek, ConfigurationError, DeepSeekError, Endpoint, Timeouts
from deepseek_async.batch.line_encoder import encode_line
from deepseek_async.batch.result import BatchResult
from deepseek_async.codec.status_errors import MAX_QUOTED, status_error, status_error_in_stream
from deepseek_async.configuration.credential import ApiKey
from deepseek_async.errors import APIConnectionError
from deepseek_async.observe.audit.record import call_line
from deepseek_async.observe.logs import CallLog
from deepseek_async.text.quoting import quote as quoted
from deepseek_async.text.redaction import MASK, MaskedValues, is_suspect, mask_known, redact
from deepseek_async.transport.header_fields import checked

PRINTABLE = string.ascii_letters + string.digits + string.punctuation

KEYS = st.text(PRINTABLE, min_size=8, max_size=80).filter(lambda key: key not in MASK * 9)
TEXTS = st.text(max_size=30)

SHAPES = [
    CANARY,
    "gsk_canary0123456789abcdefTAIL",
    "0123456789abcdef0123456789abcdef",
    "123456789012345678",
    "sk.canary.0123456789abcdef",
    "sk-or-v1+canary/0123456789==",
    "canary:with{odd}[signs]<&>%2F\\ends",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl_-",
]


def key_of(text: str) -> ApiKey:
    try:
        key = ApiKey(text)
    except ConfigurationError:
        assume(False)
        raise
    assume(key.authorization() == f"Bearer {text}")
    return key


WRITINGS = {
    "as it is": str,
    "in JSON": lambda text: json.dumps(text)[1:-1],
    "in JSON with slashes escaped": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "in Python": lambda text: repr(text)[1:-1],
    "in a URL": lambda text: quote(text, safe=""),
    "in a path": quote,
    "in a form": quote_plus,
    "in a URL of small letters": lambda text: "".join(
        f"%{ord(sign):02x}" if sign in string.punctuation else sign for sign in text
    ),
    "in HTML": html.escape,
}


@pytest.mark.parametrize("writing", WRITINGS)
@given(key=KEYS, before=TEXTS, after=TEXTS)
def test_a_key_of_any_shape_is_masked_however_it_is_written(writing: str, key: str, before: str, after: str):
    write = WRITINGS[writing]
    held = key_of(key)
    shown = redact(f"{before}{write(key)}{after}")
    assert write(key) not in shown
    assert MASK in shown
    del held


@given(st.lists(KEYS, min_size=1, max_size=4), st.lists(st.integers(0, 3), max_size=6))
def test_keys_that_hold_one_another_are_all_masked(keys: list[str], order: list[int]):
    held = [key_of(key) for key in (*keys, keys[0] + keys[-1], keys[0][:9])]
    text = " ".join([*(keys[place % len(keys)] for place in order), keys[0] + keys[-1]])
    shown = redact(text)
    assert not any(key in shown for key in keys)
    del held


@given(key=KEYS, before=TEXTS, kept=st.integers(0, 80))
def test_half_a_key_at_the_end_of_a_text_that_was_cut_is_masked(key: str, before: str, kept: int):
    held = key_of(key)
    half = key[:kept]
    shown = redact(before + half, cut=True)
    assert len(half) < 4 or not shown.endswith(half)
    del held


@pytest.mark.parametrize("key", ["test", "k", "none"])
def test_a_short_key_is_masked_where_it_stands_alone_and_not_inside_of_words(key: str):
    held = ApiKey(key)
    assert redact(f"key {key} is mistyped: '{key}'") == f"key {MASK} is mistyped: '{MASK}'"
    for word in (f"a{key}b", f"a_{key}", f"{key}-b"):
        assert redact(word) == word
    del held


def test_a_key_is_known_as_long_as_somebody_holds_it():
    key = ApiKey("gsk_somebody_holds_this")
    assert redact("gsk_somebody_holds_this") == MASK
    del key
    gc.collect()
    assert redact("gsk_somebody_holds_this") == "gsk_somebody_holds_this"


def test_what_holds_a_key_shows_nothing_of_it():
    known = MaskedValues("gsk_canary0123456789")
    assert "canary" not in f"{known} {known!r} {known.values}"


@pytest.mark.parametrize("unit", ["\\", '"', "&#", "%", ":/", "sk-", "canary"])
@pytest.mark.timeout(20)
def test_a_hostile_text_is_searched_in_no_time(unit: str):
    held = [ApiKey(text) for text in ("\\" * 30 + "a", ':"/' * 9, "sk-" * 9, "canary" * 9)]
    redact(unit * (60_000 // len(unit)), cut=True)
    del held


PLACES: dict[str, Any] = {
    "message": lambda key: {"error": {"message": f"Your api key: {key} is invalid"}},
    "every field": lambda key: {"error": {"message": key, "type": key, "code": key, "param": key}},
    "a name": lambda key: {"error": {"message": "no", key: "x"}},
    "deep inside": lambda key: {
        "error": {"message": "no", "request": {"headers": [["Authorization", f"Bearer {key}"]]}}
    },
    "a text": lambda key: {"error": key},
    "a detail": lambda key: {"detail": [{"msg": f"bad {key}", "input": {"key": key}}]},
    "the whole": lambda key: {key: {key: key}},
}


@pytest.mark.parametrize("place", PLACES)
@given(key=KEYS, status=st.sampled_from([307, 400, 401, 402, 403, 404, 413, 422, 429, 500, 503]))
def test_no_refusal_shows_a_key_wherever_the_server_puts_it(place: str, key: str, status: int):
    held = key_of(key)
    body = PLACES[place](key)
    headers = {"x-ds-trace-id": key, "location": f"https://x.invalid/?k={quote(key)}"}
    errors = [
        status_error(status, headers, json.dumps(body).encode(), now=0.0),
        status_error_in_stream(body.get("error", body), headers, now=0.0),
    ]
    for error in errors:
        loaded = pickle.loads(pickle.dumps(error))
        for shown in (str(error), *error.args, *texts_of(vars(error)), *texts_of(vars(loaded))):
            assert key not in shown
    del held


@given(
    key=KEYS,
    before=st.text(PRINTABLE + " ", max_size=40),
    fill=st.integers(MAX_QUOTED * 8 - 200, MAX_QUOTED * 8 + 10) | st.integers(0, 300) | st.integers(1900, 2100),
    page=st.sampled_from(["{}", "<html><title>{}</title></html>", "<b>{}</b>"]),
)
def test_no_text_shows_a_key_or_a_half_wherever_it_is_cut(key: str, before: str, fill: int, page: str):
    held = key_of(key)
    wire = page.format("<i>" * (fill // 3) + before + key).encode()
    error = status_error(500, {}, wire, now=0.0)
    for shown in (str(error), str(error.body), quoted(wire), quoted(b"." * 190 + key.encode())):
        assert html.escape(key) not in shown
        assert key[: max(8, len(key) // 2)] not in shown or key[: max(8, len(key) // 2)] in MASK + page
    del held


@pytest.mark.parametrize("number", [123456789012345678, 1234567890.12345])
def test_a_key_of_digits_is_masked_as_a_number_too(number: float):
    held = ApiKey(str(number))
    error = status_error(
        400, {}, json.dumps({"error": {"message": "no", "key": number, "keys": [number]}}).encode(), now=0.0
    )
    assert str(number) not in f"{error} {error.body}"
    assert status_error(400, {}, b'{"error": {"n": 7, "b": true, "z": null}}', now=0.0).body == {
        "n": 7,
        "b": True,
        "z": None,
    }
    del held


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from texts_of(name)
            yield from texts_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_of(item)
    else:
        yield str(value)


@pytest.fixture
def nothing_logged(key: str) -> Iterator[None]:
    """Nothing that anybody logs, down to DEBUG, shows ``key``."""
    output, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(output), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield
    root.removeHandler(handler)
    root.setLevel(level)
    assert key not in output.getvalue()


def scripts(key: str) -> dict[str, Any]:
    wire = json.dumps({"error": {"message": f"Bad key {key}", "type": f"Bearer {key}", "code": key}}).encode()
    return {
        "refused": [response(wire, 401, x_request_id=key, www_authenticate=f"Bearer {key}")],
        "failed": [response(wire, 500)],
        "told in HTML": [response(f"<title>{html.escape(key)}</title>".encode(), 502)],
        "redirected": [response(b"", 307, location=f"https://x.invalid/{quote(key)}")],
        "an error in a 200": [response(wire)],
        "no JSON": [response(f"<html>{key}".encode())],
        "no answer": [response(json.dumps({"choices": [], "key": key}).encode())],
        "an odd ending": [response(answer(finish_reason=key, model=key, id=key))],
        "an error in a stream": [begun(said("x"), event(wire.decode())), SILENCE],
        "a broken event": [begun(said("x"), f"data: {key}\n\n".encode()), SILENCE],
        "no HTTP": [f"HTTP/1.1 {key}\r\n\r\n".encode()],
    }


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("script", scripts(""))
@pytest.mark.parametrize("key", SHAPES)
@pytest.mark.usefixtures("nothing_logged")
async def test_nothing_that_a_call_leaves_behind_shows_its_key(
    serve: Serve,
    connect: Connect,
    key: str,
    script: str,
    stream: bool,
):
    server = await serve(scripts(key)[script])
    events: list[Any] = []
    timeout = Timeouts(headers=0.1, idle=0.1, total=0.5)
    client = connect(server, api_key=key, retry=2, timeout=timeout, listeners=[events.append, CallLog()])
    error = await failure_of(client, stream=stream)
    assert key not in f"{error.partial} {error.billed_attempts}"
    # Fields of an answer are data and as they came, also in a pickle; only what shows them is not.
    error.partial, error.billed_attempts = None, ()
    assert key not in everything_shown_by(error)
    assert key not in " ".join(texts_of(vars(error)))
    ended = events[-1]
    told = [value for name in ended.__struct_fields__ if isinstance(value := getattr(ended, name), str)]
    assert key not in " ".join(told)
    assert key.encode() not in call_line(ended, content=True)
    assert key.encode() not in encode_line(BatchResult(index=0, error=error), "a", 1)


async def test_what_an_answer_says_of_itself_does_not_show_a_key_in_events_and_audit(serve: Serve, connect: Connect):
    key = "gsk_canary0123456789abcdefTAIL"
    server = await serve([response(answer(f"your key is {key}", model=key, id=f"chatcmpl-{key}"))])
    events: list[Any] = []
    client = connect(server, api_key=key, listeners=[events.append])
    done = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert done.choices[0].message.content == f"your key is {key}", "data is the user's, and stays as it is"
    (ended,) = events
    assert key not in f"{ended.served_model} {ended.response_id} {ended.answer}"
    assert key.encode() not in call_line(ended, content=True)


@pytest.mark.parametrize("key", SHAPES)
async def test_keys_of_other_servers_and_of_headers_are_masked_as_well(serve: Serve, connect: Connect, key: str):
    wire = json.dumps({"error": {"message": f"who are you? {key} {quote(key)}"}}).encode()
    server = await serve([response(wire, 401)])
    elsewhere = connect(server, endpoints={"embeddings": Endpoint(f"{server.url}/v1", key)})
    with pytest.raises(DeepSeekError) as caught:
        await elsewhere.embeddings.create(model="m", input="x")
    assert key not in everything_shown_by(caught.value)
    for options in ({"default_headers": {"X-Api-Key": key}}, {"default_headers": {"Cookie": f"session {key}"}}):
        error = await failure_of(connect(server, **options), stream=False)
        assert key not in everything_shown_by(error)
    error = await failure_of(connect(server), stream=False, extra_headers={"X-Gateway-Token": key})
    # Without locals: the headers of one call are the caller's own mapping.
    assert key not in everything_shown_by(error, capture_locals=False)


@pytest.mark.parametrize("password", ["p4ss-canary-word", "canary@:/%word", "canäry word"])
@pytest.mark.parametrize("status", [403, 407, 500])
async def test_the_password_of_a_proxy_is_masked_in_every_form(
    serve: Serve,
    connect: Connect,
    password: str,
    status: int,
):
    encoded = base64.b64encode(f"me:{password}".encode()).decode()
    wire = json.dumps({"error": {"message": f"{password} {quote(password, safe='')} Basic {encoded}"}}).encode()
    proxy = await serve([response(wire, status, proxy_authenticate=f"Basic {encoded}")])
    url = f"http://me:{quote(password, safe='')}@127.0.0.1:{proxy.port}"
    error = await failure_of(connect("http://127.0.0.1:9", proxy=url), stream=False)
    assert len(proxy.requests) > 0
    shown = everything_shown_by(error)
    for form in (password, quote(password, safe=""), encoded, json.dumps(password)[1:-1]):
        assert form not in shown


def test_a_header_that_lets_nobody_in_is_not_masked():
    fields = checked("default_headers", {"X-Title": "My research", "X-Team": "search"})
    assert redact("My research of search") == "My research of search"
    assert "My research" in repr(fields)


@pytest.mark.parametrize("content", [False, True])
def test_the_audit_log_knows_what_may_hold_a_key(content: bool):
    held = ApiKey("gsk_canary0123456789")
    assert is_suspect(b'{"prompt": "gsk_canary0123456789"}')
    assert not is_suspect(b'{"prompt": "a task"}')
    assert mask_known("sk-looks-like-one") == "sk-looks-like-one", "data that is no key of ours is left alone"
    del held


WRONG = [
    "sk-real0123456789secretREAL # prod",
    "sk-real0123456789\nsecretREAL",
    "sk-real0123456789secretREAL\u00fc",
    "sk-real\u200b0123456789secretREAL",
    '"sk-real0123456789secretREAL',
    "DEEPSEEK_API_KEY=sk-real0123456789secretREAL",
    "export DEEPSEEK_API_KEY=sk-real0123456789secretREAL",
]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_malformed_key_is_in_no_traceback_with_locals(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: str):
    file = tmp_path / "settings.yaml"
    file.write_text(f"deepseek:\n  api_key: {json.dumps(wrong)}\n")
    file.chmod(0o600)
    plain = tmp_path / "plain.yaml"
    plain.write_text("deepseek:\n  max_concurrency: 5\n")
    monkeypatch.setenv("DEEPSEEK_API_KEY", wrong)
    ways: list[Any] = [
        AsyncDeepSeek,
        lambda: AsyncDeepSeek(api_key=wrong),
        lambda: ApiKey(wrong),
        lambda: Endpoint("https://x.invalid", wrong),
        lambda: AsyncDeepSeek.from_settings(file),
        lambda: AsyncDeepSeek.from_settings(plain, api_key=wrong),
    ]
    for way in ways:
        with pytest.raises(ConfigurationError) as caught:
            way()
        shown = everything_shown_by(caught.value)
        assert "secretREAL" not in shown
        assert "api_key" in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [{"base_url": "nonsense"}, {"max_concurrency": 0}, {"timeout": -1}, {"retry": 0}, {"lint": "x"}],
)
def test_a_wrong_setting_shows_neither_the_proxy_nor_the_headers(wrong: dict):
    with pytest.raises(ConfigurationError) as caught:
        AsyncDeepSeek(
            api_key=CANARY,
            proxy="http://me:secretREAL@127.0.0.1:1",
            default_headers={"X-Api-Key": "secretREAL"},
            **wrong,
        )
    assert "secretREAL" not in everything_shown_by(caught.value)


def test_settings_show_neither_the_proxys_password_nor_the_headers():
    client = AsyncDeepSeek(
        api_key=CANARY,
        proxy="http://me:secretREAL@127.0.0.1:1",
        default_headers={"X-Api-Key": "secretREAL"},
    )
    assert "secretREAL" not in f"{client.settings} {client!r} {vars(client)}"


AROUND = {
    "newline": "{}\n",
    "blanks": "  {} ",
    "CRLF": "{}\r\n",
    "quotes": '"{}"',
    "single quotes": "'{}'",
    "typographic quotes": "\u201c{}\u201d",
    "quotes and blanks": ' " {} " ',
    "Bearer": "Bearer {}",
    "bearer in quotes": '"bearer {}"',
    "byte order mark": "\ufeff{}",
    "zero-width space": "{}\u200b",
    "no-break space": "{}\u00a0",
}


@pytest.mark.parametrize("around", AROUND)
def test_what_was_pasted_around_a_key_is_taken_off(around: str):
    assert ApiKey(AROUND[around].format(CANARY)).authorization() == f"Bearer {CANARY}"


@given(st.text(max_size=40))
def test_any_text_is_a_key_or_is_refused_with_advice(text: str):
    failure = None
    try:
        sent = ApiKey(text).authorization()
    except ConfigurationError as error:
        failure, sent = str(error), "Bearer x"
    assert failure is None or "api_key" in failure
    assert failure is None or len(text) < 8 or text not in failure
    assert sent.isascii()
    assert " " not in sent.removeprefix("Bearer ")


async def test_many_clients_that_come_and_go_leave_no_keys_behind():
    async def use(number: int) -> None:
        async with AsyncDeepSeek(api_key=f"gsk_tenant_{number:06}", base_url="http://127.0.0.1:1"):
            pass

    await asyncio.gather(*map(use, range(50)))
    gc.collect()
    assert redact("gsk_tenant_000007") == "gsk_tenant_000007"


def test_an_error_of_this_library_masks_its_message_whoever_makes_it():
    held = ApiKey("gsk_canary0123456789")
    error = APIConnectionError("cannot reach gsk_canary0123456789")
    assert error.args == (error.message,) == (f"cannot reach {MASK}",)
    del held
