"""Requests as bytes, answered through everything that protects the calls of a client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clients import MESSAGES, Connect
from support.servers import ANSWER, DONE, SILENCE, Serve, answer, begun, event, response, said, streamed

from deepseek_async import BadRequestError, CircuitOpenError, ContentBlockedError, InvalidRequestError
from deepseek_async.errors import APITimeoutError, DeepSeekError
from deepseek_async.relay import Relay, RelayRequest, RelayResponse, StreamedBody, failure_event, passed_on, refusal_of
from deepseek_async.relay.form import read_form

BODY = {"model": "deepseek-flash", "messages": MESSAGES}


def asked(path: str = "/chat/completions", body: Any = BODY, **options: Any) -> RelayRequest:
    wire = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RelayRequest(**{"method": "POST", "path": path, "body": wire, **options})


async def read(relayed: RelayResponse) -> bytes:
    assert isinstance(relayed.body, StreamedBody)
    return b"".join([block async for block in relayed.body])


async def test_a_plain_answer_is_the_servers_bytes(serve: Serve, connect: Connect) -> None:
    wire = json.dumps(answer(), indent=1).encode()
    server = await serve([response(wire, x_ds_trace_id="t1", set_cookie="a=b")])
    relayed = await connect(server).relay.send(asked(headers={"X-Team": "search"}))
    assert (relayed.status, relayed.body) == (200, wire)
    assert relayed.headers["x-ds-trace-id"] == "t1"
    assert not {"content-length", "set-cookie"} & {name.lower() for name in relayed.headers}
    assert server.requests[0].header("X-Team") == "search"


async def test_a_streamed_answer_is_the_servers_events(serve: Serve, connect: Connect) -> None:
    events = [said("Hel"), said("lo\N{LINE SEPARATOR}")]
    last = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None, "new": 1})
    server = await serve([begun(*events, last, DONE)])
    relayed = await connect(server).relay.send(asked(body={**BODY, "stream": True}))
    assert relayed.headers["content-type"].startswith("text/event-stream")
    assert [json.loads(data) for data in data_of(await read(relayed))] == [
        json.loads(data) for data in data_of(b"".join((*events, last)))
    ]


def data_of(events: bytes) -> list[str]:
    lines = events.decode().split("\n")
    return [line[6:] for line in lines if line.startswith("data: ") and line != "data: [DONE]"]


async def test_what_arrives_together_is_one_block(serve: Serve, connect: Connect) -> None:
    server = await serve(streamed(*"abcdefgh"))
    relayed = await connect(server).relay.send(asked(body={**BODY, "stream": True}))
    assert isinstance(relayed.body, StreamedBody)
    blocks = [block async for block in relayed.body]
    assert len(blocks) == 2
    assert blocks[-1] == DONE


async def test_messages_and_responses_have_named_events_and_no_end_marker(serve: Serve, connect: Connect) -> None:
    created = event({"type": "response.output_text.delta", "delta": "Hi", "output_index": 0})
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
    done = event({"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [item]}})
    server = await serve([begun(created, done)])
    relayed = await connect(server).relay.send(asked("/v1/responses", {"model": "m", "input": "Hi", "stream": True}))
    wire = await read(relayed)
    assert wire == b"event: response.output_text.delta\n" + created + b"event: response.completed\n" + done


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions", "/beta/chat/completions"])
async def test_paths_are_known_with_and_without_the_base_of_sdks(serve: Serve, connect: Connect, path: str) -> None:
    server = await serve([ANSWER])
    await connect(server).relay.send(asked(path))
    assert server.requests[0].path == "/chat/completions"


async def test_a_cap_that_deepseek_ignores_is_sent_as_the_one_it_knows(serve: Serve, connect: Connect) -> None:
    server = await serve([ANSWER])
    await connect(server).relay.send(asked(body={**BODY, "max_completion_tokens": 9, "user": None}))
    assert server.requests[0].json() == {**BODY, "max_tokens": 9}


@pytest.mark.parametrize(
    "path",
    ["/a/../b", "/%2e%2e/b", "//elsewhere/x", "models", "/mo\r\ndels", "/models#a", "/a/.", "", "http://elsewhere/"],
)
async def test_a_path_that_may_lead_elsewhere_is_refused(serve: Serve, connect: Connect, path: str) -> None:
    server = await serve([ANSWER])
    with pytest.raises(InvalidRequestError, match="path must be a plain path"):
        await connect(server).relay.send(RelayRequest(method="GET", path=path))
    assert not server.requests


@pytest.mark.parametrize(
    ("request_", "said_so"),
    [
        (asked(body=b"{"), "must be a JSON object"),
        (asked(body=b"[]"), "must be a JSON object"),
        (asked(body={"model": "m"}), "messages must be"),
        (asked("/embeddings", {"model": "m", "input": "x", "stream": True}), "cannot be streamed"),
        (asked("/unknown", {"stream": True}), "must be a JSON object without stream"),
        (asked("/unknown", b"\x00"), "must be a JSON object"),
        (asked("/tools/search", {"query": " "}), "non-blank"),
        (asked("/tools/search", {"query": "x", "stream": True}), "without stream"),
        (asked("/tools/ocr", b"{}"), "multipart/form-data"),
        (asked("/tools/draw", {"query": "x"}), "billed by the unit"),
        (RelayRequest(method="GET", path="/v1/tools/tts?voice_id=stella"), "WebSocket"),
        (asked("/files", b"", content_type="application/json"), "multipart/form-data"),
    ],
)
async def test_what_cannot_be_relayed_is_refused_before_anything_is_sent(
    serve: Serve, connect: Connect, request_: RelayRequest, said_so: str
) -> None:
    server = await serve([ANSWER])
    with pytest.raises(InvalidRequestError, match=said_so):
        await connect(server).relay.send(request_)
    assert not server.requests


async def test_a_read_is_retried_and_an_unknown_change_is_not(serve: Serve, connect: Connect) -> None:
    server = await serve([response({"error": {"message": "busy"}}, 503)])
    relay: Relay = connect(server).relay
    for request, sent in ((RelayRequest(method="GET", path="/unknown"), 4), (asked("/unknown", {"a": 1}), 1)):
        before = len(server.requests)
        with pytest.raises(DeepSeekError):
            await relay.send(request)
        assert len(server.requests) - before == sent


async def test_a_stream_may_last_longer_than_the_callers_patience(serve: Serve, connect: Connect) -> None:
    server = await serve([begun(said("Hel")), SILENCE])
    relayed = await connect(server).relay.send(asked(body={**BODY, "stream": True}, timeout=0.05))
    assert isinstance(relayed.body, StreamedBody)
    assert b"Hel" in await anext(relayed.body)
    with pytest.raises(APITimeoutError, match=r"within 0.05 s"):
        await anext(relayed.body)


async def test_a_relay_of_other_options_keeps_them(serve: Serve, connect: Connect) -> None:
    server = await serve([response({"error": {"message": "busy"}}, 503)])
    client = connect(server)
    assert client.relay is client.relay
    with pytest.raises(DeepSeekError):
        await client.with_options(max_retries=0).relay.send(asked())
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequestError("no", status_code=400, body={"message": "no"}), 400),
        (InvalidRequestError("no"), 400),
        (ContentBlockedError("no"), 400),
        (CircuitOpenError("no", retry_after=1.2), 503),
        (APITimeoutError("no"), 504),
        (DeepSeekError("no"), 500),
    ],
)
def test_every_error_has_a_response_that_sdks_do_not_retry(error: DeepSeekError, status: int) -> None:
    refused = refusal_of(error)
    assert (refused.status, refused.failure) == (status, error)
    assert refused.headers["x-should-retry"] == "false"
    assert json.loads(refused.body)["error"]["message"] == "no"  # type: ignore[arg-type]
    assert refused.headers.get("retry-after") == ("2" if status == 503 else None)
    assert json.loads(failure_event(error)[6:])["error"]["message"] == "no"


def test_credentials_and_what_sdks_tell_about_themselves_stay_behind() -> None:
    fields = {"Authorization": "Bearer x", "Cookie": "a", "Host": "h", "X-Stainless-OS": "L", "X-Team": "t"}
    assert passed_on(fields.items()) == {"X-Team": "t"}
    assert passed_on({"api-key": "x"}.items()) is None


@given(
    st.dictionaries(st.sampled_from(["purpose", "expires_after[anchor]"]), st.text(max_size=20)),
    st.binary(max_size=100),
)
@settings(max_examples=20)
def test_a_form_is_read_as_it_was_written(fields: dict[str, str], content: bytes) -> None:
    boundary = "b0undary"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode(errors="replace")
        for name, value in fields.items()
    ]
    file = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a%22.txt"\r\n\r\n'.encode()
    wire = b"".join(parts) + file + content + f"\r\n--{boundary}--\r\n".encode()
    form = read_form(wire, f'multipart/form-data; boundary="{boundary}"')
    assert form.fields == {name: value.encode(errors="replace").decode() for name, value in fields.items()}
    assert form.files == {"file": ('a".txt', content)}


@given(st.binary(max_size=100))
@settings(max_examples=20)
def test_hostile_forms_are_refused_in_one_sentence(wire: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        read_form(b"--b" + wire.replace(b"--b", b""), "multipart/form-data; boundary=b")
