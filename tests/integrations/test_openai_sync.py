"""openai-python without coroutines, over the engine on a loop thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from support.clients import MESSAGES
from support.servers import ANSWER, CANARY, RESET, SILENCE, ScriptedServer, begun, response, said, streamed

from deepseek_async import StreamInterruptedError
from deepseek_async.blocking import SHARED, DeepSeek
from deepseek_async.integrations.openai import as_openai_sync, cause_of

ASKED: dict[str, Any] = {"model": "deepseek-flash", "messages": MESSAGES}


@pytest.fixture
def serving() -> Iterator[Any]:
    servers: list[ScriptedServer] = []
    SHARED.hold()

    def start(*scripts: Any) -> ScriptedServer:
        servers.append(ScriptedServer(scripts))
        SHARED.run(servers[-1].__aenter__())
        return servers[-1]

    yield start
    for server in servers:
        SHARED.run(server.stop())
    SHARED.release()


def options(server: ScriptedServer) -> dict[str, Any]:
    return {"api_key": CANARY, "base_url": server.url, "breaker": False}


def test_answers_and_streams_are_openais_own(serving: Any) -> None:
    server = serving([ANSWER], streamed("Hel", "lo"))
    with as_openai_sync(**options(server)) as client:
        assert isinstance(client, openai.OpenAI)
        assert client.chat.completions.create(**ASKED).choices[0].message.content == "Hello"
        with client.chat.completions.create(**ASKED, stream=True) as stream:
            assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Hello"
    assert server.requests[0].header("Authorization") == f"Bearer {CANARY}"


@pytest.mark.parametrize(
    "further",
    [{}, {"stop": openai.omit, "temperature": 0.5}, {"extra_body": {"thinking": {"type": "disabled"}}}],
    ids=["nothing", "an argument that is left out", "a field of this server"],
)
def test_a_direct_call_sends_and_returns_what_openais_own_way_does(serving: Any, further: dict[str, Any]) -> None:
    server = serving([ANSWER])
    with as_openai_sync(**options(server)) as client:
        own = client.chat.completions.create(**ASKED, **further, extra_headers={"X-Way": "its own"})
        client._client.send = None  # type: ignore[assignment]  # what its own way asks with
        direct = client.chat.completions.create(**ASKED, **further)
        assert (direct, type(direct)) == (own, type(own))
        with pytest.raises(openai.BadRequestError):
            client.with_options(api_key=None).chat.completions.create(model="m\n", messages=MESSAGES)
    assert server.requests[0].json() == server.requests[1].json()
    assert server.requests[0].header("X-Way") == "its own"


def test_closing_it_closes_the_client_that_was_made_for_it_only(serving: Any) -> None:
    server = serving([ANSWER])
    with DeepSeek(**options(server)) as client:
        with as_openai_sync(client) as api:
            api.chat.completions.create(**ASKED)
        assert client.chat.completions.create(**ASKED).id == "5f0c"
    own = as_openai_sync(**options(server))
    own.close()
    with pytest.raises(Exception, match="closed"):
        own.chat.completions.create(**ASKED)


def test_many_threads_share_one_engine(serving: Any) -> None:
    server = serving([ANSWER])
    with as_openai_sync(**options(server), max_concurrency=2) as client, ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: client.chat.completions.create(**ASKED), range(12)))
    assert [answer.choices[0].message.content for answer in answers] == ["Hello"] * 12
    assert server.connections <= 2


def test_errors_and_timeouts_are_openais(serving: Any) -> None:
    server = serving([response({"error": {"message": "no"}}, 402)], [SILENCE])
    with as_openai_sync(**options(server)) as client:
        with pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(**ASKED)
        assert caught.value.status_code == 402
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(**ASKED, timeout=0.05)
    assert len(server.requests) == 2


def test_a_stream_that_breaks_off_keeps_what_was_paid_for(serving: Any) -> None:
    server = serving([begun(said("Hel")), RESET])
    with as_openai_sync(**options(server)) as client, pytest.raises(openai.APIConnectionError) as caught:
        list(client.chat.completions.create(**ASKED, stream=True))
    cause = cause_of(caught.value)
    assert isinstance(cause, StreamInterruptedError)
    assert cause.text == "Hel"


def test_ctrl_c_ends_a_call_and_gives_its_place_back(serving: Any) -> None:
    server = serving([SILENCE])

    async def interrupt() -> None:
        await server.arrived.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with DeepSeek(**options(server)) as client:
        interrupting = threading.Thread(target=lambda: SHARED.run(interrupt()))
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            as_openai_sync(client).chat.completions.create(**ASKED)
        assert sum(model.in_flight for model in client.asynchronous.statistics().models) == 0
        interrupting.join()
