"""The client for code without coroutines: one engine for many threads, and nothing left after it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from support.clients import MESSAGES
from support.servers import ANSWER as ANSWERED
from support.servers import CANARY, RESET, SILENCE, ScriptedServer, begun, said, streamed

from deepseek_async import (
    APIConnectionError,
    ConfigurationError,
    StreamInterruptedError,
    StructuredOutputError,
    labelled,
)
from deepseek_async.blocking import SHARED, DeepSeek
from deepseek_async.events import CallEnded
from deepseek_async.labels import Labels

ASKED: dict[str, Any] = {"model": "deepseek-flash", "messages": MESSAGES}


class Server:
    """A scripted server on the loop thread that the clients use."""

    def __init__(self, *scripts: Any) -> None:
        self.scripted = ScriptedServer(scripts)
        SHARED.hold()
        SHARED.run(self.scripted.__aenter__())

    def close(self) -> None:
        SHARED.run(self.scripted.stop())
        SHARED.release()

    def client(self, **options: Any) -> DeepSeek:
        return DeepSeek(api_key=CANARY, base_url=self.scripted.url, breaker=False, **options)


@pytest.fixture
def serving() -> Iterator[Any]:
    servers: list[Server] = []

    def start(*scripts: Any) -> Server:
        servers.append(Server(*scripts))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "deepseek-async"]


def test_a_call_waits_for_its_answer(serving: Any) -> None:
    with serving([ANSWERED]).client() as client:
        assert client.chat.completions.create(**ASKED).choices[0].message.content == "Hello"


def test_a_stream_is_an_iterator(serving: Any) -> None:
    server = serving(streamed("Hel", "lo"))
    with server.client() as client:
        with client.chat.completions.create(**ASKED, stream=True) as stream:
            assert "".join(stream.text_deltas()) == "Hello"
        assert stream.completion.choices[0].message.content == "Hello"
        with client.chat.completions.create(**ASKED, stream=True) as other:
            assert len(list(other)) == 4


def test_leaving_a_stream_gives_its_place_back(serving: Any) -> None:
    with serving([begun(said("Hel")), SILENCE]).client() as client:
        with client.chat.completions.create(**ASKED, stream=True) as stream:
            next(stream)
            assert in_flight(client) == 1
        assert in_flight(client) == 0


def in_flight(client: DeepSeek) -> int:
    return sum(model.in_flight for model in client.asynchronous.statistics().models)


def test_errors_are_the_clients_own_with_what_had_arrived(serving: Any) -> None:
    with serving([begun(said("Hel")), RESET]).client() as client, pytest.raises(StreamInterruptedError) as caught:
        list(client.chat.completions.create(**ASKED, stream=True))
    assert caught.value.text == "Hel"


def test_the_calls_of_many_threads_share_one_limit(serving: Any) -> None:
    with serving([ANSWERED]).client(max_concurrency=3) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.chat.completions.create(**ASKED), range(40)))
    assert [answer.choices[0].message.content for answer in answers] == ["Hello"] * 40


def test_labels_of_the_calling_thread_are_those_of_the_call(serving: Any) -> None:
    seen: list[CallEnded] = []
    with serving([ANSWERED]).client(listeners=[seen.append]) as client, labelled(tag="search"):
        client.chat.completions.create(**ASKED)
    assert [event.labels for event in seen] == [Labels(tag="search")]


def test_ctrl_c_ends_a_call_and_gives_its_place_back(serving: Any) -> None:
    server = serving([SILENCE])
    with server.client() as client:

        async def interrupt() -> None:
            await server.scripted.arrived.wait()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        interrupting = threading.Thread(target=lambda: client.run(interrupt()))
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            client.chat.completions.create(**ASKED)
        assert in_flight(client) == 0
        interrupting.join()


def test_no_thread_is_left_after_the_last_client_is_closed() -> None:
    one, two = (DeepSeek(api_key=CANARY, base_url="http://127.0.0.1:1") for _ in range(2))
    for client in (one, two):
        client.run(_nothing())
    assert threads() == ["deepseek-async"]
    one.close()
    assert threads() == ["deepseek-async"]
    two.close()
    two.close()
    assert threads() == []


async def _nothing() -> None:
    pass


def test_a_client_that_nobody_closed_keeps_no_thread_of_later_ones() -> None:
    DeepSeek(api_key=CANARY)  # not used, so there is nothing that would complain

    with DeepSeek(api_key=CANARY) as client:
        client.run(asyncio.sleep(0))

    assert "deepseek-async" not in [thread.name for thread in threading.enumerate()]


def test_a_client_that_is_closed_says_so(serving: Any) -> None:
    client = serving([ANSWERED]).client()
    client.close()
    with pytest.raises(ConfigurationError, match="closed"):
        client.chat.completions.create(**ASKED)


def test_other_options_share_the_connections(serving: Any) -> None:
    server = serving([ANSWERED])
    with server.client() as client:
        assert client.with_options(timeout=9).chat.completions.create(**ASKED).id == "5f0c"
        assert client.chat.completions.create(**ASKED).id == "5f0c"
        assert server.scripted.connections == 1


def test_whatever_the_client_can_do_runs_on_its_loop(serving: Any) -> None:
    with serving([ANSWERED]).client() as client:
        rows = client.asynchronous.batch.map(["a", "b"], model="deepseek-flash")
        assert len(list(client.iterate(aiter(rows)))) == 2
        with pytest.raises(RuntimeError, match="use AsyncDeepSeek"):
            client.run(_blocks(client))


async def _blocks(client: DeepSeek) -> None:
    client.chat.completions.create(**ASKED)


def test_a_forked_child_uses_the_client_of_its_parent(serving: Any) -> None:
    with serving([ANSWERED]).client() as client:
        client.chat.completions.create(**ASKED)
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            answered = client.chat.completions.create(**ASKED).choices[0].message.content == "Hello"
            os._exit(0 if answered else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.chat.completions.create(**ASKED).choices[0].message.content == "Hello"


FORGOTTEN = """
from deepseek_async.blocking import DeepSeek
import asyncio

class Late:
    def __del__(self):
        try:
            client.run(asyncio.sleep(0))
        except Exception as error:
            print(error)

async def numbers():
    for number in range(9):
        yield number

client = DeepSeek(api_key='sk-none', base_url='http://127.0.0.1:1')
client.run(asyncio.sleep(0))
begun = client.iterate(numbers())
print(next(begun))
late = Late()
"""


def test_a_program_that_forgets_to_close_ends_nevertheless_whatever_it_left_open() -> None:
    done = subprocess.run([sys.executable, "-c", FORGOTTEN], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "0\nthe interpreter is exiting\n")
    assert done.stderr == ""


def test_a_stream_of_several_choices_is_an_iterator_too(serving: Any) -> None:
    with serving(streamed("Hel", "lo"), streamed("By", "e")).client(max_concurrency=1) as client:
        with client.chat.completions.create(**ASKED, stream=True, n=2) as stream:
            said_of = dict.fromkeys(range(2), "")
            for chunk in stream:
                for choice in chunk.choices:
                    said_of[choice.index] += choice.delta.content or ""
        assert said_of == {0: "Hello", 1: "Bye"}
        assert [choice.message.content for choice in stream.completion.choices] == ["Hello", "Bye"]


def test_a_thread_that_cannot_begin_fails_one_call_and_not_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    client = DeepSeek(api_key=CANARY, base_url="http://127.0.0.1:1")
    with monkeypatch.context() as none:
        none.setattr(threading.Thread, "start", start)
        with pytest.raises(APIConnectionError, match="the client's thread cannot begin: can't start new thread"):
            client.run(asyncio.sleep(0))
    assert client.run(asyncio.sleep(0, "slept")) == "slept"
    client.close()
    assert threads() == []


def test_what_is_no_coroutine_is_refused_at_once_and_costs_the_client_nothing(serving: Any) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    with serving([ANSWERED]).client() as client:
        with pytest.raises(TypeError, match=r"^run\(\) takes a coroutine, got async_generator: iterate\(\) takes it$"):
            client.run(numbers())  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"^run\(\) takes a coroutine, got ChatCompletion: pass the call of"):
            client.run(client.chat.completions.create(**ASKED))


@dataclass
class Place:
    city: str


def test_the_object_of_a_stream_grows_and_is_validated_at_the_end(serving: Any) -> None:
    server = serving(streamed('{"city": "Os', 'lo"}'), streamed('{"town": "Oslo"}'))
    with server.client() as client:
        with client.chat.completions.create(**ASKED, stream=True, response_format=Place) as stream:
            assert list(stream.partials())[-2:] == [Place("Oslo"), Place("Oslo")]
        assert stream.parsed == stream.completion.parsed == Place("Oslo")
        with client.chat.completions.create(**ASKED, stream=True, response_format=Place) as other:
            with pytest.raises(StructuredOutputError) as caught:
                list(other.partials())
            assert caught.value.partial.choices[0].message.content == '{"town": "Oslo"}'


def test_either_a_client_or_options() -> None:
    with pytest.raises(ConfigurationError, match="got client and api_key"):
        DeepSeek(DeepSeek(api_key=CANARY).asynchronous, api_key=CANARY)
